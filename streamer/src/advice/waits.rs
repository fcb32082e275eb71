//! What a server process waits for, in words: which session holds the lock that it needs, and how
//! it is freed.

use std::time::Duration;

use sqlx::PgConnection;

/// How many sessions are named.
const NAMED_MAX: usize = 3;

/// What is known of a commit that waits for a standby.
const STANDBY: &str = ", a synchronous standby that is away: bring it back, or take it out of synchronous_standby_names";

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    /// The sessions that hold what is needed; none, where the server itself is waited for. As long
    /// as they are the same, so is the wait.
    pub(crate) holders: Vec<i32>,
    /// Whether each of them is at work on a statement that changes or keeps up a table, and so goes
    /// on by itself.
    pub(crate) is_upkeep: bool,
    /// What is waited for, who holds it, and how it is freed, behind `it waits for`.
    pub(crate) words: String,
}

/// A session that others wait for, as far as the role may see it.
#[derive(Debug, sqlx::FromRow)]
struct Session {
    pid: i32,
    /// Whether it waits for nobody itself.
    is_root: bool,
    user: Option<String>,
    application: Option<String>,
    state: Option<String>,
    /// How old its transaction is, in seconds.
    age: Option<f64>,
    /// The first words of the statement that it is at work on, if that changes or keeps up a table.
    statement: Option<String>,
}

/// The first words of a statement that changes or keeps up a table, of a session `a` that is at
/// work on it. Of others' sessions only a member of pg_read_all_stats sees it.
macro_rules! statement {
    () => {
        "case when a.state = 'active' then upper(substring(a.query from
             '(?i)^\\s*(?:autovacuum: )?((?:alter|create|drop|truncate|reindex|cluster|vacuum|analyze|refresh)\\M(?:\\s+[a-z]+)?)'))
         end as statement"
    };
}

/// Who is in the way of `$1`, and of those who are, by way of a chain.
const CHAIN: &str = concat!(
    "with recursive chain (pid, depth) as (
         select pid, 1 from unnest(pg_blocking_pids($1)) b (pid)
         union
         select b.pid, depth + 1 from chain, unnest(pg_blocking_pids(chain.pid)) b (pid)
          where chain.pid <> 0 and depth < 10
     )
     select distinct c.pid, cardinality(pg_blocking_pids(c.pid)) = 0 as is_root,
            coalesce(a.usename::text, a.backend_type) as user, a.application_name as application,
            a.state, extract(epoch from clock_timestamp() - a.xact_start)::double precision as age,
            ",
    statement!(),
    " from chain c left join pg_stat_activity a using (pid) order by c.pid"
);

/// Who holds a lock on the table `$1` that keeps others from writing.
const LOCKERS: &str = concat!(
    "select distinct l.pid, true as is_root,
            coalesce(a.usename::text, a.backend_type) as user, a.application_name as application,
            a.state, extract(epoch from clock_timestamp() - a.xact_start)::double precision as age,
            ",
    statement!(),
    " from pg_locks l left join pg_stat_activity a using (pid)
      where l.relation = $1 and l.granted and l.pid <> pg_backend_pid()
        and l.database = (select oid from pg_database where datname = current_database())
        and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      order by l.pid"
);

/// What the server process `pid` waits for; nothing, where it is at work, or waits for its client.
///
/// # Errors
/// When the database can't be asked.
pub(crate) async fn wait_of(
    conn: &mut PgConnection,
    pid: i32,
) -> Result<Option<Wait>, sqlx::Error> {
    let waiting: Option<(String, String, Option<String>)> = sqlx::query_as(
        "select a.wait_event_type, a.wait_event,
                (select coalesce('a lock on table ' || l.relation::regclass::text,
                                 case l.locktype when 'transactionid' then 'the end of a transaction'
                                                 else 'a lock of type ' || l.locktype end)
                   from pg_locks l where l.pid = a.pid and not l.granted limit 1)
           from pg_stat_activity a
          where a.pid = $1 and a.state = 'active' and a.wait_event_type <> 'Client'",
    )
    .bind(pid)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((kind, event, lock)) = waiting else { return Ok(None) };
    let sessions: Vec<Session> = sqlx::query_as(CHAIN).bind(pid).fetch_all(conn).await?;
    let (roots, others): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|one| one.is_root);
    let holders = if roots.is_empty() { others } else { roots };
    if holders.is_empty() {
        let standby = if event == "SyncRep" { STANDBY } else { "" };
        let words = format!("the server ({kind} {event}){standby}");
        return Ok(Some(Wait { holders: Vec::new(), is_upkeep: false, words }));
    }
    let lock = lock.unwrap_or_else(|| format!("{kind} {event}"));
    Ok(Some(Wait::of(&lock, &holders)))
}

/// What keeps others from writing into the table with this number; nothing, if nobody does.
///
/// # Errors
/// When the database can't be asked.
pub(super) async fn lockers(
    conn: &mut PgConnection,
    table: sqlx::postgres::types::Oid,
    name: &str,
) -> Result<Option<Wait>, sqlx::Error> {
    let holders: Vec<Session> = sqlx::query_as(LOCKERS).bind(table).fetch_all(conn).await?;
    Ok((!holders.is_empty()).then(|| Wait::of(&format!("a lock on table {name}"), &holders)))
}

impl Wait {
    fn of(what: &str, holders: &[Session]) -> Wait {
        let named: Vec<String> = holders.iter().take(NAMED_MAX).map(Session::words).collect();
        let more = match holders.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let words = format!("{what}, which is held by {}{more}", named.join("; and by "));
        let is_upkeep = holders.iter().all(|holder| holder.statement.is_some());
        Wait { holders: holders.iter().map(|holder| holder.pid).collect(), is_upkeep, words }
    }
}

impl Session {
    fn words(&self) -> String {
        let Session { pid, user, application, state, age, statement, .. } = self;
        if *pid == 0 {
            return "a prepared transaction: pg_prepared_xacts lists it, `rollback prepared` frees it"
                .to_owned();
        }
        let user = user.as_deref().unwrap_or("another user");
        let application = application.as_deref().filter(|name| !name.is_empty());
        let application = application.map(|name| format!(" ({name})")).unwrap_or_default();
        let state = match (state, age) {
            (Some(state), Some(age)) => {
                let age = Duration::from_secs_f64(age.max(0.0).floor());
                let statement = statement.as_ref().map(|words| format!(" with {words}"));
                let statement = statement.unwrap_or_default();
                format!(
                    "{state}{statement}, in a transaction that is {} old",
                    humantime::format_duration(age)
                )
            }
            (Some(state), None) => state.clone(),
            (None, _) => "of which only a member of pg_read_all_stats may see more".to_owned(),
        };
        let end = match statement {
            Some(_) => format!("it ends by itself, or by `select pg_cancel_backend({pid});`"),
            None => format!("`select pg_terminate_backend({pid});` frees it"),
        };
        format!("process {pid} of user {user}{application}, {state}; {end}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Session, Wait};

    fn session(pid: i32) -> Session {
        let (user, application) = (Some("al".to_owned()), Some("psql".to_owned()));
        let state = Some("idle in transaction".to_owned());
        Session { pid, is_root: true, user, application, state, age: Some(61.9), statement: None }
    }

    #[test]
    fn who_holds_what_is_needed_is_named_with_what_frees_it() {
        let told = Wait::of("a lock on table t", &[session(7)]);
        assert_eq!(told.holders, [7]);
        assert_eq!(
            told.words,
            "a lock on table t, which is held by process 7 of user al (psql), idle in transaction, in a \
             transaction that is 1m 1s old; `select pg_terminate_backend(7);` frees it"
        );
        let hidden = Session { state: None, age: None, application: None, ..session(8) };
        assert!(hidden.words().starts_with("process 8 of user al, of which only a member of"));
        let (state, statement) = (Some("active".to_owned()), Some("ALTER TABLE".to_owned()));
        let altering = Wait::of("a lock", &[Session { state, statement, ..session(9) }]);
        assert!(altering.is_upkeep && !told.is_upkeep);
        let words = "active with ALTER TABLE, in a transaction that is 1m 1s old; it ends by itself, or by \
                     `select pg_cancel_backend(9);`";
        assert!(altering.words.ends_with(words), "{}", altering.words);
        assert!(session(0).words().contains("rollback prepared"));
        let many: Vec<Session> = (1..=5).map(session).collect();
        assert!(Wait::of("x", &many).words.ends_with("; and 2 more"));
    }
}
