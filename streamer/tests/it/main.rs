//! Tests of the whole: real files, the real program, a real PostgreSQL that the run starts itself.

#![allow(clippy::disallowed_types, reason = "tests make SQL of their own")]

mod any_bytes;
mod bench;
mod commands;
mod datasets;
mod dead_letters;
mod done;
mod drift;
mod duplicates;
mod durability;
mod embedded;
mod encode_oracle;
mod faults;
mod files;
mod http;
mod http_limits;
mod huge;
mod inputs;
mod instances;
mod json;
mod key_sets;
mod keys;
mod latency;
mod limit;
mod listeners;
mod locks;
mod machine;
mod names;
mod oddities;
mod own_rollups;
mod packed;
mod pipeline;
mod private;
mod readme;
mod refusals;
mod report;
mod reset;
mod restored;
mod resume;
mod retention;
mod rollups;
mod schema;
mod secrets;
mod several;
mod spool;
mod stdin;
#[allow(dead_code, reason = "the chaos tests need more of it")]
mod support;
mod tables;
mod takeover;
mod tap;
mod tcp;
mod values;
mod views;
mod writers;
