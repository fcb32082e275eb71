//! Dead letters once more: read again by their own header, against the table as it is now.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::PgConnection;
use sqlx::types::Json;

use super::attempt::begin;
use super::bookkeeping::{Advanced, count};
use super::careful::careful;
use super::rows::{self, Written};
use super::unchanged;
use crate::batch::{Fit, MicroBatch, Part, RowPlace};
use crate::config::Stream;
use crate::format::csv::{Cut, Splitter};
use crate::format::json;
use crate::layout::{BAD_COPY_FILE_FORMAT, Keys, Layout, Reason};
use crate::schema::Table;
use crate::source::Position;

/// How many dead letters one transaction takes.
const LETTERS_MAX: i64 = 1000;

/// What came of trying dead letters again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Records that are rows now.
    pub rows: u64,
    /// Records whose key was in the table.
    pub duplicates: u64,
    /// Records that are still refused.
    pub refused: u64,
}

/// A dead letter as it is kept.
#[derive(Debug, sqlx::FromRow)]
struct Letter {
    dead_letter_id: i64,
    partition: String,
    start_offset: i64,
    end_offset: i64,
    line: i64,
    raw: Vec<u8>,
    columns: Vec<String>,
}

/// Dead letters of one file and header, encoded again.
struct Trial {
    batch: MicroBatch,
    /// The letters that are rows in the batch, by offset.
    ids: HashMap<u64, i64>,
    /// The letters that are refused still.
    refused: Vec<(i64, Vec<Reason>)>,
    /// From the first letter's start to the last one's end.
    span: (i64, i64),
}

/// Tries the unresolved dead letters of `stream` again: those in `ids`, or all if it is empty, and
/// of `file`, where one is named. Each ends as a row, a duplicate or a dead letter with its new reasons.
///
/// # Errors
/// Any that is not the fault of a record; what earlier transactions resolved stays resolved.
pub async fn replay(
    conn: &mut PgConnection,
    stream: &Stream,
    table: &Arc<Table>,
    ids: &[i64],
    file: Option<&str>,
) -> Result<Replayed, sqlx::Error> {
    let (mut total, mut last_id) = (Replayed::default(), 0);
    loop {
        let mut tx = begin(conn).await?;
        let letters: Vec<Letter> = sqlx::query_as(
            "select dead_letter_id, partition, start_offset, end_offset, line, raw, columns
               from streamer.dead_letter
              where stream = $1 and resolved_at is null and dead_letter_id > $2
                and (cardinality($3::bigint[]) = 0 or dead_letter_id = any($3))
                and ($4::text is null or partition = $4)
              order by dead_letter_id limit $5 for update",
        )
        .bind(&stream.name)
        .bind(last_id)
        .bind(ids)
        .bind(file)
        .bind(LETTERS_MAX)
        .fetch_all(&mut *tx)
        .await?;
        let Some(last) = letters.last() else { return Ok(total) };
        last_id = last.dead_letter_id;
        let is_alike =
            |a: &Letter, b: &Letter| (&a.partition, &a.columns) == (&b.partition, &b.columns);
        for letters in letters.chunk_by(is_alike) {
            let replayed = replay_alike(&mut tx, stream, table, letters).await?;
            total.rows += replayed.rows;
            total.duplicates += replayed.duplicates;
            total.refused += replayed.refused;
        }
        tx.commit().await?;
    }
}

/// Tries dead letters of one file and header.
async fn replay_alike(
    tx: &mut PgConnection,
    stream: &Stream,
    table: &Arc<Table>,
    letters: &[Letter],
) -> Result<Replayed, sqlx::Error> {
    let header = &letters[0].columns;
    let fit = match header.as_slice() {
        // A JSON object brings its own names.
        [] => Ok(Fit::Keys(Arc::new(Keys::new(table.clone(), stream)))),
        _ => Layout::new(header.clone(), table, stream).map(|layout| Fit::Header(Arc::new(layout))),
    };
    let mut trial = match fit {
        Ok(fit) => Trial::new(fit, letters, stream.record_bytes_max),
        Err(error) => {
            let reasons = || vec![Reason::of_record(BAD_COPY_FILE_FORMAT, error.to_string())];
            let refused = letters.iter().map(|letter| (letter.dead_letter_id, reasons())).collect();
            return note_refused(tx, refused).await;
        }
    };
    let batch = &trial.batch;
    let (batch_id, now) =
        sqlx::query_as("select nextval('streamer.micro_batch_batch_id_seq'), now()")
            .fetch_one(&mut *tx)
            .await?;
    let advanced = Advanced { batch_ids: vec![batch_id], now };
    let rows = rows::without_existing(tx, batch, &batch.first_of_each_key()).await?;
    let Written { inserted, dead } = careful(tx, batch, &rows, &advanced).await?;
    unchanged::demand(tx, batch).await?;
    for (row, letter) in dead {
        if let Some(id) = trial.ids.remove(&row.offset()) {
            trial.refused.push((id, letter.reasons));
        }
    }
    let inserted: HashSet<u64> = inserted.iter().map(RowPlace::offset).collect();
    let resolved: Vec<i64> = trial.ids.values().copied().collect();
    let rows = count(inserted.len());
    let duplicates = count(resolved.len()) - rows;
    note_resolved(tx, &stream.name, &trial, batch_id, (rows, duplicates), &resolved).await?;
    let refused = note_refused(tx, trial.refused).await?.refused;
    Ok(Replayed { rows, duplicates, refused })
}

/// Marks dead letters as retried, and moves their counts from dead letters to rows and duplicates.
async fn note_resolved(
    tx: &mut PgConnection,
    stream: &str,
    trial: &Trial,
    batch_id: i64,
    (rows, duplicates): (u64, u64),
    resolved: &[i64],
) -> Result<(), sqlx::Error> {
    if resolved.is_empty() {
        return Ok(());
    }
    let signed = |count: u64| i64::try_from(count).expect("a transaction's letters are few");
    sqlx::query(
        "insert into streamer.micro_batch (batch_id, stream, partition, start_offset, end_offset,
                                           records, rows, duplicates, dead_letters, path)
         values ($1, $2, $3, $4, $5, 0, $6, $7, -($6 + $7), 'retry')",
    )
    .bind(batch_id)
    .bind(stream)
    .bind(&trial.batch.parts[0].partition)
    .bind(trial.span.0)
    .bind(trial.span.1)
    .bind(signed(rows))
    .bind(signed(duplicates))
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update streamer.dead_letter set resolved_at = now(), resolution = 'retried'
          where dead_letter_id = any($1)",
    )
    .bind(resolved)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes why dead letters are refused now.
async fn note_refused(
    tx: &mut PgConnection,
    refused: Vec<(i64, Vec<Reason>)>,
) -> Result<Replayed, sqlx::Error> {
    let (ids, reasons): (Vec<i64>, Vec<Json<Vec<Reason>>>) =
        refused.into_iter().map(|(id, reasons)| (id, Json(reasons))).unzip();
    sqlx::query(
        "update streamer.dead_letter d set reasons = v.reasons
           from unnest($1::bigint[], $2::jsonb[]) v (id, reasons) where d.dead_letter_id = v.id",
    )
    .bind(&ids)
    .bind(reasons)
    .execute(tx)
    .await?;
    Ok(Replayed { refused: count(ids.len()), ..Replayed::default() })
}

impl Trial {
    fn new(fit: Fit, letters: &[Letter], record_bytes_max: usize) -> Trial {
        let starts = letters.iter().map(|letter| letter.start_offset);
        let ends = letters.iter().map(|letter| letter.end_offset);
        let mut trial = Trial {
            batch: MicroBatch::new(fit),
            ids: HashMap::new(),
            refused: Vec::new(),
            span: (starts.min().unwrap_or_default(), ends.max().unwrap_or_default()),
        };
        let mut splitter = Splitter::new(b',', record_bytes_max);
        for letter in letters {
            if let Err(reasons) = trial.take(letter, &mut splitter, record_bytes_max) {
                trial.refused.push((letter.dead_letter_id, reasons));
            }
        }
        trial.batch.parts.push(Part {
            partition: letters[0].partition.clone(),
            header: None,
            start_offset: 0,
            end: Position::default(),
            records: 0,
            dead_letters: Vec::new(),
        });
        trial.batch.finish();
        trial
    }

    /// Encodes one letter as a row of the batch.
    fn take(
        &mut self,
        letter: &Letter,
        splitter: &mut Splitter,
        record_bytes_max: usize,
    ) -> Result<(), Vec<Reason>> {
        let of_record = |reason: &str| vec![Reason::of_record(BAD_COPY_FILE_FORMAT, reason)];
        let len = i64::try_from(letter.raw.len()).unwrap_or_default();
        if len < letter.end_offset - letter.start_offset {
            return Err(of_record("only its first 64 KiB are kept; mend it and drop it as a file"));
        }
        let has_fields = !self.batch.header().is_empty();
        let cut = match has_fields {
            true => splitter.cut(&letter.raw, true),
            false => json::cut(&letter.raw, true, record_bytes_max),
        };
        match cut {
            Cut::Record { next, .. } if next == letter.raw.len() => {}
            Cut::Malformed { fault, .. } => return Err(of_record(&fault.reason())),
            _ => return Err(of_record("not one record")),
        }
        let unsigned = |value: i64| u64::try_from(value).expect("constraints keep it positive");
        let (offset, line) = (unsigned(letter.start_offset), unsigned(letter.line));
        let fields = has_fields.then(|| splitter.record());
        let mut reasons = Vec::new();
        self.batch.take(fields, &letter.raw, offset, line, &mut reasons);
        if !reasons.is_empty() {
            return Err(reasons);
        }
        self.ids.insert(offset, letter.dead_letter_id);
        Ok(())
    }
}
