//! `streamer health`: how the `streamer run` on this data folder is.

use anyhow::Result;

use super::{Exit, print};
use crate::cli::Global;
use crate::health::ask;

pub(super) async fn run(global: &Global) -> Result<Exit> {
    ask(&global.data).await?;
    print("healthy\n")
}
