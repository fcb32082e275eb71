//! Open dead letters as files that can be mended and dropped again.

use sqlx::PgConnection;

use super::dead_letter::Which;

/// How many records of dead letters are read at a time.
const RECORDS_MAX: i64 = 500;

/// Open dead letters of one stream under one header, or JSON lines: what one file can hold.
#[derive(Debug, sqlx::FromRow)]
pub struct Group {
    /// The stream's name.
    pub stream: String,
    /// The header as it stands in the file.
    pub header: Option<Vec<u8>>,
    /// The names in it; none of JSON lines.
    pub columns: Vec<String>,
    /// How many are kept whole.
    pub whole: i64,
    /// Of how many only the beginning is kept.
    pub cut: i64,
    /// The first of the partitions that they come from.
    pub file: String,
    /// How many partitions they come from.
    pub files: i64,
}

/// Open dead letters by what one file can hold.
///
/// # Errors
/// When the database can't be asked.
pub async fn groups(tx: &mut PgConnection, which: Which<'_>) -> Result<Vec<Group>, sqlx::Error> {
    sqlx::query_as(
        "select stream, header, columns,
                count(*) filter (where octet_length(raw) >= end_offset - start_offset) as whole,
                count(*) filter (where octet_length(raw) < end_offset - start_offset) as cut,
                min(partition) as file, count(distinct partition) as files
           from streamer.dead_letter
          where resolved_at is null and (cardinality($1::bigint[]) = 0 or dead_letter_id = any($1))
            and ($2::text is null or stream = $2) and ($3::text is null or partition = $3)
          group by stream, header, columns order by stream, min(partition), header, columns",
    )
    .bind(which.ids)
    .bind(which.stream)
    .bind(which.file)
    .fetch_all(tx)
    .await
}

/// The next records of a group that are kept whole, behind the place `after`: each with its place,
/// which is its partition as text and where it starts.
///
/// # Errors
/// When the database can't be asked.
pub async fn next_records(
    tx: &mut PgConnection,
    which: Which<'_>,
    group: &Group,
    after: &(String, i64),
) -> Result<Vec<(String, i64, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as(
        "select partition, start_offset, raw from streamer.dead_letter
          where resolved_at is null and (cardinality($1::bigint[]) = 0 or dead_letter_id = any($1))
            and ($2::text is null or partition = $2)
            and stream = $3 and header is not distinct from $4 and columns = $5
            and octet_length(raw) >= end_offset - start_offset
            and (partition, start_offset) > ($6, $7)
          order by partition, start_offset limit $8",
    )
    .bind(which.ids)
    .bind(which.file)
    .bind(&group.stream)
    .bind(&group.header)
    .bind(&group.columns)
    .bind(&after.0)
    .bind(after.1)
    .bind(RECORDS_MAX)
    .fetch_all(tx)
    .await
}
