//! `streamer retry-file`: go on with a file that has stopped its stream.

use std::path::Path;

use anyhow::{Context, Result};
use sqlx::PgConnection;

use super::table::grouped;
use super::{Exit, connect, open, print};
use crate::cli::{Global, RetryFileArgs};
use crate::config::Settings;
use crate::source::folder::partition_name;

/// A file as the checkpoint knows it.
#[derive(Debug, sqlx::FromRow)]
struct File {
    stream: String,
    partition: String,
    next_offset: i64,
    next_line: i64,
    state: String,
    refusal: Option<String>,
}

pub(super) async fn run(global: &Global, args: &RetryFileArgs) -> Result<Exit> {
    let (settings, database) = open(global).await?;
    let outcome = async {
        let mut conn = connect(&database).await?;
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
    let released: Vec<File> = sqlx::query_as(
        "update streamer.checkpoint
            set state = 'reading', refusal = null, judged_records = 0, judged_dead_letters = 0,
                updated_at = now()
          where state = 'stopped' and ($2::text is null or stream = $2)
            and (partition = any($1) or regexp_replace(partition, '#[0-9]+$', '') = any($1))
         returning stream, partition, next_offset, next_line, state, refusal",
    )
    .bind(&names)
    .bind(&args.stream)
    .fetch_all(&mut *conn)
    .await
    .context("let the file go on")?;
    if !released.is_empty() {
        let told = released.iter().map(|file| {
            format!(
                "{} of stream {:?} goes on from line {}, byte {}; its dead letters are counted anew\n",
                file.partition,
                file.stream,
                grouped(file.next_line),
                grouped(file.next_offset)
            )
        });
        return Ok((told.collect(), Exit::Done));
    }
    let known: Vec<File> = sqlx::query_as(
        "select stream, partition, next_offset, next_line, state, refusal from streamer.checkpoint
          where ($2::text is null or stream = $2)
            and (partition = any($1) or regexp_replace(partition, '#[0-9]+$', '') = any($1))
          order by stream, partition",
    )
    .bind(&names)
    .bind(&args.stream)
    .fetch_all(conn)
    .await
    .context("read the checkpoints")?;
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

/// What a file may be called in the checkpoint: as it was typed, or as the path that was typed, which
/// may begin with the data folder.
fn names(file: &Path, data: &Path) -> Vec<String> {
    let below = file.strip_prefix(data).unwrap_or(file);
    let mut names = [file, below].map(|path| partition_name(path).into_owned()).to_vec();
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
