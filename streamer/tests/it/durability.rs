//! What was told to be committed is on the server's disk, whatever the session was given.

use std::fs;

use crate::support::{Ended, TestDb, folder, streamer};

/// A table that notes by what setting each micro-batch is committed. `afterwards`, if any, is what
/// the next transaction on the connection finds, as on a pool's connection that nobody has set up.
async fn noting_db(setting: &str, afterwards: &str) -> TestDb {
    let db = TestDb::create().await;
    db.execute(&format!(
        "create table t (id integer primary key);
         create table seen (setting text);
         create function note() returns trigger language plpgsql as $$ begin
             insert into seen values (current_setting('synchronous_commit'));
             {afterwards}
             return null; end $$;
         create trigger note after insert on t for each statement execute function note();
         do $$ begin execute format(
             'alter role streamer in database %I set synchronous_commit = {setting}',
             current_database()); end $$"
    ))
    .await;
    assert_eq!(db.rows("show synchronous_commit").await, [setting]);
    db
}

/// What three micro-batches, one after the other, were committed by.
async fn committed_by(db: &TestDb) -> Vec<String> {
    let folder = folder();
    fs::write(folder.path().join("streams.toml"), "[stream.t]\nfiles = 't.csv'\n").unwrap();
    fs::write(folder.path().join("t.csv"), "id\n1\n2\n3\n").unwrap();
    let mut command = streamer(folder.path(), &["run", "--available-now", "--max-rows", "1"]);
    Ended::of(command.env("DATABASE_URL", db.url())).expect(0);
    assert_eq!(db.number("select count(*) from t").await, 3);
    db.rows("select setting from seen").await
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_and_for_standbys_where_that_is_set() {
    for (setting, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("on", "on"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ] {
        let db = noting_db(setting, "").await;
        assert_eq!(committed_by(&db).await, [expected; 3], "{setting}");
    }
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_on_a_connection_that_was_not_set_up() {
    let reset = "perform set_config('synchronous_commit', 'off', false);";
    let db = noting_db("on", reset).await;
    assert_eq!(committed_by(&db).await, ["on"; 3]);
}
