//! The unique keys of a table that can tell a duplicate.
//!
//! Which keys are equal, PostgreSQL says: by the index's columns or expressions, its collations,
//! and whether NULLs are distinct.

use std::fmt;

use sqlx::postgres::types::Oid;
use sqlx::{PgConnection, Row};

use crate::sql::quote;

/// A unique index without a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The constraint or index name, which a duplicate-key error reports.
    pub name: String,
    /// The columns that the index is of, those in its expressions among them.
    pub columns: Vec<String>,
    /// What is compared, in the index's order.
    pub parts: Vec<KeyPart>,
    /// Whether a key with a NULL in it equals no other.
    pub nulls_are_distinct: bool,
    /// Whether the parts are plain columns of types of PostgreSQL's own, whose values are equal
    /// only if their bytes are.
    pub is_by_bytes: bool,
}

/// A column or an expression of a unique index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// As SQL, over the columns of the table.
    pub sql: String,
    /// The same as a person reads it.
    pub label: String,
    /// Whether it is an expression, not a column.
    pub is_expression: bool,
    /// The operator that tells whether two are equal, as SQL.
    pub equal: String,
    /// The name of the collation that it is compared by, quoted; `None` where that is the
    /// database's, or there is none.
    pub collation: Option<String>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.parts.iter().map(|part| part.label.as_str()).collect();
        write!(f, "{} ({})", self.name, parts.join(", "))
    }
}

/// Types of which equal values have equal bytes, in their text form, too: boolean, bytea, name,
/// bigint, smallint, integer, text, oid, cidr, macaddr8, macaddr, inet, varchar, date, time,
/// timestamp, timestamptz, uuid. Not numeric (1.0 and 1.00), floating point (0 and -0), interval
/// (1 month and 30 days), timetz, char(n), jsonb, and what is made of them.
const BY_BYTES: [u32; 18] =
    [16, 17, 19, 20, 21, 23, 25, 26, 650, 774, 829, 869, 1043, 1082, 1083, 1114, 1184, 2950];

/// The unique indexes without conditions: the primary key, then those of constraints, also of
/// deferrable ones, then others; each in order of name. Only for an expression does this wait for
/// somebody who has locked the table.
pub(super) async fn load(conn: &mut PgConnection, table: u32) -> Result<Vec<Key>, sqlx::Error> {
    let rows = sqlx::query(
        "select c.relname, a.attname,
                case when a.attnum is null then pg_get_indexdef(c.oid, p.position, false) end,
                case when n.nspname <> 'pg_catalog' or o.collname <> 'default'
                     then array[n.nspname, o.collname]::text[] end,
                coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false),
                coalesce(a.atttypid = any ($2) and (o.oid is null or o.collisdeterministic), false),
                array(select d.attname::text from pg_depend u
                        join pg_attribute d on d.attrelid = i.indrelid and d.attnum = u.refobjsubid
                       where u.classid = 'pg_class'::regclass and u.objid = c.oid
                         and u.refclassid = 'pg_class'::regclass and u.refobjid = i.indrelid
                         and u.refobjsubid > 0 and a.attnum is null),
                array[v.nspname, op.oprname]::text[]
           from pg_index i
           join pg_class c on c.oid = i.indexrelid
           left join pg_constraint k on k.conindid = c.oid and k.conrelid = i.indrelid
                                    and k.contype in ('p', 'u')
           cross join lateral generate_series(1, i.indnkeyatts) p (position)
           left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[p.position - 1]
                                   and a.attnum > 0
           left join pg_collation o on o.oid = i.indcollation[p.position - 1]
           left join pg_namespace n on n.oid = o.collnamespace
           join pg_opclass oc on oc.oid = i.indclass[p.position - 1]
           join pg_amop ao on ao.amopfamily = oc.opcfamily and ao.amopstrategy = 3
                          and ao.amoplefttype = oc.opcintype and ao.amoprighttype = oc.opcintype
           join pg_operator op on op.oid = ao.amopopr
           join pg_namespace v on v.oid = op.oprnamespace
          where i.indrelid = $1 and i.indisunique and not i.indisexclusion and i.indisvalid
            and i.indpred is null and c.relam = (select oid from pg_am where amname = 'btree')
          order by i.indisprimary desc, k.oid is null, c.relname, p.position",
    )
    .bind(Oid(table))
    .bind(BY_BYTES.map(Oid).to_vec())
    .fetch_all(conn)
    .await?;
    let mut keys: Vec<Key> = Vec::new();
    for row in rows {
        let name: String = row.get(0);
        if keys.last().is_none_or(|key| key.name != name) {
            let nulls_are_distinct = !row.get::<bool, _>(4);
            keys.push(Key {
                name,
                columns: Vec::new(),
                parts: Vec::new(),
                nulls_are_distinct,
                is_by_bytes: nulls_are_distinct,
            });
        }
        let key = keys.last_mut().expect("one was pushed");
        let column: Option<String> = row.get(1);
        let label = column.clone().unwrap_or_else(|| row.get(2));
        let sql = column.as_deref().map_or_else(|| format!("({label})"), quote);
        for column in column.into_iter().chain(row.get::<Vec<String>, _>(6)) {
            if !key.columns.contains(&column) {
                key.columns.push(column);
            }
        }
        let collation = row.get::<Option<Vec<String>>, _>(3);
        let collation =
            collation.map(|name| name.iter().map(|part| quote(part)).collect::<Vec<_>>().join("."));
        key.is_by_bytes &= row.get::<bool, _>(5);
        let operator: Vec<String> = row.get(7);
        // A name of an operator has no letters, so it needs no quotes and can't have any.
        let equal = format!("operator({}.{})", quote(&operator[0]), operator[1]);
        let is_expression = row.get::<Option<&str>, _>(1).is_none();
        key.parts.push(KeyPart { sql, label, is_expression, equal, collation });
    }
    Ok(keys)
}
