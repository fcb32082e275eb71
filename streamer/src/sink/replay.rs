//! Dead letters once more: read again by their own header, against the table as it is now.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;

use super::attempt::begin;
use super::careful::careful;
use super::lookup;
use super::rows::Written;
use crate::batch::{LetterKind, MicroBatch, Part, RowPlace, count};
use crate::config::{OnMissingPartition, Stream};
use crate::format::{Format, Next, Reader, Record, State};
use crate::layout::{BAD_COPY_FILE_FORMAT, Fit, Keys, Layout, Reason};
use crate::ledger::checkpoint::Advanced;
use crate::ledger::dead_letter::{self, Open, Which};
use crate::ledger::micro_batch::{self, Retried};
use crate::ledger::unchanged;
use crate::partition::{Kind, Partition, Position};
use crate::schema::{SchemaError, Table};

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

/// Why dead letters could not be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// The table can't be described.
    #[error(transparent)]
    Table(#[from] SchemaError),
    /// The database can't be asked, or refuses what is not the fault of a record.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// How long a retry that nobody has asked for waits for a lock: others wait for its connection.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// A dead letter that is refused still: its number, and of what kind it is now and why.
type StillRefused = (i64, LetterKind, Vec<Reason>);

/// Dead letters of one file and header, encoded again.
struct Retrial {
    batch: MicroBatch,
    /// The letters that are rows in the batch, by offset.
    ids: HashMap<u64, i64>,
    /// The letters that are refused still.
    refused: Vec<StillRefused>,
    /// From the first letter's start to the last one's end.
    span: (i64, i64),
}

/// Tries those dead letters of `stream` again that are meant, against its table as it is now.
///
/// # Errors
/// [`RetryError`]; what earlier transactions resolved stays resolved.
pub async fn retry(
    conn: &mut PgConnection,
    stream: &Stream,
    which: Which<'_>,
) -> Result<Replayed, RetryError> {
    let table = Arc::new(Table::load(conn, &stream.table, &stream.fitting).await?);
    Ok(replay(conn, stream, &table, which, None).await?)
}

/// Tries the unresolved dead letters of `stream` again: those that are meant by `which`; where
/// `partitions` are named, only those without a partition that were not tried with them. Each ends
/// as a row, a duplicate or a dead letter with its new reasons.
///
/// # Errors
/// Any that is not the fault of a record; what earlier transactions resolved stays resolved.
pub async fn replay(
    conn: &mut PgConnection,
    stream: &Stream,
    table: &Arc<Table>,
    which: Which<'_>,
    partitions: Option<&str>,
) -> Result<Replayed, sqlx::Error> {
    let lock_wait = partitions.map(|_| LOCK_WAIT);
    let (mut total, mut last_id) = (Replayed::default(), 0);
    loop {
        let mut tx = begin(conn, lock_wait).await?;
        let letters =
            dead_letter::lock_next(&mut tx, &stream.name, which, partitions, last_id).await?;
        let Some(last) = letters.last() else { return Ok(total) };
        last_id = last.dead_letter_id;
        let is_alike =
            |a: &Open, b: &Open| (&a.partition, &a.columns) == (&b.partition, &b.columns);
        for letters in letters.chunk_by(is_alike) {
            let replayed = replay_alike(&mut tx, stream, table, letters, partitions).await?;
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
    letters: &[Open],
    partitions: Option<&str>,
) -> Result<Replayed, sqlx::Error> {
    let header = &letters[0].columns;
    let fit = match header.as_slice() {
        // A JSON object brings its own names.
        [] => Ok(Fit::Keys(Arc::new(Keys::new(table.clone(), &stream.fitting)))),
        _ => Layout::new(header.as_slice().into(), table, &stream.fitting)
            .map(|layout| Fit::Header(Arc::new(layout))),
    };
    let mut trial = match fit {
        Ok(fit) => {
            let reader =
                Reader::new(format_of(stream, &letters[0]), stream.reading.record_bytes_max);
            Retrial::new(fit, letters, reader)
        }
        Err(error) => {
            let reasons = || vec![Reason::of_record(BAD_COPY_FILE_FORMAT, error.to_string())];
            let refused = |letter: &Open| (letter.dead_letter_id, LetterKind::Refused, reasons());
            let refused = letters.iter().map(refused).collect();
            return note_refused(tx, refused, partitions).await;
        }
    };
    if let Some(grouped) = lookup::grouped(tx, &trial.batch).await? {
        trial.batch = grouped;
    }
    let batch = &trial.batch;
    let (batch_id, now) = micro_batch::next_id(tx).await?;
    let advanced = Advanced { batch_ids: vec![batch_id], now };
    let rows = lookup::without_existing(tx, batch, &batch.first_of_each_key()).await?;
    let Written { inserted, dead } =
        careful(tx, batch, &rows, &advanced, OnMissingPartition::DeadLetter).await?;
    unchanged::demand(tx, batch).await?;
    for (row, letter) in dead {
        if let Some(id) = trial.ids.remove(&row.offset()) {
            trial.refused.push((id, letter.kind, letter.reasons));
        }
    }
    let inserted: HashSet<u64> = inserted.iter().map(RowPlace::offset).collect();
    let resolved: Vec<i64> = trial.ids.values().copied().collect();
    let rows = count(inserted.len());
    let duplicates = count(resolved.len()) - rows;
    if !resolved.is_empty() {
        let (partition, offsets) = (&batch.parts[0].partition, trial.span);
        let retried = Retried { partition, offsets, rows, duplicates };
        micro_batch::record_retry(tx, &stream.name, batch_id, &retried).await?;
        dead_letter::mark_retried(tx, &resolved).await?;
    }
    let refused = note_refused(tx, trial.refused, partitions).await?.refused;
    Ok(Replayed { rows, duplicates, refused })
}

/// What a dead letter was read as. Settings may have changed since, but not whether there was a
/// header.
fn format_of(stream: &Stream, letter: &Open) -> Format {
    let partition = Partition::parse(&letter.partition);
    let name = partition.name.as_str();
    let named = match partition.kind() {
        Kind::Segment => Format::of(name),
        Kind::File => stream.reading.format_of(name),
    };
    let is_alike = |format: &Format| format.has_header() != letter.columns.is_empty();
    Some(named).filter(is_alike).or_else(|| Format::all().find(is_alike)).unwrap_or(named)
}

/// Notes why dead letters are refused now.
async fn note_refused(
    tx: &mut PgConnection,
    refused: Vec<StillRefused>,
    partitions: Option<&str>,
) -> Result<Replayed, sqlx::Error> {
    dead_letter::note_reasons(tx, &refused, partitions).await?;
    Ok(Replayed { refused: count(refused.len()), ..Replayed::default() })
}

impl Retrial {
    fn new(fit: Fit, letters: &[Open], mut reader: Reader) -> Retrial {
        let starts = letters.iter().map(|letter| letter.start_offset);
        let ends = letters.iter().map(|letter| letter.end_offset);
        let mut trial = Retrial {
            batch: MicroBatch::new(fit),
            ids: HashMap::new(),
            refused: Vec::new(),
            span: (starts.min().unwrap_or_default(), ends.max().unwrap_or_default()),
        };
        for letter in letters {
            if let Err(reasons) = trial.take(letter, &mut reader) {
                trial.refused.push((letter.dead_letter_id, LetterKind::Refused, reasons));
            }
        }
        trial.batch.parts.push(Part {
            partition: Partition::parse(&letters[0].partition),
            is_new: false,
            header: None,
            start_offset: 0,
            end: Position::default(),
            bytes: 0,
            records: 0,
            dead_letters: Vec::new(),
        });
        trial.batch.finish();
        trial
    }

    /// Encodes one letter as a row of the batch.
    fn take(&mut self, letter: &Open, reader: &mut Reader) -> Result<(), Vec<Reason>> {
        let of_record = |reason: &str| vec![Reason::of_record(BAD_COPY_FILE_FORMAT, reason)];
        let len = i64::try_from(letter.raw.len()).unwrap_or_default();
        if len < letter.end_offset - letter.start_offset {
            return Err(of_record("only its first 64 KiB are kept; mend it and drop it as a file"));
        }
        let unsigned = |value: i64| u64::try_from(value).expect("constraints keep it positive");
        let (offset, line) = (unsigned(letter.start_offset), letter.line.map(unsigned));
        reader.resume(State::at(offset, line));
        let mut at = 0;
        let place = match reader.next(&letter.raw, &mut at, true) {
            Next::Record(place) if at == letter.raw.len() => place,
            Next::Malformed(_, fault) => return Err(of_record(&fault.reason())),
            _ => return Err(of_record("not one record")),
        };
        let mut reasons = Vec::new();
        let record = Record { line, ..reader.record(place, &letter.raw) };
        self.batch.take(&record, &mut reasons);
        if !reasons.is_empty() {
            return Err(reasons);
        }
        self.ids.insert(offset, letter.dead_letter_id);
        Ok(())
    }
}
