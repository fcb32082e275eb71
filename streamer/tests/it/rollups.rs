//! Rollups are what a GROUP BY over the rows gives, whatever happened to the rows.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};
use generator::{Advertising, Banking, Dataset, Generator, Settings};
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{Cut, Ended, Proxy, Running, TestDb, folder, streamer};

const TEN_SECONDS: &str =
    "date_trunc('minute', {}) + floor(extract(second from {}) / 10) * interval '10 seconds'";

/// Each shipped rollup and what it must hold, from the rows by other means than the rollup's own.
fn expected() -> [(&'static str, String); 8] {
    let ten_seconds = |time: &str| TEN_SECONDS.replace("{}", time);
    let users = |unit: &str| {
        format!(
            "select date_trunc('{unit}', event_time at time zone 'UTC') at time zone 'UTC', event_type, category,
                    count(*), sum(case event_type when 'purchase' then coalesce(price, 0) else 0 end)
               from user_events group by 1, 2, 3"
        )
    };
    [
        ("user_events_per_minute", users("minute")),
        ("user_events_per_hour", users("hour")),
        ("user_events_per_day", users("day")),
        (
            "(select window_start, campaign_id, views, clicks, purchases, events, last_produce_time
                from ad_events_per_window)",
            format!(
                "select {}, campaign_id, sum((event_type = 'view')::int), sum((event_type = 'click')::int),
                        sum((event_type = 'purchase')::int), count(*), max(produce_time)
                   from ad_events group by 1, 2",
                ten_seconds("event_time")
            ),
        ),
        (
            "emoji_reactions_per_minute",
            "select date_trunc('minute', timestamp), emoji_type, count(*),
                    case when count(*) < 2000 then 1 else div(count(*), 1000) end
               from emoji_reactions group by 1, 2"
                .to_owned(),
        ),
        (
            "(select window_start, events, sum, average, min, max from simulator_events_per_window)",
            format!(
                "select {}, count(*), sum(value), avg(value), min(value), max(value)
                   from simulator_events group by 1",
                ten_seconds("time")
            ),
        ),
        (
            "credit_flow",
            "select account_region, count(*), sum(transaction_value) from transfers group by 1"
                .to_owned(),
        ),
        (
            "transfers_per_minute",
            "select date_trunc('minute', event_time), account_region, count(*), sum(transaction_value),
                    max(transaction_value)
               from transfers group by 1, 2"
                .to_owned(),
        ),
    ]
}

/// Demands that every shipped rollup holds what the rows come to; says how many rows they have.
pub(crate) async fn agree(db: &TestDb, when: &str) -> i64 {
    let mut rows = 0;
    for (rollup, query) in expected() {
        rows += agrees(db, rollup, &query, when).await;
    }
    rows
}

/// Demands that a rollup, or a query over it, gives what another query gives; says how many rows.
pub(crate) async fn agrees(db: &TestDb, rollup: &str, query: &str, when: &str) -> i64 {
    let differing = format!(
        "select count(*) from ((select * from {rollup} r except all ({query}))
                               union all (({query}) except all select * from {rollup} r)) as differing"
    );
    assert_eq!(db.number(&differing).await, 0, "{rollup} {when}");
    db.number(&format!("select count(*) from {rollup} r")).await
}

/// A file of each dataset that has a rollup, from a minute before the full hour on, with repeated
/// and bad records.
pub(crate) fn generate(out: &Path, seed: u64, hour: u32) {
    for dataset in [
        Dataset::UserEvents,
        Dataset::AdEvents(Advertising::default()),
        Dataset::Transfers(Banking::default()),
        Dataset::Emoji,
        Dataset::Simulator,
    ] {
        let start = Utc.with_ymd_and_hms(2026, 3, 1, hour, 59, 30).single().unwrap();
        let settings = Settings {
            dataset,
            rows: 3_000,
            seed: Some(seed),
            start: Some(start),
            duplicates: 0.05,
            bad: 0.02,
            out: out.to_owned(),
            ..Settings::default()
        };
        let mut generator = Generator::new(settings).unwrap();
        generator.write_file(&mut |_| ControlFlow::Continue(())).unwrap().unwrap();
    }
}

/// Loads them, in many micro-batches and by several writers.
pub(crate) fn load(db: &TestDb, folder: &Path) {
    let args = ["run", "--available-now", "--max-rows", "400", "--writers", "3"];
    Ended::of(streamer(folder, &args).env("DATABASE_URL", db.url())).expect(3);
}

#[tokio::test]
async fn they_equal_a_group_by_after_duplicates_replays_late_events_and_changes() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 1, 12);
    load(&db, folder.path());
    let windows = agree(&db, "after the load").await;
    assert!(windows > 100, "{windows}");
    // The same windows again, and some before all others.
    generate(folder.path(), 2, 12);
    generate(folder.path(), 3, 9);
    load(&db, folder.path());
    assert!(agree(&db, "after late events").await > windows);
    let rows = "select (select count(*) from user_events) + (select count(*) from transfers)";
    let loaded = db.number(rows).await;
    // Everything is read again; what is missing by now comes back.
    db.execute(
        "delete from user_events where price < 20; delete from transfers where transaction_value > 50",
    )
    .await;
    agree(&db, "after deletes").await;
    db.execute("truncate streamer.checkpoint; delete from streamer.dead_letter").await;
    load(&db, folder.path());
    assert_eq!(db.number(rows).await, loaded);
    agree(&db, "after a replay").await;
    db.execute(
        "update user_events set category = null, event_time = event_time + interval '7 minutes' where price > 30;
         update ad_events set event_type = 'click' where event_type = 'purchase';
         update transfers set transaction_value = 0.01 where transaction_value > 100;
         update simulator_events set value = -value where value > 0;
         delete from ad_events where event_type = 'view' and event_time_ns % 3 = 0;
         delete from emoji_reactions where user_id % 2 = 0",
    )
    .await;
    agree(&db, "after updates").await;
    // What a transaction takes back is taken back from the rollups, too.
    db.execute(
        "begin; delete from transfers; insert into transfers select gen_random_uuid(), 1000000, 'x', 1, now();
         rollback",
    )
    .await;
    agree(&db, "after a rollback").await;
    db.execute(
        "truncate user_events; truncate ad_events, transfers;
         delete from emoji_reactions; delete from simulator_events",
    )
    .await;
    assert_eq!(agree(&db, "after all was deleted").await, 0);
}

#[tokio::test]
async fn a_statement_that_inserts_and_changes_counts_each_row_once() {
    let db = TestDb::create().await;
    let new = "insert into transfers select md5(i::text)::uuid, 1000000, (array['a', 'b'])[1 + i % 2], i, '2026-01-01'";
    for (statement, what) in [
        (format!("{new} from generate_series(1, 10) i"), "an insert"),
        (
            format!("{new} from generate_series(6, 15) i on conflict (transfer_id) do update set transaction_value = 7"),
            "an upsert",
        ),
        (
            format!("with gone as (delete from transfers where transaction_value = 7) {new} from generate_series(20, 25) i"),
            "a delete with an insert",
        ),
        (
            format!("begin; delete from transfers where transaction_value = 20; {new} from generate_series(30, 33) i;
                     {new} from generate_series(34, 35) i; commit"),
            "a delete, and inserts behind it",
        ),
        (
            "create function again() returns trigger language plpgsql as $$ begin
                 if new.account_name = 'first' then
                     delete from transfers where transaction_value = 30;
                     insert into transfers values (gen_random_uuid(), 1000000, 'a', 40, '2026-01-01');
                 end if;
                 return null;
             end $$;
             create trigger again after insert on transfers for each row execute function again();
             insert into transfers select gen_random_uuid(), 1000000, 'a', 50, '2026-01-01', name
               from unnest(array['first', 'second']) name"
                .to_owned(),
            "an insert whose trigger deletes and inserts",
        ),
    ] {
        db.execute(&statement).await;
        agree(&db, &format!("after {what}")).await;
    }
}

#[tokio::test]
async fn four_writers_on_the_same_windows_neither_deadlock_nor_lose_counts() {
    let db = TestDb::create().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let mut conn = db.connect().await;
        writers.spawn(async move {
            for round in 0..40 {
                // Every writer meets the windows in an order of its own.
                let insert = format!(
                    "insert into user_events
                            (event_id, user_id, product_id, event_type, event_time, price, category)
                     select gen_random_uuid(), {writer}, {round}, (array['view', 'purchase'])[1 + i % 2],
                            timestamptz '2026-01-01 00:00Z' + interval '1 minute' * (i % 20), i,
                            (array['a', 'b', null])[1 + i % 3]
                       from generate_series(1, 200) i order by random()"
                );
                conn.execute(AssertSqlSafe(insert)).await.unwrap();
                let change = match round % 4 {
                    1 => format!("delete from user_events where user_id = {writer} and price % 7 = {}", round % 7),
                    3 => format!("update user_events set event_time = event_time + interval '90 seconds'
                                   where user_id = {writer} and price % 11 = {}", round % 11),
                    _ => continue,
                };
                conn.execute(AssertSqlSafe(change)).await.unwrap();
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.expect("no writer fails");
    }
    assert!(agree(&db, "after four writers").await > 100);
}

#[tokio::test]
async fn no_row_that_the_table_takes_is_refused_by_a_rollup() {
    let db = TestDb::create().await;
    db.execute(
        "select streamer.create_rollup('per_week', 'user_events', 'event_time', '1 week', '{category}',
                                       'events = count(*)', 'price = avg(price)');
         select streamer.create_rollup('per_7', 'user_events', 'event_time', '7 seconds', '{}',
                                       'events = count(*)')",
    )
    .await;
    db.execute(
        "insert into user_events (event_id, user_id, product_id, event_type, event_time, price, category)
         select gen_random_uuid(), 1, 1, type, t::timestamptz, price, category
           from unnest(array['infinity', '-infinity', '4714-11-24 00:00:00+00 BC', '4714-11-24 00:00:08+00 BC',
                             '294276-12-31 23:59:59.999999+00', '1970-01-01 00:00:00+00',
                             '2026-03-29 01:30:00+01']) t,
                unnest(array[null, 'NaN', -99999999.99]) price, unnest(array[null, '']) category,
                unnest(array['', 'purchase']) type",
    )
    .await;
    let rows = "select date_trunc('minute', event_time), event_type, category, count(*),
                       coalesce(sum(price) filter (where event_type = 'purchase'), 0)
                  from user_events group by 1, 2, 3";
    assert_eq!(agrees(&db, "user_events_per_minute", rows, "at the ends of time").await, 28 - 4);
    let weeks =
        "select distinct extract(isodow from window_start at time zone 'UTC')::int from per_week
                  where isfinite(window_start)";
    assert_eq!(db.rows(weeks).await, ["1"]);
    db.execute("delete from user_events where price = 'NaN'; update user_events set price = 1")
        .await;
    agrees(&db, "user_events_per_minute", rows, "without some of them").await;
    db.execute("delete from user_events").await;
    for rollup in ["user_events_per_minute", "per_week", "per_7"] {
        assert_eq!(db.number(&format!("select count(*) from {rollup}")).await, 0, "{rollup}");
    }
}

#[tokio::test]
async fn a_role_that_may_only_load_keeps_rollups_and_can_do_nothing_else_with_them() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 5, 12);
    for other in ["ad_events", "transfers", "emoji_reactions", "simulator_events"] {
        for file in fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with(other) {
                fs::remove_file(path).unwrap();
            }
        }
    }
    let role = format!("loader_{}", std::process::id());
    db.execute(&format!(
        "create role {role} login;
         grant insert, select on user_events to {role}; grant usage on schema streamer to {role};
         grant select on all tables in schema streamer to {role};
         grant insert, update on streamer.checkpoint, streamer.micro_batch, streamer.dead_letter to {role};
         grant usage on all sequences in schema streamer to {role}; grant create on schema public to {role}"
    ))
    .await;
    fs::write(
        folder.path().join("streams.toml"),
        "[stream.user_events]\nfiles = 'user_events_*.csv'\n",
    )
    .unwrap();
    let mut run = streamer(folder.path(), &["run", "--available-now"]);
    run.env("DATABASE_URL", db.url().replace("//streamer@", &format!("//{role}@")));
    Ended::of(&mut run).expect(3);
    assert!(agree(&db, "by a role with few rights").await > 0);
    for (forbidden, why) in [
        ("insert into user_events_per_minute values (now(), 'view')", "permission denied for table"),
        ("select streamer.drop_rollup('user_events_per_minute')", "must be owner"),
        ("select streamer.change_rollup('user_events_per_minute', '1 hour')", "permission denied"),
        (
            "create table mine (event_time timestamptz, event_type text, category text, price numeric);
             create trigger t after insert on mine referencing new table as new_rows for each statement
             execute function user_events_per_minute_rollup()",
            "permission denied for function",
        ),
    ] {
        let mut conn = db.connect().await;
        conn.execute(AssertSqlSafe(format!("set role {role}"))).await.unwrap();
        let error = conn.execute(AssertSqlSafe(forbidden)).await.expect_err(forbidden);
        assert!(error.to_string().contains(why), "{forbidden}: {error}");
    }
}

#[tokio::test]
async fn rows_that_only_grew_old_can_be_deleted_without_touching_rollups() {
    let db = TestDb::create().await;
    let at = Utc::now() - TimeDelta::days(60);
    db.execute(&format!(
        "insert into transfers select gen_random_uuid(), 1000000, 'Europe', 2.50, '{}' from generate_series(1, 4);
         begin; set local streamer.keep_rollups = on; delete from transfers; commit",
        at.to_rfc3339()
    ))
    .await;
    assert_eq!(db.rows("select * from credit_flow").await, ["Europe|4|10.00"]);
}

#[tokio::test]
async fn wide_rows_of_a_large_micro_batch_wait_for_the_rollup_in_memory() {
    let (db, folder) = (TestDb::create().await, folder());
    let mut csv =
        "event_id,user_id,product_id,event_type,event_time,price,category,user_location\n"
            .to_owned();
    for i in 0..10_000 {
        let location = "x".repeat(300);
        csv += &format!(
            "00000000-0000-4000-8000-{i:012},1,1,purchase,2026-01-01T00:00:00Z,1.50,Books,{location}\n"
        );
    }
    fs::write(folder.path().join("user_events_1.csv"), csv).unwrap();
    fs::write(
        folder.path().join("streams.toml"),
        "[stream.user_events]\nfiles = 'user_events_*.csv'\n",
    )
    .unwrap();
    let args = ["run", "--available-now", "--max-rows", "10000"];
    Ended::of(streamer(folder.path(), &args).env("DATABASE_URL", db.url())).expect(0);
    let rollup = "select events, revenue from user_events_per_minute";
    assert_eq!(db.rows(rollup).await, ["10000|15000.00"]);
    // A session's numbers come all together, some time after it has ended.
    let counted = "select least(tup_inserted, 10000) from pg_stat_database where datname = current_database()";
    db.wait_for(counted, 10_000).await;
    let files = "select temp_files from pg_stat_database where datname = current_database()";
    assert_eq!(db.number(files).await, 0);
}

#[tokio::test]
async fn those_of_all_datasets_are_exact_after_kills_and_lost_replies() {
    let (db, folder) = (TestDb::create().await, folder());
    generate(folder.path(), 6, 12);
    let proxy = Proxy::start(db.socket_file()).await;
    proxy.arm(Cut::AfterCommit, 7, 20);
    let read = "select coalesce(sum(records), 0)::bigint from streamer.checkpoint";
    let run = ["run", "--every", "0s", "--max-rows", "20", "--writers", "3"];
    for kills in 0..20 {
        assert!(db.number(read).await < 15_000, "all is read after {kills} kills");
        let mut command = streamer(folder.path(), &run);
        let running = Running::start(command.env("DATABASE_URL", db.tcp_url(proxy.port)));
        let running = tokio::task::spawn_blocking(move || {
            running.wait_for_log("committed");
            running
        });
        let running = running.await.unwrap();
        tokio::time::sleep(Duration::from_millis(kills * 2)).await;
        running.kill();
    }
    assert!(proxy.cuts() > 0, "no reply was lost");
    agree(&db, "after the kills").await;
    load(&db, folder.path());
    assert!(agree(&db, "after all").await > 100);
    let rows = "select (select sum(rows) from streamer.micro_batch)::bigint
                     - (select count(*) from user_events) - (select count(*) from ad_events)
                     - (select count(*) from transfers) - (select count(*) from emoji_reactions)
                     - (select count(*) from simulator_events)";
    assert_eq!((db.number(read).await, db.number(rows).await), (15_000, 0));
}
