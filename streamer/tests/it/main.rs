//! Tests of the whole: real files, the real program, a real PostgreSQL that the run starts itself.

mod commands;
mod encode_oracle;
mod faults;
mod files;
mod pipeline;
mod resume;
mod support;
mod tables;
