//! Makes believable records of several kinds, user events of a shop by default: as CSV files, or
//! sent to a target, each when it is due.
//!
//! A [`Generator`] is one run: it is made from [`Settings`] and then writes file after file. A
//! reader of the folder sees whole files only. Everything that is random comes from one seeded
//! generator, so that equal settings with a seed give equal bytes.
//!
//! This crate knows nothing of PostgreSQL, signals or terminals; those of the command line are
//! handled by the binary.
//!
//! ```
//! use generator::{Generator, Settings};
//! use std::ops::ControlFlow;
//!
//! let settings = Settings { rows: 2, seed: Some(7), ..Settings::default() };
//! let mut csv = Vec::new();
//! Generator::new(settings)?.write_events(&mut csv, &mut |_| ControlFlow::Continue(()))?;
//! assert_eq!(String::from_utf8(csv)?.lines().count(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(clippy::missing_errors_doc)]

mod settings;

mod arrivals;
mod preset;
mod timeline;

mod lines;
mod skew;
mod time_text;

mod broken;
mod dataset;
mod earlier;
mod event_id;
mod records;

mod ad_events;
mod emoji;
mod gps;
mod pos;
mod shop;
mod simulator;
mod transfers;
mod user_events;
mod visits;

mod draft;
mod events;
mod file;
mod traffic;

pub use ad_events::{Advertising, mappings};
pub use arrivals::Pattern;
pub use dataset::Dataset;
pub use events::{Counts, Generator, Progress};
pub use file::Written;
pub use preset::{Preset, PresetError};
pub use settings::{InvalidSetting, Settings};
pub use traffic::{Format, InvalidTarget, Latency, Pace, Report, Target, Token, Traffic};
pub use transfers::Banking;
