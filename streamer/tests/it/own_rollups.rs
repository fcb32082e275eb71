//! Rollups of one's own: made, changed and removed by a statement each.

use std::fs;

use sqlx::{AssertSqlSafe, Executor};

use crate::rollups::agrees;
use crate::support::{Ended, TestDb, folder, streamer};

#[tokio::test]
async fn a_rollup_of_ones_own_is_one_statement_and_so_is_its_change() {
    let db = TestDb::create().await;
    db.execute(
        "create schema \"my shop\";
         create table \"my shop\".\"Orders\" (id int primary key, \"at\" timestamp not null, \"land\"\"code\" text,
                                              amount double precision, qty int, paid boolean);
         insert into \"my shop\".\"Orders\"
         select i, '2026-01-01'::timestamp + i * interval '7 minutes', (array['de', null])[1 + i % 2], i / 8.0,
                i % 5, i % 3 = 0
           from generate_series(1, 1000) i",
    )
    .await;
    db.execute(
        "select streamer.create_rollup('orders_per_hour', '\"my shop\".\"Orders\"', 'at', '1 hour',
            '{\"land\\\"code\"}',
            'orders = count(*)', 'paid = count(*) where paid and qty % 2 = 1', 'amount = sum(amount)',
            'mean = avg(qty)', 'least = min(amount)', '\"Largest\" = max(amount)',
            'share = paid::numeric / nullif(orders, 0)')",
    )
    .await;
    let by_hand = |size: &str| {
        format!(
            "select date_bin('{size}', \"at\", '2000-01-03'), \"land\"\"code\", count(*),
                    count(*) filter (where paid and qty % 2 = 1), sum(amount::numeric), avg(qty), min(amount),
                    max(amount),
                    count(*) filter (where paid and qty % 2 = 1)::numeric / count(*)
               from \"my shop\".\"Orders\" group by 1, 2"
        )
    };
    let rollup = "(select window_start, \"land\"\"code\", orders, paid, amount, mean, least, \"Largest\", share
                     from \"my shop\".orders_per_hour)";
    let hours = agrees(&db, rollup, &by_hand("1 hour"), "of the rows that were there").await;
    db.execute(
        "insert into \"my shop\".\"Orders\" values (0, '2025-12-31 23:59', 'de', 1e308, 1, true),
                                                (-1, '2025-12-31 23:59', 'de', 1e308, 1, null);
         update \"my shop\".\"Orders\" set amount = amount - 1, \"land\"\"code\" = null where id % 10 = 1;
         delete from \"my shop\".\"Orders\" where id % 10 = 2",
    )
    .await;
    agrees(&db, rollup, &by_hand("1 hour"), "after changes").await;
    db.execute("create view kept as select * from \"my shop\".orders_per_hour").await;
    db.execute("select streamer.change_rollup('\"my shop\".orders_per_hour', '50 minutes')").await;
    assert!(agrees(&db, rollup, &by_hand("50 minutes"), "of other windows").await > hours);
    db.execute(
        "drop view kept;
         select streamer.change_rollup('\"my shop\".orders_per_hour', '1 day', '{}', 'orders = count(*)');
         insert into \"my shop\".\"Orders\" values (-2, '2026-01-01', null, null, null, null)",
    )
    .await;
    let days = "select date_trunc('day', \"at\"), count(*) from \"my shop\".\"Orders\" group by 1";
    agrees(&db, "\"my shop\".orders_per_hour", days, "of days").await;
    assert_eq!(
        db.rows(
            "select source, window_size, aggregates from streamer.rollup where time_column = 'at'"
        )
        .await,
        ["\"my shop\".\"Orders\"|1 day|{\"orders = count(*)\"}"]
    );
    db.execute(
        "select streamer.drop_rollup('\"my shop\".orders_per_hour');
         insert into \"my shop\".\"Orders\" values (-3, '2026-01-01', null, null, null, null)",
    )
    .await;
    let left = "select count(*) from pg_trigger where tgrelid = '\"my shop\".\"Orders\"'::regclass";
    assert_eq!(db.number(left).await, 0);
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_when_it_is_asked_for() {
    let db = TestDb::create().await;
    for (arguments, why) in [
        ("'event_time', '1 month', '{}', 'n = count(*)'", "months"),
        ("'event_time', '0', '{}', 'n = count(*)'", "longer than nothing"),
        ("'price', '1 hour', '{}', 'n = count(*)'", "not a time"),
        ("null, null, '{}', 'n = count(*)'", "a window, keys or both"),
        ("'nowhere', '1 hour', '{}', 'n = count(*)'", "no column nowhere"),
        ("'event_time', '1 hour', '{nothing}', 'n = count(*)'", "no column nothing"),
        ("'event_time', '1 hour', '{}', 'n = count(distinct user_id)'", "can't be added up"),
        ("'event_time', '1 hour', '{}', 'n = sum(category)'", "numbers can be added up"),
        ("'event_time', '1 hour', '{}', 'count(*)'", "name = "),
        ("'event_time', '1 hour', '{}', 'm = count(*)', 'n = sum(price) / count(*)'", "price"),
        (
            "'event_time', '1 hour', '{}', 'm = count(*)', 'n = sum(price)) from user_events; drop table user_events; --'",
            "",
        ),
    ] {
        let mut conn = db.connect().await;
        let create = format!("select streamer.create_rollup('r', 'user_events', {arguments})");
        let error = conn.execute(AssertSqlSafe(create)).await.expect_err(arguments);
        assert!(error.to_string().contains(why), "{arguments}: {error}");
    }
    assert_eq!(db.number("select count(*) from user_events").await, 0);
}

#[tokio::test]
async fn a_recount_is_of_the_windows_that_it_names() {
    let db = TestDb::create().await;
    db.execute(
        "create table l (id int, at timestamp); insert into l
         select i, '2024-01-01'::timestamp + i * interval '30 minutes' from generate_series(0, 47) i;
         select streamer.create_rollup('l_hour', 'l', 'at', '1 hour', '{}', 'n = count(*)');
         update l_hour set n = 0; set timezone = 'Europe/Berlin';
         select streamer.recount_rollup('l_hour', '2024-01-01 10:59', '2024-01-01 12:01')",
    )
    .await;
    let hours = "select extract(hour from window_start)::int from l_hour where n = 2 order by 1";
    assert_eq!(db.rows(hours).await, ["10", "11", "12"]);
    db.execute("select streamer.recount_rollup('l_hour', range_end => '2024-01-01 02:00')").await;
    assert_eq!(db.rows(hours).await, ["0", "1", "10", "11", "12"]);
    db.execute("select streamer.recount_rollup('l_hour')").await;
    assert_eq!(db.rows(hours).await.len(), 24);
}

#[tokio::test]
async fn a_column_that_a_rollup_uses_and_that_is_renamed_is_told_with_the_remedy() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(
        "create schema \"my shop\"; create table \"my shop\".t (id int primary key, at timestamptz, amount int);
         select streamer.create_rollup('t_day', '\"my shop\".t', 'at', '1 day', '{}', 'n = count(*)',
                                       'total = sum(amount)', 'mean = total / n');
         create view kept as select window_start, mean from \"my shop\".t_day;
         alter table \"my shop\".t rename column amount to betrag",
    )
    .await;
    let streams = "[stream.t]\nfiles = '*.csv'\ntable = '\"my shop\".t'\n";
    fs::write(folder.path().join("streams.toml"), streams).unwrap();
    fs::write(folder.path().join("t.csv"), "id,at,betrag\n1,2024-01-01,5\n").unwrap();
    let run = || {
        let mut run = streamer(folder.path(), &["run", "--available-now"]);
        Ended::of(run.env("DATABASE_URL", db.url()))
    };
    let told = run().expect(1).stderr;
    for part in [
        "rollup \"my shop\".t_day does not fit its table",
        "streamer.change_rollup('\"my shop\".t_day', ",
        "streamer.drop_rollup('\"my shop\".t_day')",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // What is derived stays, and the view on it.
    db.execute(
        "select streamer.change_rollup('\"my shop\".t_day', null, null, 'n = count(*)', 'total = sum(betrag)',
                                       'mean = total / n')",
    )
    .await;
    run().expect(0);
    assert_eq!(db.rows("select mean from kept").await, ["5"]);
}

#[tokio::test]
async fn nobody_evaluates_the_expressions_of_anothers_rollup() {
    let db = TestDb::create().await;
    let owner = format!("counter_{}", std::process::id());
    db.execute(&format!(
        "create role {owner}; grant usage, create on schema public to {owner}; grant usage on schema streamer to {owner};
         grant select on all tables in schema streamer to {owner}; set role {owner};
         create table t (id int, at timestamptz); insert into t values (1, now());
         create table seen (who text); grant insert on seen to public;
         create function note() returns int language plpgsql as $$ begin
             insert into public.seen select current_user; return 1; end $$;
         select streamer.create_rollup('t_day', 't', 'at', '1 day', '{{}}', 'n = sum(public.note())');
         truncate seen"
    ))
    .await;
    for call in [
        "streamer.change_rollup('t_day', '1 hour')",
        "streamer.recount_rollup('t_day')",
        "streamer.outlives_rows('t_day')",
    ] {
        let mut conn = db.connect().await;
        let call = || AssertSqlSafe(format!("select {call}"));
        let error = conn.execute(call()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("rollup public.t_day belongs to {owner}")), "{error}");
        conn.execute(AssertSqlSafe(format!("set role {owner}"))).await.unwrap();
        conn.execute(call()).await.unwrap();
    }
    let others = format!("select count(*) from seen where who <> '{owner}'");
    assert_eq!(db.number(&others).await, 0);
    db.execute("select streamer.drop_rollup('t_day')").await;
}

#[tokio::test]
async fn a_session_in_another_time_zone_counts_the_same_windows() {
    let db = TestDb::create().await;
    // The day on which the clocks of Berlin go forward has 23 hours there.
    db.execute(
        "create table spring (id int primary key, at timestamptz not null);
         insert into spring select i, '2026-03-28 00:00Z'::timestamptz + i * interval '10 minutes'
           from generate_series(1, 400) i;
         set timezone = 'Europe/Berlin';
         select streamer.create_rollup('spring_per_day', 'spring', 'at', '1 day', '{}', 'events = count(*)',
                                       $$late = count(*) where at::time > '20:00'$$);
         delete from spring where id in (1, 200, 399)",
    )
    .await;
    let by_hand = "select date_trunc('day', at at time zone 'UTC') at time zone 'UTC', count(*),
                          count(*) filter (where (at at time zone 'UTC')::time > '20:00')
                     from spring group by 1";
    assert_eq!(agrees(&db, "spring_per_day", by_hand, "after deletes from Berlin").await, 3);
}
