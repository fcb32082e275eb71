//! Tables that PostgreSQL divides into partitions, and records that no partition takes.

use std::fs;
use std::path::Path;

use crate::rollups::agrees;
use crate::support::{Ended, Http, Running, TestDb, folder, streamer};

/// A table with a partition for 2024, and a stream into it.
async fn table(db: &TestDb, folder: &Path, settings: &str) {
    db.execute(
        "create table t (id int, at timestamptz check (id <> 7), primary key (id, at)) partition by range (at);
         create table t_2024 partition of t for values from ('2024-01-01Z') to ('2025-01-01Z')",
    )
    .await;
    stream(folder, settings);
}

fn stream(folder: &Path, settings: &str) {
    let stream =
        "[stream.t]\nfiles = 't*.csv'\nscan_every = '50ms'\nevery = '0s'\nmax_rows = 100\n";
    fs::write(folder.join("streams.toml"), format!("{stream}{settings}")).unwrap();
}

/// A file with the first `missing` of its records in 2025 and the others in 2024.
fn file(folder: &Path, name: &str, first: u32, records: u32, missing: u32) {
    let year = |n: u32| if n < missing { 2025 } else { 2024 };
    let line = |n: u32| format!("{},{}-05-01T00:00:00Z\n", first + n, year(n));
    let lines: String = (0..records).map(line).collect();
    fs::write(folder.join(name), format!("id,at\n{lines}")).unwrap();
}

fn run(db: &TestDb, folder: &Path, args: &[&str]) -> Ended {
    Ended::of(streamer(folder, args).env("DATABASE_URL", db.url()))
}

fn status(db: &TestDb, folder: &Path) -> serde_json::Value {
    let status = run(db, folder, &["status", "--json"]).expect(0).stdout;
    serde_json::from_str::<serde_json::Value>(&status).unwrap()["streams"][0].clone()
}

const NOW: [&str; 4] = ["run", "--available-now", "--writers", "1"];
const THE_YEAR: &str = "create table public.t_2025 partition of public.t for values \
                        from ('2025-01-01 00:00:00+00') to ('2026-01-01 00:00:00+00');";
const COUNTS: &str = "select sum(records), sum(rows), sum(duplicates), sum(dead_letters)
                        from streamer.micro_batch";
const KINDS: &str = "select kind, count(*) from streamer.dead_letter
                      where resolved_at is null group by kind order by kind";

#[tokio::test]
async fn a_few_records_without_a_partition_are_dead_letters_until_there_is_one() {
    let (db, folder) = (TestDb::create().await, folder());
    table(&db, folder.path(), "").await;
    // One of them breaks the CHECK, which has the same SQLSTATE.
    file(folder.path(), "t1.csv", 7, 1, 0);
    file(folder.path(), "t2.csv", 100, 60, 3);
    run(&db, folder.path(), &NOW).expect(3);
    assert_eq!(db.rows(KINDS).await, ["no partition|3", "refused|1"]);
    let number = db.number("select max(dead_letter_id) from streamer.dead_letter").await;
    let shown = run(&db, folder.path(), &["dead-letters", "show", &number.to_string()]).stdout;
    assert!(shown.contains("it has no partition; the streamer tries it again"), "{shown}");
    // Another partition does not help, one that is made while the streamer is at work does.
    db.execute(
        "create table t_2026 partition of t for values from ('2026-01-01Z') to ('2027-01-01Z')",
    )
    .await;
    run(&db, folder.path(), &NOW).expect(0);
    assert_eq!(db.rows(KINDS).await, ["no partition|3", "refused|1"]);
    let tried = "select count(tried_with) from streamer.dead_letter where kind = 'no partition'";
    assert_eq!(db.number(tried).await, 3);
    let mut command = streamer(folder.path(), &["run"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    file(folder.path(), "t3.csv", 200, 60, 3);
    db.wait_for("select count(*) from streamer.dead_letter", 7).await;
    db.execute(THE_YEAR).await;
    db.wait_for("select count(*) from t", 120).await;
    running.wait_for_log("records that had no partition are loaded");
    assert_eq!(running.terminate().0, Some(0));
    assert_eq!(db.rows(KINDS).await, ["refused|1"]);
    assert_eq!(db.rows(COUNTS).await, ["121|120|0|1"]);
    let retried = "select sum(rows)::bigint from streamer.micro_batch where path = 'retry'";
    assert_eq!(db.number(retried).await, 6);
}

#[tokio::test]
async fn a_run_that_ends_tries_the_letters_of_former_ones() {
    let (db, folder) = (TestDb::create().await, folder());
    table(&db, folder.path(), "").await;
    file(folder.path(), "t1.csv", 100, 9, 9);
    run(&db, folder.path(), &NOW).expect(3);
    db.execute(THE_YEAR).await;
    run(&db, folder.path(), &NOW).expect(0);
    assert_eq!(db.rows(COUNTS).await, ["9|9|0|0"]);
    assert_eq!(db.number("select count(*) from t_2025").await, 9);
}

#[tokio::test]
async fn letters_that_are_older_than_their_kind_are_tried_too() {
    let (db, folder) = (TestDb::create().await, folder());
    table(&db, folder.path(), "").await;
    file(folder.path(), "t1.csv", 7, 1, 0);
    file(folder.path(), "t2.csv", 100, 3, 3);
    run(&db, folder.path(), &NOW).expect(3);
    // As a streamer left them that knew no kinds, and the migration that comes upon them.
    db.execute("update streamer.dead_letter set kind = 'refused'").await;
    let migration = include_str!("../../../migrations/core/V10__partitions.sql");
    let (_, update) = migration.split_once("update streamer.dead_letter").unwrap();
    let (update, _) = update.split_once(';').unwrap();
    db.execute(&format!("update streamer.dead_letter{update}")).await;
    assert_eq!(db.rows(KINDS).await, ["no partition|3", "refused|1"]);
    db.execute(THE_YEAR).await;
    run(&db, folder.path(), &NOW).expect(0);
    assert_eq!(db.number("select count(*) from t_2025").await, 3);
    assert_eq!(db.rows(KINDS).await, ["refused|1"]);
}

#[tokio::test]
async fn where_many_have_none_the_stream_waits_and_says_which_to_make() {
    let (db, folder) = (TestDb::create().await, folder());
    table(&db, folder.path(), "").await;
    file(folder.path(), "t1.csv", 0, 500, 30);
    let mut command = streamer(folder.path(), &["run", "--listen", "127.0.0.1:0"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    let http = Http::of(&running);
    let told = running.wait_for_log("waits:");
    let waits = |count: u32| format!("streamer_missing_partitions{{stream=\"t\"}} {count}\n");
    assert!(http.get("/metrics").body.contains(&waits(1)));
    assert!(told.contains(THE_YEAR), "{told}");
    let ailing = run(&db, folder.path(), &["health"]).expect(1).stderr;
    assert!(ailing.contains("stream t waits") && ailing.contains(THE_YEAR), "{ailing}");
    let state = status(&db, folder.path());
    assert_eq!((&state["waiting"], &state["files"][0]["state"]), (&true.into(), &"waiting".into()));
    let waits_for = state["files"][0]["waits_for"].as_str().unwrap();
    assert!(waits_for.ends_with(THE_YEAR), "{waits_for}");
    let text = run(&db, folder.path(), &["status"]).expect(0).stdout;
    assert!(text.contains("into table t, waiting:") && text.contains(THE_YEAR), "{text}");
    assert_eq!(db.number("select count(*) from t").await, 0, "nothing is lost or half loaded");
    // What it says is what it needs.
    db.execute(&waits_for[waits_for.find("create").unwrap()..]).await;
    db.wait_for("select count(*) from t", 499).await;
    running.wait_for_log("waits no longer");
    assert!(http.get("/metrics").body.contains(&waits(0)));
    run(&db, folder.path(), &["health"]).expect(0);
    assert_eq!(running.terminate().0, Some(0));
    assert_eq!(db.rows(COUNTS).await, ["500|499|0|1"], "the other broke the CHECK");
    assert_eq!(status(&db, folder.path())["files"][0]["state"], "done");
}

#[tokio::test]
async fn a_run_that_ends_does_not_wait_and_fails_and_other_streams_are_loaded() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table u (id int, at timestamptz)").await;
    let other = "[stream.u]\nfiles = 'u*.csv'\nevery = '0s'\nmax_rows = 10\n";
    table(&db, folder.path(), other).await;
    file(folder.path(), "t1.csv", 100, 300, 10);
    file(folder.path(), "t2.csv", 1000, 20, 0);
    file(folder.path(), "t3.csv", 2000, 250, 0);
    file(folder.path(), "u1.csv", 100, 300, 0);
    let checked = run(&db, folder.path(), &["check"]).expect(3).stdout;
    assert!(!checked.contains("waiting:"), "10 of 300 are few: {checked}");
    for _ in 0..2 {
        let ended = run(&db, folder.path(), &NOW).expect(1);
        assert!(ended.stdout.contains("waiting: t1.csv: table \"public\".\"t\" has no partition"));
        assert!(ended.stdout.contains(THE_YEAR), "{}", ended.stdout);
        assert!(!ended.stdout.contains("waiting: t2.csv"), "{}", ended.stdout);
    }
    assert_eq!(db.number("select count(*) from u").await, 300);
    let others = "select count(*) from t where id >= 1000";
    assert_eq!(db.number(others).await, 270, "other files of the stream do not wait");
    file(folder.path(), "t1.csv", 100, 300, 300);
    let checked = run(&db, folder.path(), &["check"]).expect(1).stdout;
    assert!(checked.contains("waiting: t1.csv") && checked.contains(THE_YEAR), "{checked}");
    db.execute(THE_YEAR).await;
    run(&db, folder.path(), &NOW).expect(0);
    assert_eq!(db.rows(COUNTS).await, ["870|870|0|0"]);
}

#[tokio::test]
async fn a_setting_says_whether_to_wait() {
    for (setting, code, kept) in [("wait", 1, 0), ("dead-letter", 3, 90), ("auto", 3, 90)] {
        let (db, folder) = (TestDb::create().await, folder());
        table(&db, folder.path(), &format!("on_missing_partition = '{setting}'\n")).await;
        let missing = match setting {
            "wait" => 1,
            "dead-letter" => 90,
            _ => 5,
        };
        file(folder.path(), "t1.csv", 100, 90 + missing, missing);
        run(&db, folder.path(), &NOW).expect(code);
        assert_eq!(db.number("select count(*) from t").await, kept, "{setting}");
    }
    let folder = folder();
    stream(folder.path(), "on_missing_partition = 'never'\n");
    let told = Ended::of(&mut streamer(folder.path(), &["check"])).expect(1).stderr;
    assert!(told.contains("unknown variant") && told.contains("`dead-letter`"), "{told}");
}

/// Tables that are divided in all ways, a record that no partition takes, and what is to be made.
const DIVIDED: &[(&str, &str, &str)] = &[
    (
        "create table t (at date) partition by range (at);
         create table t_y2024m01 partition of t for values from ('2024-01-01') to ('2024-02-01');
         create table t_y2024m02 partition of t for values from ('2024-02-01') to ('2024-03-01')",
        "2024-05-17",
        "create table public.t_y2024m05 partition of public.t for values from ('2024-05-01') to ('2024-06-01');",
    ),
    (
        "create table t (at timestamp) partition by range (at);
         create table \"T 20240110\" partition of t for values from ('2024-01-10') to ('2024-01-11')",
        "2024-01-08T12:00:00",
        "create table public.\"T 20240108\" partition of public.t for values from ('2024-01-08 00:00:00') to ('2024-01-09 00:00:00');",
    ),
    (
        // What is there is not overlapped.
        "create table t (at date) partition by range (at);
         create table t_1 partition of t for values from ('2024-01-01') to ('2024-04-01');
         create table t_rest partition of t for values from ('2024-05-01') to (maxvalue)",
        "2024-04-17",
        "create table public.t_2024_04 partition of public.t for values from ('2024-04-01') to ('2024-05-01');",
    ),
    (
        "create table t (at date) partition by range (at)",
        "2024-05-17",
        "create table public.t_2024_05 partition of public.t for values from ('2024-05-01') to ('2024-06-01');",
    ),
    (
        "create table t (at bigint) partition by range (at);
         create table t_0 partition of t for values from (0) to (1000)",
        "-1",
        "create table public.t__1000 partition of public.t for values from ('-1000') to ('0');",
    ),
    (
        "create table t (at text) partition by list (at); create table t_a partition of t for values in ('a')",
        "it's",
        "create table public.t_it_s partition of public.t for values in ('it''s');",
    ),
    (
        "create table t (at text) partition by list (at); create table t_a partition of t for values in ('a')",
        "",
        "create table public.t_null partition of public.t for values in (NULL);",
    ),
    (
        "create table t (at text, b int) partition by range (at, b)",
        "x",
        "create table public.t_default partition of public.t default;",
    ),
    (
        "create table t (at text) partition by hash (at)",
        "x",
        "make the partitions that its modulus lacks",
    ),
    (
        "create table t (at text, b text default 'z') partition by list (b);
         create table deep partition of t for values in ('z') partition by list (at)",
        "x",
        "create table public.deep_x partition of public.deep for values in ('x');",
    ),
];

#[tokio::test]
async fn the_partition_to_make_is_guessed_from_those_that_are_there() {
    for (tables, value, expected) in DIVIDED {
        let (db, folder) = (TestDb::create().await, folder());
        db.execute(tables).await;
        stream(folder.path(), "on_missing_partition = 'wait'\n");
        fs::write(folder.path().join("t.csv"), format!("at\n{value}\n")).unwrap();
        // A line that is empty is none.
        if value.is_empty() {
            fs::write(folder.path().join("t.csv"), "at,batch_id\n,\n").unwrap();
            db.execute("alter table t add batch_id int").await;
        }
        run(&db, folder.path(), &NOW).expect(1);
        let waits_for = db.rows("select waits_for from streamer.checkpoint").await.remove(0);
        assert!(waits_for.ends_with(expected), "{waits_for}");
        if expected.starts_with("create") {
            db.execute(expected).await;
            run(&db, folder.path(), &NOW).expect(0);
        }
    }
}

#[tokio::test]
async fn check_and_status_tell_of_a_partition_that_tomorrow_lacks() {
    let (db, folder) = (TestDb::create().await, folder());
    table(&db, folder.path(), "").await;
    let told = |what: &str| run(&db, folder.path(), &[what]).expect(0).stdout;
    let warning = "there is no partition for tomorrow, and no default; make one: ";
    let by_status = told("status");
    let (_, statement) = by_status.split_once(warning).expect("it is told");
    let statement = statement.lines().next().unwrap().to_owned();
    assert!(told("check").contains(&format!("{warning}{statement}")));
    assert_eq!(status(&db, folder.path())["missing_partition"], statement.as_str());
    db.execute(&statement).await;
    assert!(!told("status").contains(warning) && !told("check").contains(warning));
    db.execute(
        "drop table t; create table t (id int, at timestamptz) partition by range (at);
                create table other partition of t default",
    )
    .await;
    assert!(!told("status").contains(warning), "a default partition takes all");
}

/// A table with partitions of two levels, and the same without.
const TWO: &str = "
    create table t (id int primary key, at timestamptz, amount int) partition by range (id);
    create table t_low partition of t for values from (minvalue) to (500);
    create table t_high partition of t for values from (500) to (maxvalue) partition by list (id);
    create table t_high_all partition of t_high default;
    create table u (id int primary key, at timestamptz, amount int);
    set streamer.partitions_by_recount = on;
    select streamer.create_rollup('t_n', 't', 'at', '1 day', '{}', 'n = count(*)', 'sum = sum(amount)'),
           streamer.create_rollup('u_n', 'u', 'at', '1 day', '{}', 'n = count(*)', 'sum = sum(amount)')";

#[tokio::test]
async fn kills_leave_a_divided_table_as_they_leave_a_plain_one() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(TWO).await;
    let settings = "[stream.u]\nfiles = 't*.csv'\nscan_every = '50ms'\nevery = '0s'\nmax_rows = 7\nwriters = 2\n";
    stream(folder.path(), &format!("writers = 2\n{settings}"));
    let toml = fs::read_to_string(folder.path().join("streams.toml")).unwrap();
    fs::write(
        folder.path().join("streams.toml"),
        toml.replacen("max_rows = 100", "max_rows = 7", 1),
    )
    .unwrap();
    // Each id comes twice, and some records are no rows.
    for (number, name) in ["t1.csv", "t2.csv", "t3.csv", "t4.csv"].into_iter().enumerate() {
        let first = number % 2 * 1000;
        let line = |id: usize| match id % 97 {
            0 => format!("{id},2024-01-01,many\n"),
            _ => format!("{},2024-01-0{}T00:00:00Z,{id}\n", id % 1000 * 2 % 1000, id % 9 + 1),
        };
        let lines: String = (first..first + 1000).map(line).collect();
        fs::write(folder.path().join(name), format!("id,at,amount\n{lines}")).unwrap();
    }
    for share in [1, 3, 5] {
        let mut command = streamer(folder.path(), &["run"]);
        let running = Running::start(command.env("DATABASE_URL", db.url()));
        let counted = format!(
            "select coalesce(sum(records) > {}, false)::int::bigint from streamer.micro_batch",
            share * 1000
        );
        db.wait_for(&counted, 1).await;
        running.kill();
    }
    // What was refused may have been so before the last kill.
    let code = run(&db, folder.path(), &NOW).code;
    assert!(matches!(code, Some(0 | 3)), "{code:?}");
    let same = "select count(*) from (select id from t except select id from u) d";
    assert_eq!(db.number(same).await, 0);
    let sums = "select stream, sum(records), sum(records) - sum(rows) - sum(duplicates) - sum(dead_letters)
                  from streamer.micro_batch group by stream order by stream";
    assert_eq!(db.rows(sums).await, ["t|4000|0", "u|4000|0"]);
    for (table, rollup) in [("t", "t_n"), ("u", "u_n")] {
        let twice = format!("select count(*) - count(distinct id) from {table}");
        assert_eq!(db.number(&twice).await, 0);
        let rows = format!(
            "select sum(rows)::bigint - (select count(*) from {table}) from streamer.micro_batch where stream = '{table}'"
        );
        assert_eq!(db.number(&rows).await, 0, "{table}");
        let by_hand = format!(
            "select date_trunc('day', at at time zone 'UTC') at time zone 'UTC', count(*), sum(amount) from {table} group by 1"
        );
        agrees(&db, rollup, &by_hand, table).await;
    }
    let letters =
        "select stream, count(*) from streamer.dead_letter group by stream order by stream";
    let letters = db.rows(letters).await;
    assert_eq!(letters[0].replace('t', "u"), letters[1], "{letters:?}");
}
