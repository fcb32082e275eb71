//! When micro-batches start, how many records they have, and what is told of what waits.
//!
//! Where files have a pace of an hour, whatever is loaded beyond the first micro-batch shows that it
//! was not held back.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::SystemTime;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Ended, Http, Running, TestDb, folder, streamer, wait_until};

const ROWS: &str = "select count(*) from t";
const MICRO_BATCHES: &str = "select count(distinct batch_id) from streamer.micro_batch";

/// A stream with these settings into an empty table.
async fn stream(folder: &Path, settings: &str) -> TestDb {
    let db = TestDb::create().await;
    db.execute("create table t (id bigint primary key, note text, more text)").await;
    let text = format!("[stream.t]\nfiles = 't*.csv*'\nscan_every = '300ms'\n{settings}\n");
    fs::write(folder.join("streams.toml"), text).unwrap();
    db
}

fn records(ids: std::ops::Range<u32>) -> String {
    let lines = ids.map(|id| format!("{id},n\n"));
    ["id,note\n".to_owned()].into_iter().chain(lines).collect()
}

fn run(folder: &Path, db: &TestDb) -> Running {
    let mut run = streamer(folder, &["run", "--listen", "127.0.0.1:0"]);
    Running::start(run.env("DATABASE_URL", db.url()))
}

fn status(folder: &Path, db: &TestDb, args: &[&str]) -> String {
    let args = [&["status"], args].concat();
    Ended::of(streamer(folder, &args).env("DATABASE_URL", db.url())).expect(0).stdout
}

#[tokio::test]
async fn the_pace_of_files_does_not_hold_listeners_back() {
    let folder = folder();
    let db = stream(folder.path(), "every = '1h'\n").await;
    fs::write(folder.path().join("t1.csv"), records(0..3000)).unwrap();
    let running = run(folder.path(), &db);
    db.wait_for(ROWS, 1000).await;
    let http = Http::ready(&running);
    let answer = http.post("/streams/t/events?wait=commit", records(10_000..10_001)).expect(200);
    assert_eq!(answer.json()["rows"], 1);
    for start in [20_000, 25_000, 30_000, 35_000] {
        http.post("/streams/t/events", records(start..start + 5000)).expect(202);
    }
    db.wait_for(ROWS, 21_001).await;
    // The file's next micro-batch is in an hour.
    assert_eq!(db.number("select count(*) from t where id < 10000").await, 1000);
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_full_micro_batch_does_not_wait_for_linger() {
    let folder = folder();
    let settings = "every = '1h'\nlinger = '1h'\nmax_rows = 20\n";
    let db = stream(folder.path(), settings).await;
    let running = run(folder.path(), &db);
    let http = Http::ready(&running);
    for id in 0..20 {
        http.post("/streams/t/events", records(id..id + 1)).expect(202);
    }
    db.wait_for(ROWS, 20).await;
    assert_eq!(db.number(MICRO_BATCHES).await, 1, "all waited for the last");
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_trigger_takes_files_with_different_headers() {
    let folder = folder();
    let db = stream(folder.path(), "every = '1h'\nmax_rows = 6\n").await;
    for id in 0..8 {
        let text = match id % 2 {
            0 => format!("id,note\n{id},n\n"),
            _ => format!("id,more\n{id},m\n"),
        };
        fs::write(folder.path().join(format!("t{id}.csv")), text).unwrap();
    }
    let running = run(folder.path(), &db);
    db.wait_for(ROWS, 6).await;
    assert_eq!(running.terminate().0, Some(0));
    assert_eq!(db.number(MICRO_BATCHES).await, 6);
    assert_eq!(db.number(ROWS).await, 6, "a trigger takes no more than max_rows");
}

#[tokio::test]
async fn catch_up_makes_no_pause_while_a_full_micro_batch_waits() {
    let folder = folder();
    let db = stream(folder.path(), "every = '1h'\ncatch_up = true\nmax_rows = 100\n").await;
    fs::write(folder.path().join("t1.csv"), records(0..1050)).unwrap();
    let running = run(folder.path(), &db);
    db.wait_for(ROWS, 1000).await;
    assert_eq!(running.terminate().0, Some(0));
    assert_eq!(db.number(ROWS).await, 1000, "the rest is no full micro-batch");
    assert_eq!(db.number(MICRO_BATCHES).await, 10);
}

#[tokio::test]
async fn the_size_of_micro_batches_follows_what_waits() {
    let folder = folder();
    let db = stream(folder.path(), "writers = 1\n").await;
    fs::write(folder.path().join("t1.csv"), records(0..60_000)).unwrap();
    let mut command = streamer(folder.path(), &["run", "--available-now"]);
    let ended = Ended::of(command.env("DATABASE_URL", db.url())).expect(0);
    assert_eq!(db.number(ROWS).await, 60_000);
    let greatest = db.number("select max(records)::bigint from streamer.micro_batch").await;
    let last = "select records from streamer.micro_batch order by batch_id desc limit 1";
    assert!((5_000..=30_000).contains(&greatest), "{greatest}");
    assert!(db.number(last).await <= 1000, "what is left makes a small one");
    assert!(db.number(MICRO_BATCHES).await < 40);
    assert!(ended.stderr.contains("max_rows="), "{}", ended.stderr);
    // What is set is kept to.
    fs::write(folder.path().join("t2.csv"), records(60_000..70_000)).unwrap();
    let args = ["run", "--available-now", "--max-rows", "500"];
    let ended = Ended::of(streamer(folder.path(), &args).env("DATABASE_URL", db.url())).expect(0);
    assert!(!ended.stderr.contains("max_rows="), "{}", ended.stderr);
    let of_second =
        "select max(records)::bigint from streamer.micro_batch where partition = 't2.csv'";
    assert_eq!(db.number(of_second).await, 500);
}

#[tokio::test]
async fn a_large_file_does_not_hold_listeners_back_where_there_are_no_pauses() {
    let folder = folder();
    let db = stream(folder.path(), "every = '0s'\nwriters = 1\nmax_rows = 10\n").await;
    fs::write(folder.path().join("t1.csv"), records(0..50_000)).unwrap();
    let running = run(folder.path(), &db);
    let http = Http::ready(&running);
    db.wait_for("select least(count(*), 10) from t", 10).await;
    http.post("/streams/t/events?wait=commit", records(100_000..100_010)).expect(200);
    assert!(db.number(ROWS).await < 50_010, "the file is not loaded yet");
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn live_files_go_before_the_backlog() {
    let folder = folder();
    let db = stream(folder.path(), "every = '20ms'\nmax_rows = 10\nlive_first = true\n").await;
    fs::write(folder.path().join("t1.csv"), records(0..50_000)).unwrap();
    // A file counts as live by the second in which it changed.
    let began = SystemTime::now();
    wait_until("the next second", || began.elapsed().is_ok_and(|age| age.as_millis() > 1100)).await;
    let running = run(folder.path(), &db);
    running.wait_for_log("committed");
    fs::write(folder.path().join("t2.csv"), records(100_000..100_100)).unwrap();
    db.wait_for("select count(*) from t where id >= 100000", 100).await;
    assert!(db.number(ROWS).await < 50_100, "the backlog is not loaded yet");
    // What was put aside goes on where it stood.
    let later = "select count(*) from (select from streamer.micro_batch where partition = 't1.csv'
                    and batch_id > (select max(batch_id) from streamer.micro_batch
                                     where partition = 't2.csv') limit 4) l";
    db.wait_for(later, 4).await;
    running.signal(Signal::SIGINT);
    let (code, log) = running.wait();
    assert_eq!(code, Some(0));
    assert!(!log.contains("catch_up"), "it was told before the first commit, and is told once");
    let gaps = "select max(end_offset) - sum(end_offset - start_offset)::bigint
                  from streamer.micro_batch where partition = 't1.csv'";
    assert_eq!(db.number(gaps).await, 0);
}

#[tokio::test]
async fn a_pace_that_takes_long_is_told_with_how_much_waits() {
    let folder = folder();
    let db = stream(folder.path(), "every = '20s'\nmax_rows = 100\n").await;
    fs::write(folder.path().join("t1.csv"), records(100_000..102_100)).unwrap();
    let running = run(folder.path(), &db);
    let http = Http::of(&running);
    let told = "at 100 records every 20s the 1,983 waiting take 6m 40s; catch_up = true loads";
    running.wait_for_log(told);
    let shown = status(folder.path(), &db, &[]);
    assert!(shown.contains("(about 1,983 records)") && shown.contains("6m 40s left"), "{shown}");
    assert!(shown.contains(told), "{shown}");
    let told: Value = serde_json::from_str(&status(folder.path(), &db, &["--json"])).unwrap();
    let stream = &told["streams"][0];
    assert_eq!((&stream["lag_records"], &stream["seconds_left"]), (&1983.into(), &400.into()));
    let metrics = http.get("/metrics").body;
    assert!(metrics.contains("streamer_lag_records{stream=\"t\"} 1983\n"), "{metrics}");
    assert!(metrics.contains("streamer_time_left_seconds{stream=\"t\"} 400.0\n"), "{metrics}");
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_run_that_is_stopped_tells_what_it_did() {
    let folder = folder();
    let db = stream(folder.path(), "every = '1h'\n").await;
    fs::write(folder.path().join("t1.csv"), records(0..5)).unwrap();
    let mut command = streamer(folder.path(), &["run"]);
    let command = command.env("DATABASE_URL", db.url()).stdout(Stdio::piped());
    let child = command.stderr(Stdio::null()).spawn().unwrap();
    db.wait_for("select coalesce(sum(records), 0)::bigint from streamer.checkpoint", 5).await;
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(told.contains("t1.csv") && told.contains("5 rows in "), "{told}");
}
