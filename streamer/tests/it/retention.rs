//! `keep`: old rows go, and what rollups have counted stays.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use chrono::{SecondsFormat, TimeDelta, Utc};

use crate::support::{Ended, Running, TestDb, folder, streamer};

async fn table(db: &TestDb, folder: &Path, settings: &str) {
    db.execute(
        "create table reading (id integer primary key, at timestamptz, day date, v integer);
         select streamer.create_rollup('reading_per_day', 'reading', 'at', '1 day', '{}', 'n = count(*)', 's = sum(v)')",
    )
    .await;
    let streams = format!("[stream.reading]\nfiles = 'r*.csv'\nscan_every = '50ms'\n{settings}");
    fs::write(folder.join("streams.toml"), streams).unwrap();
}

/// Rows of so many days ago, from the number `first` on.
fn file(folder: &Path, name: &str, first: u32, rows: u32, days_ago: i64) {
    let at = Utc::now() - TimeDelta::days(days_ago);
    let mut text = String::from("id,at,day,v\n");
    for id in first..first + rows {
        writeln!(
            text,
            "{id},{},{},1",
            at.to_rfc3339_opts(SecondsFormat::Micros, true),
            at.date_naive()
        )
        .unwrap();
    }
    fs::write(folder.join(name), text).unwrap();
}

const COUNTED: &str = "select sum(n), sum(s) from reading_per_day";

#[tokio::test]
async fn old_rows_go_in_steps_and_rollups_stay() {
    let (db, folder) = (TestDb::create().await, folder());
    table(&db, folder.path(), "keep = '30d'\nevent_time = 'at'\n").await;
    file(folder.path(), "r1.csv", 0, 12_000, 31);
    file(folder.path(), "r2.csv", 20_000, 100, 29);
    db.execute("insert into reading values (-1, null, null, 5)").await;
    let run = ["run", "--available-now", "--max-rows", "5000"];
    let ended = Ended::of(
        streamer(folder.path(), &run).env("DATABASE_URL", db.url()).env("RUST_LOG", "info"),
    );
    let ended = ended.expect(0);
    assert!(ended.stderr.contains("removed 12000 rows older than 30days"), "{}", ended.stderr);
    assert_eq!(db.rows("select count(*), count(at), min(id) from reading").await, ["101|100|-1"]);
    assert_eq!(db.rows(COUNTED).await, ["12101|12105"]);
    // A correction of what is left is one all the same.
    db.execute("delete from reading where id = 20000").await;
    assert_eq!(db.rows(COUNTED).await, ["12100|12104"]);

    // What comes late is counted before it goes, also by a streamer that goes on.
    fs::write(folder.path().join("streams.toml"), "[stream.reading]\nfiles = 'r*.csv'\n").unwrap();
    file(folder.path(), "r3.csv", 30_000, 10, 40);
    Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(0);
    assert_eq!(db.number("select count(*) from reading where id >= 30000").await, 10);
    let keep = "[stream.reading]\nfiles = 'r*.csv'\nkeep = '30d'\nevent_time = 'at'\n";
    fs::write(folder.path().join("streams.toml"), keep).unwrap();
    let running = Running::start(streamer(folder.path(), &["run"]).env("DATABASE_URL", db.url()));
    running.wait_for_log("older than 30days; rollups stay as they are");
    db.wait_for("select count(*) from reading where id >= 30000", 0).await;
    assert_eq!(db.rows(COUNTED).await, ["12110|12114"]);
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn days_go_once_they_are_over_and_a_table_without_a_time_is_told_of() {
    let (db, folder) = (TestDb::create().await, folder());
    table(&db, folder.path(), "keep = '2d'\nevent_time = 'day'\n").await;
    for (at, days_ago) in [(1_u32, 4_i64), (2, 3), (3, 2), (4, 0)] {
        file(folder.path(), &format!("r{at}.csv"), at, 1, days_ago);
    }
    let run = ["run", "--available-now"];
    Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(0);
    assert_eq!(db.rows("select id from reading order by 1").await, ["3", "4"]);
    // Which column it is, is never guessed.
    fs::write(
        folder.path().join("streams.toml"),
        "[stream.reading]\nfiles = 'r*.csv'\nkeep = '2d'\n",
    )
    .unwrap();
    file(folder.path(), "r5.csv", 5, 1, 9);
    let ended = Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(0);
    assert!(ended.stderr.contains("name it by event_time in streams.toml"), "{}", ended.stderr);
    assert_eq!(
        db.rows("select id from reading order by 1").await,
        ["3", "4", "5"],
        "loading goes on"
    );
}
