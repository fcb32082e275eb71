//! Receivers: the listeners by which records come that are in no file yet. What they accept is
//! written to the spool of its stream, and from there on read like any other file.

mod connections;
pub mod intake;
pub mod records;
pub mod tcp;
