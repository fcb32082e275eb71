//! Other transactions in the way: locks, deadlocks, serialization failures, and no connection left.

use sqlx::{Connection, PgConnection};

use crate::support::{
    Running, Server, TestDb, Verdict, folder, generate, judge, one_stream, streamer,
};

/// How many transactions wait for a lock.
const WAITING: &str =
    "select count(distinct l.pid) from pg_locks l join pg_stat_activity a using (pid)
    where a.datname = current_database() and a.application_name = 'streamer' and not l.granted";

async fn execute(conn: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(conn).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn start(db: &TestDb, folder: &std::path::Path) -> Running {
    let run = ["run", "--every", "0s", "--max-rows", "100"];
    Running::start(streamer(folder, &run).env("DATABASE_URL", db.url()))
}

/// Waits until all is loaded, and demands that it is what the judge found.
async fn loads_all(db: &TestDb, running: Running, verdict: &Verdict) {
    let left = format!(
        "select {} - coalesce(sum(records), 0)::bigint from streamer.checkpoint",
        verdict.records
    );
    db.wait_for(&left, 0).await;
    assert_eq!(running.terminate().0, Some(0));
    db.agrees_with(verdict).await;
}

#[tokio::test]
async fn a_lock_on_the_table_is_waited_for() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 1, 2000, 61));
    let mut locker = db.connect().await;
    execute(&mut locker, "begin; lock table user_events").await;
    let running = start(&db, folder.path());
    db.wait_for(WAITING, 1).await;
    execute(&mut locker, "rollback").await;
    loads_all(&db, running, &verdict).await;
}

#[tokio::test]
async fn what_a_killed_streamer_held_is_free_soon_though_its_statement_waits_for_a_lock() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 1, 2000, 65));
    let mut locker = db.connect().await;
    execute(&mut locker, "begin; lock table user_events").await;
    let first = start(&db, folder.path());
    db.wait_for(WAITING, 1).await;
    first.kill();
    db.wait_for(WAITING, 0).await;
    let second = start(&db, folder.path());
    db.wait_for(WAITING, 1).await;
    execute(&mut locker, "rollback").await;
    loads_all(&db, second, &verdict).await;
}

#[tokio::test]
async fn a_deadlock_is_tried_again_and_costs_no_record() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 1, 4000, 62));
    let running = start(&db, folder.path());
    running.wait_for_log("committed");
    let mut rival = db.connect().await;
    execute(&mut rival, "begin; set local deadlock_timeout = '60s'; lock table user_events").await;
    db.wait_for(WAITING, 1).await;
    // It holds its checkpoint and waits for the table: now each waits for the other.
    execute(&mut rival, "select from streamer.checkpoint for update").await;
    execute(&mut rival, "rollback").await;
    assert!(running.wait_for_log("trying again").contains("deadlock detected"));
    running.wait_for_log("the database is back");
    loads_all(&db, running, &verdict).await;
}

#[tokio::test]
async fn serialization_failures_are_tried_again_and_cost_no_record() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 1, 8000, 63));
    let name = db.rows("select current_database()").await;
    db.execute(&format!(
        "alter database {} set default_transaction_isolation = serializable",
        name[0]
    ))
    .await;
    let running = start(&db, folder.path());
    let mut rival = db.connect().await;
    execute(&mut rival, "set default_transaction_isolation = 'read committed'").await;
    let mut told = String::new();
    while !told.contains("could not serialize access") {
        let left = "select count(*) from streamer.checkpoint where state = 'done'";
        assert_eq!(db.number(left).await, 0, "all is loaded without a conflict:\n{told}");
        let touch = "begin; update streamer.checkpoint set updated_at = now();
                     select pg_sleep(0.01); commit";
        execute(&mut rival, touch).await;
        told += &running.log().join("\n");
    }
    loads_all(&db, running, &verdict).await;
    assert_eq!(
        db.number("select count(*) from streamer.dead_letter").await,
        i64::try_from(verdict.bad.len()).unwrap()
    );
}

#[tokio::test]
async fn too_many_connections_are_waited_out_and_told_once() {
    let mut server = Server::start().await;
    let db = server.create_db().await;
    db.execute("alter system set max_connections = 12").await;
    server.stop_at_once();
    server.ensure_running().await;
    let folder = folder();
    // Each stream has a connection, and there are to be some left.
    one_stream(folder.path());
    let verdict = judge(&generate(folder.path(), 1, 2000, 64));
    let mut others: Vec<PgConnection> = Vec::new();
    while let Ok(other) = db.try_connect().await {
        others.push(other);
    }
    assert!(others.len() > 3, "there were connections to take");
    let running = start(&db, folder.path());
    let told = running.wait_for_log("trying again");
    assert!(told.contains("too many clients already"), "{told}");
    // Long enough for several tries: pauses begin at a tenth of a second.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(running.log(), Vec::<String>::new(), "it was told once");
    for other in others {
        other.close().await.unwrap();
    }
    running.wait_for_log("the database is there");
    loads_all(&db, running, &verdict).await;
    server.stop().await;
}
