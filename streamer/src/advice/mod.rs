//! What a user can do about an error of the database, where the database has to be asked: which
//! right is missing, which trigger fails, whether row-level security is in the way.
//!
//! Nothing depends on PostgreSQL's words, which may be in any language, but for names of functions
//! that are looked for in an error's context.

pub(crate) mod waits;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use sqlx::PgConnection;

use crate::database::Database;
use crate::retry;

/// How long it may take to find out.
const WITHIN: Duration = Duration::from_secs(5);

/// A right that a role needs, and what it needs it on: `schema shop`, `table shop.orders`.
type Right = (String, String);

/// The table of a stream, as messages and statements write it.
#[derive(sqlx::FromRow)]
struct Target {
    oid: sqlx::postgres::types::Oid,
    /// The full name, quoted where need be.
    name: String,
    /// The user that the streamer is to the database, quoted where need be.
    role: String,
    /// Whether row-level security is in force for it.
    has_row_security: bool,
    is_owner: bool,
}

/// What a user can do about `error`, which came of work on the table of a stream, whose name is
/// written as in SQL; or on no such table.
pub(crate) async fn advise(
    database: &Database,
    table: Option<&str>,
    error: &sqlx::Error,
) -> Option<String> {
    let found = tokio::time::timeout(WITHIN, find_out(database, table, error)).await;
    let found = found.ok().and_then(Result::ok).flatten();
    found.or_else(|| retry::advice(error).map(Cow::into_owned))
}

/// Who holds the lock on the table of a stream for which `error` says that it was waited in vain.
pub(crate) async fn holders(
    database: &Database,
    table: Option<&str>,
    error: &sqlx::Error,
) -> Option<waits::Wait> {
    let code = error.as_database_error()?.code()?;
    // A lock that is not available, or an object in use.
    if !matches!(&*code, "55P03" | "55006") {
        return None;
    }
    let asking = async {
        let mut conn = database.question().await?;
        let Some(target) = Target::find(&mut conn, table.unwrap_or_default()).await? else {
            return Ok(None);
        };
        let wait = waits::lockers(&mut conn, target.oid, &target.name).await?;
        conn.keep();
        Ok(wait)
    };
    let asked: Result<Option<waits::Wait>, sqlx::Error> =
        tokio::time::timeout(WITHIN, asking).await.ok()?;
    asked.ok().flatten()
}

async fn find_out(
    database: &Database,
    table: Option<&str>,
    error: &sqlx::Error,
) -> Result<Option<String>, sqlx::Error> {
    let sqlx::Error::Database(of_server) = error else { return Ok(None) };
    let code = of_server.code().unwrap_or_default();
    let context =
        retry::context(of_server.as_ref()).filter(|context| retry::is_of_function(context));
    if context.is_none() && !matches!(&*code, "42501" | "0A000") {
        return Ok(None);
    }
    let mut conn = database.question().await?;
    let target = match table {
        Some(table) => Target::find(&mut conn, table).await?,
        None => None,
    };
    match (target, context) {
        (Some(target), Some(context)) => target.failing(&mut conn, context).await.map(Some),
        (target, None) if code == "42501" => missing(&mut conn, target.as_ref()).await,
        (Some(target), None) if target.has_row_security => Ok(Some(target.row_security())),
        _ => Ok(None),
    }
}

impl Target {
    /// Finds it also where the role may not use its schema.
    async fn find(conn: &mut PgConnection, table: &str) -> Result<Option<Target>, sqlx::Error> {
        sqlx::query_as(
            "select c.oid, format('%I.%I', n.nspname, c.relname) as name,
                    quote_ident(current_user) as role, row_security_active(c.oid) as has_row_security,
                    pg_has_role(c.relowner, 'usage') as is_owner
               from parse_ident($1) name
               join pg_class c on c.relname = name[cardinality(name)] and c.relkind in ('r', 'p', 'f')
               join pg_namespace n on n.oid = c.relnamespace
              where case cardinality(name)
                        when 1 then n.nspname = any(
                            select btrim(replace(part, '$user', current_user), '\" ')
                              from unnest(string_to_array(current_setting('search_path'), ',')) part)
                        else n.nspname = name[cardinality(name) - 1]
                    end
              order by pg_table_is_visible(c.oid) desc limit 1",
        )
        .bind(table)
        .fetch_optional(conn)
        .await
    }

    fn row_security(&self) -> String {
        let Target { name, role, is_owner, .. } = self;
        let lift = match is_owner {
            true => format!("alter table {name} no force row level security"),
            false => format!("alter table {name} disable row level security"),
        };
        let owner = if *is_owner { "" } else { "; or load as the table's owner" };
        format!(
            "row-level security of table {name} is in force for {role}, and COPY takes no rows under it: run \
             `alter role {role} bypassrls`, or `{lift}`{owner}"
        )
    }

    /// What fails with this context: a trigger of the table, or something else that it does with a
    /// row.
    async fn failing(&self, conn: &mut PgConnection, context: &str) -> Result<String, sqlx::Error> {
        let triggers: Vec<(String, String, String)> = sqlx::query_as(
            "select quote_ident(t.tgname), p.oid::regprocedure::text, p.proname::text
               from pg_trigger t join pg_proc p on p.oid = t.tgfoid
              where t.tgrelid = $1 and not t.tgisinternal and t.tgenabled <> 'D' order by t.tgname",
        )
        .bind(self.oid)
        .fetch_all(conn)
        .await?;
        let mut named = triggers.iter().filter(|(.., function)| context.contains(function));
        let table = &self.name;
        Ok(match (named.next(), named.next()) {
            (Some((trigger, function, _)), None) => format!(
                "{}: trigger {trigger} of table {table}, by {function}; or run `alter table {table} disable \
                 trigger {trigger}`",
                retry::MEND
            ),
            _ => format!("{}, table {table}", retry::MEND),
        })
    }
}

/// The statements that grant what the role lacks; nothing, if it lacks nothing that is known of.
async fn missing(
    conn: &mut PgConnection,
    target: Option<&Target>,
) -> Result<Option<String>, sqlx::Error> {
    let mut rights = match target {
        Some(target) => lacking_of_target(conn, target).await?,
        None => Vec::new(),
    };
    rights.extend(lacking_of_own(conn).await?);
    if rights.is_empty() {
        return Ok(None);
    }
    let role: String =
        sqlx::query_scalar("select quote_ident(current_user)").fetch_one(conn).await?;
    let mut advice = format!("{}:", retry::GRANT);
    for of_object in rights.chunk_by(|(_, one), (_, next)| one == next) {
        let list: Vec<&str> = of_object.iter().map(|(right, _)| right.as_str()).collect();
        let object = &of_object[0].1;
        write!(advice, " grant {} on {object} to {role};", list.join(", "))
            .expect("a string takes everything");
    }
    Ok(Some(advice.trim_end_matches(';').to_owned()))
}

/// What is missing of what README.md lists for the streamer's own tables.
async fn lacking_of_own(conn: &mut PgConnection) -> Result<Vec<Right>, sqlx::Error> {
    sqlx::query_as(
        "select 'usage', 'schema streamer' from pg_namespace
          where nspname = 'streamer' and not has_schema_privilege(oid, 'usage')
         union all
         (select need.privilege, format('table streamer.%I', c.relname)
            from pg_class c
            join (values ('select', null), ('insert', 'checkpoint'), ('insert', 'micro_batch'),
                         ('insert', 'dead_letter'), ('insert', 'instance'),
                         ('insert', 'idempotency_key'), ('update', 'checkpoint'),
                         ('update', 'micro_batch'), ('update', 'dead_letter'),
                         ('update', 'instance'), ('update', 'idempotency_key'),
                         ('insert', 'compaction'), ('update', 'compaction'),
                         ('insert', 'micro_batch_old'),
                         ('delete', 'checkpoint'), ('delete', 'micro_batch'),
                         ('delete', 'dead_letter'), ('delete', 'instance'),
                         ('delete', 'idempotency_key'))
                 need (privilege, relation) on coalesce(need.relation = c.relname, true)
           where c.relnamespace = to_regnamespace('streamer') and c.relkind = 'r'
             and not has_table_privilege(c.oid, need.privilege)
           order by c.relname, need.privilege)
         union all
         select 'usage', format('sequence streamer.%I', relname) from pg_class
          where relnamespace = to_regnamespace('streamer')
            and case when relkind = 'S' then not has_sequence_privilege(oid, 'usage') end",
    )
    .fetch_all(conn)
    .await
}

/// What is missing to write rows into the table and to look keys up. Rights on columns are enough.
async fn lacking_of_target(
    conn: &mut PgConnection,
    target: &Target,
) -> Result<Vec<Right>, sqlx::Error> {
    sqlx::query_as(
        "select 'usage', format('schema %I', n.nspname) from pg_class c
           join pg_namespace n on n.oid = c.relnamespace
          where c.oid = $1 and not has_schema_privilege(n.oid, 'usage')
         union all
         select case when has_any_column_privilege($1::oid, 'insert')
                     then format('insert (%s)', string_agg(quote_ident(a.attname), ', '
                                                           order by a.attnum))
                     else 'insert' end, 'table ' || $2::text
           from pg_attribute a
          where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
            and not has_column_privilege($1::oid, a.attnum, 'insert')
         having count(*) > 0
         union all
         select 'select', 'table ' || $2::text from pg_index i, unnest(i.indkey::int2[]) k (attnum)
          where i.indrelid = $1 and i.indisunique and k.attnum > 0
            and not has_column_privilege($1::oid, k.attnum, 'select')
         having count(*) > 0
         union all
         select 'usage', 'sequence ' || d.refobjid::regclass::text
           from pg_attrdef f
           join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
                           and d.refclassid = 'pg_class'::regclass
           join pg_class s on s.oid = d.refobjid
          where f.adrelid = $1
            and case when s.relkind = 'S' then not has_sequence_privilege(s.oid, 'usage') end",
    )
    .bind(target.oid)
    .bind(&target.name)
    .fetch_all(conn)
    .await
}
