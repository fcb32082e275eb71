//! `max_dead_letters`: a file with too many stops its stream, and what goes on from there.

use std::fs;
use std::path::Path;

use crate::support::{Ended, Running, TestDb, folder, streamer};

/// Two streams, of which the first is limited.
async fn streams(db: &TestDb, folder: &Path, limit: &str) {
    db.execute("create table if not exists a (id integer primary key); create table if not exists b (like a)")
        .await;
    let streams = format!(
        "[stream.a]\nfiles = 'a*.csv'\nmax_rows = 100\nevery = '0s'\nscan_every = '50ms'\n\
         max_dead_letters = {limit}\n[stream.b]\nfiles = 'b*.csv'\n"
    );
    fs::write(folder.join("streams.toml"), streams).unwrap();
}

/// A file of `records` records from `first` on, the `bad` first of each hundred of which are bad.
fn file(folder: &Path, name: &str, first: u32, records: u32, bad: u32) {
    let line = |n: u32| {
        if n % 100 < bad { format!("x{n}\n") } else { format!("{}\n", first + n) }
    };
    let lines: String = (0..records).map(line).collect();
    fs::write(folder.join(name), format!("id\n{lines}")).unwrap();
}

fn run(db: &TestDb, folder: &Path, args: &[&str]) -> Ended {
    Ended::of(streamer(folder, args).env("DATABASE_URL", db.url()))
}

// With one writer: others would go on with their micro-batches beside the one that stops the
// stream.
const NOW: [&str; 4] = ["run", "--available-now", "--writers", "1"];
const STATES: &str = "select partition, state, next_line, records from streamer.checkpoint
                       where stream = 'a' order by 1";

#[tokio::test]
async fn a_file_with_too_many_dead_letters_stops_its_stream_and_says_so() {
    let (db, folder) = (TestDb::create().await, folder());
    streams(&db, folder.path(), "5").await;
    file(folder.path(), "a1.csv", 0, 1000, 3);
    file(folder.path(), "b1.csv", 0, 50, 0);
    std::thread::sleep(std::time::Duration::from_millis(20));
    file(folder.path(), "a2.csv", 1000, 10, 0);
    let ended = run(&db, folder.path(), &NOW).expect(1);
    let reason = "6 of 200 records refused, more than max_dead_letters = 5 lets pass";
    assert!(ended.stdout.contains(&format!("stopped: a1.csv: {reason}")), "{}", ended.stdout);
    assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    assert_eq!(db.rows(STATES).await, ["a1.csv|stopped|202|200"], "and nothing behind it");
    assert_eq!(db.number("select count(*) from a").await, 194);
    assert_eq!(db.number("select count(*) from b").await, 50, "the other stream goes on");

    let status = run(&db, folder.path(), &["status", "--json"]).expect(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let a = &status["streams"][0];
    assert_eq!((&a["stopped"], &status["streams"][1]["stopped"]), (&true.into(), &false.into()));
    let stopped = a["files"].as_array().unwrap().iter().find(|f| f["file"] == "a1.csv").unwrap();
    assert_eq!((&stopped["state"], &stopped["records"]), (&"stopped".into(), &200.into()));
    assert!(stopped["lag_bytes"].as_u64().unwrap() > 0, "{stopped}");
    let status = run(&db, folder.path(), &["status"]).expect(0).stdout;
    assert!(status.contains("stream a into table a, stopped:"), "{status}");
    assert!(status.contains(&format!("a1.csv: {reason}")), "{status}");
    let checked = run(&db, folder.path(), &["check"]).expect(1).stdout;
    assert!(checked.contains("stopped: a1.csv: 6 of 200"), "{checked}");
    assert!(checked.contains("stopped: a1.csv: 24 of the 800 records to read"), "{checked}");

    // Nothing changes until a person says so.
    let again = run(&db, folder.path(), &NOW).expect(1);
    assert!(again.stdout.contains("stopped: a1.csv"), "{}", again.stdout);
    assert_eq!(db.rows(STATES).await, ["a1.csv|stopped|202|200"]);
}

#[tokio::test]
async fn retry_file_goes_on_from_where_the_file_stands_and_counts_anew() {
    let (db, folder) = (TestDb::create().await, folder());
    streams(&db, folder.path(), "5").await;
    file(folder.path(), "a1.csv", 0, 500, 3);
    run(&db, folder.path(), &NOW).expect(1);
    run(&db, folder.path(), &["retry-file", "nosuch.csv"]).expect(1);
    run(&db, folder.path(), &["retry-file", "a1.csv", "--stream", "b"]).expect(1);
    let path = folder.path().join("a1.csv");
    let told = run(&db, folder.path(), &["retry-file", path.to_str().unwrap()]).expect(0).stdout;
    assert!(told.starts_with("a1.csv of stream \"a\" goes on from line 202, byte "), "{told}");
    let told = run(&db, folder.path(), &["retry-file", "a1.csv"]).expect(0).stdout;
    assert_eq!(told, "a1.csv of stream \"a\" is not stopped (reading); there is nothing to do\n");
    run(&db, folder.path(), &NOW).expect(1);
    assert_eq!(db.rows(STATES).await, ["a1.csv|stopped|402|400"]);
    run(&db, folder.path(), &["retry-file", "a1.csv"]).expect(0);
    run(&db, folder.path(), &NOW).expect(3);
    assert_eq!(db.rows(STATES).await, ["a1.csv|done|502|500"]);
    assert_eq!(db.number("select count(*) from a").await, 485);
    let sums = "select sum(records), sum(rows), sum(duplicates), sum(dead_letters)
                  from streamer.micro_batch where stream = 'a'";
    assert_eq!(db.rows(sums).await, ["500|485|0|15"]);
}

#[tokio::test]
async fn a_changed_setting_lets_the_stream_go_on() {
    let (db, folder) = (TestDb::create().await, folder());
    streams(&db, folder.path(), "0").await;
    file(folder.path(), "a1.csv", 0, 300, 1);
    run(&db, folder.path(), &NOW).expect(1);
    assert_eq!(db.rows(STATES).await, ["a1.csv|stopped|102|100"]);
    streams(&db, folder.path(), "3").await;
    let ended = run(&db, folder.path(), &NOW).expect(3);
    assert!(ended.stderr.contains("max_dead_letters lets a1.csv pass now"), "{}", ended.stderr);
    assert_eq!(db.rows(STATES).await, ["a1.csv|done|302|300"]);
    // The last micro-batch of a file counts too.
    file(folder.path(), "a2.csv", 300, 4, 4);
    run(&db, folder.path(), &NOW).expect(1);
    assert_eq!(db.rows(STATES).await[1], "a2.csv|stopped|6|4");
    run(&db, folder.path(), &["retry-file", "a2.csv"]).expect(0);
    run(&db, folder.path(), &NOW).expect(0);
    assert_eq!(db.rows(STATES).await[1], "a2.csv|done|6|4");
}

#[tokio::test]
async fn a_share_stops_a_bad_file_but_not_a_few_bad_records() {
    let (db, folder) = (TestDb::create().await, folder());
    streams(&db, folder.path(), "'2%'").await;
    file(folder.path(), "a1.csv", 0, 300, 2);
    run(&db, folder.path(), &NOW).expect(3);
    file(folder.path(), "a2.csv", 300, 2000, 3);
    let ended = run(&db, folder.path(), &NOW).expect(1);
    let reason = "21 of 700 records refused, more than max_dead_letters = \"2%\" lets pass";
    assert!(ended.stdout.contains(&format!("stopped: a2.csv: {reason}")), "{}", ended.stdout);
    streams(&db, folder.path(), "'many'").await;
    let wrong = run(&db, folder.path(), &NOW).expect(1).stderr;
    assert!(
        wrong.contains("streams.toml:6:20: max_dead_letters must be a number, or a share"),
        "{wrong}"
    );
}

#[tokio::test]
async fn a_running_streamer_rests_and_goes_on_by_itself_once_the_file_may() {
    let (db, folder) = (TestDb::create().await, folder());
    streams(&db, folder.path(), "5").await;
    file(folder.path(), "a1.csv", 0, 300, 3);
    let mut command = streamer(folder.path(), &["run"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    running.wait_for_log("the stream is stopped");
    let ailing = run(&db, folder.path(), &["health"]).expect(1).stderr;
    assert!(ailing.contains("stream a is stopped by a1.csv"), "{ailing}");
    file(folder.path(), "a2.csv", 300, 10, 0);
    file(folder.path(), "b1.csv", 0, 50, 0);
    db.wait_for("select count(*) from b", 50).await;
    assert_eq!(db.rows(STATES).await, ["a1.csv|stopped|202|200"], "the stream rests");
    // The file is mended in its place: it is another one, and read from its start.
    fs::remove_file(folder.path().join("a1.csv")).unwrap();
    file(folder.path(), "a1.csv", 0, 300, 0);
    run(&db, folder.path(), &["retry-file", "a1.csv"]).expect(0);
    running.wait_for_log("the stream goes on");
    db.wait_for("select count(*) from a", 310).await;
    assert_eq!(running.terminate().0, Some(0));
    let done = ["a1.csv#2|done|302|300", "a1.csv|reading|202|200", "a2.csv|done|12|10"];
    let mut states = db.rows(STATES).await;
    states.sort();
    assert_eq!(states, done);
}

#[tokio::test]
async fn a_streamer_that_did_not_see_the_stop_loads_nothing_more() {
    let (db, folder) = (TestDb::create().await, folder());
    streams(&db, folder.path(), "5").await;
    file(folder.path(), "a1.csv", 0, 10, 0);
    let mut command = streamer(folder.path(), &["run"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    db.wait_for("select count(*) from a", 10).await;
    // As another streamer on the same folder would.
    db.execute(
        "insert into streamer.checkpoint (stream, partition, next_offset, next_line, records, state,
                                          refusal, judged_records, judged_dead_letters)
         values ('a', 'a0.csv', 9, 9, 9, 'stopped', 'too many', 9, 9)",
    )
    .await;
    file(folder.path(), "a2.csv", 10, 10, 0);
    running.wait_for_log("too many");
    assert_eq!(db.number("select count(*) from a").await, 10);
    run(&db, folder.path(), &["retry-file", "a0.csv"]).expect(0);
    db.wait_for("select count(*) from a", 20).await;
    assert_eq!(running.terminate().0, Some(0));
}
