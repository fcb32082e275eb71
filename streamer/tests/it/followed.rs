//! `GET /streams/{stream}/live`: the rows that are committed, each at most once, to whoever may
//! read them and does.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Events, Http, Running, TestDb, folder, streamer, wait_until};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time,category\n";
const LIVE: &str = "/streams/user_events/live";
const POST: &str = "/streams/user_events/events?wait=commit";
const TOKEN: &str = "canary-0123456789abcdef0123456789abcdef";

fn csv(numbers: impl IntoIterator<Item = u32>) -> String {
    let line = |n: u32| {
        let category = if n.is_multiple_of(2) { "toys & more" } else { "books" };
        format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z,{category}\n")
    };
    HEADER.to_owned() + &numbers.into_iter().map(line).collect::<String>()
}

fn start(folder: &Path, db: &TestDb, more: &str) -> (Running, Http) {
    let settings = format!("[stream.user_events]\nfiles = '*.csv'\n{more}");
    fs::write(folder.join("streams.toml"), settings).unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    let running = Running::start(streamer(folder, &args).env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    (running, http)
}

fn follow(http: Http, query: &str) -> Events {
    let events = Events::open(http, &format!("{LIVE}{query}"), &[]);
    assert_eq!(events.status, 200);
    events
}

/// The users of the next rows; anything else is an error.
fn users(events: &mut Events, count: usize) -> Vec<u64> {
    let mut users: Vec<u64> = (0..count)
        .map(|_| {
            let (name, row) = events.next().expect("the rows go on");
            assert_eq!(name, "", "{row}");
            row["user_id"].as_u64().unwrap()
        })
        .collect();
    users.sort_unstable();
    users
}

#[tokio::test]
async fn rows_are_told_once_with_their_micro_batch_and_only_those_wanted() {
    let (db, folder) = (TestDb::create().await, folder());
    let (_running, http) = start(folder.path(), &db, "");
    http.post(POST, csv(0..4)).expect(200);
    let mut all = follow(http, "");
    let mut toys = follow(http, "?where.category=toys%20%26%20more");
    let mut one = follow(http, "?where.category=books&where.user_id=7");
    // Neither what was there before, nor duplicates, nor dead letters.
    let bad = "bad,1,1,view,,\n";
    http.post(POST, csv(2..10) + bad).expect(200);
    assert_eq!(users(&mut all, 6), [4, 5, 6, 7, 8, 9]);
    assert_eq!(users(&mut toys, 3), [4, 6, 8]);
    let (_, row) = one.next().unwrap();
    let batch = row["batch_id"].as_i64().unwrap();
    let sql = format!("select count(*) from user_events where batch_id = {batch}");
    assert_eq!(db.number(&sql).await, 6);
    let json = "select to_json(t.*)::text from user_events t where user_id = 7";
    assert_eq!(row, serde_json::from_str::<Value>(&db.rows(json).await[0]).unwrap());
    // Files as well.
    fs::write(folder.path().join("a.csv"), csv(8..3000)).unwrap();
    assert_eq!(users(&mut all, 2990), (10..3000).collect::<Vec<u64>>());
    http.post(POST, csv(3000..3001)).expect(200);
    assert_eq!(users(&mut all, 1), [3000]);
    assert_eq!(users(&mut toys, 1496).last(), Some(&3000));
}

#[tokio::test]
async fn what_is_not_told_is_a_gap() {
    let (db, folder) = (TestDb::create().await, folder());
    let (_running, http) = start(folder.path(), &db, "max_rows = 30000\n");
    let mut again = Events::open(http, LIVE, &[("Last-Event-ID", "7:0")]);
    let (name, gap) = again.next().unwrap();
    assert_eq!((name.as_str(), &gap["rows"]), ("gap", &Value::Null));
    // More than are told at once.
    fs::write(folder.path().join("a.csv"), csv(0..25_000)).unwrap();
    let (mut rows, mut missed) = (0, 0);
    while rows + missed < 25_000 {
        match again.next().unwrap() {
            (name, gap) if name == "gap" => missed += gap["rows"].as_u64().unwrap(),
            _ => rows += 1,
        }
    }
    assert!(rows >= 10_000 && rows + missed == 25_000, "{rows} rows, {missed} missed");
    db.wait_for("select count(*) from user_events", 25_000).await;
}

#[tokio::test]
async fn it_takes_the_streams_token_and_a_table_in_which_rows_are_found() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table own (n int)").await;
    fs::write(folder.path().join("token"), TOKEN).unwrap();
    let more = format!(
        "token_file = '{}'\n[stream.own]\nfiles = 'o*.csv'\n",
        folder.path().join("token").display()
    );
    let (running, http) = start(folder.path(), &db, &more);
    http.get(LIVE).expect(401);
    let bearer = format!("Bearer {TOKEN}");
    let with = [("Authorization", bearer.as_str())];
    let ask = |path: &str| http.ask("GET", path, &with, b"").unwrap();
    assert_eq!(Events::open(http, LIVE, &with).status, 200);
    ask(&format!("{LIVE}?where.no_column=1")).expect(400);
    ask(&format!("{LIVE}?key=1")).expect(400);
    ask("/streams/nobody/live").expect(404);
    let refused = ask("/streams/own/live").expect(409).json();
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("create index on own using brin (batch_id)"), "{error}");
    ask_as_page(http, &with);
    drop(running);
}

/// Another site's page reads nothing.
fn ask_as_page(http: Http, with: &[(&str, &str)]) {
    let headers = [with, &[("Origin", "http://evil.example")]].concat();
    http.ask("GET", LIVE, &headers, b"").unwrap().expect(403);
}

#[tokio::test]
async fn event_streams_of_rows_and_of_pages_are_counted_together_and_end_with_the_streamer() {
    let (db, folder) = (TestDb::create().await, folder());
    let (running, http) = start(folder.path(), &db, "");
    let mut all: Vec<Events> = (0..60).map(|_| follow(http, "")).collect();
    all.extend((0..4).map(|_| Events::open(http, "/api/live", &[])));
    for path in [LIVE, "/api/live"] {
        assert_eq!(http.get(path).expect(503).header("retry-after"), Some("1"));
    }
    drop(all.pop());
    wait_until("there is room for another", || Events::open(http, LIVE, &[]).status == 200).await;
    // Each has every row.
    http.post(POST, csv(0..10)).expect(200);
    for events in all.iter_mut().take(60) {
        assert_eq!(users(events, 10), (0..10).collect::<Vec<u64>>());
    }
    let (code, took) = running.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    all.iter_mut().for_each(|events| while events.next().is_some() {});
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_hung_up_on_and_holds_up_nobody() {
    let (db, folder) = (TestDb::create().await, folder());
    let (_running, http) = start(folder.path(), &db, "");
    let mut silent = http.connect().unwrap();
    let head = format!("GET {LIVE} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", http.port);
    silent.write_all(head.as_bytes()).unwrap();
    silent.read_exact(&mut [0; 15]).unwrap();
    let open = || {
        let text = http.get("/metrics").expect(200).body;
        text.lines().any(|line| line == "streamer_event_streams 1")
    };
    assert!(open());
    let mut number = 0;
    wait_until("the silent reader has lost its event stream", || {
        http.post(POST, csv(number..number + 5000)).expect(200);
        number += 5000;
        !open()
    })
    .await;
    assert_eq!(users(&mut follow_one(http, number), 1), [u64::from(number)]);
}

/// A reader that has come, and a row for it.
fn follow_one(http: Http, number: u32) -> Events {
    let events = follow(http, "");
    http.post(POST, csv(number..number + 1)).expect(200);
    events
}
