//! A micro-batch: the records of one transaction, encoded and ready to be sent.

mod letter;
mod notes;
mod outcome;
mod requests;
mod row;

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::FixedState;

pub use letter::{DeadLetter, LetterKind, RAW_BYTES_MAX};
pub use notes::Notes;
pub use outcome::{Counts, PartOutcome, Path, Watched};
pub use requests::{Request, Verdict};
pub use row::{RecordPlace, RowPlace};
use row::{Values, has_null, prefix};

use crate::format::Record;
use crate::latency::{since_1970_us, since_1970_us_of_timestamp};
use crate::layout::{EventTime, Fit, Layout, LayoutKey, Reason, RowEnds, SentColumn};
use crate::memory::Share;
use crate::partition::{Lag, Partition, Position};

/// Up to `max_rows` records of one or several partitions, all with the same fit.
#[derive(Debug, Clone)]
pub struct MicroBatch {
    /// How the records fit the table.
    pub fit: Fit,
    /// The layouts of the rows: one under a header, else one for each set of columns sent.
    pub layouts: Vec<Arc<Layout>>,
    /// What comes from each partition, in the order it was read.
    pub parts: Vec<Part>,
    /// The encoded rows, one behind the other, in the order they were read.
    pub bytes: Arc<Vec<u8>>,
    /// The records of the rows as they stand in their files, one behind the other, without their
    /// line ends: for those that the table refuses.
    pub raw: Arc<Vec<u8>>,
    /// The rows in key order. Rows with equal keys stand together, the first read first.
    pub rows: Vec<RowPlace>,
    /// What was noted of all rows.
    pub notes: Notes,
    /// Rows, their raw records and dead letters: what it takes in memory, in bytes.
    pub held_bytes: usize,
    /// The memory that it has beyond what is reserved for one.
    pub share: Option<Arc<Share>>,
    /// What is left to read behind it.
    pub lag: Lag,
    /// How many records it was to have at most.
    pub records_max: u64,
    /// The records whose outcome somebody waits for.
    pub watched: Vec<Watched>,
    /// The requests that came under a key, in the order they were read.
    pub requests: Vec<Request>,
}

/// What a micro-batch takes from one partition.
#[derive(Debug, Clone)]
pub struct Part {
    /// The partition.
    pub partition: Partition,
    /// Whether there is no checkpoint of it yet: it is made with the micro-batch.
    pub is_new: bool,
    /// The file's header as it stands there, without its line end; `None` where its records need
    /// none.
    pub header: Option<Arc<[u8]>>,
    /// Where it stood before: the compare of the compare-and-set.
    pub start_offset: u64,
    /// Where it stands after: the set.
    pub end: Position,
    /// How many bytes were read for it, header and blank lines included; of a packed file, of its
    /// content.
    pub bytes: u64,
    /// Records taken, the header not counted.
    pub records: u64,
    /// Records that can't be rows, known before the table is asked.
    pub dead_letters: Vec<DeadLetter>,
}

/// So many bytes at once are many.
const MANY_BYTES: usize = 1 << 20;

/// What a row takes in memory beside its bytes: its place and the notes of it.
const ROW_BYTES: usize = size_of::<RowPlace>() + 2 * size_of::<u64>();

impl MicroBatch {
    /// A micro-batch without records.
    pub fn new(fit: Fit) -> MicroBatch {
        let layouts = match &fit {
            Fit::Header(layout) => vec![layout.clone()],
            Fit::Keys(_) => Vec::new(),
        };
        MicroBatch {
            fit,
            layouts,
            parts: Vec::new(),
            bytes: Arc::default(),
            raw: Arc::default(),
            rows: Vec::new(),
            notes: Notes::default(),
            held_bytes: 0,
            share: None,
            lag: Lag::default(),
            records_max: 0,
            watched: Vec::new(),
            requests: Vec::new(),
        }
    }

    /// A micro-batch without records, in the memory of one that is committed.
    pub fn reused(self, fit: Fit) -> MicroBatch {
        let MicroBatch { mut bytes, mut raw, mut rows, mut notes, .. } = self;
        Arc::make_mut(&mut bytes).clear();
        Arc::make_mut(&mut raw).clear();
        rows.clear();
        notes.clear();
        MicroBatch { bytes, raw, rows, notes, ..MicroBatch::new(fit) }
    }

    /// The names in the header of its records; none where there is no header.
    pub fn header(&self) -> &[String] {
        match &self.fit {
            Fit::Header(layout) => &layout.header,
            Fit::Keys(_) => &[],
        }
    }

    /// The table's full name, quoted.
    pub fn table(&self) -> &str {
        match &self.fit {
            Fit::Header(layout) => &layout.table,
            Fit::Keys(keys) => keys.table_name(),
        }
    }

    /// The columns that are sent for some row.
    pub fn columns(&self) -> Vec<&SentColumn> {
        let mut columns: Vec<&SentColumn> = self.layouts.iter().flat_map(|l| &l.columns).collect();
        if self.layouts.len() > 1 {
            columns.sort_unstable_by_key(|column| &column.name);
            columns.dedup_by_key(|column| &column.name);
        }
        columns
    }

    /// Makes room for many records of so many bytes, so that their buffers do not grow by doubling.
    pub fn reserve(&mut self, bytes: usize, records: u64) {
        if bytes >= MANY_BYTES {
            Arc::make_mut(&mut self.bytes).reserve_exact(bytes);
            Arc::make_mut(&mut self.raw).reserve_exact(bytes);
            self.rows.reserve_exact(usize::try_from(records).unwrap_or(0));
        }
    }

    /// Takes a record in as a row, unless there are reasons against it. It belongs to the part that
    /// is read now, the one behind those in [`MicroBatch::parts`].
    pub fn take(&mut self, record: &Record<'_>, reasons: &mut Vec<Reason>) {
        let bytes = Arc::make_mut(&mut self.bytes);
        let at = bytes.len();
        let (layout, ends) = match &self.fit {
            Fit::Header(layout) => (0, layout.encode(&record.fields, bytes, reasons)),
            Fit::Keys(keys) => match keys.encode(record.raw, bytes, reasons) {
                Some((layout, ends)) if reasons.is_empty() => (self.number_of(layout), ends),
                _ => (0, RowEnds { key: at, row: at }),
            },
        };
        if !reasons.is_empty() {
            Arc::make_mut(&mut self.bytes).truncate(at);
            return;
        }
        let start = self.raw.len();
        Arc::make_mut(&mut self.raw).extend_from_slice(record.raw);
        self.held_bytes += self.bytes.len() - at + record.raw.len() + ROW_BYTES;
        let Range { start: offset, end: end_offset } = record.range;
        let place =
            RecordPlace { offset, end_offset, line: record.line, start, end: self.raw.len() };
        self.push_row(layout, at, ends, place);
    }

    /// Which of the layouts this is; a new one is added.
    fn number_of(&mut self, layout: Arc<Layout>) -> usize {
        // Neighbours are mostly alike.
        let last = self.rows.last().map(RowPlace::layout);
        let is_same = |at: &usize| Arc::ptr_eq(&self.layouts[*at], &layout);
        let known = last.filter(is_same).or_else(|| (0..self.layouts.len()).find(|at| is_same(at)));
        known.unwrap_or_else(|| {
            self.layouts.push(layout);
            self.layouts.len() - 1
        })
    }

    /// Records taken from all partitions.
    pub fn records(&self) -> u64 {
        self.parts.iter().map(|part| part.records).sum()
    }

    /// Notes the row that was appended to [`MicroBatch::bytes`] at `start`.
    fn push_row(&mut self, layout: usize, start: usize, ends: RowEnds, record: RecordPlace) {
        let row = RowPlace {
            prefix: prefix(&self.bytes[start + 2..ends.key.max(start + 2)]),
            start,
            key_end: ends.key,
            end: ends.row,
            part: self.parts.len(),
            layout: u32::try_from(layout).expect("there are no more layouts than rows"),
            record,
            is_repeat: false,
            index: self.rows.len(),
        };
        self.note(&row);
        self.rows.push(row);
    }

    fn note(&mut self, row: &RowPlace) {
        if self.layout_of(row).key_len() > 0 {
            self.notes.note_key(self.key_hash(row));
        }
        if let Some(created_us) = self.created_us_of(row) {
            self.notes.note_created(created_us);
        }
    }

    /// Puts the rows in key order and marks those that repeat the key of another.
    ///
    /// Rows in key order cost the index less, and writers that go in the same order can't deadlock.
    pub fn finish(&mut self) {
        let keys: Vec<Option<&str>> = self.layouts.iter().map(|layout| layout.key_name()).collect();
        if keys.iter().all(Option::is_none) {
            return;
        }
        // Keys can be compared only with others of the same columns.
        let are_alike = keys.windows(2).all(|pair| pair[0] == pair[1]);
        let bytes = &self.bytes;
        let key = |row: &RowPlace| row.key(bytes);
        row::sort(&mut self.rows, bytes);
        if !are_alike {
            self.rows.sort_by_key(|row| keys[row.layout()]);
        }
        let is_same_key = |a: &RowPlace, b: &RowPlace| {
            are_alike || keys[a.layout()].is_some_and(|name| keys[b.layout()] == Some(name))
        };
        self.rows.iter_mut().enumerate().for_each(|(index, row)| row.index = index);
        for at in 1..self.rows.len() {
            let (before, row) = (self.rows[at - 1], self.rows[at]);
            let repeats = before.prefix == row.prefix && key(&before) == key(&row);
            let of_row = self.layouts[row.layout()].key.as_ref();
            // Where NULLs are distinct, a key with a NULL in it has no equal; what an expression
            // makes of columns, only PostgreSQL knows.
            let can_repeat = of_row.is_some_and(|of_row| {
                of_row.is_of_columns() && !(of_row.nulls_are_distinct && has_null(key(&row)))
            });
            self.rows[at].is_repeat = repeats && can_repeat && is_same_key(&before, &row);
        }
    }

    /// The micro-batch with its rows in groups of equal keys. `leaders` has for each row which one
    /// is the first that was read of its group.
    pub fn regrouped(&self, leaders: &[usize]) -> MicroBatch {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&at| (leaders[at], self.rows[at].start));
        let regrouped = |(index, at): (usize, usize)| RowPlace {
            is_repeat: leaders[at] != at,
            index,
            ..self.rows[at]
        };
        let rows = order.into_iter().enumerate().map(regrouped).collect();
        MicroBatch { rows, ..self.clone() }
    }

    /// The first row read of each key: those of one layout together, in key order.
    pub fn first_of_each_key(&self) -> Cow<'_, [RowPlace]> {
        if self.layouts.len() == 1 && self.rows.iter().all(|row| !row.is_repeat) {
            return Cow::Borrowed(&self.rows);
        }
        let mut rows: Vec<RowPlace> =
            self.rows.iter().filter(|row| !row.is_repeat).copied().collect();
        if self.layouts.len() > 1 {
            rows.sort_by_key(|row| row.layout);
        }
        Cow::Owned(rows)
    }

    /// The different keys that rows have.
    pub fn keys(&self) -> Vec<&LayoutKey> {
        let mut keys: Vec<&LayoutKey> =
            self.layouts.iter().filter_map(|layout| layout.key.as_ref()).collect();
        keys.sort_unstable_by_key(|key| &key.name);
        keys.dedup_by_key(|key| &key.name);
        keys
    }

    /// Whether one of its dead letters might be a row if the table was another than was thought.
    pub fn doubts_table(&self) -> bool {
        let letters = self.parts.iter().flat_map(|part| &part.dead_letters);
        letters.flat_map(|letter| &letter.reasons).any(Reason::is_of_table)
    }

    /// Whether PostgreSQL has to compare some of the keys.
    pub fn has_texts_of_keys(&self) -> bool {
        self.keys().iter().any(|key| !key.is_by_bytes)
    }

    /// The layout of a row.
    pub fn layout_of(&self, row: &RowPlace) -> &Layout {
        &self.layouts[row.layout()]
    }

    /// The row without the filled columns.
    pub fn row_bytes(&self, row: &RowPlace) -> &[u8] {
        &self.bytes[row.start..row.end]
    }

    /// A hash of the row's key as it is encoded, the same in all micro-batches of the process.
    pub fn key_hash(&self, row: &RowPlace) -> u64 {
        FixedState::default().hash_one(row.key(&self.bytes))
    }

    /// The values of the row's key, `None` for NULL.
    pub fn key_values(&self, row: &RowPlace) -> impl Iterator<Item = Option<&[u8]>> {
        Values { bytes: row.key(&self.bytes) }
    }

    /// The texts of the row's key, `None` for NULL. Only rows whose keys are not compared by their
    /// bytes have them.
    pub fn key_texts(&self, row: &RowPlace) -> impl Iterator<Item = Option<&str>> {
        let layout = self.layout_of(row);
        let bytes = match layout.is_text {
            true => row.key(&self.bytes),
            false => &self.bytes[row.end..],
        };
        let text = |value| std::str::from_utf8(value).expect("it was made of texts");
        Values { bytes }.take(layout.key_len()).map(move |value| value.map(text))
    }

    /// The values of a row that are sent, `None` for NULL.
    pub fn values(&self, row: &RowPlace) -> impl Iterator<Item = Option<&[u8]>> {
        Values { bytes: &self.bytes[row.start + 2..row.end] }
    }

    /// When the row's event was created, in microseconds since 1970, if the row tells.
    pub fn created_us_of(&self, row: &RowPlace) -> Option<i64> {
        let layout = self.layout_of(row);
        let EventTime { place, is_number } = layout.event_time?;
        let value = match layout.is_text {
            true => Values { bytes: &self.bytes[row.end..] }.next()??,
            false => self.values(row).nth(place)??,
        };
        let value = i64::from_be_bytes(value.try_into().ok()?);
        if is_number { Some(since_1970_us(value)) } else { since_1970_us_of_timestamp(value) }
    }

    /// The next row with the same key, in the order of reading.
    pub fn next_repeat(&self, row: &RowPlace) -> Option<&RowPlace> {
        self.rows.get(row.index + 1).filter(|next| next.is_repeat)
    }

    /// The dead letter that the row's record becomes.
    pub fn dead_letter(&self, row: &RowPlace, reason: Reason) -> DeadLetter {
        let record = &row.record;
        let raw = &self.raw[record.start..record.end];
        DeadLetter::new(record.offset..record.end_offset, record.line, raw, vec![reason])
    }
}

/// What records of so many bytes take as they stand and as rows, about, in bytes.
pub fn bytes_of_rows(bytes: usize, records: u64) -> usize {
    let records = usize::try_from(records).unwrap_or(usize::MAX);
    bytes.saturating_mul(2).saturating_add(records.saturating_mul(ROW_BYTES))
}

/// A count of things in memory.
pub fn count(len: usize) -> u64 {
    u64::try_from(len).expect("a count of things in memory fits")
}
