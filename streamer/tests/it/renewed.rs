//! A table that changes while the streamer is at work: what it takes now is taken, without a
//! restart.

use std::fs;
use std::path::Path;

use crate::support::{Running, TestDb, folder, streamer};

/// A streamer at work on the stream `t`.
async fn start(table: &str, more: &str) -> (TestDb, tempfile::TempDir, Running) {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(table).await;
    let settings = format!("[stream.t]\nfiles = 't*'\nscan_every = '100ms'\nevery = '0s'\n{more}");
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let running = Running::start(streamer(folder.path(), &["run"]).env("DATABASE_URL", db.url()));
    (db, folder, running)
}

fn put(folder: &Path, name: &str, text: &str) {
    let hidden = folder.join(format!(".{name}"));
    fs::write(&hidden, text).unwrap();
    fs::rename(hidden, folder.join(name)).unwrap();
}

const LETTERS: &str = "select count(*) from streamer.dead_letter";

#[tokio::test]
async fn a_label_a_length_and_a_null_that_are_allowed_by_now_are_taken() {
    let table = "create type mood as enum ('sad', 'ok');
                 create table t (id int primary key, m mood, c varchar(2), must int not null)";
    let (db, folder, running) = start(table, "").await;
    put(folder.path(), "t1.csv", "id,m,c,must\n1,sad,ab,1\n");
    db.wait_for("select count(*) from t", 1).await;
    db.execute("alter type mood add value 'glad'").await;
    put(folder.path(), "t2.csv", "id,m,c,must\n2,glad,ab,1\n");
    db.wait_for("select count(*) from t", 2).await;
    db.execute("alter table t alter c type varchar(3), alter must drop not null").await;
    put(folder.path(), "t3.csv", "id,m,c,must\n3,ok,abc,1\n4,ok,ab,\n");
    db.wait_for("select count(*) from t", 4).await;
    assert_eq!(db.number(LETTERS).await, 0);
    drop(running);
}

#[tokio::test]
async fn a_file_that_was_refused_is_loaded_once_its_column_is_there() {
    let (db, folder, running) = start("create table t (id int primary key)", "").await;
    put(folder.path(), "t1.csv", "id,b\n1,x\n");
    running.wait_for_log("line 1 names b");
    db.execute("alter table t add b text").await;
    db.wait_for("select count(*) from t where b = 'x'", 1).await;
    drop(running);
}

#[tokio::test]
async fn a_default_that_is_there_by_now_is_given_to_objects() {
    let (db, folder, running) = start("create table t (id int primary key, d text)", "").await;
    put(folder.path(), "t1.jsonl", "{\"id\":1}\n");
    db.wait_for("select count(*) from t where d is null", 1).await;
    db.execute("alter table t alter d set default 'new'").await;
    put(folder.path(), "t2.jsonl", "{\"id\":2}\n{\"id\":3,\"d\":null}\n");
    db.wait_for("select count(*) from t", 3).await;
    assert_eq!(db.rows("select id, d from t order by id").await, ["1|∅", "2|new", "3|∅"]);
    drop(running);
}

#[tokio::test]
async fn a_key_that_is_there_by_now_tells_duplicates() {
    let (db, folder, running) = start("create table t (id int, v text)", "").await;
    put(folder.path(), "t1.csv", "id,v\n1,x\n");
    db.wait_for("select count(*) from t", 1).await;
    db.execute("alter table t add primary key (id)").await;
    put(folder.path(), "t2.csv", "id,v\n1,y\n2,y\n2,z\n");
    db.wait_for("select count(*) from t", 2).await;
    let duplicates = "select sum(duplicates)::bigint from streamer.micro_batch";
    db.wait_for(duplicates, 2).await;
    assert_eq!(db.number(LETTERS).await, 0);
    assert_eq!(db.rows("select v from t order by id").await, ["x", "y"]);
    drop(running);
}

#[tokio::test]
async fn a_column_of_another_type_is_read_by_that() {
    let (db, folder, running) = start("create table t (id int primary key, v int)", "").await;
    put(folder.path(), "t1.csv", "id,v\n1,7\n");
    db.wait_for("select count(*) from t", 1).await;
    db.execute("alter table t alter v type text").await;
    put(folder.path(), "t2.csv", "id,v\n2,08\n3,x\n");
    db.wait_for("select count(*) from t", 3).await;
    assert_eq!(db.rows("select v from t order by id").await, ["7", "08", "x"]);
    assert_eq!(db.number(LETTERS).await, 0);
    running.wait_for_log("has changed: column v is text now, not integer");
    drop(running);
}
