//! Rollups of tables with partitions, or with children that inherit from them.

use sqlx::postgres::PgDatabaseError;
use sqlx::{AssertSqlSafe, Executor};

use crate::rollups::agrees;
use crate::support::TestDb;

/// A table with partitions and a rollup of it.
const DIVIDED: &str = "
    create table t (id int, at timestamptz, amount int, primary key (id, at)) partition by range (at);
    create table p1 partition of t for values from ('2024-01-01Z') to ('2024-02-01Z');
    create table p2 partition of t for values from ('2024-02-01Z') to ('2024-03-01Z') partition by list (id);
    create table p2_all partition of p2 default;
    set streamer.partitions_by_recount = on;
    select streamer.create_rollup('t_day', 't', 'at', '1 day', '{}', 'n = count(*)', 'total = sum(amount)')";

const BY_HAND: &str =
    "select date_trunc('day', at at time zone 'UTC') at time zone 'UTC', count(*), sum(amount)
                         from t group by 1";

#[tokio::test]
async fn what_is_written_under_the_name_of_a_partition_counts() {
    let db = TestDb::create().await;
    db.execute(DIVIDED).await;
    for (change, days) in [
        ("insert into t values (1, '2024-01-01 10:00Z', 1), (2, '2024-02-01 10:00Z', 2)", 2),
        ("insert into p1 values (3, '2024-01-01 11:00Z', 3), (4, '2024-01-02 11:00Z', 4)", 3),
        ("insert into p2 values (5, '2024-02-02 11:00Z', 5)", 4),
        ("insert into p2_all values (6, '2024-02-02 12:00Z', 6)", 4),
        ("update p1 set amount = 10, at = at + interval '1 day' where id = 3", 4),
        ("delete from p2_all where id = 5; delete from p1 where id = 1", 3),
    ] {
        db.execute(change).await;
        assert_eq!(agrees(&db, "t_day", BY_HAND, change).await, days);
    }
    db.execute("select streamer.drop_rollup('t_day')").await;
    let left = "select count(*) from pg_trigger where tgname like 't_day%'";
    assert_eq!(db.number(left).await, 0);
}

#[tokio::test]
async fn what_comes_or_goes_as_a_whole_partition_is_counted_anew_on_demand() {
    let db = TestDb::create().await;
    db.execute(DIVIDED).await;
    db.execute("insert into t select i, '2024-01-15Z'::timestamptz + i * interval '1 day', i from generate_series(1, 30) i")
        .await;
    let recount = "select streamer.recount_rollup('t_day')";
    for (change, days) in [
        ("alter table t detach partition p2; insert into p2 values (99, '2024-02-20Z', 1)", 16),
        (
            "alter table t attach partition p2 for values from ('2024-02-01Z') to ('2024-03-01Z')",
            31,
        ),
        (
            "create table p3 partition of t for values from ('2024-03-01Z') to ('2024-04-01Z');
             insert into p3 values (200, '2024-03-01Z', 1)",
            32,
        ),
        ("drop table p2", 17),
    ] {
        let before = db.rows("select * from t_day order by 1").await;
        db.execute(change).await;
        assert_eq!(db.rows("select * from t_day order by 1").await, before, "{change}");
        db.execute(recount).await;
        assert_eq!(agrees(&db, "t_day", BY_HAND, change).await, days);
    }
    db.execute("insert into p3 values (201, '2024-03-02Z', 1)").await;
    assert_eq!(
        agrees(&db, "t_day", BY_HAND, "by a partition made later, once recounted").await,
        18
    );
}

#[tokio::test]
async fn a_partition_that_is_truncated_counts() {
    let db = TestDb::create().await;
    db.execute(DIVIDED).await;
    db.execute(
        "set streamer.partitions_by_recount = on;
         select streamer.create_rollup('t_id', 't', null, null, '{id}', 'n = count(*)')",
    )
    .await;
    let fill = "insert into t select i, '2024-01-15Z'::timestamptz + i * interval '1 day', i
                  from generate_series(1, 30) i on conflict do nothing";
    let by_id = "select id, count(*) from t group by id";
    for (change, days) in [
        ("truncate p1", 14),
        ("truncate p2", 16),
        ("truncate p1, p2_all", 0),
        ("truncate t", 0),
        ("begin; truncate t; insert into p2 values (1, '2024-02-07Z', 3); commit", 1),
        ("begin; truncate p1; insert into p1 values (40, '2024-01-02Z', 3); commit", 15),
        ("begin; truncate p2; rollback", 30),
        ("begin; truncate t; rollback; truncate p2_all", 16),
    ] {
        db.execute(fill).await;
        if change.contains("rollback") {
            db.execute("delete from t where id = 40").await;
        }
        db.execute(change).await;
        assert_eq!(agrees(&db, "t_day", BY_HAND, change).await, days, "{change}");
        agrees(&db, "t_id", by_id, change).await;
    }
    db.execute("begin; set local streamer.keep_rollups = on; truncate p1; commit").await;
    assert_eq!(db.number("select count(*) from t_day").await, 16, "as it was asked for");
}

#[tokio::test]
async fn a_partition_is_truncated_while_others_are_written() {
    let db = TestDb::create().await;
    db.execute(DIVIDED).await;
    db.execute("insert into t values (1, '2024-01-15Z', 1), (2, '2024-02-15Z', 2)").await;
    let mut writer = db.connect().await;
    writer.execute("begin; insert into t values (3, '2024-02-15Z', 3)").await.unwrap();
    let truncating = async { db.execute("truncate p1").await };
    let writing = async {
        let waiting = "select count(*) from pg_locks where relation = 't'::regclass and not granted
                          and database = (select oid from pg_database where datname = current_database())";
        db.wait_for(waiting, 1).await;
        writer.execute("insert into t values (4, '2024-02-16Z', 4); commit").await.unwrap();
    };
    tokio::join!(truncating, writing);
    assert_eq!(agrees(&db, "t_day", BY_HAND, "beside a writer").await, 2);
}

#[tokio::test]
async fn what_is_written_to_children_that_inherit_counts() {
    let db = TestDb::create().await;
    db.execute(
        "create table t (id int, at timestamptz, amount int);
         create table child (note text) inherits (t); create table grandchild () inherits (child);
         set streamer.partitions_by_recount = on;
         select streamer.create_rollup('t_day', 't', 'at', '1 day', '{}', 'n = count(*)', 'total = sum(amount)')",
    )
    .await;
    for (change, days) in [
        ("insert into t values (1, '2024-01-01Z', 1), (2, null, 2)", 2),
        (
            "insert into child values (3, '2024-01-01Z', 3), (4, '2024-01-02Z', 4), (5, 'infinity', 5)",
            4,
        ),
        (
            "insert into grandchild values (6, '2024-01-02Z', 6), (7, '2024-01-03Z', 7), (8, null, 8)",
            5,
        ),
        ("update t set at = at + interval '1 day' where id > 2", 6),
        ("update grandchild set amount = amount + 1; delete from child where id = 5", 5),
        ("truncate grandchild", 4),
        ("truncate only t", 2),
        ("insert into t values (9, '2024-01-09Z', 9); truncate child", 1),
        ("insert into grandchild values (8, '2024-01-08Z', 8); truncate t", 0),
    ] {
        db.execute(change).await;
        assert_eq!(agrees(&db, "t_day", BY_HAND, change).await, days, "{change}");
    }
    db.execute(
        "alter table child no inherit t; insert into grandchild values (8, '2024-01-08Z', 8)",
    )
    .await;
    assert_eq!(agrees(&db, "t_day", BY_HAND, "of a child that is one no more").await, 0);
}

#[tokio::test]
async fn what_does_not_count_is_to_be_known_before_a_rollup_is_made() {
    let db = TestDb::create().await;
    db.execute(
        "create table divided (at timestamptz) partition by range (at);
         create table parent (at timestamptz); create table child () inherits (parent);
         create table hyper (at timestamptz); create table plain (at timestamptz);
         create schema _timescaledb_catalog;
         create table _timescaledb_catalog.hypertable (schema_name name, table_name name);
         insert into _timescaledb_catalog.hypertable values ('public', 'hyper')",
    )
    .await;
    let make = |table: &str| {
        format!(
            "select streamer.create_rollup('{table}_day', '{table}', 'at', '1 day', '{{}}', 'n = count(*)')"
        )
    };
    let mut conn = db.connect().await;
    for table in ["divided", "parent", "hyper"] {
        let error = conn.execute(AssertSqlSafe(make(table))).await.expect_err(table);
        let error = error.as_database_error().unwrap().downcast_ref::<PgDatabaseError>();
        assert_eq!(error.code(), "0A000");
        assert!(
            error.message().contains(&format!("a rollup of public.{table} would not")),
            "{error}"
        );
        assert!(error.message().contains("dropped, detached or attached"), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("streamer.recount_rollup"), "{hint}");
        // What it says is what it needs.
        let (_, set) = hint.split_once(": ").unwrap();
        let (set, _) = set.split_once(';').unwrap();
        db.execute(&format!("{set}; {}", make(table))).await;
    }
    db.execute(&make("plain")).await;
    assert_eq!(db.number("select count(*) from streamer.rollup where source ~ '^public.(divided|parent|hyper|plain)$'").await, 4);
}

#[tokio::test]
async fn what_only_looks_like_timescaledb_is_not_asked() {
    let db = TestDb::create().await;
    let role = format!("trickster_{}", std::process::id());
    db.execute(&format!(
        "create table seen (who text); grant insert on seen to public; create table plain (at timestamptz);
         create role {role}; create schema _timescaledb_catalog authorization {role}; set role {role};
         create function _timescaledb_catalog.note() returns name language plpgsql as $$ begin
             insert into public.seen select current_user; return 'plain'; end $$;
         create view _timescaledb_catalog.hypertable as
         select name 'public' as schema_name, _timescaledb_catalog.note() as table_name"
    ))
    .await;
    db.execute(
        "select streamer.create_rollup('plain_day', 'plain', 'at', '1 day', '{}', 'n = count(*)')",
    )
    .await;
    assert_eq!(db.number("select count(*) from seen").await, 0);
}
