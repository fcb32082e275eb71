//! `streamer reset`: a stream as if nothing of it had been read.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sqlx::{Connection, Executor, PgConnection};

use super::table::grouped;
use super::{Exit, at_work, connect, harmless, open, print};
use crate::cli::{Global, ResetArgs};
use crate::config::{Provenance, Settings, Stream};
use crate::database::Database;
use crate::health::{self, HealthError};
use crate::ledger::instance::{self, SEEN_WITHIN, Seen};
use crate::ledger::reset::{self, Held};
use crate::partition::{Kind, Name, Partition};
use crate::schema::Table;
use crate::sink::claimed;
use crate::sql::made;

/// How often it is looked whether a streamer is alive.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How the rows are to go.
enum Rows {
    /// They stay.
    Kept,
    /// All rows of the table.
    All(Table),
    /// Those that the stream brought: others write to the table, too.
    Own(Table),
}

pub(super) async fn run(global: &Global, args: &ResetArgs) -> Result<Exit> {
    ensure!(
        args.yes || std::io::stdin().is_terminal(),
        "this can't be undone; say --yes where nobody can be asked"
    );
    let (settings, database) = open(global).await?;
    let outcome = carry_out(&settings, &database, args).await;
    database.close().await;
    print(&outcome?)
}

async fn carry_out(settings: &Settings, database: &Database, args: &ResetArgs) -> Result<String> {
    let stream = settings.streams.iter().find(|stream| stream.name == args.stream);
    let stream = stream.with_context(|| {
        let names: Vec<&str> = settings.streams.iter().map(|s| s.name.as_str()).collect();
        format!("there is no stream {:?}; there are {}", args.stream, names.join(", "))
    })?;
    let mut conn = connect(database, &settings.streams).await?;
    let known =
        reset::known(&mut conn, &stream.name).await.context("read what is known of the stream")?;
    nobody_works(&mut conn, settings, stream, &known).await?;
    let rows = match args.rows {
        true => rows(&mut conn, settings, stream).await?,
        false => Rows::Kept,
    };
    if !args.yes && !is_agreed(&question(stream, &known, &rows))? {
        return Ok("nothing was changed\n".to_owned());
    }
    // The answer may have taken its time.
    nobody_works(&mut conn, settings, stream, &known).await?;
    carry_through(&mut conn, stream, &rows).await.context("reset the stream")?;
    Ok(done_text(stream, &known, &rows))
}

/// Demands that no streamer works on the stream, as far as that can be told: one that does would
/// not notice, and leave out what it thinks it has read.
async fn nobody_works(
    conn: &mut PgConnection,
    settings: &Settings,
    stream: &Stream,
    known: &Held,
) -> Result<()> {
    if !matches!(health::ask(&settings.data).await, Err(HealthError::NotRunning { .. })) {
        bail!(
            "a `streamer run` is at work on the data folder {}; stop it first",
            settings.data.display()
        );
    }
    nobody_is_seen(conn, stream).await?;
    let names: Vec<Name> =
        known.files.iter().map(|partition| Partition::parse(partition).name).collect();
    let is_claimed =
        claimed(conn, &stream.name, names.iter()).await.context("look for other streamers")?;
    ensure!(
        !is_claimed,
        "another streamer works on files of stream {}; stop it first",
        stream.name
    );
    Ok(())
}

/// Demands that no streamer tells of itself that it works on the stream. One that was killed can't
/// take that back: so it is waited for a new sign of life until the last one is too old.
async fn nobody_is_seen(conn: &mut PgConnection, stream: &Stream) -> Result<()> {
    let mut at_first: Option<Vec<Seen>> = None;
    loop {
        let mut seen = instance::at_work(conn).await.context("look for other streamers")?;
        seen.retain(|instance| instance.streams.contains(&stream.name));
        let Some(newest) = seen.iter().max_by_key(|instance| instance.seen_at) else {
            return Ok(());
        };
        let is_known = |now: &Seen| {
            let before = |then: &Seen| (then.instance_id, then.seen_at);
            at_first.iter().flatten().any(|then| before(then) == before(now))
        };
        if at_first.is_some()
            && let Some(alive) = seen.iter().find(|now| !is_known(now))
        {
            bail!(
                "another streamer works on files of stream {}: {}; stop it first, or if it was killed meanwhile \
                 wait until {} s have passed",
                stream.name,
                at_work::named(alive),
                SEEN_WITHIN.as_secs()
            );
        }
        if at_first.is_none() {
            let told = format!(
                "{} of stream {}; waiting up to {} s for another sign of life\n",
                at_work::named(newest),
                stream.name,
                SEEN_WITHIN.as_secs()
            );
            // Without stderr there is nobody to tell.
            drop(std::io::stderr().write_all(harmless(&told).as_bytes()));
            at_first = Some(seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn rows(conn: &mut PgConnection, settings: &Settings, stream: &Stream) -> Result<Rows> {
    let table = Table::load(conn, &stream.table, &stream.fitting).await?;
    let others = settings.streams.iter().filter(|other| other.name != stream.name);
    let others: Vec<&str> = others.map(|other| other.table.as_str()).collect();
    let is_shared: bool = sqlx::query_scalar(
        "select exists (select from unnest($1::text[]) o (name) where to_regclass(o.name) = to_regclass($2))",
    )
    .bind(&others)
    .bind(&stream.table)
    .fetch_one(&mut *conn)
    .await
    .context("look for other streams into the table")?;
    let tells = table.provenance.contains(&Provenance::BatchId);
    if !tells {
        ensure!(
            !is_shared,
            "other streams write to table {}, and it has no column batch_id bigint (see provenance in README.md) that would tell \
                 their rows apart",
            stream.table
        );
        return Ok(Rows::All(table));
    }
    let has_others = reset::has_rows_of_others(conn, &stream.name, &table.quoted_name).await;
    let has_others = has_others.context("look for rows of others in the table")?;
    Ok(if is_shared || has_others { Rows::Own(table) } else { Rows::All(table) })
}

fn question(stream: &Stream, known: &Held, rows: &Rows) -> String {
    let what = match rows {
        Rows::Kept => format!(
            "The rows of table {} stay; where it has no unique key, reading the files again doubles them.",
            stream.table
        ),
        Rows::All(_) => format!("EVERY row of table {} is removed.", stream.table),
        Rows::Own(_) => {
            format!("The rows that the stream brought to table {} are removed.", stream.table)
        }
    };
    format!(
        "Forget what stream {} has read: {} files, {} micro-batches, {} dead letters.\n{what}\n{}\
         Go on? [yes/no] ",
        stream.name,
        grouped(i128::try_from(known.files.len()).unwrap_or(i128::MAX)),
        grouped(known.micro_batches),
        grouped(known.dead_letters),
        lost(known)
    )
}

/// What no run can read again, in words.
fn lost(known: &Held) -> String {
    let is_segment = |partition: &&String| Partition::parse(partition).kind() == Kind::Segment;
    let mut text = String::new();
    if known.files.iter().any(|partition| is_segment(&partition)) {
        text += "What came by HTTP, TCP or stdin is in no file any more: it can't be read again.\n";
    }
    if known.open_dead_letters > 0 {
        text += &format!(
            "{} of the dead letters are open: `streamer dead-letters export` keeps their records.\n",
            grouped(known.open_dead_letters)
        );
    }
    text
}

fn is_agreed(question: &str) -> Result<bool> {
    let mut stderr = std::io::stderr();
    stderr.write_all(harmless(question).as_bytes()).and_then(|()| stderr.flush()).context("ask")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("read the answer")?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// Forgets all in one transaction. A micro-batch in flight elsewhere ends before it, or finds no
/// checkpoint and is rolled back.
async fn carry_through(
    conn: &mut PgConnection,
    stream: &Stream,
    rows: &Rows,
) -> Result<(), sqlx::Error> {
    let mut tx = conn.begin().await?;
    reset::lock(&mut tx).await?;
    match rows {
        Rows::Kept => {}
        Rows::All(table) => {
            tx.execute(made(format!("truncate {}", table.quoted_name))).await?;
        }
        Rows::Own(table) => {
            reset::delete_rows(&mut tx, &stream.name, &table.quoted_name).await?;
        }
    }
    reset::forget(&mut tx, &stream.name).await?;
    tx.commit().await
}

fn done_text(stream: &Stream, known: &Held, rows: &Rows) -> String {
    let rows = match rows {
        Rows::Kept => format!("the rows of table {} are as they were", stream.table),
        Rows::All(_) => format!("table {} is empty", stream.table),
        Rows::Own(_) => format!("its rows of table {} are gone", stream.table),
    };
    format!(
        "stream {} is as new: {} files, {} micro-batches and {} dead letters are forgotten; {rows}\n",
        stream.name,
        grouped(i128::try_from(known.files.len()).unwrap_or(i128::MAX)),
        grouped(known.micro_batches),
        grouped(known.dead_letters)
    )
}
