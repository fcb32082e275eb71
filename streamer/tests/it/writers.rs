//! Several writers of one stream, side by side.

use std::fs;
use std::path::Path;

use crate::support::{Ended, TestDb, folder, generate, judge, one_stream, streamer};

fn command(db: &TestDb, folder: &Path, args: &[&str]) -> std::process::Command {
    let mut command = streamer(folder, args);
    command.env("DATABASE_URL", db.url());
    command
}

#[tokio::test]
async fn a_file_that_has_to_wait_does_not_keep_another_waiting() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table a (id int primary key, word text)").await;
    fs::write(folder.path().join("streams.toml"), "[stream.a]\nfiles = '*.csv'\n").unwrap();
    // So large that no writer takes more than one at a time.
    let word = "x".repeat(600_000);
    for (name, ids) in [("1.csv", [1, 2]), ("2.csv", [3, 4]), ("3.csv", [5, 6]), ("4.csv", [7, 8])]
    {
        let records = ids.map(|id| format!("{id},{word}\n")).concat();
        fs::write(folder.path().join(name), format!("id,word\n{records}")).unwrap();
    }
    // Who takes the first file waits until this transaction ends, perhaps with one more in hand.
    let mut other = db.connect().await;
    sqlx::query("begin").execute(&mut other).await.unwrap();
    sqlx::query("insert into a values (1)").execute(&mut other).await.unwrap();
    let args = ["run", "--available-now", "--writers", "2", "--max-rows", "1"];
    let mut run = command(&db, folder.path(), &args);
    let run = tokio::task::spawn_blocking(move || Ended::of(&mut run));
    let done = "select least(count(*), 2) from streamer.checkpoint where state = 'done'";
    db.wait_for(done, 2).await;
    assert_eq!(db.number("select count(*) from a where id < 3").await, 0);
    sqlx::query("rollback").execute(&mut other).await.unwrap();
    run.await.unwrap().expect(0);
    assert_eq!(db.number("select count(distinct id) from a").await, 8);
}

#[tokio::test]
async fn more_writers_than_cores_load_everything_once_and_each_file_in_order() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 12, 1000, 29));
    let args = ["run", "--available-now", "--writers", "8", "--max-rows", "70"];
    Ended::of(&mut command(&db, folder.path(), &args)).expect(3);
    db.agrees_with(&verdict).await;
    let disorder = "select count(*) from (
                        select start_offset <> coalesce(lag(end_offset) over file, 0) as is_out
                          from streamer.micro_batch
                        window file as (partition by partition order by batch_id)) b
                     where is_out";
    assert_eq!(db.number(disorder).await, 0);
}

#[tokio::test]
async fn writers_that_get_no_connection_are_done_without() {
    let (db, folder) = (TestDb::create().await, folder());
    one_stream(folder.path());
    let verdict = judge(&generate(folder.path(), 4, 500, 30));
    db.execute(
        "create role one login connection limit 3;
         grant insert, select on user_events to one; grant usage on schema streamer to one;
         grant select on all tables in schema streamer to one;
         grant insert, update on streamer.checkpoint, streamer.micro_batch, streamer.dead_letter to one;
         grant insert, update, delete on streamer.instance, streamer.idempotency_key to one;
         grant usage on all sequences in schema streamer to one",
    )
    .await;
    let args = ["run", "--available-now", "--writers", "8", "--max-rows", "10"];
    let mut run = streamer(folder.path(), &args);
    run.env("DATABASE_URL", db.url().replace("//streamer@", "//one@"));
    let ended = Ended::of(&mut run).expect(3);
    assert!(!ended.stderr.contains("too many connections"), "{}", ended.stderr);
    db.agrees_with(&verdict).await;
}

#[test]
fn the_number_of_writers_has_bounds() {
    let folder = folder();
    let ended = Ended::of(&mut streamer(folder.path(), &["run", "--writers", "33"])).expect(1);
    assert!(ended.stderr.contains("writers must be from 1 to 32"), "{}", ended.stderr);
}
