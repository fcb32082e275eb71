//! The commands: what a person types, what a script relies on.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::{Ended, TestDb, folder, generate, judge, streamer};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time,price\n";

fn line(n: u32, price: &str) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z,{price}\n")
}

#[tokio::test]
async fn status_tells_scripts_and_people_how_far_each_file_is() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 2, 300, 31));
    let run =
        |args: &[&str]| Ended::of(streamer(folder.path(), args).env("DATABASE_URL", db.url()));
    run(&["run", "--available-now", "--max-rows", "200"]).expect(3);
    let new = folder.path().join("user_events_new.csv");
    fs::write(&new, format!("{HEADER}{}", line(1, "1"))).unwrap();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&new).unwrap().set_modified(hour_ago).unwrap();
    let status = run(&["status", "--json"]).expect(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let streams = status["streams"].as_array().unwrap();
    let stream = streams.iter().find(|stream| stream["stream"] == "user_events").unwrap();
    assert_eq!(stream["table"], "user_events");
    assert_eq!(stream["records"], verdict.records);
    assert_eq!(stream["rows"], verdict.rows.len());
    assert_eq!(stream["duplicates"], verdict.duplicates);
    assert_eq!(stream["dead_letters"], verdict.bad.len());
    let files = stream["files"].as_array().unwrap();
    let states: Vec<&str> = files.iter().map(|file| file["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "done").count(), 2);
    let pending = files.iter().find(|file| file["state"] == "pending").unwrap();
    assert_eq!(pending["file"], "user_events_new.csv");
    assert_eq!(pending["lag_bytes"], stream["lag_bytes"]);
    assert!(stream["lag_age_seconds"].as_u64().unwrap() >= 3600, "{stream}");
    assert_eq!(stream["last_micro_batches"].as_array().unwrap().len(), 4);
    let text = run(&["status"]).expect(0).stdout;
    let line = text.lines().find(|line| line.contains("pending")).unwrap();
    assert!(line.starts_with(" user_events_new.csv "), "{text}");
}

#[tokio::test]
async fn check_tries_everything_and_keeps_nothing() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("alter table user_events add check (price < 100)").await;
    let text = [line(1, "1"), line(2, "100"), line(1, "3"), line(4, "4.005")].concat();
    fs::write(folder.path().join("user_events_1.csv"), format!("{HEADER}{text}")).unwrap();
    let run =
        |args: &[&str]| Ended::of(streamer(folder.path(), args).env("DATABASE_URL", db.url()));
    let checked = run(&["check"]).expect(3).stdout;
    for expected in [
        "duplicates are told by user_events_pkey (event_id)",
        "user_events_1.csv:3 ",
        "user_events_price_check",
        "user_events_1.csv:5 price \"4.005\": more than 2 decimals",
    ] {
        assert!(checked.contains(expected), "{expected} is not in\n{checked}");
    }
    let counts = checked.lines().find(|line| line.contains("1 file ")).unwrap();
    assert_eq!(
        counts.split_whitespace().collect::<Vec<_>>(),
        ["1", "file", "4", "1", "1", "2", "-"]
    );
    let kept = "select (select count(*) from user_events) + (select count(*) from streamer.micro_batch)
                     + (select count(*) from streamer.checkpoint) + (select count(*) from streamer.dead_letter)";
    assert_eq!(db.number(kept).await, 0);
    // What it foretold is what happens.
    run(&["run", "--available-now"]).expect(3);
    let sums = "select sum(rows), sum(duplicates), sum(dead_letters) from streamer.micro_batch";
    assert_eq!(db.rows(sums).await, ["1|1|2"]);
}

#[tokio::test]
async fn dead_letters_are_listed_shown_retried_and_discarded() {
    let (db, folder) = (TestDb::create().await, folder());
    let text =
        [line(1, "0.125"), line(2, "0.125"), line(3, "x"), line(4, "1"), line(1, "5")].concat();
    fs::write(folder.path().join("user_events_1.csv"), format!("{HEADER}{text}")).unwrap();
    let run =
        |args: &[&str]| Ended::of(streamer(folder.path(), args).env("DATABASE_URL", db.url()));
    run(&["run", "--available-now"]).expect(3);
    let list = run(&["dead-letters", "list", "--json"]).expect(0).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list[0]["count"], &list[0]["column"]), (&2.into(), &"price".into()));
    assert_eq!(list[0]["reason"], "more than 2 decimals");
    assert_eq!(list[0]["example_line"], 2);
    let shown = run(&["dead-letters", "show", "1"]).expect(0).stdout;
    assert!(shown.contains("user_events_1.csv:2, bytes 56 to"), "{shown}");
    assert!(shown.contains(&format!("record: {}", line(1, "0.125"))), "{shown}");
    run(&["dead-letters", "show", "99"]).expect(1);

    // The column takes three decimals now: one becomes a row, one is a duplicate of line 6.
    db.execute("alter table user_events alter price type numeric(10,3)").await;
    let retried = run(&["dead-letters", "retry", "--all"]).expect(3).stdout;
    assert_eq!(retried, "1 rows loaded, 1 duplicates, 1 still refused\n");
    assert_eq!(
        db.rows("select user_id, price from user_events order by 1").await,
        ["1|5.000", "2|0.125", "4|1.000"]
    );
    let again = run(&["dead-letters", "retry", "--all"]).expect(3).stdout;
    assert_eq!(again, "0 rows loaded, 0 duplicates, 1 still refused\n");
    let sums = "select sum(records), sum(rows), sum(duplicates), sum(dead_letters) from streamer.micro_batch";
    assert_eq!(db.rows(sums).await, ["5|3|1|1"]);
    let origin =
        "select b.partition, b.path from user_events e join streamer.micro_batch b using (batch_id)
                   where user_id = 2";
    assert_eq!(db.rows(origin).await, ["user_events_1.csv|retry"]);

    assert_eq!(
        run(&["dead-letters", "discard", "--stream", "user_events"]).expect(0).stdout,
        "1 discarded\n"
    );
    assert_eq!(run(&["dead-letters", "list"]).expect(0).stdout, "no dead letters\n");
    let resolutions = "select resolution, count(*) from streamer.dead_letter group by 1 order by 1";
    assert_eq!(db.rows(resolutions).await, ["discarded|1", "retried|2"]);
}

#[tokio::test]
async fn check_and_retry_judge_deferred_constraints_row_by_row() {
    let (db, folder) = (TestDb::create().await, folder());
    let text = [line(1, "1"), line(2, "x"), line(3, "x")].concat();
    fs::write(folder.path().join("user_events_1.csv"), format!("{HEADER}{text}")).unwrap();
    let run =
        |args: &[&str]| Ended::of(streamer(folder.path(), args).env("DATABASE_URL", db.url()));
    run(&["run", "--available-now"]).expect(3);
    db.execute(
        "create table users (id bigint primary key);
         insert into users values (1), (2);
         alter table user_events add foreign key (user_id) references users deferrable initially deferred;
         update streamer.dead_letter set raw = replace(raw::text, '78', '37')::bytea;",
    )
    .await;
    let retried = run(&["dead-letters", "retry", "--stream", "user_events"]).expect(3).stdout;
    assert_eq!(retried, "1 rows loaded, 0 duplicates, 1 still refused\n");
    let why = "select reasons->0->>'sqlstate' from streamer.dead_letter where resolved_at is null";
    assert_eq!(db.rows(why).await, ["23503"]);
    fs::write(folder.path().join("user_events_2.csv"), format!("{HEADER}{}", line(4, "1")))
        .unwrap();
    let checked = run(&["check"]).expect(3).stdout;
    assert!(checked.contains("user_events_2.csv:2 insert or update on table"), "{checked}");
    run(&["dead-letters", "retry", "99"]).expect(1);
    run(&["dead-letters", "discard", "--stream", "nosuch"]).expect(1);
}

#[tokio::test]
async fn show_shows_the_whole_record_and_nothing_that_a_terminal_obeys() {
    let (db, folder) = (TestDb::create().await, folder());
    let record = format!("\u{1b}[31m{}END", "x".repeat(1000));
    fs::write(folder.path().join("user_events_1.csv"), format!("{HEADER}{record}\n")).unwrap();
    let run =
        |args: &[&str]| Ended::of(streamer(folder.path(), args).env("DATABASE_URL", db.url()));
    run(&["run", "--available-now"]).expect(3);
    let shown = run(&["dead-letters", "show", "1"]).expect(0).stdout;
    assert!(shown.ends_with("xEND\n") && !shown.contains('\u{1b}'), "{shown}");
}

#[tokio::test]
async fn flags_win_over_the_environment_which_wins_over_the_file() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 1, 100, 32);
    let settings = "[stream.user_events]\nfiles = 'user_events_*.csv'\nmax_rows = 50\n";
    let reset =
        "truncate user_events, streamer.checkpoint, streamer.micro_batch, streamer.dead_letter";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let cases: [(&[&str], Option<&str>, i64); 3] =
        [(&[], None, 2), (&[], Some("20"), 5), (&["--max-rows", "10"], Some("20"), 10)];
    for (flags, environment, micro_batches) in cases {
        db.execute(reset).await;
        let mut run = streamer(folder.path(), &["run", "--available-now"]);
        run.args(flags).env("DATABASE_URL", db.url());
        run.envs(environment.map(|value| ("STREAMER_MAX_ROWS", value)));
        Ended::of(&mut run);
        assert_eq!(db.number("select count(*) from streamer.micro_batch").await, micro_batches);
    }
}

#[tokio::test]
async fn wrong_settings_are_told_before_anything_is_started() {
    let folder = folder();
    let run = |args: &[&str]| Ended::of(&mut streamer(folder.path(), args));
    run(&["run", "--every", "soon"]).expect(2);
    run(&["fly"]).expect(2);
    let missing = run(&["run", "--config", "none.toml"]).expect(1).stderr;
    assert!(missing.starts_with("error: read none.toml\ncaused by: No such file"), "{missing}");
    fs::write(folder.path().join("streams.toml"), "[stream.a]\nfiles = 'a.csv'\nmaxrows = 1\n")
        .unwrap();
    let unknown = run(&["run"]).expect(1).stderr;
    assert!(unknown.starts_with("error: streams.toml:3:1: unknown field `maxrows`"), "{unknown}");
    let mut url = streamer(folder.path(), &["status"]);
    fs::remove_file(folder.path().join("streams.toml")).unwrap();
    let wrong =
        Ended::of(url.env("DATABASE_URL", "postgres://me:s3cret@[oops/db")).expect(1).stderr;
    assert!(wrong.contains("the database URL can't be understood"), "{wrong}");
    assert!(!wrong.contains("s3cret"), "{wrong}");
    assert!(!folder.path().join(".postgres").exists(), "no server was started");
}

#[tokio::test]
async fn the_log_can_be_read_by_machines() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 1, 100, 33);
    let run = ["run", "--available-now", "--log-format", "json"];
    let ended = Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url())).expect(3);
    let lines = ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    let line = lines.iter().find(|line| line["message"] == "committed").unwrap();
    assert_eq!((&line["read"], &line["path"]), (&100.into(), &"direct".into()));
    for field in ["rows", "duplicates", "dead_letters", "ms", "lag_bytes"] {
        assert!(line[field].is_u64(), "{field} in {line}");
    }
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = Ended::of(&mut streamer(folder().path(), &["completions", shell])).expect(0);
        assert!(ended.stdout.contains("dead-letters"), "{shell}");
    }
}
