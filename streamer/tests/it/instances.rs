//! Streamers know of each other: each tells of itself while it is at work.

use std::path::Path;
use std::process::Stdio;

use crate::support::{Ended, Http, Running, TestDb, folder, one_stream, streamer};

const NOTED: &str = "select count(*) from streamer.instance";

fn start(db: &TestDb, folder: &Path, args: &[&str]) -> Running {
    let args = [&["run"], args].concat();
    Running::start(streamer(folder, &args).env("DATABASE_URL", db.url()))
}

/// What `streamer status` tells of those at work, to people and to scripts.
pub(crate) fn status(db: &TestDb, folder: &Path) -> (String, Vec<serde_json::Value>) {
    let of = |args: &[&str]| {
        Ended::of(streamer(folder, args).env("DATABASE_URL", db.url())).expect(0).stdout
    };
    let json: serde_json::Value = serde_json::from_str(&of(&["status", "--json"])).unwrap();
    (of(&["status"]), json["instances"].as_array().unwrap().clone())
}

#[tokio::test]
async fn status_tells_who_is_at_work_or_that_nobody_is() {
    let (db, folder) = (TestDb::create().await, folder());
    one_stream(folder.path());
    let nobody = |when: &str| {
        let (text, instances) = status(&db, folder.path());
        assert!(text.starts_with("no streamer is at work\n\nstream user_events"), "{when}: {text}");
        assert!(instances.is_empty(), "{when}: {instances:?}");
    };
    nobody("before");
    let running = start(&db, folder.path(), &["--listen", "127.0.0.1:0"]);
    let port = Http::ready(&running).port;
    db.wait_for(NOTED, 1).await;
    let (text, instances) = status(&db, folder.path());
    assert!(text.starts_with("1 streamer is at work\n"), "{text}");
    let line = text.lines().find(|line| line.contains(&running.id().to_string())).unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for part in [host.trim(), "user_events", " s ago", &format!("127.0.0.1:{port}")] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    let [instance] = &instances[..] else { panic!("{instances:?}") };
    assert_eq!(instance["host"], host.trim());
    assert_eq!(instance["pid"], running.id());
    assert_eq!(instance["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(instance["streams"], serde_json::json!(["user_events"]));
    assert_eq!(instance["address"], format!("127.0.0.1:{port}"));
    assert!(instance["started_at"].is_string(), "{instance}");
    let ago = instance["seen_seconds_ago"].as_f64().unwrap();
    assert!((0.0..15.0).contains(&ago), "{instance}");
    assert_eq!(running.terminate().0, Some(0));
    nobody("after");
    assert_eq!(db.number(NOTED).await, 0, "it has taken it back");
    let now = ["run", "--available-now"];
    Ended::of(streamer(folder.path(), &now).env("DATABASE_URL", db.url())).expect(0);
    assert_eq!(db.number(NOTED).await, 0, "so has one that ends by itself");
}

#[tokio::test]
async fn one_that_gives_signs_is_seen_and_one_that_gives_none_is_removed_by_others() {
    let (db, folder) = (TestDb::create().await, folder());
    let (killed, other) = (start(&db, folder.path(), &[]), start(&db, folder.path(), &[]));
    db.wait_for(NOTED, 2).await;
    killed.kill();
    // As if ten seconds had passed: the killed one has not ten more.
    db.execute("update streamer.instance set seen_at = seen_at - interval '10 s'").await;
    db.wait_for(NOTED, 1).await;
    let (_, instances) = status(&db, folder.path());
    assert_eq!(instances.len(), 1, "{instances:?}");
    assert_eq!(instances[0]["pid"], other.id());
    // Nobody counts one that was not seen, and it is back with its next sign.
    db.execute("delete from streamer.instance").await;
    db.wait_for(NOTED, 1).await;
    let is_old = "select count(*) from streamer.instance where started_at < seen_at";
    assert_eq!(db.number(is_old).await, 1, "it began before it was removed");
    assert_eq!(other.terminate().0, Some(0));
}

#[tokio::test]
async fn one_that_loads_stdin_is_at_work_while_it_reads() {
    let (db, folder) = (TestDb::create().await, folder());
    let mut command = streamer(folder.path(), &["load", "transfers"]);
    command.env("DATABASE_URL", db.url()).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut loading = command.spawn().unwrap();
    db.wait_for(NOTED, 1).await;
    let (_, instances) = status(&db, folder.path());
    assert_eq!(instances[0]["streams"], serde_json::json!(["transfers"]));
    assert!(instances[0]["address"].is_null(), "{instances:?}");
    drop(loading.stdin.take());
    loading.wait().unwrap();
    assert_eq!(db.number(NOTED).await, 0);
}

#[tokio::test]
async fn one_that_can_not_tell_of_itself_says_so_and_works() {
    let (db, folder) = (TestDb::create().await, folder());
    one_stream(folder.path());
    db.execute("drop table streamer.instance").await;
    let running = start(&db, folder.path(), &["--every", "0s"]);
    running.wait_for_log("don't know of this one");
    let line = "0190a5f0-0000-7000-8000-000000000001,1,1,view,2026-01-01T00:00:00Z";
    let text = format!("event_id,user_id,product_id,event_type,event_time\n{line}\n");
    std::fs::write(folder.path().join("user_events_1.csv"), text).unwrap();
    db.wait_for("select count(*) from user_events", 1).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn the_last_connection_is_left_to_a_stream() {
    let (db, folder) = (TestDb::create().await, folder());
    one_stream(folder.path());
    let readme = include_str!("../../../README.md");
    let grants = readme.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let grants = grants.replace("loader", "lonely");
    db.execute(&format!("create role lonely login connection limit 1; {grants}")).await;
    let line = "0190a5f0-0000-7000-8000-000000000001,1,1,view,2026-01-01T00:00:00Z";
    let text = format!("event_id,user_id,product_id,event_type,event_time\n{line}\n");
    std::fs::write(folder.path().join("user_events_1.csv"), text).unwrap();
    let mut run = streamer(folder.path(), &["run", "--every", "0s"]);
    let running = Running::start(run.env("DATABASE_URL", db.url().replace("streamer@", "lonely@")));
    db.wait_for("select count(*) from user_events", 1).await;
    assert_eq!(running.terminate().0, Some(0));
}
