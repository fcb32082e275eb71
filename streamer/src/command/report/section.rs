//! One result: its columns and rows, as text or as JSON.

use sqlx::PgConnection;

use crate::sql::{made, quote};

/// A column of a result.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether it holds numbers.
    pub(super) is_number: bool,
}

/// A result with a name.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) comment: Option<String>,
    pub(super) columns: Vec<Column>,
    /// As PostgreSQL writes them; none where JSON was asked for.
    pub(super) rows: Vec<Vec<Option<String>>>,
    /// A JSON object for each row; none where it was not asked for.
    pub(super) objects: Vec<String>,
    /// What is said below the table.
    pub(super) last: Option<String>,
}

/// What is read: columns of what stands behind `from`, where it is called `r`.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) columns: Vec<Column>,
    pub(super) from: String,
    /// Texts, which the statement casts.
    pub(super) parameters: Vec<Option<String>>,
}

impl Query {
    /// Reads all rows, as JSON or as text.
    pub(super) async fn read(
        self,
        conn: &mut PgConnection,
        is_json: bool,
    ) -> Result<Section, sqlx::Error> {
        let (mut rows, mut objects) = (Vec::new(), Vec::new());
        let names: Vec<String> =
            self.columns.iter().map(|column| format!("r.{}", quote(&column.name))).collect();
        if is_json {
            let query = format!(
                "select row_to_json(o)::text from (select {} from {}) o",
                names.join(", "),
                self.from
            );
            let query = sqlx::query_scalar(made(query));
            let bound = self.parameters.into_iter().fold(query, sqlx::query::QueryScalar::bind);
            objects = bound.fetch_all(conn).await?;
        } else {
            let query =
                format!("select array[{}::text] from {}", names.join("::text, "), self.from);
            let query = sqlx::query_scalar(made(query));
            let bound = self.parameters.into_iter().fold(query, sqlx::query::QueryScalar::bind);
            rows = bound.fetch_all(conn).await?;
        }
        let (name, comment, last) = (String::new(), None, None);
        Ok(Section { name, comment, columns: self.columns, rows, objects, last })
    }
}

/// The columns of a table or view, whose name is quoted.
pub(super) async fn columns(
    conn: &mut PgConnection,
    quoted_name: &str,
) -> Result<Vec<Column>, sqlx::Error> {
    sqlx::query_as(
        "select a.attname::text as name, t.typcategory = 'N' as is_number
           from pg_attribute a join pg_type t on t.oid = a.atttypid
          where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped order by a.attnum",
    )
    .bind(quoted_name)
    .fetch_all(conn)
    .await
}
