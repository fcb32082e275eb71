//! Moves records from files into PostgreSQL in micro-batches, each exactly once.
//!
//! In reading order: [`config`] says which streams there are; [`source`] finds and reads files;
//! [`receiver`] takes what comes by a door and spools it to files, too;
//! [`mod@format`] cuts their bytes into records; [`schema`], [`layout`] and [`encode`] turn records into
//! rows of the target table; [`batch`] is what one transaction takes; [`sink`] commits it;
//! [`latency`] is how late that was;
//! [`engine`] drives all of this; [`command`] is what a user types.

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
pub mod health;
pub mod http;
pub mod latency;
pub mod layout;
pub mod ledger;
pub mod limit;
pub mod logging;
pub mod migrate;
pub mod partition;
pub mod patience;
mod private;
pub mod receiver;
pub mod retry;
pub mod schema;
pub mod sink;
pub mod source;
pub mod spool;
pub mod sql;
