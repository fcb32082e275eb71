//! What pages show of the database: as it is there, asked for seldom, and told as text whatever it
//! holds.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Ended, Events, Http, Running, TestDb, folder, streamer, wait_until};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";

fn csv(numbers: impl IntoIterator<Item = u32>) -> String {
    let line =
        |n: u32| format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n");
    HEADER.to_owned() + &numbers.into_iter().map(line).collect::<String>()
}

fn start(folder: &Path, db: &TestDb) -> Running {
    let settings = "[stream.user_events]\nfiles = 'a*.csv'\ndataset = 'user_events'\n";
    fs::write(folder.join("streams.toml"), settings).unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    Running::start(streamer(folder, &args).env("DATABASE_URL", db.url()))
}

fn get(http: Http, path: &str) -> Value {
    http.get(path).expect(200).json()
}

#[tokio::test]
async fn every_rollup_of_every_dataset_is_shown() {
    let (db, folder) = (TestDb::create().await, folder());
    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/../streams.toml");
    fs::copy(settings, folder.path().join("streams.toml")).unwrap();
    let transfer = "transfer_id,account_id,account_region,transaction_value,event_time\n\
                    0190a5f0-0000-7000-8000-000000000001,1000000,South,12.5,2026-01-01T00:00:00Z\n\
                    0190a5f0-0000-7000-8000-000000000002,1000001,North,30,2026-01-01T00:00:00Z\n\
                    0190a5f0-0000-7000-8000-000000000003,1000001,South,2.5,2026-01-01T00:00:00Z\n";
    fs::write(folder.path().join("transfers_1.csv"), transfer).unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    let running = Running::start(streamer(folder.path(), &args).env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    db.wait_for("select count(*) from transfers", 3).await;
    for stream in get(http, "/api/overview")["streams"].as_array().unwrap() {
        let path = format!("/api/streams/{}", stream["stream"].as_str().unwrap());
        for rollup in get(http, &path)["rollups"].as_array().unwrap() {
            get(http, &format!("{path}/rollups/{}", rollup["name"].as_str().unwrap()));
        }
    }
    // One without windows: its keys, the largest by the chosen aggregate first.
    let flow = "/api/streams/transfers/rollups/credit_flow?by=";
    for (by, value, first) in [("transfers", 0, "South"), ("total", 1, "North")] {
        let flow = get(http, &format!("{flow}{by}"));
        assert_eq!((&flow["window_s"], &flow["windows"][0]["from"]), (&Value::Null, &Value::Null));
        assert_eq!(flow["aggregates"][value]["name"], by);
        assert_eq!(flow["windows"][0]["rows"][0]["key"][0], first, "{flow}");
    }
}

#[tokio::test]
async fn a_stream_is_shown_with_its_files_newest_rows_and_rollups() {
    let (db, folder) = (TestDb::create().await, folder());
    let name = "a<script>alert(1)<script>.csv";
    let bad = "0190a5f0-0000-7000-8000-000000000099,\"<b>\u{202e}\",1,view,2026-01-01T00:00:00Z\n";
    fs::write(folder.path().join(name), csv(0..30) + bad).unwrap();
    fs::write(folder.path().join("my.csv"), "n\n1\n").unwrap();
    let running = start(folder.path(), &db);
    let http = Http::ready(&running);
    db.wait_for("select count(*) from user_events", 30).await;
    db.wait_for("select count(*) from streamer.checkpoint where state = 'done'", 1).await;
    let view = get(http, "/api/streams/user_events");
    let status =
        Ended::of(streamer(folder.path(), &["status", "--json"]).env("DATABASE_URL", db.url()));
    let status: Value = serde_json::from_str(&status.expect(0).stdout).unwrap();
    let status = &status["streams"][0];
    for count in ["records", "rows", "duplicates", "repeated"] {
        assert_eq!(view["totals"][count], status[count], "{count}");
    }
    assert_eq!(view["totals"]["dead_letters_open"], 1);
    let (shown, told) = (&view["files"][0], &status["files"][0]);
    for of in ["file", "state", "size_bytes", "next_offset", "lag_bytes", "rows", "dead_letters"] {
        assert_eq!(shown[of], told[of], "{of}");
    }
    assert_eq!(shown["file"], name);
    let newest = &view["newest"];
    assert_eq!(newest["rows"].as_array().unwrap().len(), 20);
    assert_eq!((&newest["files"][0], &newest["rows"][0][3]), (&name.into(), &"view".into()));
    // The rollup's windows hold as many events as the table.
    let rollup = view["rollups"][0]["name"].as_str().unwrap();
    let rollup = get(http, &format!("/api/streams/user_events/rollups/{rollup}"));
    assert_eq!(rollup["aggregates"][0]["kind"], "count");
    let rows = rollup["windows"][0]["rows"].as_array().unwrap();
    let events: f64 = rows.iter().map(|row| row["values"][0].as_f64().unwrap()).sum();
    assert!((events - 30.0).abs() < 0.1, "{rollup}");
    http.get("/api/streams/user_events/rollups/pg_class").expect(404);
    http.get("/api/streams/no").expect(404);
    let letters = get(http, "/api/dead-letters");
    assert_eq!((&letters["open"], &letters["last_hour"]), (&1.into(), &1.into()));
    let group = &letters["groups"][0];
    assert_eq!((&group["column"], &group["trend"][11]), (&"user_id".into(), &1.into()));
    let letter = get(http, &format!("/api/dead-letters/{}", group["example_id"]));
    assert_eq!(letter["text"], bad.trim_end());
    let at = letter["reasons"][0]["at"].as_array().unwrap();
    let place = |n: usize| usize::try_from(at[n].as_u64().unwrap()).unwrap();
    let units: Vec<u16> = bad.encode_utf16().collect();
    assert_eq!(String::from_utf16(&units[place(0)..place(1)]).unwrap(), "<b>\u{202e}");
    http.get("/api/dead-letters/999999").expect(404);
    let objects = get(http, "/api/dictionary");
    let objects = objects["objects"].as_array().unwrap();
    let table = objects.iter().find(|one| one["name"] == "user_events").unwrap();
    assert!(table["comment"].as_str().unwrap().contains("shop"), "{table}");
    assert!(objects.iter().any(|one| one["name"] == "purchase_funnel"), "{objects:?}");
    // What no stream takes is told.
    let frame = Events::open(http, "/api/live", &[]).frame(|frame| !frame["untaken"].is_null());
    assert_eq!(frame["untaken"][0]["name"], "my.csv");
}

#[tokio::test]
async fn however_many_ask_the_database_is_asked_seldom_and_may_be_away() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db);
    let http = Http::ready(&running);
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let ask = || get(http, "/api/streams/user_events")["as_of"].clone();
        let asked: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut different = answers.clone();
    different.sort_by_key(Value::to_string);
    different.dedup();
    assert!(different.len() < answers.len(), "each had an answer of its own: {different:?}");
    db.lock_out().await;
    let answers = |status| move || http.get("/api/dead-letters").status == status;
    wait_until("it is told that the database is away", answers(503)).await;
    db.let_in().await;
    wait_until("the database is there again", answers(200)).await;
}
