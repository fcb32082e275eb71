//! Idempotency-Keys: what comes twice under one is stored once, whichever streamer takes it and
//! whatever becomes of it.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::json;
use sqlx::PgConnection;

use crate::support::{Answer, Ended, Http, Running, TestDb, folder, streamer, wait_until};

const EVENTS: &str = "/streams/plain/events";
const WAIT: &str = "/streams/plain/events?wait=commit";

/// Sums over all micro-batches: records, rows, repeated, dead letters.
const SUMS: &str = "select sum(records), sum(rows), sum(repeated), sum(dead_letters)
                      from streamer.micro_batch";

/// A table in which a record that is stored twice is there twice, and a folder for it.
async fn plain() -> (TestDb, tempfile::TempDir) {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table plain (n int, note text)").await;
    settings(folder.path(), "");
    (db, folder)
}

fn settings(folder: &Path, more: &str) {
    let text = format!("[stream.plain]\nfiles = '*.csv'\nscan_every = '1s'\n{more}");
    fs::write(folder.join("streams.toml"), text).unwrap();
}

fn start(db: &TestDb, folder: &Path) -> (Running, Http) {
    let run = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    let running = Running::start(streamer(folder, &run).env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    (running, http)
}

fn post(http: Http, path: &str, key: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "text/csv"), ("Idempotency-Key", key)];
    http.post_with(path, &headers, body.as_bytes())
}

/// Posts on a thread of its own, because the answer waits for something.
fn waiting(http: Http, key: &'static str, body: &'static str) -> std::thread::JoinHandle<Answer> {
    std::thread::spawn(move || post(http, WAIT, key, body))
}

/// Lets nothing be committed to the table before it is dropped.
async fn hold(db: &TestDb) -> PgConnection {
    let mut conn = db.connect().await;
    sqlx::raw_sql("begin; lock table plain in share mode").execute(&mut conn).await.unwrap();
    conn
}

fn drain(db: &TestDb, folder: &Path) -> Ended {
    let run = ["run", "--available-now"];
    Ended::of(streamer(folder, &run).env("DATABASE_URL", db.url()))
}

#[tokio::test]
async fn two_streamers_store_what_comes_to_both_once() {
    let (db, folder) = plain().await;
    let ((a, to_a), (b, to_b)) = (start(&db, folder.path()), start(&db, folder.path()));
    let held = hold(&db).await;
    // Neither can know of the other's before one of them is committed.
    let one = post(to_a, EVENTS, "k", "n\n1\n2\n").expect(202).json();
    let other = post(to_b, EVENTS, "k", "n\n1\n2\n").expect(202).json();
    assert_eq!((&one, &other), (&json!({"accepted": 2}), &json!({"accepted": 2})));
    let again = post(to_a, EVENTS, "k", "n\n1\n2\n").expect(202).json();
    assert_eq!(again, json!({"accepted": 2, "repeated": true}));
    let (waits_a, waits_b) = (waiting(to_a, "k", "n\n1\n2\n"), waiting(to_b, "k", "n\n1\n2\n"));
    drop(held);
    for answer in [waits_a, waits_b] {
        let answer = tokio::task::spawn_blocking(|| answer.join().unwrap()).await.unwrap();
        assert_eq!(answer.expect(200).json(), json!({"accepted": 2, "repeated": true}));
        assert_eq!(db.number("select count(*) from plain").await, 2);
    }
    db.wait_for("select coalesce(sum(records), 0)::bigint from streamer.micro_batch", 4).await;
    assert_eq!(db.rows(SUMS).await, ["4|2|2|0"]);
    // Now both know, and tell those who send something else.
    for http in [to_a, to_b] {
        let again = post(http, WAIT, "k", "n\n1\n2\n").expect(200).json();
        assert_eq!(again, json!({"accepted": 2, "repeated": true}));
        post(http, EVENTS, "k", "n\n1\n").expect(422);
    }
    assert_eq!((a.terminate().0, b.terminate().0), (Some(0), Some(0)));
    let status = Ended::of(streamer(folder.path(), &["status"]).env("DATABASE_URL", db.url()));
    assert!(status.expect(0).stdout.contains("2 rows, 0 duplicates, 2 repeated"));
}

#[tokio::test]
async fn of_two_bodies_under_one_key_the_later_one_is_dead_letters() {
    let (db, folder) = plain().await;
    let ((_a, to_a), (_b, to_b)) = (start(&db, folder.path()), start(&db, folder.path()));
    let held = hold(&db).await;
    post(to_a, EVENTS, "k", "n\n1\n2\n").expect(202);
    // It was acknowledged, and can't be refused any more.
    post(to_b, EVENTS, "k", "n\n7\n8\nnonsense\n").expect(202);
    drop(held);
    db.wait_for("select coalesce(sum(records), 0)::bigint from streamer.micro_batch", 5).await;
    let rows = db.number("select count(*) from plain").await;
    let letters = db.rows("select reasons -> 0 ->> 'reason' from streamer.dead_letter").await;
    let reused = letters.iter().filter(|one| one.contains("used before")).count();
    // Whichever came first has its rows; the nonsense is a dead letter by itself.
    assert_eq!((rows, letters.len(), reused), (2, 3, 2), "{letters:?}");
    assert_eq!(db.number("select count(*) from streamer.idempotency_key").await, 1);
}

#[tokio::test]
async fn a_database_that_is_away_keeps_nobody_waiting_and_a_key_counts_once_it_is_back() {
    let (db, folder) = plain().await;
    let ((a, to_a), (_b, to_b)) = (start(&db, folder.path()), start(&db, folder.path()));
    post(to_a, WAIT, "before", "n\n1\n").expect(200);
    db.lock_out().await;
    let again = post(to_a, EVENTS, "before", "n\n1\n").expect(202).json();
    assert_eq!(again, json!({"accepted": 1, "repeated": true}), "it has taken it itself");
    for http in [to_a, to_b] {
        post(http, EVENTS, "during", "n\n2\n").expect(202);
        post(http, EVENTS, "before", "n\n1\n").expect(202);
    }
    post(to_a, EVENTS, "during", "n\n3\n").expect(422);
    a.kill();
    db.let_in().await;
    db.wait_for("select count(*) from plain where n = 2", 1).await;
    drop(drain(&db, folder.path()));
    db.wait_for("select coalesce(sum(repeated), 0)::bigint from streamer.micro_batch", 2).await;
    assert_eq!(db.rows("select n from plain order by n").await, ["1", "2"]);
}

#[tokio::test]
async fn a_request_with_a_key_is_committed_in_one_transaction() {
    let (db, folder) = plain().await;
    settings(folder.path(), "max_rows = 10\n");
    let (_running, http) = start(&db, folder.path());
    let body = |from: u32| {
        "n\n".to_owned() + &(from..from + 35).map(|n| format!("{n}\n")).collect::<String>()
    };
    let key = [("Content-Type", "text/csv"), ("Idempotency-Key", "k")];
    http.post_with(WAIT, &key, body(0).as_bytes()).expect(200);
    assert_eq!(db.rows("select records from streamer.micro_batch").await, ["35"]);
    http.post(WAIT, body(100)).expect(200);
    assert_eq!(
        db.number("select max(records) from streamer.micro_batch where batch_id > 1").await,
        10
    );
    // Blank lines at its end are no part of the next one.
    let headers = [("Content-Type", "text/csv"), ("Idempotency-Key", "blank")];
    http.post_with(WAIT, &headers, b"n\n1\n\n\r\n\n").expect(200);
    http.post_with(WAIT, &key, body(0).as_bytes()).expect(200);
    assert_eq!(db.number("select count(*) from plain").await, 71);
}

#[tokio::test]
async fn keys_that_are_too_old_are_forgotten() {
    let (db, folder) = plain().await;
    settings(folder.path(), "idempotency_keep = '1h'\n");
    let (running, http) = start(&db, folder.path());
    post(http, WAIT, "k", "n\n1\n").expect(200);
    running.terminate();
    db.execute("update streamer.idempotency_key set created_at = now() - interval '61 minutes'")
        .await;
    let (_running, http) = start(&db, folder.path());
    let answer = post(http, WAIT, "k", "n\n2\n").expect(200).json();
    assert_eq!(answer["rows"], 1);
    db.execute("update streamer.idempotency_key set created_at = now() - interval '61 minutes'")
        .await;
    drop(_running);
    let (_running, _) = start(&db, folder.path());
    db.wait_for("select count(*) from streamer.idempotency_key", 0).await;
}

#[tokio::test]
async fn what_a_former_version_has_left_is_loaded_and_its_keys_are_known() {
    let (db, folder) = plain().await;
    let spool = folder.path().join("spool/plain");
    fs::create_dir_all(&spool).unwrap();
    let csv = "20261130T120335.261Z-21505-0.csv";
    let ndjson = "20261130T120335.268Z-21505-0.ndjson";
    // Written by that version; but for the times, which are those of now.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let journal = format!(
        "{now} c9cbc8166703d7b011d9552b2b5188a5 6929272d6784e52cd6293920eee9e0c1 2 7 27 {csv}\n\
         {now} 885b08846244feb4e13dcb4be2a53071 514373dfff771d62f9586772fe30b776 1 27 35 {csv}\n\
         {now} 33f48252ce0cd5aa7589dffb1f1a229a e91f877cc2336dc85ac30f60b28b3f71 2 0 30 {ndjson}\n"
    );
    // A damaged line is no hindrance.
    let journal = [b"\xff\xfe garbage\n", journal.as_bytes(), b"\xff"].concat();
    fs::write(spool.join("01796040215261833881-21505.keys"), journal).unwrap();
    fs::write(spool.join(csv), "n,note\n1,one\n2,\"two\nlines\"\n3,three\n4,four\n").unwrap();
    // It was torn within the records of the third key.
    fs::write(spool.join(ndjson), "{\"n\":5,\"note\":\"five\"}\n{\"n\"").unwrap();
    let (_running, http) = start(&db, folder.path());
    let again = post(http, EVENTS, "first", "n,note\n1,one\n2,\"two\nlines\"\n").expect(202).json();
    assert_eq!(again, json!({"accepted": 2, "repeated": true}));
    post(http, EVENTS, "second", "n,note\n7,three\n").expect(422);
    let headers = [("Content-Type", "application/x-ndjson"), ("Idempotency-Key", "third")];
    let lines = b"{\"n\":5,\"note\":\"five\"}\n{\"n\":6}";
    let answer = http.post_with(WAIT, &headers, lines).expect(200).json();
    assert_eq!(answer["rows"], 2);
    db.wait_for("select count(*) from plain", 6).await;
    db.wait_for("select count(*) from streamer.idempotency_key", 3).await;
    let journals = || fs::read_dir(&spool).unwrap().flatten();
    wait_until("the journals are gone", || {
        journals().all(|file| file.path().extension().is_none_or(|ending| ending != "keys"))
    })
    .await;
}

#[tokio::test]
async fn reset_forgets_keys_and_keeps_what_is_not_committed() {
    let (db, folder) = plain().await;
    let (running, http) = start(&db, folder.path());
    post(http, WAIT, "k", "n\n1\n").expect(200);
    let held = hold(&db).await;
    post(http, EVENTS, "l", "n\n2\n").expect(202);
    running.kill();
    drop(held);
    let reset = ["reset", "plain", "--rows", "--yes"];
    Ended::of(streamer(folder.path(), &reset).env("DATABASE_URL", db.url())).expect(0);
    assert_eq!(db.number("select count(*) from plain").await, 0);
    let (_running, http) = start(&db, folder.path());
    // What was accepted and not committed comes, what was committed does not come back by itself.
    db.wait_for("select count(*) from plain", 1).await;
    assert_eq!(db.rows("select n from plain").await, ["2"]);
    // And is not known.
    let answer = post(http, WAIT, "k", "n\n1\n").expect(200).json();
    assert_eq!(answer, json!({"accepted": 1, "rows": 1, "duplicates": 0, "dead_letters": 0}));
    assert_eq!(db.rows("select n from plain order by n").await, ["1", "2"]);
}
