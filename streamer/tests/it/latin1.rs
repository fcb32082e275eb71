//! A database that is not in UTF-8: what it lacks costs a record, never a file or the stream.

use std::fs;

use crate::support::{Ended, Running, TestDb, folder, streamer};

const STREAMS: &str = "[stream.t]\nfiles = 't*.csv'\nsettle = '100ms'\nscan_every = '300ms'\n
                       [stream.k]\nfiles = 'k*.csv'\nsettle = '100ms'\nscan_every = '300ms'\n";

const STORED: &str = "select (select count(*) from t) + (select count(*) from k)";

#[tokio::test]
async fn what_the_database_lacks_is_kept_in_another_form_and_stops_nothing() {
    let (db, folder) = (TestDb::latin1().await, folder());
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("streams.toml", STREAMS);
    let run =
        |args: &[&str]| Ended::of(streamer(folder.path(), args).env("DATABASE_URL", db.url()));
    run(&["migrate"]).expect(0);
    db.execute(
        "create table t (id integer primary key, name varchar(20));
         create table k (code text primary key, n integer)",
    )
    .await;
    write("t1.csv", "id,name\n1,Café\n2,5€\n3,Tea\nΩ,x\n");
    write("t_данные.csv", "id,name\n9,nine\n");
    write("t_header.csv", "id,näme Ω\n10,ten\n");
    write("k1.csv", "code,n\na,1\n€,2\né,3\na,4\n");
    run(&["run", "--available-now"]).expect(1);
    assert_eq!(db.rows("select id, name from t order by id").await, ["1|Café", "3|Tea", "9|nine"]);
    assert_eq!(db.rows("select code, n from k order by n").await, ["a|1", "é|3"]);
    let letters = "select partition, line, reasons->0->>'sqlstate', reasons->0->>'value'
                     from streamer.dead_letter order by partition, line";
    let expected = ["k1.csv|3|22P05|∅", "t1.csv|3|22P05|∅", "t1.csv|5|22P02|\\u{3a9}"];
    assert_eq!(db.rows(letters).await, expected);
    let raw = "select encode(raw, 'hex') from streamer.dead_letter where line = 5";
    assert_eq!(db.rows(raw).await, ["cea92c78"], "its bytes are kept as they came");
    let refused = "select partition, refusal from streamer.checkpoint where refusal is not null";
    let refused = db.rows(refused).await;
    assert!(
        matches!(&refused[..], [one] if one.starts_with("t_header.csv|") && one.contains("näme \\u{3a9}")),
        "{refused:?}"
    );
    let name = "t_\\xd0\\xb4\\xd0\\xb0\\xd0\\xbd\\xd0\\xbd\\xd1\\x8b\\xd0\\xb5.csv";
    let status = run(&["status"]).expect(0).stdout;
    assert!(status.contains(name) && !status.contains("pending"), "{status}");
    // Nothing is taken for another file, and what comes later is loaded.
    let mut command = streamer(folder.path(), &["run", "--listen", "none"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    write("t_後.csv", "id,name\n11,eleven\n");
    db.wait_for("select count(*) from t where id = 11", 1).await;
    assert_eq!(running.terminate().0, Some(0));
    assert_eq!(db.number(STORED).await, 6);
    let duplicates = "select sum(duplicates)::bigint from streamer.micro_batch";
    assert_eq!(db.number(duplicates).await, 1, "nothing was read twice");
    run(&["check"]).expect(1);
    run(&["dead-letters", "retry", "--all"]).expect(3);
}
