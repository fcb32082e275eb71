//! What became of the records of a micro-batch.

use std::ops::Range;

use crate::partition::Partition;

/// How rows went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Copied straight in.
    Direct,
    /// Existing keys looked up first, among those that were lately written.
    Recent,
    /// Existing keys looked up first, among all.
    Filtered,
    /// Split until each refused row stood alone.
    Careful,
}

/// What became of records. `records = rows + duplicates + repeated + dead_letters`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records read.
    pub records: u64,
    /// Rows inserted.
    pub rows: u64,
    /// Records whose key was there before.
    pub duplicates: u64,
    /// Records of requests whose Idempotency-Key was there before.
    pub repeated: u64,
    /// Records refused.
    pub dead_letters: u64,
}

/// What became of the records of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartOutcome {
    /// The partition.
    pub partition: Partition,
    /// The number that leads from its rows back to it.
    pub batch_id: i64,
    /// How many became what.
    pub counts: Counts,
}

/// Records of one partition whose outcome somebody waits for. Some of them may be in other
/// micro-batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Which part of the micro-batch they belong to.
    pub part: usize,
    /// Where they start in the partition, and where the last one ends.
    pub offsets: Range<u64>,
    /// Who waits.
    pub waiter: u64,
}

impl Path {
    /// Its name in the table and the log.
    pub fn name(self) -> &'static str {
        match self {
            Path::Direct => "direct",
            Path::Recent | Path::Filtered => "filtered",
            Path::Careful => "careful",
        }
    }
}

impl Counts {
    /// Adds those of others.
    pub fn add(&mut self, other: Counts) {
        self.records += other.records;
        self.rows += other.rows;
        self.duplicates += other.duplicates;
        self.repeated += other.repeated;
        self.dead_letters += other.dead_letters;
    }

    /// The sums over `parts`.
    pub fn of(parts: &[PartOutcome]) -> Counts {
        let mut total = Counts::default();
        parts.iter().for_each(|part| total.add(part.counts));
        total
    }
}
