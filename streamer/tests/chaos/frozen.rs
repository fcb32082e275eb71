//! A streamer that stands still for longer than every timeout, and another that takes over from it.
//! This takes over a minute of waiting, so it happens beside the random schedule.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Running, TestDb, folder, generate, judge, one_stream, streamer};

/// Files that are not read to their end.
const LEFT: &str = "select 2 - count(*) from streamer.checkpoint where state = 'done'";

/// Freezes a streamer when so many of its `sessions` are as `condition` says, has another one take
/// over, and thaws it.
async fn freeze(condition: &str, sessions: i64, seed: u64) {
    let (db, folder) = (TestDb::create().await, folder());
    one_stream(folder.path());
    let verdict = judge(&generate(folder.path(), 2, 8000, seed));
    let run = ["run", "--every", "0s", "--max-rows", "20", "--writers", "1"];
    let start = || Running::start(streamer(folder.path(), &run).env("DATABASE_URL", db.url()));
    let frozen = start();
    frozen.wait_for_log("committed");
    let query = format!(
        "select count(*) from pg_stat_activity where datname = current_database()
            and application_name = 'streamer' and {condition}
            and query not like '%streamer.instance%'"
    );
    loop {
        frozen.signal(Signal::SIGSTOP);
        // What it had sent may still be at work.
        tokio::time::sleep(Duration::from_millis(50)).await;
        if db.number(&query).await == sessions {
            break;
        }
        assert!(db.number(LEFT).await > 0, "all is loaded before it was so");
        frozen.signal(Signal::SIGCONT);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let other = start();
    let other = tokio::task::spawn_blocking(move || {
        other.wait_for_log("leaving them to it");
        other
    });
    let other = other.await.unwrap();
    let overdue = Instant::now() + Duration::from_secs(120);
    while db.number(LEFT).await > 0 && Instant::now() < overdue {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    db.wait_for(LEFT, 0).await;
    db.agrees_with(&verdict).await;
    frozen.signal(Signal::SIGCONT);
    assert_eq!(frozen.terminate().0, Some(0));
    assert_eq!(other.terminate().0, Some(0));
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn a_streamer_frozen_in_a_transaction_is_replaced_and_does_no_harm_when_it_wakes() {
    freeze("state = 'idle in transaction'", 1, 51).await;
}

#[tokio::test]
async fn a_streamer_frozen_between_transactions_is_replaced_and_does_no_harm_when_it_wakes() {
    freeze("state <> 'idle'", 0, 52).await;
}
