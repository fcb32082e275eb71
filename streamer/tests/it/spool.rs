//! What came by a listener, in spite of crashes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{Ended, Http, Running, TestDb, folder, streamer};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";
const ROWS: &str = "select count(*) from user_events";

/// The record of number `n`.
fn line(n: u32) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n")
}

fn csv(numbers: impl IntoIterator<Item = u32>) -> String {
    HEADER.to_owned() + &numbers.into_iter().map(line).collect::<String>()
}

fn start(folder: &Path, db: &TestDb, args: &[&str]) -> Running {
    let args = [&["run", "--listen", "127.0.0.1:0"], args].concat();
    Running::start(streamer(folder, &args).env("DATABASE_URL", db.url()))
}

fn drain(folder: &Path, db: &TestDb) -> Ended {
    Ended::of(streamer(folder, &["run", "--available-now"]).env("DATABASE_URL", db.url()))
}

/// The segments that are in the spool.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join("spool/user_events")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn what_is_posted_becomes_rows_and_the_segments_go() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, &["--every", "0s"]);
    let http = Http::ready(&running);
    for batch in 0..10 {
        let answer = http.post("/streams/user_events/events", csv(batch * 10..batch * 10 + 10));
        assert_eq!(answer.expect(202).json()["accepted"], 10);
    }
    db.wait_for(ROWS, 100).await;
    // Another order of columns is another segment.
    http.post(
        "/streams/user_events/events",
        "user_id,event_id,product_id,event_type,event_time\n\
        1,0190a5f0-0000-7000-8000-000099999999,1,view,2026-01-01T00:00:00Z\n",
    )
    .expect(202);
    db.wait_for(ROWS, 101).await;
    assert_eq!(segments(folder.path()).len(), 2);
    // Files of the folder are read beside them.
    fs::write(folder.path().join("user_events_1.csv"), csv(200..210)).unwrap();
    db.wait_for(ROWS, 111).await;
    assert_eq!(running.terminate().0, Some(0));
    // What is committed and left behind is not read again, but goes.
    drain(folder.path(), &db).expect(0);
    assert!(segments(folder.path()).is_empty(), "{:?}", segments(folder.path()));
    assert_eq!(db.number("select sum(records)::bigint from streamer.micro_batch").await, 111);
}

#[tokio::test]
async fn every_accepted_record_survives_kills_exactly_once_where_posts_have_keys() {
    let (db, folder) = (TestDb::create().await, folder());
    // Without a key in the table, nothing but the requests' keys keeps a record from being there
    // twice.
    db.execute("create table plain (n bigint, note text)").await;
    fs::write(folder.path().join("streams.toml"), "[stream.plain]\nfiles = 'plain*.csv'\n")
        .unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let http = Http { port };
    let address = format!("127.0.0.1:{port}");
    let start = || {
        let args = ["run", "--listen", &address, "--every", "0s"];
        Running::start(streamer(folder.path(), &args).env("DATABASE_URL", db.url()))
    };
    let (next, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    let posted = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let body: String =
                        (0..20).map(|i| format!("{},\"multi\nline\"\n", n * 20 + i)).collect();
                    let body = format!("n,note\n{body}");
                    let key = format!("request {n}");
                    let headers = [("Content-Type", "text/csv"), ("Idempotency-Key", key.as_str())];
                    // Again and again until it is accepted, as a careful client does.
                    loop {
                        let path = "/streams/plain/events";
                        match http.ask("POST", path, &headers, body.as_bytes()) {
                            Ok(answer) if answer.status == 202 => break,
                            _ => std::thread::sleep(Duration::from_millis(5)),
                        }
                    }
                    posted.lock().unwrap().insert(n);
                }
            });
        }
        for round in 0..6 {
            let running = start();
            http.wait_until_ready();
            std::thread::sleep(Duration::from_millis(150 + 70 * round));
            running.kill();
        }
        // The last ones get their answer.
        let running = start();
        is_over.store(true, Ordering::Relaxed);
        while Some(posted.lock().unwrap().len())
            != usize::try_from(next.load(Ordering::Relaxed)).ok()
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        running.kill();
    });
    let ended = drain(folder.path(), &db);
    assert!(matches!(ended.code, Some(0)), "{}", ended.stderr);
    let requests = i64::try_from(posted.lock().unwrap().len()).unwrap();
    assert!(requests > 50, "only {requests} requests in between");
    assert_eq!(db.number("select count(distinct n) from plain").await, requests * 20);
    assert_eq!(db.number("select count(*) from plain").await, requests * 20);
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 0);
    assert_eq!(fs::read_dir(folder.path().join("spool/plain")).unwrap().count(), 0);
}

#[tokio::test]
async fn accepted_is_rows_and_duplicates_and_dead_letters_after_a_kill() {
    let (db, folder) = (TestDb::create().await, folder());
    let mut accepted = BTreeSet::new();
    let mut sent = 0;
    for _ in 0..4 {
        let running = start(folder.path(), &db, &["--every", "0s", "--max-rows", "50"]);
        let http = Http::ready(&running);
        let killed = std::thread::scope(|scope| {
            let killer = scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(250));
                running.kill();
            });
            loop {
                let numbers: Vec<u32> = (sent..sent + 30).collect();
                sent += 30;
                // One of them is refused by the table's types, one is there twice.
                let body = csv(numbers.iter().copied()) + &line(numbers[0]) + "no,1,1,view,\n";
                let headers = [("Content-Type", "text/csv")];
                match http.ask("POST", "/streams/user_events/events", &headers, body.as_bytes()) {
                    Ok(answer) if answer.status == 202 => accepted.extend(numbers),
                    _ => break killer.join(),
                }
            }
        });
        killed.unwrap();
    }
    drain(folder.path(), &db).expect(3);
    let in_table: BTreeSet<u32> = db
        .rows("select user_id from user_events")
        .await
        .iter()
        .map(|id| id.parse().unwrap())
        .collect();
    assert!(accepted.len() > 300, "only {} before the kills", accepted.len());
    assert!(accepted.is_subset(&in_table), "an accepted record is lost");
    let sums = "select sum(records), sum(rows), sum(duplicates), sum(dead_letters) from streamer.micro_batch";
    let sums: Vec<usize> =
        db.rows(sums).await[0].split('|').map(|sum| sum.parse().unwrap()).collect();
    assert_eq!(sums[0], sums[1] + sums[2] + sums[3]);
    assert_eq!(sums[1], in_table.len());
    assert_eq!((sums[2], sums[3]), (sums[1] / 30, sums[1] / 30), "in each request one");
    assert!(segments(folder.path()).is_empty());
}

#[tokio::test]
async fn a_torn_segment_is_loaded_up_to_the_tear_and_one_that_is_held_is_left_alone() {
    let (db, folder) = (TestDb::create().await, folder());
    let spool = folder.path().join("spool/user_events");
    fs::create_dir_all(&spool).unwrap();
    let whole = csv(0..10);
    fs::write(spool.join("1.csv"), whole.clone() + &line(10)[..40]).unwrap();
    fs::write(spool.join("2.csv"), &HEADER[..10]).unwrap();
    let held = spool.join("3.csv");
    fs::write(&held, csv(20..30)).unwrap();
    let lock = fs::File::open(&held).unwrap();
    lock.lock().unwrap();
    let ended = drain(folder.path(), &db).expect(0);
    assert!(ended.stderr.contains("ended in the middle of a record"), "{}", ended.stderr);
    assert_eq!(db.number(ROWS).await, 10);
    assert_eq!(segments(folder.path()), [held]);
    drop(lock);
    drain(folder.path(), &db).expect(0);
    assert_eq!(db.number(ROWS).await, 20);
    assert!(segments(folder.path()).is_empty());
}

#[tokio::test]
async fn two_streamers_on_one_folder_load_what_either_took_once() {
    let (db, folder) = (TestDb::create().await, folder());
    let both = [(); 2].map(|()| start(folder.path(), &db, &["--every", "0s"]));
    let [one, two] = [&both[0], &both[1]].map(Http::ready);
    for n in 0..50 {
        one.post("/streams/user_events/events", csv([n * 2])).expect(202);
        two.post("/streams/user_events/events", csv([n * 2 + 1])).expect(202);
    }
    db.wait_for(ROWS, 100).await;
    let [one, two] = both;
    one.kill();
    // The other takes up what is left behind, if anything is.
    assert_eq!(two.terminate().0, Some(0));
    drain(folder.path(), &db).expect(0);
    assert_eq!(db.number("select sum(records)::bigint from streamer.micro_batch").await, 100);
}

#[tokio::test]
async fn a_full_spool_is_told_and_takes_more_once_there_is_room() {
    let (db, folder) = (TestDb::create().await, folder());
    let settings = "[server]\nmax_spool = '4KiB'\n[stream.user_events]\nfiles = '*.csv'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let running = start(folder.path(), &db, &["--every", "0s"]);
    let http = Http::ready(&running);
    // Somebody holds the table, so nothing is committed.
    let mut conn = db.connect().await;
    sqlx::raw_sql("begin; lock table user_events").execute(&mut conn).await.unwrap();
    let mut accepted = 0;
    let full = loop {
        let answer = http.post("/streams/user_events/events", csv(accepted..accepted + 10));
        match answer.status {
            202 => accepted += 10,
            _ => break answer.expect(429),
        }
        assert!(accepted < 1000, "it has no limit");
    };
    assert!(full.header("retry-after").is_some());
    sqlx::raw_sql("commit").execute(&mut conn).await.unwrap();
    db.wait_for(ROWS, i64::from(accepted)).await;
    http.post("/streams/user_events/events", csv(accepted..accepted + 10)).expect(202);
    db.wait_for(ROWS, i64::from(accepted) + 10).await;
}

#[tokio::test]
async fn records_of_a_stream_that_is_not_named_any_more_are_told_of_and_wait() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table plain (n int)").await;
    let name = |stream: &str| {
        let text = format!("[stream.{stream}]\nfiles = '*.csv'\ntable = 'plain'\n");
        fs::write(folder.path().join("streams.toml"), text).unwrap();
    };
    name("before");
    let running = start(folder.path(), &db, &["--every", "0s"]);
    let http = Http::ready(&running);
    let mut conn = db.connect().await;
    sqlx::raw_sql("begin; lock table plain").execute(&mut conn).await.unwrap();
    http.post("/streams/before/events", "n\n1\n").expect(202);
    running.kill();
    drop(conn);
    name("after");
    let running = start(folder.path(), &db, &["--every", "0s"]);
    let http = Http::ready(&running);
    running.wait_for_log("spool/before holds records that were accepted");
    let health = Ended::of(&mut streamer(folder.path(), &["health"])).expect(1);
    assert!(health.stderr.contains("name that stream until they are loaded"), "{}", health.stderr);
    assert_eq!(http.get("/readyz").status, 200, "all else is taken");
    running.terminate();
    name("before");
    let _running = start(folder.path(), &db, &["--every", "0s"]);
    db.wait_for("select count(*) from plain", 1).await;
}
