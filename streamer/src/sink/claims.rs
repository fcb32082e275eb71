//! Claims on files, so that several streamers share a folder instead of getting in each other's
//! way: advisory locks of a session of the process, which PostgreSQL releases however the streamer
//! ends.
//!
//! A claim is a courtesy. What keeps records from being written twice is the compare-and-set; so a
//! file that another streamer has claimed and does not get on with is taken over without the lock.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use xxhash_rust::xxh3::xxh3_64;

use super::claim_session::{ClaimSession, Owner};
use crate::database::Database;
use crate::ledger::{checkpoint, compaction};
use crate::partition::claim::{Claim, ClaimRequest, Wanted};
use crate::partition::{Checkpoints, Kind, Name, Partition};

/// A claim whose file stands still for so long is passed over: its owner hangs, or the lock was
/// left behind on a connection of a pool.
const STANDSTILL: Duration = Duration::from_secs(60);

/// Of more files than these it is forgotten that others have claimed them, if they were not asked
/// for again within [`STANDSTILL`]: they are done, or gone.
const REFUSED_MAX: usize = 1000;

/// The claims of one writer.
#[derive(Debug)]
pub(super) struct Claims {
    session: ClaimSession,
    owner: Owner,
    /// How many writers the stream has.
    writers: usize,
    /// How many files may be claimed at a time.
    pub(super) max: usize,
    /// The locks of the present claims.
    keys: HashSet<i64>,
    /// Files that others have claimed.
    refused: HashMap<Name, Refused>,
}

/// A file that another streamer has claimed.
#[derive(Debug)]
struct Refused {
    /// Where it stood.
    offset: Option<u64>,
    /// Since when.
    since: Instant,
    /// When it was asked for last.
    asked: Instant,
}

impl Claims {
    pub(super) fn new(session: ClaimSession, writers: usize) -> Claims {
        let (keys, refused) = (HashSet::new(), HashMap::new());
        Claims { session, owner: Owner::default(), writers, max: 1, keys, refused }
    }

    /// The claims of another writer of the same stream.
    pub(super) fn beside(&self) -> Claims {
        Claims::new(self.session.clone(), self.writers)
    }

    /// Gives up all claims.
    pub(super) async fn give_up(&mut self, database: &Database) {
        self.session.give_up(database, self.keys.drain().collect()).await;
    }

    /// Gives up the claims on `finished` files, and takes those of `wanted` that nobody else has:
    /// their locks. `None` where nobody's claims are known.
    pub(super) async fn lock(
        &mut self,
        database: &Database,
        stream: &str,
        ClaimRequest { wanted, finished }: &ClaimRequest,
    ) -> Option<HashSet<i64>> {
        let finished = finished.iter().map(|name| key(stream, name));
        let finished: Vec<i64> = finished.filter(|key| self.keys.remove(key)).collect();
        // Nobody else reads what came by a listener: this process holds a lock on it, and gives it
        // to one writer at a time. A lock of the one before, not given up yet, would only put it
        // off until the next listing.
        let shared = wanted.iter().filter(|file| file.name.kind() == Kind::File);
        let keys: Vec<i64> = shared.map(|file| key(stream, &file.name)).collect();
        let taken = match keys.is_empty() {
            true => {
                self.session.give_up(database, finished).await;
                Some(HashSet::new())
            }
            false => self.session.take(database, &self.owner, &keys, &finished).await,
        };
        self.max = self.session.max(self.writers).await;
        self.keys.extend(taken.iter().flatten());
        taken
    }

    /// What is granted of the files that are `wanted`, whose locks `taken` are there, and how they
    /// stand.
    pub(super) async fn grant(
        &mut self,
        conn: &mut PgConnection,
        stream: &str,
        wanted: &[Wanted],
        taken: Option<&HashSet<i64>>,
    ) -> Result<Claim, sqlx::Error> {
        let partitions = wanted.iter().flat_map(|file| &file.partitions);
        let partitions: Vec<&Partition> = partitions.collect();
        let mut checkpoints = checkpoint::of(conn, stream, &partitions).await?;
        let segments = partitions.iter().filter(|partition| partition.name.kind() == Kind::Segment);
        let unknown = segments
            .filter(|segment| segment.generation == 1 && !checkpoints.contains_key(**segment));
        let unknown: Vec<&Partition> = unknown.copied().collect();
        if !unknown.is_empty() && compaction::restore(conn, stream, &unknown).await? {
            checkpoints.extend(checkpoint::of(conn, stream, &unknown).await?);
        }
        let mut granted = HashSet::new();
        for file in wanted {
            let is_taken = |taken: &HashSet<i64>| taken.contains(&key(stream, &file.name));
            let is_mine = file.name.kind() == Kind::Segment || taken.is_none_or(is_taken);
            if is_mine {
                self.refused.remove(&file.name);
            }
            if is_mine || self.stands_still(file, &checkpoints) {
                granted.insert(file.name.clone());
            }
        }
        if self.refused.len() > REFUSED_MAX {
            self.refused.retain(|_, refused| refused.asked.elapsed() < STANDSTILL);
        }
        Ok(Claim { granted, checkpoints })
    }

    /// Whether a file that another streamer has claimed has stood still for too long.
    fn stands_still(&mut self, file: &Wanted, checkpoints: &Checkpoints) -> bool {
        let newest = file.partitions.iter().rev().find_map(|name| checkpoints.get(name));
        let offset = newest.map(|checkpoint| checkpoint.next_offset);
        let now = Instant::now();
        let refused = Refused { offset, since: now, asked: now };
        let refused = self.refused.entry(file.name.clone()).or_insert(refused);
        if refused.offset != offset {
            (refused.offset, refused.since) = (offset, now);
        }
        refused.asked = now;
        now - refused.since >= STANDSTILL
    }
}

/// Whether any streamer has claimed one of these files of the stream.
///
/// # Errors
/// When the database can't tell.
pub async fn claimed(
    conn: &mut PgConnection,
    stream: &str,
    names: impl Iterator<Item = &Name>,
) -> Result<bool, sqlx::Error> {
    let keys: Vec<i64> = names.map(|name| key(stream, name)).collect();
    sqlx::query_scalar(
        "select exists (
             select from pg_locks l
               join pg_database d on d.oid = l.database and d.datname = current_database()
              where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
                and (l.classid::bigint << 32) | l.objid::bigint = any($1))",
    )
    .bind(keys)
    .fetch_one(conn)
    .await
}

/// The lock's number. Should two files, or another program, have the same, they only wait for each
/// other.
fn key(stream: &str, name: &Name) -> i64 {
    let hash = xxh3_64(format!("streamer\0{stream}\0{name}").as_bytes());
    i64::from_ne_bytes(hash.to_ne_bytes())
}
