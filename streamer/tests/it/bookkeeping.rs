//! Old bookkeeping is made smaller: what it tells stays the same.

use std::fs;
use std::path::Path;

use sqlx::{Connection, Executor};
use xxhash_rust::xxh3::xxh3_64;

use crate::support::{Ended, Http, Running, TestDb, folder, streamer};

/// A stream that notices what is read twice: its table has no key.
const PLAIN: &str =
    "[stream.plain]\nfiles = 'plain*.csv'\nsettle = '100ms'\nprovenance = ['batch_id']\n";
const PLAIN_TABLE: &str = "create table plain (n bigint, batch_id bigint)";

/// All that is there becomes old.
const AGE: &str = "update streamer.micro_batch set written_at = written_at - interval '2 hours';
                   update streamer.checkpoint set updated_at = updated_at - interval '2 days';
                   update streamer.compaction set done_at = done_at - interval '1 hour'";

/// An hour has passed since bookkeeping was last looked through.
const DUE: &str = "update streamer.compaction set done_at = done_at - interval '1 hour'";

/// Micro-batches as they were, to compare with.
const KEEP: &str = "create table before as select * from streamer.micro_batch";

/// How many of them do not lead to one line of their own partition with their offsets in it.
const ASTRAY: &str = "select count(*) from before b
      left join lateral streamer.batch_origin(b.batch_id) o on true
     where (b.stream, b.partition) is distinct from (o.stream, o.partition)
        or b.start_offset < o.start_offset or b.end_offset > o.end_offset";

/// What differs in the sums of the partitions, and in the numbers of their micro-batches.
const DIFFERING: &str = "with sums as (
        select 'before' as side, * from (select stream, partition, sum(records), sum(rows), sum(duplicates), sum(repeated),
               sum(dead_letters), min(start_offset), max(end_offset), min(started_at), max(written_at)
          from before group by 1, 2) b
        union all
        select 'after', * from (select stream, partition, sum(records), sum(rows), sum(duplicates), sum(repeated),
               sum(dead_letters), min(start_offset), max(end_offset), min(started_at), max(written_at)
          from streamer.micro_batch group by 1, 2) a
    ), numbers as (
        select 'before' as side, stream, partition, batch_id from before
        union all
        select 'after', stream, partition, streamer.batch_ids(first_batch_id, batch_id, members) from streamer.micro_batch
    ) select (select count(*) from (select to_jsonb(s) - 'side' from sums s group by 1 having count(*) <> 2) d)
           + (select count(*) from (select to_jsonb(n) - 'side' from numbers n group by 1 having count(*) <> 2) d)";

fn run(db: &TestDb, folder: &Path, args: &[&str]) -> Ended {
    let mut command = streamer(folder, args);
    Ended::of(command.env("DATABASE_URL", db.url()).env("RUST_LOG", "info"))
}

/// Reads all that is there, and then makes smaller what is old, as if an hour had passed.
async fn drain_late(db: &TestDb, folder: &Path) -> Ended {
    db.execute(DUE).await;
    drain(db, folder)
}

/// Reads all that is there, and then makes smaller what is old, if that is due.
fn drain(db: &TestDb, folder: &Path) -> Ended {
    run(db, folder, &["run", "--available-now", "--max-rows", "10"])
}

async fn plain(settings: &str) -> (TestDb, tempfile::TempDir) {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(PLAIN_TABLE).await;
    fs::write(folder.path().join("streams.toml"), format!("{PLAIN}{settings}")).unwrap();
    (db, folder)
}

fn numbers(folder: &Path, name: &str, numbers: std::ops::Range<u32>) {
    let lines: String = numbers.map(|n| format!("{n}\n")).collect();
    fs::write(folder.join(name), format!("n\n{lines}")).unwrap();
}

/// Puts old micro-batches of one stream there: `each` is an expression for bytes and one for
/// records over the series `i`.
async fn made(db: &TestDb, partition: &str, lines: u32, bytes: u32, records: u32, step: u32) {
    db.execute(&format!(
        "insert into streamer.micro_batch (batch_id, stream, partition, start_offset, end_offset, records, rows,
                                           duplicates, dead_letters, path, started_at, written_at)
         select (select coalesce(max(batch_id), 0) from streamer.micro_batch) + i * {step}::bigint, 'plain', '{partition}',
                (i - 1) * {bytes}::bigint, i * {bytes}::bigint, {records}, {records}, 0, 0, 'direct',
                now() - interval '3 hours' + i * interval '1 ms', now() - interval '3 hours' + i * interval '2 ms'
           from generate_series(1, {lines}) i"
    ))
    .await;
}

#[tokio::test]
async fn streams_and_writers_that_take_turns_become_ranges_that_lead_to_their_places() {
    let (db, folder) =
        plain(&PLAIN.replace("plain", "other").replace("]\nfiles", "]\ntable = 'plain'\nfiles"))
            .await;
    for (name, first) in [("plain1", 0), ("plain2", 1000), ("other1", 2000), ("other2", 3000)] {
        numbers(folder.path(), &format!("{name}.csv"), first..first + 500);
    }
    fs::write(folder.path().join("plain3.csv"), "n\n1\nbad\n2\n").unwrap();
    let all = ["run", "--available-now", "--max-rows", "10", "--writers", "2"];
    run(&db, folder.path(), &all).expect(3);
    db.execute(AGE).await;
    // One that is young stays as it is.
    db.execute("update streamer.micro_batch set written_at = now() where partition = 'plain1.csv' and start_offset = 0")
        .await;
    db.execute(KEEP).await;
    let lines = db.number("select count(*) from streamer.micro_batch").await;
    assert!(lines > 200, "{lines}");
    let told = run(&db, folder.path(), &["run", "--available-now"]).expect(0).stderr;
    assert!(told.contains("lines of micro-batches are 2 now"), "{told}");
    assert_eq!(
        db.rows(
            "select stream, partition, path from streamer.micro_batch order by 1, 2, start_offset"
        )
        .await,
        [
            "other|other1.csv|merged",
            "other|other2.csv|merged",
            "plain|plain1.csv|direct",
            "plain|plain1.csv|merged",
            "plain|plain2.csv|merged",
            "plain|plain3.csv|direct",
        ]
    );
    assert_eq!(db.rows(&format!("select ({ASTRAY}), ({DIFFERING})")).await, ["0|0"]);
    // And so do the rows: by their own values.
    let rows = "select count(*) from plain t cross join lateral streamer.batch_origin(t.batch_id) o
                 where o.partition = case when t.n < 500 and o.partition <> 'plain3.csv' then 'plain1.csv' when t.n < 500 then 'plain3.csv'
                                          when t.n < 2000 then 'plain2.csv' when t.n < 3000 then 'other1.csv' else 'other2.csv' end";
    assert_eq!(db.number(rows).await, 2002);
    let unknown = "select count(*) from streamer.batch_origin((select max(batch_id) + 1 from streamer.micro_batch))";
    assert_eq!(db.number(unknown).await, 0);
    // Nothing is left to do.
    let told = drain_late(&db, folder.path()).await.expect(0).stderr;
    assert!(!told.contains("bookkeeping"), "{told}");

    // A reset takes the rows of its own stream, and leaves those of the other.
    run(&db, folder.path(), &["reset", "other", "--rows", "--yes"]).expect(0);
    assert_eq!(db.rows("select count(*), max(n) from plain").await, ["1002|1499"]);
    assert_eq!(
        db.number("select count(*) from streamer.micro_batch where stream = 'other'").await,
        0
    );
}

#[tokio::test]
async fn ranges_keep_to_their_limits_and_grow_across_steps() {
    let (db, folder) = plain("").await;
    made(&db, "records", 250, 10, 1000, 1).await;
    made(&db, "bytes", 40, 1 << 20, 1, 1).await;
    made(&db, "many", 12_345, 10, 1, 3).await;
    made(&db, "far", 10, 10, 1, 2000).await;
    db.execute("insert into streamer.micro_batch select batch_id + 100000, stream, 'gaps', start_offset * 2, start_offset * 2 + 10, records, rows,
                       duplicates, dead_letters, path, started_at, written_at, repeated
                  from streamer.micro_batch where partition = 'records'").await;
    db.execute(KEEP).await;
    drain_late(&db, folder.path()).await.expect(0);
    let lines = "select partition, count(*), max(records), max(end_offset - start_offset) from streamer.micro_batch group by 1 order by 1";
    assert_eq!(
        db.rows(lines).await,
        [
            format!("bytes|3|16|{}", 16 << 20),
            "far|10|1|10".to_owned(),
            "gaps|250|1000|10".to_owned(),
            "many|1|12345|123450".to_owned(),
            "records|3|100000|1000".to_owned(),
        ]
    );
    assert_eq!(db.rows(&format!("select ({ASTRAY}), ({DIFFERING})")).await, ["0|0"]);
    // What comes later is added to the range that is there.
    db.execute("insert into streamer.micro_batch (batch_id, stream, partition, start_offset, end_offset, records, rows, duplicates, dead_letters, path, written_at)
                select batch_id + 1000, stream, partition, end_offset, end_offset + 5, 1, 1, 0, 0, 'direct', now() - interval '2 hours'
                  from streamer.micro_batch where partition = 'many'").await;
    drain_late(&db, folder.path()).await.expect(0);
    assert_eq!(
        db.number("select records from streamer.micro_batch where partition = 'many'").await,
        12_346
    );
    assert_eq!(db.number(ASTRAY).await, 0);
}

#[tokio::test]
async fn a_kill_in_the_middle_leaves_nothing_wrong() {
    let (db, folder) = plain("").await;
    made(&db, "many", 40_000, 10, 1, 2).await;
    db.execute(KEEP).await;
    let mut command = streamer(folder.path(), &["run", "--available-now"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    db.wait_for(
        "select (count(*) > 0)::int::bigint from streamer.micro_batch where path = 'merged'",
        1,
    )
    .await;
    running.kill();
    assert_eq!(db.number(DIFFERING).await, 0);
    // A round at the end takes five seconds at most.
    while db.number("select count(*) from streamer.micro_batch").await > 1 {
        drain_late(&db, folder.path()).await.expect(0);
    }
    assert_eq!(db.number(DIFFERING).await, 0);
}

#[tokio::test]
async fn a_file_that_is_put_back_is_known_and_one_in_its_place_is_another() {
    let (db, folder) = plain("").await;
    let path = |name: &str| folder.path().join(name);
    for (name, first) in [("plain1.csv", 0), ("plain2.csv", 100), ("plain3.csv", 200)] {
        numbers(folder.path(), name, first..first + 30);
    }
    // Stamps count once they are two seconds old; the test does not wait for that.
    let stamp = "update streamer.checkpoint set fingerprint = fingerprint || '{\"stat\": {\"size\": 1, \"inode\": [1, 1], \"modified\": [1, 1], \"changed\": [1, 1]}}'";
    drain_late(&db, folder.path()).await.expect(0);
    db.execute(stamp).await;
    let aside = crate::support::folder();
    for name in ["plain1.csv", "plain2.csv"] {
        fs::copy(path(name), aside.path().join(name)).unwrap();
        fs::remove_file(path(name)).unwrap();
    }
    drain_late(&db, folder.path()).await.expect(0);
    let stamped = "select partition, fingerprint ? 'stat', fingerprint ? 'tail' from streamer.checkpoint order by 1";
    assert_eq!(
        db.rows(stamped).await,
        ["plain1.csv|t|t", "plain2.csv|t|t", "plain3.csv|t|t"],
        "it is young"
    );
    db.execute(AGE).await;
    // A row that somebody has locked is left out, and not waited for.
    let mut other = db.connect().await;
    let mut tx = other.begin().await.unwrap();
    tx.execute("select from streamer.checkpoint where partition = 'plain2.csv' for update")
        .await
        .unwrap();
    drain_late(&db, folder.path()).await.expect(0);
    assert_eq!(db.rows(stamped).await, ["plain1.csv|f|t", "plain2.csv|t|t", "plain3.csv|t|t"]);
    tx.rollback().await.unwrap();
    drain_late(&db, folder.path()).await.expect(0);
    assert_eq!(db.rows(stamped).await, ["plain1.csv|f|t", "plain2.csv|f|t", "plain3.csv|t|t"]);

    fs::copy(aside.path().join("plain1.csv"), path("plain1.csv")).unwrap();
    numbers(folder.path(), "plain2.csv", 300..340);
    drain_late(&db, folder.path()).await.expect(0);
    assert_eq!(db.number("select count(*) from plain").await, 130, "30 are known, 40 are new");
    assert_eq!(
        db.rows("select partition from streamer.checkpoint order by 1").await,
        ["plain1.csv", "plain2.csv", "plain2.csv#2", "plain3.csv",]
    );
    numbers(folder.path(), "plain1.csv", 0..31);
    drain_late(&db, folder.path()).await.expect(0);
    assert_eq!(
        db.rows("select count(*), count(*) filter (where n = 30) from plain").await,
        ["131|1"],
        "it goes on"
    );
}

#[tokio::test]
async fn segments_without_a_checkpoint_are_not_read_twice_also_after_a_reset() {
    let (db, folder) = plain("").await;
    let (spool, aside) = (folder.path().join("spool/plain"), crate::support::folder());
    let put_back = || {
        for entry in fs::read_dir(aside.path()).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), spool.join(entry.file_name())).unwrap();
        }
    };
    let args = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    let running = Running::start(streamer(folder.path(), &args).env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    for n in 0..20 {
        http.post("/streams/plain/events?wait=commit", format!("n\n{n}\n"));
    }
    db.wait_for("select count(*) from plain", 20).await;
    running.kill();
    for entry in fs::read_dir(&spool).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), aside.path().join(entry.file_name())).unwrap();
    }
    drain_late(&db, folder.path()).await.expect(0);
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
    let told = || {
        let status = run(&db, folder.path(), &["status", "--json"]).expect(0).stdout;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let stream = &status["streams"][0];
        let file = &stream["files"][0];
        format!(
            "{} {} {} {} {} {}",
            stream["records"],
            stream["rows"],
            file["file"],
            file["state"],
            file["next_offset"],
            file["records"]
        )
    };
    let before = told();
    assert!(before.starts_with("20 20 \"spool/plain/"), "{before}");
    db.execute(AGE).await;
    drain_late(&db, folder.path()).await.expect(0);
    assert_eq!(db.number("select count(*) from streamer.checkpoint").await, 0);
    assert_eq!(db.number("select count(*) from streamer.micro_batch").await, 1);
    assert_eq!(told(), before);

    put_back();
    drain_late(&db, folder.path()).await.expect(0);
    assert_eq!(db.number("select count(*) from plain").await, 20);
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 0, "it is read, and so it goes");
    assert_eq!(db.rows("select records, state from streamer.checkpoint").await, ["20|done"]);
    db.execute(AGE).await;
    drain_late(&db, folder.path()).await.expect(0);
    assert_eq!(db.number("select count(*) from streamer.checkpoint").await, 0, "it goes again");
    let reset = run(&db, folder.path(), &["reset", "plain", "--yes"]).expect(0).stdout;
    assert!(reset.contains("1 files"), "{reset}");
    put_back();
    drain_late(&db, folder.path()).await.expect(0);
    assert_eq!(db.number("select count(*) from plain").await, 20);
}

#[tokio::test]
async fn resolved_letters_go_after_their_time_and_open_ones_never() {
    let (db, folder) = plain("keep_bookkeeping = '30d'\n").await;
    fs::write(folder.path().join("plain1.csv"), "n\na\nb\nc\n1\n").unwrap();
    drain_late(&db, folder.path()).await.expect(3);
    db.execute(
        "update streamer.dead_letter set resolution = 'discarded', resolved_at = now() - interval '31 days' where line = 2;
         update streamer.dead_letter set resolution = 'retried', resolved_at = now() - interval '29 days' where line = 3;
         update streamer.dead_letter set created_at = now() - interval '400 days'",
    )
    .await;
    let settings = folder.path().join("streams.toml");
    fs::write(&settings, format!("{PLAIN}keep_bookkeeping = 'forever'\n")).unwrap();
    drain_late(&db, folder.path()).await.expect(0);
    let lines = "select line from streamer.dead_letter order by 1";
    assert_eq!(db.rows(lines).await, ["2", "3", "4"]);
    // Thirty days are the default.
    fs::write(&settings, PLAIN).unwrap();
    let told = drain_late(&db, folder.path()).await.expect(0).stderr;
    assert!(told.contains("1 resolved dead letters are removed"), "{told}");
    assert_eq!(db.rows(lines).await, ["3", "4"]);
    for wrong in ["59s", "for ever"] {
        fs::write(&settings, format!("{PLAIN}keep_bookkeeping = '{wrong}'\n")).unwrap();
        let told = drain_late(&db, folder.path()).await.expect(1).stderr;
        assert!(told.contains("keep_bookkeeping must be from 1 minute"), "{told}");
    }
}

#[tokio::test]
async fn one_streamer_at_a_time_does_it_with_no_more_rights_than_the_readme_lists() {
    let (db, folder) = plain("").await;
    let readme = include_str!("../../../README.md");
    let grants = readme.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let grants = grants.replace("user_events", "plain").replace("loader", "keeper");
    db.execute(&format!("create role keeper login; {grants}")).await;
    let drain = || {
        let mut command = streamer(folder.path(), &["run", "--available-now", "--max-rows", "10"]);
        let url = db.url().replace("//streamer@", "//keeper@");
        Ended::of(command.env("DATABASE_URL", url).env("RUST_LOG", "info")).expect(0).stderr
    };
    numbers(folder.path(), "plain1.csv", 0..100);
    drain();
    db.execute(AGE).await;
    db.execute("revoke delete on streamer.micro_batch from keeper").await;
    let told = drain();
    assert!(told.contains("WARN old bookkeeping of stream plain stays as it is"), "{told}");
    assert!(told.contains("grant delete on table streamer.micro_batch to keeper"), "{told}");
    db.execute("grant delete on streamer.micro_batch to keeper").await;
    let mut other = db.connect().await;
    let key = xxh3_64(b"streamer\0bookkeeping\0plain");
    let lock =
        sqlx::query("select pg_advisory_lock($1)").bind(i64::from_ne_bytes(key.to_ne_bytes()));
    lock.execute(&mut other).await.unwrap();
    drain();
    assert!(
        db.number("select count(*) from streamer.micro_batch").await > 5,
        "another one is at it"
    );
    other.close().await.unwrap();
    assert!(drain().contains("made old bookkeeping smaller"));
    assert_eq!(db.number("select count(*) from streamer.micro_batch").await, 1);
}
