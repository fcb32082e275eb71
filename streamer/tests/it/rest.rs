//! A stream whose table can't be worked on rests alone, and goes on by itself once that is mended.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Ended, Http, Running, TestDb, folder, streamer, wait_until};

/// Two streams, of which the second has no table yet.
async fn two(folder: &Path) -> TestDb {
    let db = TestDb::create().await;
    db.execute("create table good (id integer primary key, note text)").await;
    let settings = "[stream.good]\nfiles = 'good*.csv'\nscan_every = '300ms'\nevery = '0s'\n
                    [stream.broken]\nfiles = 'broken*.csv'\nscan_every = '300ms'\nevery = '0s'\n";
    fs::write(folder.join("streams.toml"), settings).unwrap();
    for stream in ["good", "broken"] {
        record(folder, stream, 1);
    }
    db
}

/// A file with one record.
fn record(folder: &Path, stream: &str, id: u32) {
    fs::write(folder.join(format!("{stream}{id}.csv")), format!("id,note\n{id},n\n")).unwrap();
}

const MAKE: &str = "create table broken (id integer primary key, note text)";

#[tokio::test]
async fn the_other_streams_and_http_go_on_and_it_is_told_once() {
    let folder = folder();
    let db = two(folder.path()).await;
    let mut run = streamer(folder.path(), &["run", "--listen", "127.0.0.1:0"]);
    let running = Running::start(run.env("DATABASE_URL", db.url()));
    let http = Http::of(&running);
    let words = "there is no table broken in the database";
    assert!(running.wait_for_log("the stream rests").contains(words));
    db.wait_for("select count(*) from good", 1).await;
    // The good one takes records, the other can't tell whether they would fit.
    http.wait_until_ready();
    let said = http.get("/readyz").expect(200).json();
    assert!(said["ailments"][0].as_str().unwrap().contains(words), "{said}");
    http.post("/streams/good/events?wait=commit", "id,note\n7,http\n").expect(200);
    let refused = http.post("/streams/broken/events", "id,note\n7,http\n").expect(503);
    assert!(refused.body.contains("`streamer health` tells"), "{}", refused.body);
    assert!(http.get("/metrics").body.contains("streamer_ailments{stream=\"broken\"} 1\n"));
    let health = Ended::of(&mut streamer(folder.path(), &["health"])).expect(1).stderr;
    assert!(health.contains(words), "{health}");
    let status = |args: &[&str]| {
        let args = [&["status"], args].concat();
        Ended::of(streamer(folder.path(), &args).env("DATABASE_URL", db.url())).expect(0).stdout
    };
    assert!(status(&[]).contains(words) && status(&[]).contains("committed last"));
    let told: Value = serde_json::from_str(&status(&["--json"])).unwrap();
    let of = |name: &str| {
        let streams = told["streams"].as_array().unwrap();
        streams.iter().find(|stream| stream["stream"] == name).unwrap()
    };
    assert!(of("broken")["ailments"][0].as_str().unwrap().contains(words), "{told}");
    assert!(of("good")["committed_seconds_ago"].is_number(), "{told}");
    assert_eq!(of("good")["ailments"], serde_json::json!([]));
    let again = running.log().into_iter().filter(|line| line.contains("the stream rests"));
    assert_eq!(again.collect::<Vec<String>>(), Vec::<String>::new(), "it is told once");
    db.execute(MAKE).await;
    running.wait_for_log("the stream goes on");
    db.wait_for("select count(*) from broken", 1).await;
    http.post("/streams/broken/events?wait=commit", "id,note\n7,http\n").expect(200);
    Ended::of(&mut streamer(folder.path(), &["health"])).expect(0);
    // What is changed under it and can't be worked with is waited for as well, with what was taken.
    db.execute("alter table broken rename to elsewhere").await;
    http.post("/streams/broken/events", "id,note\n8,http\n").expect(202);
    assert!(running.wait_for_log("the stream rests").contains(words));
    record(folder.path(), "good", 2);
    db.wait_for("select count(*) from good", 3).await;
    db.execute("alter table elsewhere rename to broken").await;
    db.wait_for("select count(*) from broken", 3).await;
    wait_until("it is well", || {
        Ended::of(&mut streamer(folder.path(), &["health"])).stdout == "healthy\n"
    })
    .await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_streamer_whose_streams_all_rest_is_not_ready() {
    let folder = folder();
    let db = two(folder.path()).await;
    db.execute("drop table good").await;
    let mut run = streamer(folder.path(), &["run", "--listen", "127.0.0.1:0"]);
    let running = Running::start(run.env("DATABASE_URL", db.url()));
    let http = Http::of(&running);
    running.wait_for_log("the stream rests");
    running.wait_for_log("the stream rests");
    let said = http.get("/readyz").expect(503).body;
    assert!(said.contains("no table good") && said.contains("no table broken"), "{said}");
    assert_eq!(running.terminate().0, Some(0), "it ends in good order");
}

#[tokio::test]
async fn where_all_is_loaded_once_the_others_are_read_to_their_end_and_all_failures_are_told() {
    let folder = folder();
    let db = two(folder.path()).await;
    let settings = fs::read_to_string(folder.path().join("streams.toml")).unwrap();
    let third = "[stream.third]\nfiles = 'broken*.csv'\n";
    fs::write(folder.path().join("streams.toml"), settings + third).unwrap();
    (2..200).for_each(|id| record(folder.path(), "good", id));
    let mut run = streamer(folder.path(), &["run", "--available-now", "--max-rows", "1"]);
    let Ended { stdout, stderr: told, .. } = Ended::of(run.env("DATABASE_URL", db.url())).expect(1);
    assert_eq!(db.number("select count(*) from good").await, 199);
    assert!(stdout.contains("199"), "what was loaded is told: {stdout}");
    for stream in ["broken", "third"] {
        assert_eq!(told.matches(&format!("no table {stream} in")).count(), 1, "{told}");
    }
}
