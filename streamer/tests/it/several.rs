//! Several streamers on one folder: each file is worked by one of them at a time.

use crate::support::{Ended, Running, TestDb, folder, generate, judge, streamer};

/// How many of four files are not read to their end.
const LEFT: &str = "select 4 - count(*) from streamer.checkpoint where state = 'done'";

fn start(db: &TestDb, folder: &std::path::Path) -> Running {
    let run = ["run", "--every", "0s", "--max-rows", "50"];
    Running::start(streamer(folder, &run).env("DATABASE_URL", db.url()))
}

#[tokio::test]
async fn two_streamers_share_the_files_and_one_takes_over_from_the_other() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 4, 10_000, 24));
    let (first, second) = (start(&db, folder.path()), start(&db, folder.path()));
    first.wait_for_log("committed");
    second.wait_for_log("committed");
    assert!(db.number(LEFT).await > 0, "there is something left to take over");
    first.kill();
    db.wait_for(LEFT, 0).await;
    let log = second.log().join("\n");
    assert!(!log.contains("standing by"), "they got in each other's way:\n{log}");
    assert_eq!(second.terminate().0, Some(0));
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn a_file_is_left_to_the_streamer_that_is_at_work_on_it_until_that_is_gone() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 1, 20_000, 28));
    let first = start(&db, folder.path());
    first.wait_for_log("committed");
    let second = start(&db, folder.path());
    second.wait_for_log("leaving them to it");
    let left = "select 1 - count(*) from streamer.checkpoint where state = 'done'";
    assert_eq!(db.number(left).await, 1, "there is something left to take over");
    first.kill();
    second.wait_for_log("committed");
    db.wait_for(left, 0).await;
    assert_eq!(second.terminate().0, Some(0));
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn four_streamers_at_once_load_everything_once() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 4, 3000, 26));
    let run = ["run", "--available-now", "--max-rows", "100"];
    let start = || {
        let mut command = streamer(folder.path(), &run);
        command.env("DATABASE_URL", db.url());
        tokio::task::spawn_blocking(move || Ended::of(&mut command))
    };
    for ended in [start(), start(), start(), start()] {
        let code = ended.await.unwrap().code;
        assert!(matches!(code, Some(0 | 3)), "{code:?}");
    }
    db.agrees_with(&verdict).await;
}

/// Runs `count` streamers, one of which is killed again and again.
async fn kill_one_of(count: usize, seed: u64) {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 4, 8000, seed));
    let _others: Vec<Running> = (1..count).map(|_| start(&db, folder.path())).collect();
    let mut kills = 0;
    while db.number(LEFT).await > 0 {
        let victim = start(&db, folder.path());
        tokio::time::sleep(std::time::Duration::from_millis(100 + kills * 13 % 70)).await;
        victim.kill();
        kills += 1;
    }
    assert!(kills >= 3, "only {kills} kills before all was loaded");
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn one_of_two_streamers_can_be_killed_again_and_again() {
    kill_one_of(2, 29).await;
}

#[tokio::test]
async fn one_of_four_streamers_can_be_killed_again_and_again() {
    kill_one_of(4, 30).await;
}
