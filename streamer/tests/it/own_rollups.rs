//! Rollups of one's own: made, changed and removed by a statement each.

use sqlx::{AssertSqlSafe, Executor};

use crate::rollups::agrees;
use crate::support::TestDb;

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
