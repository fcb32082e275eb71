//! `streamer reset`: a stream as if nothing of it had been read, and nothing else is touched.

use std::fs;
use std::path::Path;

use crate::rollups::{agrees, generate, load};
use crate::support::{Ended, Running, TestDb, folder, streamer};

const ROLLUP: &str = "select date_trunc('minute', event_time), event_type, category, count(*),
                             coalesce(sum(price) filter (where event_type = 'purchase'), 0)
                        from user_events group by 1, 2, 3";

fn reset(db: &TestDb, folder: &Path, args: &[&str]) -> Ended {
    let args = [&["reset"], args].concat();
    Ended::of(streamer(folder, &args).env("DATABASE_URL", db.url()))
}

async fn known(db: &TestDb, stream: &str) -> Vec<String> {
    db.rows(&format!(
        "select (select count(*) > 0 from streamer.checkpoint where stream = '{stream}'),
                (select count(*) > 0 from streamer.micro_batch where stream = '{stream}'),
                (select count(*) > 0 from streamer.dead_letter where stream = '{stream}')"
    ))
    .await
}

#[tokio::test]
async fn a_stream_starts_over_with_its_rows_or_without() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 9, 12);
    load(&db, folder.path());
    let rows = db.number("select count(*) from user_events").await;
    // Nobody can be asked here.
    let refused = reset(&db, folder.path(), &["user_events", "--rows"]).expect(1).stderr;
    assert!(refused.contains("say --yes"), "{refused}");
    let unknown = reset(&db, folder.path(), &["nothing", "--yes"]).expect(1).stderr;
    assert!(unknown.contains("there are ad_events"), "{unknown}");
    assert_eq!(known(&db, "user_events").await, ["t|t|t"], "nothing was changed");

    let told = reset(&db, folder.path(), &["user_events", "--yes"]).expect(0).stdout;
    assert!(told.contains("stream user_events is as new: 1 files, "), "{told}");
    assert_eq!(known(&db, "user_events").await, ["f|f|f"]);
    assert_eq!(known(&db, "transfers").await, ["t|t|t"], "other streams stay as they are");
    assert_eq!(db.number("select count(*) from user_events").await, rows);
    load(&db, folder.path());
    assert_eq!(db.number("select count(*) from user_events").await, rows, "all are duplicates");
    agrees(&db, "user_events_per_minute", ROLLUP, "after it was read again").await;

    reset(&db, folder.path(), &["user_events", "--rows", "--yes"]).expect(0);
    assert_eq!(known(&db, "user_events").await, ["f|f|f"]);
    assert_eq!(db.number("select count(*) from user_events").await, 0);
    assert_eq!(db.number("select count(*) from user_events_per_minute").await, 0);
    load(&db, folder.path());
    assert_eq!(db.number("select count(*) from user_events").await, rows);
    agrees(&db, "user_events_per_minute", ROLLUP, "after it was loaded anew").await;
}

#[tokio::test]
async fn rows_of_another_stream_into_the_same_table_stay() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table shared (id integer primary key, batch_id bigint)").await;
    let streams = "[stream.a]\nfiles = 'a.csv'\ntable = 'shared'\nprovenance = ['batch_id']\n\
                   [stream.b]\nfiles = 'b.csv'\ntable = 'public.shared'\nprovenance = ['batch_id']\n";
    fs::write(folder.path().join("streams.toml"), streams).unwrap();
    fs::write(folder.path().join("a.csv"), "id\n1\n2\n").unwrap();
    fs::write(folder.path().join("b.csv"), "id\n3\n").unwrap();
    let run = ["run", "--available-now"];
    Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(0);
    let told = reset(&db, folder.path(), &["a", "--rows", "--yes"]).expect(0).stdout;
    assert!(told.contains("its rows of table shared are gone"), "{told}");
    assert_eq!(db.rows("select id from shared").await, ["3"]);
    // Nor do those that no stream of these settings has brought.
    db.execute("insert into shared values (9)").await;
    let only_b =
        "[stream.b]\nfiles = 'b.csv'\ntable = 'public.shared'\nprovenance = ['batch_id']\n";
    fs::write(folder.path().join("streams.toml"), only_b).unwrap();
    reset(&db, folder.path(), &["b", "--rows", "--yes"]).expect(0);
    assert_eq!(db.rows("select id from shared").await, ["9"]);
    fs::write(folder.path().join("streams.toml"), streams).unwrap();
    Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(0);
    db.execute("alter table shared drop column batch_id").await;
    let refused = reset(&db, folder.path(), &["b", "--rows", "--yes"]).expect(1).stderr;
    assert!(refused.contains("no column batch_id"), "{refused}");
    // Nor is a column of this name the streamer's where the stream does not say so.
    db.execute("alter table shared add column batch_id bigint default 1").await;
    fs::write(folder.path().join("streams.toml"), streams.replace("provenance = ['batch_id']", ""))
        .unwrap();
    let refused = reset(&db, folder.path(), &["b", "--rows", "--yes"]).expect(1).stderr;
    assert!(refused.contains("no column batch_id"), "{refused}");
    assert_eq!(known(&db, "b").await, ["t|t|f"]);
}

#[tokio::test]
async fn it_is_refused_while_a_streamer_is_at_work() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table a (id integer primary key)").await;
    fs::write(folder.path().join("streams.toml"), "[stream.a]\nfiles = 'a.csv'\nsettle = '1h'\n")
        .unwrap();
    // The last line is not whole, so the streamer keeps the file.
    fs::write(folder.path().join("a.csv"), "id\n1\n2").unwrap();
    let running = Running::start(streamer(folder.path(), &["run"]).env("DATABASE_URL", db.url()));
    db.wait_for("select count(*) from a", 1).await;
    let refused = reset(&db, folder.path(), &["a", "--yes"]).expect(1).stderr;
    assert!(refused.contains("`streamer run` is at work on the data folder"), "{refused}");
    // One on another data folder is known by its claims.
    db.wait_for("select (count(*) > 0)::int::bigint from pg_locks where locktype = 'advisory'", 1)
        .await;
    let elsewhere = crate::support::folder();
    fs::copy(folder.path().join("streams.toml"), elsewhere.path().join("streams.toml")).unwrap();
    let refused = reset(&db, elsewhere.path(), &["a", "--yes"]).expect(1).stderr;
    assert!(refused.contains("another streamer works on files of stream a"), "{refused}");
    assert_eq!(known(&db, "a").await, ["t|t|f"]);
    running.terminate();
    reset(&db, folder.path(), &["a", "--yes"]).expect(0);
    assert_eq!(known(&db, "a").await, ["f|f|f"]);
}

/// A streamer on a data folder of its own, without a file in hand.
async fn idle(db: &TestDb) -> (Running, tempfile::TempDir) {
    let folder = folder();
    db.execute("create table a (id integer primary key)").await;
    fs::write(folder.path().join("streams.toml"), "[stream.a]\nfiles = 'a.csv'\n").unwrap();
    let running = Running::start(streamer(folder.path(), &["run"]).env("DATABASE_URL", db.url()));
    db.wait_for("select count(*) from streamer.instance", 1).await;
    (running, folder)
}

/// A folder with the same settings.
fn elsewhere(folder: &Path) -> tempfile::TempDir {
    let elsewhere = crate::support::folder();
    let name = "streams.toml";
    fs::copy(folder.join(name), elsewhere.path().join(name)).unwrap();
    elsewhere
}

#[tokio::test]
async fn it_is_refused_while_a_streamer_elsewhere_gives_signs_of_life() {
    let db = TestDb::create().await;
    let (running, folder) = idle(&db).await;
    let elsewhere = elsewhere(folder.path());
    let refused = reset(&db, elsewhere.path(), &["a", "--yes"]).expect(1).stderr;
    let named =
        format!("another streamer works on files of stream a: process {} on ", running.id());
    for part in [&named, "waiting up to 15 s", ", seen ", " s ago; stop it first", "killed"] {
        assert!(refused.contains(part), "{part} is not in {refused}");
    }
    // Others may be at work on other streams.
    let other = "[stream.transfers]\nfiles = 'transfers_*.csv'\n";
    fs::write(elsewhere.path().join("streams.toml"), other).unwrap();
    let told = reset(&db, elsewhere.path(), &["transfers", "--yes"]).expect(0).stderr;
    assert!(!told.contains("waiting"), "{told}");
    assert_eq!(running.terminate().0, Some(0));
    let told = reset(&db, folder.path(), &["a", "--yes"]).expect(0).stderr;
    assert!(!told.contains("waiting"), "it has ended in good order: {told}");
}

#[tokio::test]
async fn it_waits_until_one_that_was_killed_was_not_seen_for_long_enough() {
    let db = TestDb::create().await;
    let (running, folder) = idle(&db).await;
    running.kill();
    let told = reset(&db, folder.path(), &["a", "--yes"]).expect(0);
    assert!(told.stderr.contains("waiting up to 15 s for another sign of life"), "{told:?}");
    assert!(told.stdout.contains("stream a is as new"), "{told:?}");
}
