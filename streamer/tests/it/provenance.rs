//! The columns that tell where a row came from: the streamer's only where it made the table or the
//! stream says so.

use std::fs;

use crate::support::{Ended, TestDb, folder, streamer};

const TABLE: &str = "create table t (batch_id bigint not null, item int not null,
    ingested_at timestamptz, primary key (batch_id, item))";

#[tokio::test]
async fn columns_of_these_names_are_the_users_own_unless_the_stream_says_otherwise() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(TABLE).await;
    fs::write(folder.path().join("streams.toml"), "[stream.t]\nfiles = '*.csv'\n").unwrap();
    let text = "batch_id,item,ingested_at\n7001,1,2024-01-01T00:00:00Z\n7002,1,\n";
    fs::write(folder.path().join("a.csv"), text).unwrap();
    fs::write(folder.path().join("b.csv"), text).unwrap();
    let run =
        |args: &[&str]| Ended::of(streamer(folder.path(), args).env("DATABASE_URL", db.url()));
    run(&["run", "--available-now"]).expect(0);
    let rows = "select batch_id, item, ingested_at at time zone 'UTC' from t order by 1";
    assert_eq!(db.rows(rows).await, ["7001|1|2024-01-01 00:00:00", "7002|1|∅"]);
    let counts = "select sum(rows), sum(duplicates) from streamer.micro_batch";
    assert_eq!(db.rows(counts).await, ["2|2"]);
    let told = run(&["check"]).stdout;
    let words = "batch_id and ingested_at of the table is taken for the file's own";
    assert!(told.contains(words), "{told}");
}

#[tokio::test]
async fn what_the_stream_names_is_filled_and_must_be_there() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table t (item int, batch_id bigint)").await;
    let settings = |names: &str| {
        let text = format!("[stream.t]\nfiles = '*.csv'\nprovenance = [{names}]\n");
        fs::write(folder.path().join("streams.toml"), text).unwrap();
    };
    fs::write(folder.path().join("a.csv"), "item,batch_id\n1,7001\n").unwrap();
    let run =
        |args: &[&str]| Ended::of(streamer(folder.path(), args).env("DATABASE_URL", db.url()));
    settings("'batch_id', 'ingested_at'");
    let told = run(&["check"]).expect(1).stderr;
    assert!(told.contains("alter table t add column ingested_at timestamptz;"), "{told}");
    settings("'batch'");
    let told = run(&["check"]).expect(1).stderr;
    assert!(told.contains("streams.toml:3"), "{told}");
    settings("'batch_id'");
    run(&["run", "--available-now"]).expect(0);
    let traced = "select b.partition from t join streamer.micro_batch b using (batch_id)";
    assert_eq!(db.rows(traced).await, ["a.csv"]);
    let told = run(&["check"]).expect(0).stdout;
    let words = "alter table t add column ingested_at timestamptz; and provenance = [";
    assert!(told.contains(words), "{told}");
}
