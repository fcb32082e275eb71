//! JSON objects that have many different sets of keys.

use std::fs;

use crate::support::{Ended, TestDb, folder, streamer};

#[tokio::test]
async fn a_micro_batch_takes_one_copy_for_each_set_of_keys() {
    let (db, folder) = (TestDb::create().await, folder());
    let columns: Vec<String> = (0..11).map(|n| format!("c{n} int not null default 7")).collect();
    db.execute(&format!("create table several (id bigint primary key, {})", columns.join(", ")))
        .await;
    // A statement's trigger counts the statements.
    db.execute(
        "create sequence copies;
         create function count_copy() returns trigger language plpgsql
             as $$ begin perform nextval('copies'); return null; end $$;
         create trigger count_copy after insert on several
             for each statement execute function count_copy()",
    )
    .await;
    fs::write(folder.path().join("streams.toml"), "[stream.several]\nfiles = '*.ndjson'\n")
        .unwrap();
    // Each of 2,048 sets comes twice, far apart.
    let object = |id: usize| {
        let has = |n: &usize| id >> n & 1 == 1;
        let members: String = (0..11).filter(has).map(|n| format!(", \"c{n}\": {n}")).collect();
        format!("{{\"id\": {id}{members}}}\n")
    };
    let text: String = (0..4096).map(object).collect();
    fs::write(folder.path().join("1.ndjson"), text).unwrap();
    let mut command = streamer(folder.path(), &["run", "--available-now", "--max-rows", "10000"]);
    Ended::of(command.env("DATABASE_URL", db.url())).expect(0);
    let sums = "select count(*), sum(c0), sum(c10) from several";
    assert_eq!(db.rows(sums).await, [format!("4096|{}|{}", 2048 * 7, 2048 * (7 + 10))]);
    assert_eq!(db.number("select count(*) from streamer.micro_batch").await, 1);
    assert_eq!(db.number("select last_value from copies").await, 2048);
}
