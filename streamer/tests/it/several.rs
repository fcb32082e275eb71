//! Several streamers on one folder: each file is worked by one of them at a time.

use std::time::Instant;

use crate::instances::status;
use crate::support::{Ended, Http, Running, TestDb, folder, generate, judge, streamer, wait_until};

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

#[tokio::test]
async fn what_waits_in_the_files_and_the_spool_of_one_that_is_killed_the_other_loads_once() {
    let (db, folder) = (TestDb::create().await, folder());
    let streams = "[stream.user_events]\nfiles = 'user_events_*.csv'\n\
                   [stream.plain]\nfiles = 'plain_*.csv'\n";
    std::fs::write(folder.path().join("streams.toml"), streams).unwrap();
    // Without a key, what was loaded twice would be there twice.
    db.execute("create table plain (n bigint)").await;
    let verdict = judge(&generate(folder.path(), 4, 500, 31));
    // Nothing can be committed as yet.
    let mut locker = db.connect().await;
    let lock = "begin; lock table user_events, plain in share mode";
    sqlx::raw_sql(lock).execute(&mut locker).await.unwrap();
    let start = || {
        let run = ["run", "--every", "0s", "--writers", "1", "--listen", "127.0.0.1:0"];
        Running::start(streamer(folder.path(), &run).env("DATABASE_URL", db.url()))
    };
    let first = start();
    let http = Http::ready(&first);
    for n in 0..200 {
        http.post("/streams/plain/events", format!("n\n{n}\n")).expect(202);
    }
    let waiting = "select count(distinct l.pid) from pg_locks l join pg_stat_activity a using (pid)
                    where a.datname = current_database() and a.application_name = 'streamer'
                      and not l.granted";
    db.wait_for(waiting, 2).await;
    // All of it is in the hands of the first: the second has nothing to do.
    let second = start();
    second.wait_for_log("leaving them to it");
    let mut pids = [u64::from(first.id()), u64::from(second.id())];
    pids.sort_unstable();
    wait_until("status shows both", || {
        let (text, instances) = status(&db, folder.path());
        let mut seen: Vec<u64> = instances.iter().filter_map(|one| one["pid"].as_u64()).collect();
        seen.sort_unstable();
        seen == pids && text.starts_with("2 streamers are at work\n")
    })
    .await;
    first.kill();
    let killed = Instant::now();
    sqlx::raw_sql("commit").execute(&mut locker).await.unwrap();
    let left = "select 200 - count(*) + (select 4 - count(*) from streamer.checkpoint
                    where state = 'done' and stream = 'user_events') from plain";
    db.wait_for(left, 0).await;
    println!("all of it was loaded {:.2} s after the kill", killed.elapsed().as_secs_f64());
    assert_eq!(db.rows("select count(*), count(distinct n) from plain").await, ["200|200"]);
    assert_eq!(second.terminate().0, Some(0));
    db.agrees_with(&verdict).await;
}
