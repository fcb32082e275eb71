//! Duplicates across micro-batches: of rows written lately, which are looked for, and of older
//! ones.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::support::{Ended, TestDb, folder, streamer};

/// A record with the id `n`.
fn record(n: u64) -> String {
    format!("00000000-0000-4000-8000-{n:012},1,1,view,2026-01-01T00:00:00Z\n")
}

fn write(folder: &Path, name: &str, ids: impl IntoIterator<Item = u64>) {
    let mut csv = "event_id,user_id,product_id,event_type,event_time\n".to_owned();
    ids.into_iter().for_each(|id| csv.write_str(&record(id)).unwrap());
    fs::write(folder.join(name), csv).unwrap();
}

fn load(folder: &Path, db: &TestDb, writers: &str) {
    let args = ["run", "--available-now", "--max-rows", "100", "--writers", writers];
    Ended::of(streamer(folder, &args).env("DATABASE_URL", db.url())).expect(0);
}

async fn counts(db: &TestDb) -> Vec<String> {
    let counts =
        "select sum(records)::int, sum(rows)::int, sum(duplicates)::int, sum(dead_letters)::int,
                         (select count(*) from user_events)
                    from streamer.micro_batch";
    db.rows(counts).await
}

#[tokio::test]
async fn of_recent_rows_costs_no_lookup_of_the_other_keys() {
    let (db, folder) = (TestDb::create().await, folder());
    // Every hundredth record repeats the one that stands 150 before it: each micro-batch has one.
    let ids = (0..10_000).map(|n| if n % 100 == 99 && n > 150 { n - 150 } else { n });
    write(folder.path(), "user_events_1.csv", ids);
    load(folder.path(), &db, "1");
    assert_eq!(counts(&db).await, ["10000|9901|99|0|9901"]);
    let table = "from pg_stat_user_tables where relname = 'user_events'";
    // A session's numbers come all together, some time after it has ended.
    db.wait_for(&format!("select least(n_tup_ins, 9901) {table}"), 9901).await;
    let lookups = db.number(&format!("select (seq_scan + idx_scan)::bigint {table}")).await;
    assert!((99..1000).contains(&lookups), "{lookups} keys of 10,000 were looked up");
}

#[tokio::test]
async fn of_older_rows_are_found_among_those_of_recent_ones() {
    for writers in ["1", "3"] {
        let (db, folder) = (TestDb::create().await, folder());
        write(folder.path(), "user_events_0.csv", 0..2000);
        load(folder.path(), &db, writers);
        // Of four micro-batches one has no duplicate, one has some of recent rows, one of rows that
        // another streamer has loaded, one of both.
        for file in 1..=4 {
            let start = file * 10_000;
            let ids = (start..start + 3000).map(|n| match (n / 100 % 4, n % 100) {
                (1 | 3, 7) => n - 100,
                (2 | 3, 8) => (n - start) / 10 + 300 * file,
                _ => n,
            });
            write(folder.path(), &format!("user_events_{file}.csv"), ids);
        }
        load(folder.path(), &db, writers);
        // Of 30 micro-batches 15 have one of recent rows (8 and 7), 14 one of older rows (7 and 7).
        assert_eq!(counts(&db).await, ["14000|13884|116|0|13884"], "{writers} writers");
    }
}
