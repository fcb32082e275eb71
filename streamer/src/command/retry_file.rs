//! `streamer retry-file`: go on with a file that has stopped its stream.

use std::path::Path;

use anyhow::{Context, Result};
use sqlx::PgConnection;

use super::table::grouped;
use super::{Exit, connect, open, print};
use crate::cli::{Global, RetryFileArgs};
use crate::config::Settings;
use crate::ledger::stop;
use crate::partition::{Partition, file_text};

pub(super) async fn run(global: &Global, args: &RetryFileArgs) -> Result<Exit> {
    let (settings, database) = open(global).await?;
    let outcome = async {
        let mut conn = connect(&database, &settings.streams).await?;
        retry(&mut conn, &settings, args).await
    }
    .await;
    database.close().await;
    let (text, exit) = outcome?;
    print(&text)?;
    Ok(exit)
}

async fn retry(
    conn: &mut PgConnection,
    settings: &Settings,
    args: &RetryFileArgs,
) -> Result<(String, Exit)> {
    let names = names(&args.file, &settings.data);
    let released = stop::retry(conn, &names, args.stream.as_deref()).await;
    let released = released.context("let the file go on")?;
    if !released.is_empty() {
        let told = released.iter().map(|file| {
            let line = file.next_line.map(|line| format!("line {}, ", grouped(line)));
            let unit = Partition::parse(&file.partition).kind().unit();
            format!(
                "{} of stream {:?} goes on from {}{unit} {}; its dead letters are counted anew\n",
                file.partition,
                file.stream,
                line.unwrap_or_default(),
                grouped(file.next_offset)
            )
        });
        return Ok((told.collect(), Exit::Done));
    }
    let known = stop::named(conn, &names, args.stream.as_deref()).await;
    let known = known.context("read the checkpoints")?;
    anyhow::ensure!(
        !known.is_empty(),
        "nothing was read of a file {:?}; name it as `streamer status --all` does",
        args.file
    );
    let (mut text, mut exit) = (String::new(), Exit::Done);
    for file in known {
        text += &format!("{} of stream {:?} is not stopped", file.partition, file.stream);
        text += &match file.refusal {
            Some(refusal) => {
                exit = Exit::Failed;
                format!(
                    ", but refused: {refusal}\nit is tried again when it changes, and when `streamer \
                     run` starts\n"
                )
            }
            None => format!(" ({}); there is nothing to do\n", file.state),
        };
    }
    Ok((text, exit))
}

/// What a file may be called in the checkpoint: as it was typed, or as the path that was typed,
/// which may begin with the data folder.
fn names(file: &Path, data: &Path) -> Vec<String> {
    let below = file.strip_prefix(data).unwrap_or(file);
    let mut names = [file, below].map(|path| file_text(path).into_owned()).to_vec();
    names.extend(file.to_str().map(str::to_owned));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_named_as_status_does_or_by_its_path() {
        let data = Path::new("data");
        for (typed, name) in [
            ("a.csv", "a.csv"),
            ("a.csv#2", "a.csv#2"),
            ("data/a.csv", "a.csv"),
            ("a\nb.csv", "a\\x0ab.csv"),
            ("a\\x0ab.csv", "a\\x0ab.csv"),
        ] {
            let names = names(Path::new(typed), data);
            assert!(names.iter().any(|found| found == name), "{typed}: {names:?}");
        }
    }
}
