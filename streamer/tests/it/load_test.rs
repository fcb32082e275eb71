//! `POST /load_test`: what it sends is in the table, and it is bounded, one at a time, and ends.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, Http, Running, TestDb, folder, streamer, wait_until};

const STATE: &str = "/api/load_test";
const EMOJI: &str = "[stream.emoji_reactions]\nfiles = 'e*.csv'\ndataset = 'emoji_reactions'\n";

fn start(folder: &Path, db: &TestDb, server: &str) -> (Running, Http) {
    fs::write(folder.join("streams.toml"), format!("[server]\n{server}\n{EMOJI}")).unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    let running = Running::start(streamer(folder, &args).env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    (running, http)
}

fn begin(http: Http, headers: &[(&str, &str)], body: &str) -> Answer {
    http.post_with("/load_test", headers, body.as_bytes())
}

/// What is told of the last load test.
fn test(http: Http) -> Value {
    http.get(STATE).expect(200).json()["test"].clone()
}

#[tokio::test]
async fn what_a_load_test_sends_is_accepted_and_in_the_table() {
    let (db, folder) = (TestDb::create().await, folder());
    let (_running, http) = start(folder.path(), &db, "simulator = true");
    assert_eq!(test(http), Value::Null);
    let load = r#"{"duration": 2, "batches_per_second": 10}"#;
    let begun = begin(http, &[], load).expect(202);
    assert_eq!(begun.header("location"), Some(STATE));
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    let other = begin(http, &[], load).expect(409).json();
    assert!(other["error"].as_str().unwrap().contains(&id), "{other}");
    wait_until("it is done", || test(http)["running"] == false).await;
    let test = test(http);
    assert_eq!((&test["id"], &test["phase"]), (&id.into(), &"done".into()));
    let of = |group: &str, name: &str| test[group][name].as_u64().unwrap();
    // Of each size from 10 to 100 two.
    assert_eq!((of("batches", "sent"), of("events", "sent")), (20, 1100));
    for name in ["accepted", "committed"] {
        assert_eq!(of("batches", name), 20, "{test}");
    }
    for name in ["refused", "unsent", "unknown"] {
        assert_eq!(of("batches", name), 0, "{test}");
    }
    let rows = i64::try_from(of("events", "rows")).unwrap();
    assert_eq!(of("events", "rows") + of("events", "duplicates"), 1100, "{test}");
    assert_eq!(db.number("select count(*) from emoji_reactions").await, rows);
    let sent = test["seconds"]["sent_per_s"].as_array().unwrap();
    assert_eq!(sent.iter().filter_map(Value::as_u64).sum::<u64>(), 1100);
    let quantiles = ["p50_s", "p90_s", "p99_s", "max_s"];
    let quantiles = quantiles.map(|name| test["latency"][name].as_f64().unwrap());
    assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{test}");
    assert_eq!(test["latency"]["batches"], 20);
}

#[tokio::test]
async fn a_load_test_is_bounded_and_only_for_who_may_send() {
    let (db, folder) = (TestDb::create().await, folder());
    let (_running, http) = start(folder.path(), &db, "simulator = true");
    for wrong in [r#"{"duration": 601, "batches_per_second": 1}"#, "{}", ""] {
        let refused = begin(http, &[], wrong).expect(400).json();
        let error = refused["error"].as_str().unwrap();
        assert!(error.contains("1 to 600 s") && error.contains("1 to 100"), "{error}");
    }
    let load = r#"{"duration": 600, "batches_per_second": 1}"#;
    begin(http, &[("Origin", "http://evil.example")], load).expect(403);
    begin(http, &[("Sec-Fetch-Site", "cross-site")], load).expect(401);
    let stop = |headers: &[(&str, &str)]| http.ask("DELETE", STATE, headers, b"").unwrap();
    stop(&[]).expect(404);
    begin(http, &[("X-Streamer-Page", "1")], load).expect(202);
    stop(&[("Sec-Fetch-Site", "cross-site")]).expect(401);
    assert_eq!(test(http)["running"], true);
    stop(&[]).expect(204);
    wait_until("it has stopped", || test(http)["phase"] == "stopped").await;
    begin(http, &[], load).expect(202);
    // Without the setting there is none.
    let folder = crate::support::folder();
    let (_running, http) = start(folder.path(), &db, "");
    begin(http, &[], load).expect(404);
    http.get(STATE).expect(404);
    let views = http.get("/api/session").expect(200).json()["views"].clone();
    assert!(!views.as_array().unwrap().contains(&"load_test".into()), "{views}");
}

#[tokio::test]
async fn a_full_spool_is_counted_and_a_shutdown_ends_it() {
    let (db, folder) = (TestDb::create().await, folder());
    let (running, http) = start(folder.path(), &db, "simulator = true\nmax_spool = '4KiB'");
    let mut holder = db.connect().await;
    sqlx::raw_sql("begin; lock table emoji_reactions").execute(&mut holder).await.unwrap();
    begin(http, &[], r#"{"duration": 600, "batches_per_second": 20}"#).expect(202);
    wait_until("some are refused", || test(http)["batches"]["refused"].as_u64() > Some(3)).await;
    let counted = test(http);
    assert!(counted["running"] == true && counted["batches"]["accepted"].as_u64() > Some(0));
    // What else comes is answered.
    http.get("/healthz").expect(200);
    sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();
    let refused = || test(http)["batches"]["accepted"].as_u64();
    let before = refused();
    wait_until("it goes on", || refused() > before).await;
    let (code, took) = running.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(20), "{took:?}");
}
