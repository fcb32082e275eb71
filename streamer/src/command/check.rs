//! `streamer check`: settings, database and table, and a trial of each pending file that keeps
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::PgConnection;

use super::summary::Summary;
use super::table::{counted, placed};
use super::{Exit, inventory, need_folder, open, say, with_advice};
use crate::batch::{Counts, DeadLetter, MicroBatch, PartOutcome, count};
use crate::cli::Global;
use crate::config::{Pace, Provenance, Settings, Stream};
use crate::database::Database;
use crate::event::Event;
use crate::feed::files::Files;
use crate::feed::lanes::FILES;
use crate::feed::places::Places;
use crate::feed::{Feed, Work};
use crate::layout::Fits;
use crate::ledger::{checkpoint, stop};
use crate::migrate::foreign_text;
use crate::partition::Partition;
use crate::partitioning::{Missing, missing_tomorrow};
use crate::schema::{Column, Table};
use crate::sink::{DryRun, Trial};
use crate::source::untaken::Look;

/// How many bad records of a stream are shown one by one.
const SHOWN_MAX: usize = 20;

/// Records at a time: enough to be fast.
const TRIAL_ROWS: u64 = 10_000;

pub(super) async fn run(global: &Global) -> Result<Exit> {
    need_folder(&global.data)?;
    let (settings, database) = open(global).await?;
    say(format!("settings: {}", counted(settings.streams.len(), "stream")));
    if settings.server.open_page && !settings.server.is_loopback() {
        say(
            "warning: the live page asks for no token (open_page), and other machines may reach it",
        );
    }
    for untaken in Look::new(&settings.data, &settings.streams).find() {
        say(untaken.to_string());
    }
    let outcome = async {
        let (mut conn, inventory) = inventory(&database, &settings.streams).await?;
        let version: String =
            sqlx::query_scalar("show server_version").fetch_one(&mut conn).await?;
        say(format!("database: PostgreSQL {version} at {}", database.place()));
        inventory.foreign.into_iter().map(foreign_text).for_each(say);
        for change in inventory.windows {
            say(format!("{change}, once `streamer migrate` or `streamer run` has counted anew"));
        }
        check_all(&database, &mut conn, &settings).await
    }
    .await;
    database.close().await;
    outcome
}

async fn check_all(
    database: &Database,
    conn: &mut PgConnection,
    settings: &Settings,
) -> Result<Exit> {
    let mut summary = Summary::of_all();
    for stream in &settings.streams {
        let checked = check(conn, settings, stream, &mut summary).await;
        let checked = with_advice(database, Some(stream), checked).await;
        checked.with_context(|| format!("check stream {}", stream.name))?;
    }
    say("\nwhat would be loaded (nothing was kept):");
    say(summary.text(Duration::ZERO).trim_end());
    Ok(summary.exit())
}

async fn check(
    conn: &mut PgConnection,
    settings: &Settings,
    stream: &Stream,
    summary: &mut Summary,
) -> Result<()> {
    let table = Arc::new(Table::load(conn, &stream.table, &stream.fitting).await?);
    describe(stream, &table);
    let tomorrow = missing_tomorrow(conn, &table.quoted_name).await;
    if let Some(remedy) = tomorrow.context("read the table's partitions")? {
        say(format!("  there is no partition for tomorrow, and no default; make one: {remedy}"));
    }
    let places = Places::new(settings.data.clone(), &stream.reading, None);
    let places = places.named_for(conn).await.context("ask for the database's encoding")?;
    let loaded = checkpoint::load(conn, &stream.name, &places.survey(), true).await;
    let loaded = loaded.context("read the checkpoints")?;
    let files = Files::new(&stream.reading, loaded.standing);
    let listed = files.list(&places, usize::MAX);
    listed.with_context(|| format!("list {}", settings.data.display()))?;
    let pace = Pace { max_rows: Some(TRIAL_ROWS), ..stream.pace.clone() };
    let fits = Fits::new(table, &stream.fitting);
    let memory = settings.memory.shared();
    let mut feed = Feed::new(&stream.reading, &pace, places, fits, files.clone(), FILES, &memory);
    feed.take_all(&loaded.checkpoints);
    let mut trial = DryRun::begin(conn).await.context("begin the trial")?;
    let mut shown = 0;
    while let Some(work) = feed.next_work(u64::MAX, feed.room()) {
        match work {
            Work::Batch(batch) => {
                let on_missing = stream.pace.on_missing_partition;
                let tried = trial.try_out(&batch, on_missing).await.context("try the records")?;
                match tried {
                    Ok(tried) => {
                        let outcome = outcome(&tried, &batch, &mut shown);
                        summary.note_parts(&stream.name, &outcome, Duration::ZERO);
                    }
                    Err(missing) => {
                        note_wait(stream, &batch, &missing, summary);
                        break;
                    }
                }
            }
            Work::Refused { partition, reason } => {
                let (stream, partition) = (stream.name.as_str(), &*partition.text());
                summary.note(&Event::Failed { stream, partition, reason: &reason });
            }
            Work::Unreadable { name, error } => {
                let reason = error.to_string();
                summary.note(&Event::Failed {
                    stream: &stream.name,
                    partition: &name,
                    reason: &reason,
                });
            }
        }
    }
    if files.is_waiting() {
        say("  a last line without a line end is left out until its file is still for a while");
    }
    trial.end().await.context("roll the trial back")?;
    foresee_stops(conn, stream, summary).await
}

/// Tells of the files that have stopped the stream, and of those that would.
async fn foresee_stops(
    conn: &mut PgConnection,
    stream: &Stream,
    summary: &mut Summary,
) -> Result<()> {
    let stopped = stop::load(conn, &stream.name, stream.pace.dead_letters_max).await;
    let stopped = stopped.context("read the checkpoints")?.into_iter();
    let mut reasons: Vec<(Partition, String)> =
        stopped.filter(|file| !file.may_go_on).map(|file| (file.partition, file.reason)).collect();
    if let Some(limit) = stream.pace.dead_letters_max {
        for (partition, counts) in summary.outcomes(&stream.name) {
            let Counts { records, dead_letters, .. } = *counts;
            if limit.is_passed(records, dead_letters) {
                let reason = format!(
                    "{dead_letters} of the {records} records to read would be refused, more than \
                     max_dead_letters = {limit} lets pass"
                );
                reasons.push((partition.clone(), reason));
            }
        }
    }
    for (partition, reason) in &reasons {
        let (stream, partition) = (stream.name.as_str(), &*partition.text());
        summary.note(&Event::Stopped { stream, partition, reason });
    }
    Ok(())
}

/// Tells that the stream would wait, and so load nothing more.
fn note_wait(stream: &Stream, batch: &MicroBatch, missing: &Missing, summary: &mut Summary) {
    let partition = batch.parts.first().map(|part| part.partition.text());
    summary.note(&Event::Waiting {
        stream: &stream.name,
        partition: partition.as_deref().unwrap_or_default(),
        reason: &missing.to_string(),
    });
}

/// Shows the bad records of a micro-batch that was tried, and counts.
fn outcome(tried: &Trial, batch: &MicroBatch, shown: &mut usize) -> Vec<PartOutcome> {
    let mut outcomes = Vec::new();
    for (at, part) in batch.parts.iter().enumerate() {
        let refused = tried.dead.iter().filter(|(of, _)| *of == at).map(|(_, letter)| letter);
        let mut letters: Vec<&DeadLetter> = part.dead_letters.iter().chain(refused).collect();
        letters.sort_by_key(|letter| letter.offsets.start);
        for letter in &letters {
            *shown += 1;
            if *shown <= SHOWN_MAX {
                print_letter(&part.partition.text(), letter);
            } else if *shown == SHOWN_MAX + 1 {
                say("  ... and more");
            }
        }
        let (records, rows, dead_letters) = (part.records, tried.rows[at], count(letters.len()));
        let duplicates = records - rows - dead_letters;
        let counts = Counts { records, rows, duplicates, dead_letters, ..Counts::default() };
        outcomes.push(PartOutcome { partition: part.partition.clone(), batch_id: 0, counts });
    }
    outcomes
}

fn print_letter(partition: &str, letter: &DeadLetter) {
    for reason in &letter.reasons {
        say(format!("  {} {reason}", placed(partition, letter.line)));
    }
}

fn describe(stream: &Stream, table: &Table) {
    say(format!(
        "\nstream {}: {} into {} ({})",
        stream.name,
        stream.reading.files.glob(),
        table.quoted_name,
        counted(table.columns.len(), "column")
    ));
    let keys: Vec<String> = table.keys.iter().map(ToString::to_string).collect();
    match keys.as_slice() {
        [] => say("  no unique key: a record that comes in two files is stored twice"),
        [key] => say(format!("  duplicates are told by {key}")),
        keys => say(format!(
            "  duplicates are told by the first of these whose columns a record has: {}",
            keys.join(", ")
        )),
    }
    let opaque = table.columns.iter().filter(|column| column.encoding.is_opaque());
    let opaque: Vec<String> =
        opaque.map(|column| format!("{} ({})", column.name, column.type_name)).collect();
    if !opaque.is_empty() {
        say(format!(
            "  records with {} are sent as text, which takes the server longer, and PostgreSQL alone \
             judges these values",
            opaque.join(", ")
        ));
    }
    if !table.generated.is_empty() {
        say(format!("  generated by the table: {}", table.generated.join(", ")));
    }
    say(format!("  {}", trace(&table.columns, &table.provenance, &stream.table)));
}

/// Whether rows can be traced to their files, and what to do where they can't.
fn trace(columns: &[Column], provenance: &[Provenance], table: &str) -> String {
    if provenance.len() == Provenance::ALL.len() {
        return "batch_id and ingested_at tell where each row came from".to_owned();
    }
    let missing = Provenance::ALL.into_iter().filter(|one| !provenance.contains(one));
    let (there, lacking): (Vec<Provenance>, Vec<Provenance>) =
        missing.clone().partition(|one| columns.iter().any(|column| column.name == one.name()));
    let names = Provenance::ALL.map(|one| format!("\"{}\"", one.name())).join(", ");
    let mut text = "rows can't be traced to their files".to_owned();
    if !there.is_empty() {
        let there: Vec<&str> = there.iter().map(|one| one.name()).collect();
        text += &format!("; {} of the table is taken for the file's own", there.join(" and "));
    }
    if !lacking.is_empty() {
        let added =
            lacking.iter().map(|one| format!("add column {} {}", one.name(), one.type_name()));
        text += &format!(
            "; to trace them: alter table {table} {};",
            added.collect::<Vec<_>>().join(", ")
        );
    }
    text + &format!(" and provenance = [{names}] for the stream in streams.toml")
}
