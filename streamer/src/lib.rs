//! Moves records from files into PostgreSQL in micro-batches, each exactly once.
//!
//! ARCHITECTURE.md has the floors that the modules stand on. The way of a record, in reading order:
//! [`config`] says which streams there are. [`receiver`] and [`http`] take what comes by no file,
//! and [`spool`] keeps it in segments; [`source`] finds and reads files, and [`mod@format`] cuts
//! their bytes into records. [`schema`], [`layout`] and [`encode`] turn records into rows of the
//! target table, [`feed`] puts them together to a [`batch`], which one transaction takes. [`sink`]
//! commits it, with what the [`ledger`] is told of each [`partition`]. [`engine`] drives all of
//! this and reports each [`event`]; [`command`] is what a user types, and [`migrate`] makes the
//! tables.

mod advice;
pub mod batch;
pub mod cli;
pub mod command;
pub mod config;
pub mod database;
pub mod embedded;
pub mod encode;
pub mod engine;
pub mod event;
pub mod feed;
pub mod format;
pub mod framing;
pub mod health;
pub mod http;
pub mod latency;
pub mod layout;
pub mod ledger;
pub mod limit;
pub mod logging;
pub mod memory;
pub mod migrate;
mod number;
pub mod partition;
pub mod partitioning;
pub mod patience;
mod private;
pub mod receiver;
pub mod retry;
pub mod schema;
pub mod sink;
pub mod source;
pub mod spool;
pub mod sql;
