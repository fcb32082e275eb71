//! The ledger: the streamer's own tables in PostgreSQL, and the only place with SQL on them,
//! but for the migrations that make them, or alter them where a database is taken over.
//!
//! `streamer.checkpoint` has a row for each partition: how far it is committed.
//! `streamer.micro_batch` has a row for what each transaction took from a partition.
//! `streamer.dead_letter` has a row for each record that could not become a row of its table.
//! `streamer.idempotency_key` has a row for each request that was committed under a key. They
//! change in the transaction that writes the rows, so together they always tell the truth: per
//! partition, the records of its micro-batches are the checkpoint's records, and `records = rows +
//! duplicates + repeated + dead letters`. What is old of them [`compaction`] makes smaller.
//!
//! Apart from these, `streamer.instance` has a row for each streamer that is at work.
//!
//! All functions take a connection. Which of them are called in one transaction, and in which
//! order, the sink decides; a commit and a rollback are never here.

pub mod checkpoint;
pub mod compaction;
pub mod dead_letter;
pub mod export;
pub mod idempotency;
pub mod instance;
pub mod micro_batch;
pub mod refused;
pub mod repertoire;
pub mod reset;
pub mod shown;
pub mod status;
pub mod stop;
pub mod unchanged;

/// Counts or offsets as bigint has them.
fn signed(values: impl Iterator<Item = u64>) -> Vec<i64> {
    values.map(bigint).collect()
}

/// A count or an offset as bigint has it.
fn bigint(value: u64) -> i64 {
    i64::try_from(value).expect("a log is smaller than 8 EiB")
}

/// A bigint that a constraint of its table keeps from being negative.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).expect("the table's constraints keep it from being negative")
}
