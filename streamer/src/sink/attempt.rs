//! One try at the transaction of a micro-batch.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::Committed;
use super::careful::careful;
use super::first_path::Duplicates;
use super::lookup;
use super::recent::Recent;
use super::rows::{self, Busy, Written};
use super::watched::outcomes;
use crate::batch::{
    Counts, DeadLetter, LetterKind, MicroBatch, PartOutcome, Path, RowPlace, Verdict, count,
};
use crate::config::OnMissingPartition;
use crate::event::Times;
use crate::latency::Visible;
use crate::ledger::checkpoint::Advanced;
use crate::ledger::refused::{self, Refused};
use crate::ledger::{checkpoint, idempotency, micro_batch, stop};
use crate::limit::DeadLetterLimit;
use crate::partitioning::NoPartition;
use crate::retry::{Remedy, remedy_of};
use crate::sql::made;

/// How a micro-batch's transaction begins. Every row is judged when it is written: by default a
/// deferred constraint would fail only the commit, and with it all rows. And the commit waits for
/// the disk: behind a pool of connections, such as PgBouncer's, the transaction may run on another
/// than the one that was set up so.
const BEGIN: &str = "begin; set constraints all immediate;
    select pg_catalog.set_config('synchronous_commit', 'on', true)
     where pg_catalog.current_setting('synchronous_commit') in ('off', 'local')";

/// A try on one path.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) stream: &'a str,
    /// For how long an Idempotency-Key is remembered.
    pub(super) keep: Duration,
    pub(super) limit: Option<DeadLetterLimit>,
    pub(super) on_missing: OnMissingPartition,
    pub(super) batch: &'a MicroBatch,
    pub(super) recent: &'a Recent,
    pub(super) path: Path,
    /// How long it waits for a lock.
    pub(super) lock_wait: Duration,
}

/// What came of looking keys up before the rows were written.
#[derive(Clone, Copy)]
struct Lookup {
    /// The path that was taken: [`Path::Direct`] if no key was recent.
    path: Path,
    duplicates: Duplicates,
}

/// Why a try came to nothing.
pub(super) enum Failure {
    /// The checkpoint stands elsewhere. Rolled back; the connection is good.
    Superseded,
    /// A row was refused, and this path can't tell which. Rolled back; the connection is good.
    Refused(Box<dyn DatabaseError>),
    /// The table has no partition for rows, which are to wait for one. Rolled back; the connection
    /// is good.
    NoPartition(NoPartition),
    /// The connection is to be closed. If the commit was under way, its outcome is not known.
    Lost(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Failure {
        Failure::Lost(error)
    }
}

impl Attempt<'_> {
    /// Runs the transaction. `in_doubt` is set before the commit is sent, and tells afterwards what
    /// was committed if the reply is lost.
    pub(super) async fn run(
        &self,
        conn: &mut PgConnection,
        in_doubt: &mut Option<Committed>,
        busy: Busy<'_>,
    ) -> Result<Committed, Failure> {
        let begun = Instant::now();
        let mut tx = begin(conn, Some(self.lock_wait)).await?;
        let advanced = checkpoint::advance(&mut tx, self.stream, &self.batch.parts).await?;
        let Some(advanced) = advanced else {
            tx.rollback().await?;
            return Err(Failure::Superseded);
        };
        let judged = self.judge(&mut tx).await?;
        let batch = judged.as_ref().unwrap_or(self.batch);
        let grouped = match self.path {
            Path::Direct => None,
            _ => lookup::grouped(&mut tx, batch).await?,
        };
        let attempt = Attempt { batch: grouped.as_ref().unwrap_or(batch), ..*self };
        match attempt.write(&mut tx, &advanced, busy).await {
            Ok(committed) => *in_doubt = Some(committed),
            Err(sqlx::Error::Database(error)) if self.is_refusal(error.as_ref()) => {
                tx.rollback().await?;
                return Err(Failure::Refused(error));
            }
            Err(sqlx::Error::Configuration(error)) if error.is::<NoPartition>() => {
                tx.rollback().await?;
                let missing = error.downcast::<NoPartition>().expect("it was looked at");
                return Err(Failure::NoPartition(*missing));
            }
            Err(error) => return Err(error.into()),
        }
        // Noted while the server writes its log. If it is not committed after all, it is looked up
        // in vain when it is tried again, and what it repeats is taken for recent.
        let (note, write) = (async { self.recent.note(self.batch) }, begun.elapsed());
        tokio::join!(biased; tx.commit(), note).0?;
        let mut committed = in_doubt.clone().expect("it was put there");
        (committed.times.write, committed.times.commit) = (write, begun.elapsed() - write);
        committed.visible.note_commit();
        Ok(committed)
    }

    /// What the keys of the requests leave of the micro-batch; nothing, if that is all of it.
    async fn judge(&self, tx: &mut PgConnection) -> Result<Option<MicroBatch>, sqlx::Error> {
        let requests = &self.batch.requests;
        if requests.is_empty() {
            return Ok(None);
        }
        let verdicts = idempotency::claim(tx, self.stream, self.keep, requests).await?;
        let is_changed = verdicts.iter().any(|verdict| *verdict != Verdict::New);
        Ok(is_changed.then(|| self.batch.judged(&verdicts)))
    }

    /// Writes all that is to be committed.
    async fn write(
        &self,
        tx: &mut PgConnection,
        advanced: &Advanced,
        busy: Busy<'_>,
    ) -> Result<Committed, sqlx::Error> {
        let (written, lookup) = self.write_rows(tx, advanced, busy).await?;
        let mut committed = self.outcome(advanced, &written, lookup);
        let (stream, batch, parts) = (self.stream, self.batch, &committed.parts);
        micro_batch::record(tx, stream, batch, parts, committed.path).await?;
        let letters = self.dead_letters(&written, advanced);
        refused::write(tx, stream, batch.header(), &letters).await?;
        committed.stopped = stop::judge(tx, stream, self.limit, parts).await?;
        Ok(committed)
    }

    /// Whether the careful path would get further: it alone finds out which row is at fault, or
    /// whether the table has changed, of which 08P01 (the data of a column is too short) is a sign.
    fn is_refusal(&self, error: &dyn DatabaseError) -> bool {
        let is_data = remedy_of(error) == Remedy::Data || error.code().as_deref() == Some("08P01");
        self.path != Path::Careful && is_data
    }

    async fn write_rows(
        &self,
        tx: &mut PgConnection,
        advanced: &Advanced,
        busy: Busy<'_>,
    ) -> Result<(Written<'_>, Lookup), sqlx::Error> {
        let (rows, lookup) = self.look_up(tx, busy).await?;
        if self.path == Path::Careful {
            return Ok((careful(tx, self.batch, &rows, advanced, self.on_missing).await?, lookup));
        }
        rows::copy(tx, self.batch, &rows, advanced, busy).await?;
        Ok((Written { inserted: rows, dead: Vec::new() }, lookup))
    }

    /// The rows whose key is not in the table, as far as this path asks for it.
    async fn look_up(
        &self,
        tx: &mut PgConnection,
        busy: Busy<'_>,
    ) -> Result<(Cow<'_, [RowPlace]>, Lookup), sqlx::Error> {
        let (batch, path) = (self.batch, self.path);
        let rows = batch.first_of_each_key();
        let direct = Lookup { path: Path::Direct, duplicates: Duplicates::None };
        let asked = match path {
            Path::Direct => return Ok((rows, direct)),
            Path::Recent => self.recent.contains(batch, &rows),
            Path::Filtered => vec![true; rows.len()],
            Path::Careful => {
                let missing = lookup::without_existing(tx, batch, &rows).await?;
                let duplicates = match missing.len() == rows.len() {
                    true => Duplicates::None,
                    false => Duplicates::Older,
                };
                return Ok((missing.into(), Lookup { path, duplicates }));
            }
        };
        let count = asked.iter().filter(|asked| **asked).count();
        if path == Path::Recent && count == 0 {
            return Ok((rows, direct));
        }
        if count > rows.len() / 2 {
            // It takes the server about as long as to copy them.
            busy();
        }
        let exists = lookup::existing(tx, batch, &rows, &asked).await?;
        if !exists.contains(&true) {
            return Ok((rows, Lookup { path, duplicates: Duplicates::None }));
        }
        let (found, missing) = lookup::apart(&rows, &exists);
        let are_recent = self.recent.contains(batch, &found).iter().all(|is_recent| *is_recent);
        let duplicates = if are_recent { Duplicates::Recent } else { Duplicates::Older };
        Ok((missing.into(), Lookup { path, duplicates }))
    }

    fn outcome(&self, advanced: &Advanced, written: &Written<'_>, lookup: Lookup) -> Committed {
        let mut parts: Vec<PartOutcome> = Vec::new();
        for (part, &batch_id) in self.batch.parts.iter().zip(&advanced.batch_ids) {
            let dead_letters = count(part.dead_letters.len());
            let counts = Counts { records: part.records, dead_letters, ..Counts::default() };
            parts.push(PartOutcome { partition: part.partition.clone(), batch_id, counts });
        }
        for row in written.inserted.iter() {
            parts[row.part].counts.rows += 1;
        }
        for (row, _) in &written.dead {
            parts[row.part].counts.dead_letters += 1;
        }
        for request in self.batch.repeated() {
            parts[request.part].counts.repeated += request.records;
        }
        for PartOutcome { counts, .. } in &mut parts {
            // What is neither in the table by this transaction nor refused was there before.
            let Counts { records, rows, repeated, dead_letters, .. } = *counts;
            counts.duplicates = records - rows - repeated - dead_letters;
        }
        let watched = outcomes(self.batch, written);
        let visible = if written.inserted.len() == self.batch.rows.len() {
            Visible::soon(self.batch.notes.created_us().iter().copied())
        } else {
            Visible::soon(written.inserted.iter().filter_map(|row| self.batch.created_us_of(row)))
        };
        let Lookup { path, duplicates } = lookup;
        let is_unplaced = |(_, letter): &&(_, DeadLetter)| letter.kind == LetterKind::NoPartition;
        let unplaced = count(written.dead.iter().filter(is_unplaced).count());
        let (stopped, times) = (Vec::new(), Times::default());
        Committed { parts, path, duplicates, stopped, unplaced, watched, times, visible }
    }

    /// All dead letters: those known before the table was asked, and those that it refused.
    fn dead_letters<'s>(
        &'s self,
        written: &'s Written<'_>,
        advanced: &'s Advanced,
    ) -> Vec<Refused<'s>> {
        let parts = self.batch.parts.iter().enumerate();
        let read =
            parts.flat_map(|(at, part)| part.dead_letters.iter().map(move |letter| (at, letter)));
        let refused = written.dead.iter().map(|(row, letter)| (row.part, letter));
        let placed = |(at, letter): (usize, &'s DeadLetter)| {
            let part = &self.batch.parts[at];
            let (partition, header) = (&part.partition, part.header.as_ref());
            Refused { partition, header, batch_id: advanced.batch_ids[at], letter }
        };
        read.chain(refused).map(placed).collect()
    }
}

/// Begins a transaction by [`BEGIN`]. It waits for a lock no longer than `lock_wait`, and not as
/// long where the role or the database says so.
pub(super) async fn begin(
    conn: &mut PgConnection,
    lock_wait: Option<Duration>,
) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    let Some(lock_wait) = lock_wait else { return conn.begin_with(BEGIN).await };
    let millis = lock_wait.as_millis();
    let begin = format!(
        "{BEGIN};
         select pg_catalog.set_config('lock_timeout', '{millis}', true)
          where pg_catalog.current_setting('lock_timeout')::interval
                not between interval '1 ms' and interval '{millis} ms'"
    );
    conn.begin_with(made(begin)).await
}

/// Whether a commit whose reply was lost did happen. To be asked once the compare-and-set has
/// failed: only then is the other transaction known to have ended.
pub(super) async fn landed(
    conn: &mut PgConnection,
    in_doubt: Option<&Committed>,
) -> Result<bool, sqlx::Error> {
    let Some(part) = in_doubt.and_then(|committed| committed.parts.first()) else {
        return Ok(false);
    };
    micro_batch::exists(conn, part.batch_id).await
}
