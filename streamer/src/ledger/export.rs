//! Open dead letters as files that can be mended and dropped again.

use sqlx::PgConnection;

use super::dead_letter::Which;
use crate::partition::Partition;

/// Bytes that a made file's name has of the original's at most.
const STEM_BYTES_MAX: usize = 200;

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
    /// The lowest number among them.
    pub first_id: i64,
}

impl Group {
    /// The original header; made anew from its names for letters that lack it. `None` of JSON
    /// lines.
    pub fn header_line(&self) -> Option<Vec<u8>> {
        if self.columns.is_empty() {
            return None;
        }
        let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
        let made = || self.columns.iter().map(quoted).collect::<Vec<_>>().join(",").into_bytes();
        Some(self.header.clone().unwrap_or_else(made))
    }

    /// The name of a file of them, which is that of the first file that they come from with an
    /// addition, so that the stream's pattern still matches; the `number`th of this name, from 1.
    pub fn file_name(&self, number: usize) -> String {
        let partition = Partition::parse(&self.file);
        let path = partition.name.as_str();
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "csv"));
        let stem = &stem[..stem.floor_char_boundary(STEM_BYTES_MAX)];
        match number {
            1 => format!("{stem}.dead-letters.{extension}"),
            _ => format!("{stem}.dead-letters-{number}.{extension}"),
        }
    }
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
                min(partition) as file, count(distinct partition) as files,
                min(dead_letter_id) as first_id
           from streamer.dead_letter
          where resolved_at is null and (cardinality($1::bigint[]) = 0 or dead_letter_id = any($1))
            and ($2::text is null or stream = $2) and ($3::text is null or partition = $3)
            and ($4::jsonb is null or reasons @> $4) and ($5::bigint is null or dead_letter_id <= $5)
          group by stream, header, columns order by stream, min(partition), header, columns",
    )
    .bind(which.ids)
    .bind(which.stream)
    .bind(which.file)
    .bind(which.contained())
    .bind(which.last_id)
    .fetch_all(tx)
    .await
}

/// The next `max` records of a group that are kept whole, behind the place `after`: each with its
/// place, which is its partition as text and where it starts.
///
/// # Errors
/// When the database can't be asked.
pub async fn next_records(
    tx: &mut PgConnection,
    which: Which<'_>,
    group: &Group,
    after: &(String, i64),
    max: i64,
) -> Result<Vec<(String, i64, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as(
        "select partition, start_offset, raw from streamer.dead_letter
          where resolved_at is null and (cardinality($1::bigint[]) = 0 or dead_letter_id = any($1))
            and ($2::text is null or partition = $2)
            and stream = $3 and header is not distinct from $4 and columns = $5
            and octet_length(raw) >= end_offset - start_offset
            and (partition, start_offset) > ($6, $7)
            and ($9::jsonb is null or reasons @> $9) and ($10::bigint is null or dead_letter_id <= $10)
          order by partition, start_offset limit $8",
    )
    .bind(which.ids)
    .bind(which.file)
    .bind(&group.stream)
    .bind(&group.header)
    .bind(&group.columns)
    .bind(&after.0)
    .bind(after.1)
    .bind(max)
    .bind(which.contained())
    .bind(which.last_id)
    .fetch_all(tx)
    .await
}
