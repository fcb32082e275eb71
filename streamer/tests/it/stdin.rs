//! `streamer load`: records from stdin.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::support::{Ended, TestDb, folder, generate, judge, one_stream, streamer};

/// What becomes of `bytes` on stdin.
fn load(folder: &Path, db: &TestDb, bytes: &[u8]) -> Ended {
    load_by(folder, db, &["load", "user_events"], bytes)
}

fn load_by(folder: &Path, db: &TestDb, args: &[&str], bytes: &[u8]) -> Ended {
    let mut command = streamer(folder, args);
    command.env("DATABASE_URL", db.url()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that ends early reads no more.
    let _ = stdin.write_all(bytes);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn what_comes_by_stdin_is_what_a_file_of_it_would_be() {
    let (db, folder, elsewhere) = (TestDb::create().await, folder(), folder());
    let files = generate(elsewhere.path(), 1, 50_000, 1);
    let ended = load(folder.path(), &db, &fs::read(&files[0]).unwrap()).expect(3);
    assert!(
        ended.stdout.contains("50,000") && ended.stdout.contains("dead-letters"),
        "{}",
        ended.stdout
    );
    let verdict = judge(&files);
    let table = db.rows(crate::support::judge::TABLE_QUERY).await;
    assert!(table == verdict.table(), "rows lost, doubled or changed");
    assert_eq!(
        db.rows("select sum(duplicates), sum(dead_letters) from streamer.micro_batch").await,
        [format!("{}|{}", verdict.duplicates, verdict.bad.len())]
    );
    let left = fs::read_dir(folder.path().join("spool/user_events")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_waits_for_more_elsewhere_is_loaded_at_once() {
    let (db, folder) = (TestDb::create().await, folder());
    let settings = "[stream.user_events]\nfiles = 'user_events_*.csv'\nlinger = '1h'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let line = "0190a5f0-0000-7000-8000-000000000001,1,1,view,2026-01-01T00:00:00Z";
    let text = format!("event_id,user_id,product_id,event_type,event_time\n{line}\n");
    load(folder.path(), &db, text.as_bytes()).expect(0);
    assert_eq!(db.number("select count(*) from user_events").await, 1);
}

#[tokio::test]
async fn files_that_wait_in_the_folder_are_not_meant() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 1, 10, 1);
    let line = "0190a5f0-0000-7000-8000-000000000001,1,1,view,2026-01-01T00:00:00Z";
    // A last line without a line end counts, as in a file.
    let text = format!("event_id,user_id,product_id,event_type,event_time\n{line}");
    load(folder.path(), &db, text.as_bytes()).expect(0);
    assert_eq!(db.number("select count(*) from user_events").await, 1);
    let ended = load(folder.path(), &db, b"").expect(0);
    assert_eq!(ended.stdout, "nothing new to load\n");
}

#[tokio::test]
async fn what_can_not_be_loaded_is_told_and_nothing_stays_in_the_spool() {
    let (db, folder) = (TestDb::create().await, folder());
    one_stream(folder.path());
    let ended = load(folder.path(), &db, b"a,b\n1,2\n").expect(1);
    assert!(ended.stderr.contains("names none of the table's columns"), "{}", ended.stderr);
    let ended = load(folder.path(), &db, b"\xff\n").expect(1);
    assert!(ended.stderr.contains("no CSV header"), "{}", ended.stderr);
    let ended = Ended::of(streamer(folder.path(), &["load", "no"]).env("DATABASE_URL", db.url()));
    assert!(ended.expect(1).stderr.contains("streams.toml has: user_events"));
    let spool = folder.path().join("spool/user_events");
    assert!(fs::read_dir(spool).map_or(0, Iterator::count) == 0);
    // One quote that is left open costs its line.
    let lines = ["", "1", "2"]
        .map(|n| format!("0190a5f0-0000-7000-8000-00000000000{n},1,1,view,2026-01-01T00:00:00Z"));
    let text = format!(
        "event_id,user_id,product_id,event_type,event_time\n{}\n\"open{}\n{}\n",
        lines[1], lines[1], lines[2]
    );
    load(folder.path(), &db, text.as_bytes()).expect(3);
    assert_eq!(db.number("select count(*) from user_events").await, 2);
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 1);
}

#[tokio::test]
async fn the_format_may_be_said() {
    let (db, folder) = (TestDb::create().await, folder());
    one_stream(folder.path());
    let object = "{\"event_id\":\"0190a5f0-0000-7000-8000-000000000001\",\"user_id\":1,\"product_id\":1,\
                  \"event_type\":\"view\",\"event_time\":\"2026-01-01T00:00:00Z\"}";
    let text = format!("[1]\n{object}\n");
    // Without a word, the first line is a CSV header, which does not fit.
    load(folder.path(), &db, text.as_bytes()).expect(1);
    let args = ["load", "user_events", "--format", "ndjson"];
    load_by(folder.path(), &db, &args, text.as_bytes()).expect(3);
    assert_eq!(db.number("select count(*) from user_events").await, 1);
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 1);
    let ended = load_by(folder.path(), &db, &["load", "user_events", "--format", "xml"], b"");
    assert!(ended.expect(2).stderr.contains("csv, ndjson"));
}

#[tokio::test]
async fn what_is_killed_and_run_again_loads_everything_once() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table plain (n int)").await;
    fs::write(folder.path().join("streams.toml"), "[stream.plain]\nfiles = '*.csv'\n").unwrap();
    let text = "n\n".to_owned() + &(0..60_000).map(|n| format!("{n}\n")).collect::<String>();
    let load = |args: &[&str], text: &str| {
        load_by(folder.path(), &db, &[&["load", "plain"], args].concat(), text.as_bytes())
    };
    // Killed in the middle: some of it is committed.
    let mut command = streamer(folder.path(), &["load", "plain"]);
    command.env("DATABASE_URL", db.url()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    db.wait_for("select least(1, count(*)) from streamer.micro_batch", 1).await;
    child.kill().unwrap();
    child.wait().unwrap();
    load(&[], &text).expect(0);
    assert_eq!(db.rows("select count(*), count(distinct n) from plain").await, ["60000|60000"]);
    let again = load(&[], &text).expect(0).stdout;
    assert!(again.contains("60,000 records were loaded before"), "{again}");
    assert_eq!(db.number("select count(*) from plain").await, 60_000);
    load(&["--again"], &text).expect(0);
    assert_eq!(db.number("select count(*) from plain").await, 120_000);
    load(&["--key", "monday"], "n\n1\n").expect(0);
    load(&["--key", "monday"], "n\n1\n").expect(0);
    let other = load(&["--key", "monday"], "n\n2\n").expect(1).stderr;
    assert!(other.contains("other records were loaded under this --key"), "{other}");
    assert_eq!(db.number("select count(*) from plain").await, 120_001);
}
