//! The end of the process at any moment, and going on from the checkpoint inside a file.

use std::time::Duration;

use nix::sys::signal::Signal;
use rand::{RngExt, SeedableRng};

use crate::support::{Ended, Running, TestDb, folder, generate, judge, one_stream, streamer};

const KILLS: u32 = 50;

const READ: &str = "select coalesce(sum(records), 0)::bigint from streamer.checkpoint";

/// The seed of the moments of the kills; another one is another schedule.
const SEED: u64 = 20_261_121;

#[tokio::test]
async fn fifty_kills_lose_nothing_and_double_nothing() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 6, 10_000, 11));
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(SEED);
    let run = ["run", "--every", "0s", "--max-rows", "100"];
    let (mut kills, mut kills_at_work) = (0, 0);
    // A kill counts when it hits a streamer that has committed something and has more to do.
    while kills < KILLS {
        let before = db.number(READ).await;
        assert!(before < verdict.records, "all is loaded after {kills} kills; slow down the load");
        let streamer = Running::start(streamer(folder.path(), &run).env("DATABASE_URL", db.url()));
        streamer.wait_for_log("committed");
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..20_000))).await;
        let in_transaction = "select count(*) from pg_stat_activity
            where datname = current_database() and application_name = 'streamer' and xact_start is not null";
        kills_at_work += u32::from(db.number(in_transaction).await > 0);
        streamer.kill();
        kills += 1;
    }
    println!("{kills} kills, {kills_at_work} of them during a transaction");
    assert!(kills_at_work * 5 >= kills, "too few of the kills hit a transaction");
    let run = ["run", "--available-now"];
    Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url()));
    db.agrees_with(&verdict).await;
    assert_eq!(db.number(READ).await, verdict.records);
}

#[tokio::test]
async fn sigterm_ends_it_within_five_seconds_between_two_micro_batches() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 2, 20_000, 12));
    let run = ["run", "--every", "0s", "--max-rows", "100"];
    for _ in 0..5 {
        let streamer = Running::start(streamer(folder.path(), &run).env("DATABASE_URL", db.url()));
        streamer.wait_for_log("committed");
        let (code, time) = streamer.terminate();
        assert_eq!(code, Some(0));
        assert!(time < Duration::from_secs(5), "it took {time:?}");
    }
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(3);
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn sigterm_ends_it_in_time_even_when_a_lock_holds_up_the_micro_batch() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 1, 1000, 13));
    let mut locker = db.connect().await;
    sqlx::raw_sql("begin; lock table user_events").execute(&mut locker).await.unwrap();
    let mut run = streamer(folder.path(), &["run"]);
    let running = Running::start(run.env("DATABASE_URL", db.url()));
    let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
        where d.datname = current_database() and not l.granted";
    db.wait_for(waiting, 1).await;
    let (code, time) = running.terminate();
    assert_eq!(code, Some(0));
    assert!(time < Duration::from_secs(5), "it took {time:?}");
    sqlx::raw_sql("rollback").execute(&mut locker).await.unwrap();
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(3);
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn a_connection_that_the_server_ends_again_and_again_costs_nothing() {
    let (db, folder) = (TestDb::create().await, folder());
    // The connections of idle streams would count, and cost nothing in any case.
    one_stream(folder.path());
    let verdict = judge(&generate(folder.path(), 2, 10_000, 14));
    let run = ["run", "--every", "0s", "--max-rows", "100"];
    let running = Running::start(streamer(folder.path(), &run).env("DATABASE_URL", db.url()));
    running.wait_for_log("committed");
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and application_name = 'streamer'";
    let mut ended = 0;
    while ended < 10 {
        let read = db.number(READ).await;
        assert!(read < verdict.records, "all is loaded after {ended} ends; slow down the load");
        // None, where it is just about to connect.
        ended += db.number(end).await;
        db.wait_for(&format!("select (({READ}) > {read})::int::bigint"), 1).await;
    }
    db.wait_for(READ, verdict.records).await;
    running.signal(Signal::SIGTERM);
    db.agrees_with(&verdict).await;
}
