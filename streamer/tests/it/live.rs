//! What pages see live: the same as /metrics, `streamer status` and the database tell; what ails the
//! streamer; and what became of those that do not read.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Ended, Events, Http, Running, TestDb, folder, streamer, wait_until};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";
const LIVE: &str = "/api/live";

fn line(n: u32) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n")
}

fn csv(numbers: impl IntoIterator<Item = u32>) -> String {
    HEADER.to_owned() + &numbers.into_iter().map(line).collect::<String>()
}

fn start(folder: &Path, db: &TestDb, settings: &str) -> Running {
    fs::write(folder.join("streams.toml"), settings).unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    Running::start(streamer(folder, &args).env("DATABASE_URL", db.url()))
}

fn of<'v>(frame: &'v Value, stream: &str) -> Option<&'v Value> {
    let streams = frame["streams"].as_array().unwrap();
    streams.iter().find(|one| one["stream"] == stream)
}

/// A counter as /metrics has it.
fn metric(http: Http, name: &str) -> u64 {
    let text = http.get("/metrics").expect(200).body;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn a_frame_tells_what_metrics_status_and_the_database_tell() {
    let (db, folder) = (TestDb::create().await, folder());
    let settings = "[stream.user_events]\nfiles = '*.csv'\n[stream.idle]\nfiles = 'no'\n\
                    table = 'user_events'\n";
    let running = start(folder.path(), &db, settings);
    let http = Http::ready(&running);
    let mut events = Events::open(http, LIVE, &[]);
    assert_eq!(events.status, 200);
    // Of 60 records 50 are new, 5 were there before, 5 are none.
    http.post("/streams/user_events/events?wait=commit", csv(0..5)).expect(200);
    let bad = "bad,1,1,view,\n".repeat(5);
    fs::write(folder.path().join("a.csv"), csv(0..55) + &bad).unwrap();
    let is_in = |frame: &Value| {
        of(frame, "user_events").is_some_and(|stream| stream["counted"]["records"] == 65)
    };
    let frame = events.frame(is_in);
    let counted = &of(&frame, "user_events").unwrap()["counted"];
    let names = ["records", "rows", "duplicates", "repeated", "dead_letters"];
    let shown = names.map(|name| counted[name].as_u64().unwrap());
    assert_eq!(shown, [65, 55, 5, 0, 5]);
    let metrics =
        names.map(|name| metric(http, &format!("streamer_{name}_total{{stream=\"user_events\"}}")));
    assert_eq!(metrics, shown);
    let status =
        Ended::of(streamer(folder.path(), &["status", "--json"]).env("DATABASE_URL", db.url()));
    let status: Value = serde_json::from_str(&status.expect(0).stdout).unwrap();
    let streams = status["streams"].as_array().unwrap();
    let status = streams.iter().find(|one| one["stream"] == "user_events").unwrap();
    assert_eq!(names.map(|name| status[name].as_u64().unwrap()), shown);
    let rows = db.number("select count(*) from user_events").await;
    assert_eq!(u64::try_from(rows).unwrap(), shown[1]);
    // What is told since the start is told of the same rows.
    let now = http.get("/api/overview").expect(200).json();
    let stream = of(&now, "user_events").unwrap();
    assert_eq!(stream["event_latency"], status["latency"]);
    assert_eq!(stream["counted"], *counted);
    assert_eq!(stream["accepted_records"], 5);
    assert_eq!((&stream["event_age"]["rows"], &stream["latency"]["rows"]), (&50.into(), &5.into()));
    // The events are of January: an age in days, and no latency of seconds.
    assert!(stream["event_age"]["p50_s"].as_f64().unwrap() > 86_400.0, "{stream}");
    assert_eq!(of(&now, "idle").unwrap()["state"], "idle");
    assert_eq!(now["streamer"]["pid"], running.id());
}

#[tokio::test]
async fn the_past_is_told_first_with_the_micro_batches_and_their_places() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "[stream.user_events]\nfiles = '*.csv'\n");
    let http = Http::ready(&running);
    let content = csv(0..30);
    fs::write(folder.path().join("<script>.csv"), &content).unwrap();
    let mut first = Events::open(http, LIVE, &[]);
    first.frame(|frame| of(frame, "user_events").is_some_and(|s| s["counted"]["rows"] == 30));
    // Whoever comes later sees the same past.
    let (name, history) = Events::open(http, LIVE, &[]).next().unwrap();
    assert_eq!(name, "history");
    let stream = &history["streams"][0];
    let seconds = stream["seconds"]["rows_per_s"].as_array().unwrap();
    let rows: f64 = seconds.iter().filter_map(Value::as_f64).sum();
    assert!((20.0..=40.0).contains(&rows), "about a row for each second's rate: {seconds:?}");
    let total = history["total"]["seconds"]["rows_per_s"].as_array().unwrap();
    assert!(total.len() >= seconds.len(), "{history}");
    let batches = history["micro_batches"].as_array().unwrap();
    let part = &batches[0]["parts"][0];
    assert_eq!(part["file"], "<script>.csv");
    assert_eq!((&part["start_offset"], &part["end_offset"]), (&0.into(), &content.len().into()));
    let batch = part["batch_id"].as_i64().unwrap();
    let sql = format!("select records from streamer.micro_batch where batch_id = {batch}");
    assert_eq!(db.number(&sql).await, 30);
}

#[tokio::test]
async fn there_are_only_so_many_event_streams_and_a_shutdown_ends_all() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "[stream.user_events]\nfiles = '*.csv'\n");
    let http = Http::ready(&running);
    let mut all: Vec<Events> = (0..64).map(|_| Events::open(http, LIVE, &[])).collect();
    assert!(all.iter().all(|events| events.status == 200));
    let refused = http.get(LIVE).expect(503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(metric(http, "streamer_event_streams"), 64);
    // One that goes makes room for another.
    drop(all.pop());
    wait_until("there is room for another", || Events::open(http, LIVE, &[]).status == 200).await;
    all.iter_mut().for_each(|events| assert_eq!(events.next().unwrap().0, "history"));
    let (code, took) = running.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    all.iter_mut().for_each(|events| while events.next().is_some() {});
}

#[tokio::test]
async fn a_page_that_does_not_read_is_hung_up_on() {
    let folder = folder();
    // What is told of such streams fits no buffer of a connection.
    let table = "x".repeat(400_000);
    let stream = |n: u32| format!("[stream.s{n}]\nfiles = '{n}.csv'\ntable = '{table}'\n");
    let settings: String = (0..20).map(stream).collect();
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let mut command = streamer(folder.path(), &["run", "--listen", "127.0.0.1:0"]);
    let running = Running::start(command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"));
    let http = Http::of(&running);
    let mut silent = http.connect().unwrap();
    let head = format!("GET {LIVE} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", http.port);
    silent.write_all(head.as_bytes()).unwrap();
    let open = || metric(http, "streamer_event_streams");
    wait_until("the silent page has its event stream", || open() == 1).await;
    // Others are served meanwhile.
    assert_eq!(Events::open(http, LIVE, &[]).next().unwrap().0, "history");
    wait_until("the silent page has lost it", || open() == 0).await;
}

#[tokio::test]
async fn what_ails_is_told_with_the_command_that_mends_it() {
    let (db, folder) = (TestDb::create().await, folder());
    let settings = "[stream.user_events]\nfiles = '*.csv'\nscan_every = '100ms'\n\
                    [stream.limited]\nfiles = 'bad'\nformat = 'csv'\ntable = 'user_events'\n\
                    max_dead_letters = 1\nscan_every = '100ms'\n";
    let running = start(folder.path(), &db, settings);
    let http = Http::ready(&running);
    let mut events = Events::open(http, LIVE, &[]);
    let ailment = |frame: &Value, kind: &str| {
        let ailments = frame["ailments"].as_array().unwrap();
        ailments.iter().find(|one| one["kind"] == kind).cloned()
    };
    // A lock that somebody holds.
    let mut holder = db.connect().await;
    sqlx::raw_sql("begin; lock table user_events").execute(&mut holder).await.unwrap();
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut holder).await.unwrap();
    fs::write(folder.path().join("a.csv"), csv(0..5)).unwrap();
    let frame = events.frame(|frame| ailment(frame, "lock").is_some());
    let lock = ailment(&frame, "lock").unwrap();
    let command = format!("select pg_terminate_backend({pid});");
    assert_eq!((&lock["command"], &lock["prompt"]), (&command.clone().into(), &"=#".into()));
    assert_eq!(lock["head"], "user_events is stuck behind a lock");
    assert!(lock["why"].as_str().unwrap().contains(&format!("process {pid}")), "{lock}");
    // The command does what it says.
    db.execute(&command).await;
    let frame = events.frame(|frame| ailment(frame, "lock").is_none());
    assert_eq!(frame["ailments"], Value::Array(Vec::new()));
    db.wait_for("select count(*) from user_events", 5).await;
    // A file with too many dead letters.
    fs::write(folder.path().join("bad"), HEADER.to_owned() + &"bad,1,1,view,\n".repeat(3)).unwrap();
    let frame = events.frame(|frame| ailment(frame, "stopped_file").is_some());
    let stopped = ailment(&frame, "stopped_file").unwrap();
    assert_eq!(stopped["command"], "streamer retry-file bad");
    assert_eq!(stopped["stream"], "limited");
    // The database, which is the worst of all.
    db.lock_out().await;
    fs::write(folder.path().join("b.csv"), csv(5..10)).unwrap();
    let frame = events.frame(|frame| ailment(frame, "database").is_some());
    assert_eq!(frame["ailments"][0]["severity"], "bad");
    let away = ailment(&frame, "database").unwrap();
    assert_eq!(away["command"], "streamer status");
    // What is wrong now is told, not what was wrong first; it began then.
    let is_refused = |frame: &Value| {
        let now = ailment(frame, "database").unwrap();
        assert_eq!((&now["id"], &now["since"]), (&away["id"], &away["since"]));
        now["why"].as_str().unwrap().contains("not currently accepting connections")
    };
    events.frame(is_refused);
    let state = |frame: &Value| of(frame, "user_events").map(|stream| stream["state"].clone());
    let now = http.get("/api/overview").expect(200).json();
    assert_eq!(state(&now), Some("away".into()));
    db.let_in().await;
    events.frame(|frame| ailment(frame, "database").is_none());
    db.wait_for("select count(*) from user_events", 10).await;
}

#[tokio::test]
async fn a_statement_that_a_stream_waits_for_is_told_as_one_that_ends_by_itself() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "[stream.user_events]\nfiles = '*.csv'\n");
    let http = Http::ready(&running);
    fs::write(folder.path().join("a.csv"), csv(0..1)).unwrap();
    db.wait_for("select count(*) from user_events", 1).await;
    let mut altering = db.connect().await;
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut altering).await.unwrap();
    let alter = "alter table user_events add check (pg_sleep(3600)::text = 'x')";
    let altered = tokio::spawn(async move { sqlx::raw_sql(alter).execute(&mut altering).await });
    db.wait_for(
        "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted \
                 and relation = 'user_events'::regclass",
        1,
    )
    .await;
    fs::write(folder.path().join("b.csv"), csv(1..5)).unwrap();
    let mut events = Events::open(http, LIVE, &[]);
    let frame = events.frame(|frame| frame["ailments"][0]["kind"] == "lock");
    let told = &frame["ailments"][0];
    assert_eq!(told["head"], "user_events waits for a statement");
    let why = told["why"].as_str().unwrap();
    assert!(why.contains("active with ALTER TABLE") && !why.contains("pg_cancel"), "{why}");
    let command = format!("select pg_cancel_backend({pid});");
    assert_eq!(told["command"], command);
    // The command does what it says.
    db.execute(&command).await;
    assert!(altered.await.unwrap().is_err());
    db.wait_for("select count(*) from user_events", 5).await;
}
