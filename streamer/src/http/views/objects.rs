//! What there is to ask for by SQL: tables, rollups and views with their comments.

use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;

#[derive(Debug, Serialize)]
pub(super) struct ObjectsView {
    /// The command that leads into the database, where one is known.
    psql: Option<String>,
    pgadmin: Option<&'static str>,
    objects: Vec<Object>,
}

#[derive(Debug, Serialize, sqlx::FromRow)]
struct Object {
    schema: String,
    name: String,
    /// table or view.
    kind: String,
    comment: Option<String>,
    columns: Json<serde_json::Value>,
}

/// The tables of the streams, their rollups and the views over both, and the streamer's own.
pub(super) async fn read(
    conn: &mut PgConnection,
    tables: &[String],
    psql: Option<String>,
    pgadmin: Option<&'static str>,
) -> Result<ObjectsView, sqlx::Error> {
    let objects = sqlx::query_as(
        "with recursive shown (oid) as (
             select to_regclass(t)::oid from unnest($1::text[]) t where to_regclass(t) is not null
              union
             select r.rollup::oid from streamer.rollup r, unnest($1::text[]) t
              where to_regclass(r.source) = to_regclass(t)
              union
             select w.ev_class
               from shown s
               join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = s.oid
                               and d.classid = 'pg_rewrite'::regclass
               join pg_rewrite w on w.oid = d.objid
         )
         select n.nspname::text as schema, c.relname::text as name,
                case when c.relkind in ('v', 'm') then 'view' else 'table' end as kind,
                left(obj_description(c.oid, 'pg_class'), 1000) as comment,
                (select coalesce(jsonb_agg(jsonb_build_object('name', a.attname,
                            'type', format_type(a.atttypid, a.atttypmod),
                            'comment', left(col_description(c.oid, a.attnum), 1000)) order by a.attnum), '[]')
                   from pg_attribute a
                  where a.attrelid = c.oid and a.attnum between 1 and 200 and not a.attisdropped) as columns
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where (c.oid in (select oid from shown)
                 or n.nspname = 'streamer' and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') <> '')
            and has_table_privilege(c.oid, 'select')
          order by n.nspname = 'streamer', 3, 2 limit 200",
    )
    .bind(tables)
    .fetch_all(conn)
    .await?;
    Ok(ObjectsView { psql, pgadmin, objects })
}
