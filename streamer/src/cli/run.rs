//! The flags of `streamer run`.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::positive;
use crate::config::Listen;

/// Flags of `run`.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Start a micro-batch of files this often; 0s: as soon as there is something [default: 10s]
    #[arg(long, value_name = "DURATION", env = "STREAMER_EVERY", value_parser = humantime::parse_duration)]
    pub every: Option<Duration>,
    /// Make no pause while files have a full micro-batch waiting
    #[arg(long, env = "STREAMER_CATCH_UP", value_parser = clap::builder::BoolishValueParser::new())]
    pub catch_up: bool,
    /// How long events by HTTP and TCP wait for more [default: 100ms, at most --every]
    #[arg(long, value_name = "DURATION", env = "STREAMER_LINGER", value_parser = humantime::parse_duration)]
    pub linger: Option<Duration>,
    /// Records that a micro-batch has at most [default: 1000; without pauses up to 30000]
    #[arg(long, value_name = "N", env = "STREAMER_MAX_ROWS", value_parser = positive::<u64>)]
    pub max_rows: Option<u64>,
    /// Files worked on at a time, without pauses [default: the number of cores, at most 4]
    #[arg(long, value_name = "N", env = "STREAMER_WRITERS", value_parser = positive::<usize>)]
    pub writers: Option<usize>,
    /// Connections that micro-batches have at most, from 2; six more are for everything else
    /// [default: 10]
    #[arg(long, value_name = "N", env = "STREAMER_CONNECTIONS", value_parser = positive::<usize>)]
    pub connections: Option<usize>,
    /// Take events by HTTP at this address, or none [default: 127.0.0.1:8080; none with
    /// --available-now]
    #[arg(long, value_name = "ADDRESS", env = "STREAMER_LISTEN")]
    pub listen: Option<Listen>,
    /// Memory for records, requests and files that are unpacked; the program takes up to 64 MB more
    /// [default: 128MiB]
    #[arg(long, value_name = "SIZE", env = "STREAMER_MEMORY")]
    pub memory: Option<ByteSize>,
    /// Ask for a token that stands in this file, for streams that name none of their own; so does a
    /// token in STREAMER_TOKEN
    #[arg(long, value_name = "FILE", env = "STREAMER_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Load everything there is as fast as possible, print a summary and end; the data folder must
    /// be there
    #[arg(long)]
    pub available_now: bool,
}
