//! Flags of `load`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser as NonEmpty;

use super::positive;
use crate::format::Format;

/// Flags of `load`.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// The stream, as streams.toml names it
    pub stream: String,
    /// What stdin holds [default: JSON lines if it begins with {, else CSV]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,
    /// Records that a micro-batch has at most [default: as many as suit what waits, from 1000 to
    /// 30000]
    #[arg(long, value_name = "N", env = "STREAMER_MAX_ROWS", value_parser = positive::<u64>)]
    pub max_rows: Option<u64>,
    /// What stdin is known by: what was loaded under a key is not loaded again [default: a hash of
    /// all of it]
    #[arg(long, value_name = "KEY", conflicts_with = "again", value_parser = NonEmpty::new())]
    pub key: Option<String>,
    /// Load it also if the same was loaded before
    #[arg(long)]
    pub again: bool,
}
