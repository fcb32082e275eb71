//! What a streamer waits for in the database is told, with what ends the wait.

use std::fs;
use std::path::Path;

use sqlx::PgConnection;

use crate::support::{Ended, Http, Running, TestDb, folder, streamer, wait_until};

/// A database and a stream that a session keeps from committing; and the number of the session.
async fn blocked(folder: &Path) -> (TestDb, PgConnection, i64) {
    let db = TestDb::create().await;
    db.execute("create table slow (id integer primary key)").await;
    fs::write(folder.join("streams.toml"), "[stream.slow]\nfiles = '*.csv'\n").unwrap();
    fs::write(folder.join("1.csv"), "id\n1\n2\n").unwrap();
    let mut session = db.connect().await;
    let lock = "begin; lock table slow";
    sqlx::raw_sql(lock).execute(&mut session).await.unwrap();
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut session).await.unwrap();
    (db, session, pid.into())
}

fn start(folder: &Path, url: &str) -> Running {
    let run = ["run", "--listen", "127.0.0.1:0"];
    Running::start(streamer(folder, &run).env("DATABASE_URL", url))
}

async fn is_well(folder: &Path) {
    let health = || Ended::of(&mut streamer(folder, &["health"])).stdout;
    wait_until("it is well", || health() == "healthy\n").await;
}

#[tokio::test]
async fn a_session_that_is_in_the_way_is_named_until_it_is_not() {
    let folder = folder();
    let (db, _session, pid) = blocked(folder.path()).await;
    let running = start(folder.path(), &db.url());
    let http = Http::of(&running);
    let told = running.wait_for_log("has committed nothing since");
    let words = format!("process {pid} of user streamer (test), idle in transaction");
    let frees = format!("select pg_terminate_backend({pid});");
    let status = Ended::of(streamer(folder.path(), &["status"]).env("DATABASE_URL", db.url()));
    for place in [
        told,
        Ended::of(&mut streamer(folder.path(), &["health"])).expect(1).stderr,
        status.expect(0).stdout,
        http.get("/readyz").expect(503).body,
    ] {
        assert!(place.contains("a lock on table slow") && place.contains(&words), "{place}");
        assert!(place.contains(&frees), "{place}");
    }
    assert!(http.get("/metrics").body.contains("streamer_ailments{stream=\"slow\"} 1\n"));
    db.execute(&frees).await;
    running.wait_for_log("the wait is over after");
    db.wait_for("select count(*) from slow", 2).await;
    is_well(folder.path()).await;
    http.get("/readyz").expect(200);
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_session_that_the_role_may_not_see_is_named_as_far_as_it_may() {
    let folder = folder();
    let (db, mut session, pid) = blocked(folder.path()).await;
    let readme = include_str!("../../../README.md");
    let grants = readme.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let grants = grants.replace("user_events", "slow").replace("loader", "stranger");
    // Whoever grants rights on the table needs the lock, too.
    let grant = format!("create role stranger login; {grants}; commit; begin; lock table slow");
    sqlx::raw_sql(sqlx::AssertSqlSafe(grant)).execute(&mut session).await.unwrap();
    let running = start(folder.path(), &db.url().replace("//streamer@", "//stranger@"));
    let told = running.wait_for_log("has committed nothing since");
    let words = format!("process {pid} of user streamer");
    assert!(told.contains(&words) && told.contains("pg_read_all_stats"), "{told}");
    sqlx::raw_sql("commit").execute(&mut session).await.unwrap();
    db.wait_for("select count(*) from slow", 2).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn so_is_one_that_keeps_the_checkpoints_from_being_read() {
    let folder = folder();
    let (db, mut session, pid) = blocked(folder.path()).await;
    let lock = "commit; begin; lock table streamer.checkpoint";
    sqlx::raw_sql(lock).execute(&mut session).await.unwrap();
    let running = start(folder.path(), &db.url());
    let told = running.wait_for_log("has committed nothing since");
    assert!(told.contains("a lock on table streamer.checkpoint"), "{told}");
    assert!(told.contains(&format!("select pg_terminate_backend({pid});")), "{told}");
    sqlx::raw_sql("commit").execute(&mut session).await.unwrap();
    running.wait_for_log("the wait is over after");
    db.wait_for("select count(*) from slow", 2).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn so_is_one_that_keeps_the_table_from_being_described() {
    let folder = folder();
    let (db, mut session, pid) = blocked(folder.path()).await;
    // Only to describe an expression PostgreSQL takes a lock on the table.
    let index = "create unique index on slow ((id + 1)); commit; begin; lock table slow";
    sqlx::raw_sql(index).execute(&mut session).await.unwrap();
    let running = start(folder.path(), &db.url());
    let told = running.wait_for_log("has committed nothing since");
    let frees = format!("select pg_terminate_backend({pid});");
    let status = Ended::of(streamer(folder.path(), &["status"]).env("DATABASE_URL", db.url()));
    for place in
        [told, Ended::of(&mut streamer(folder.path(), &["health"])).expect(1).stderr, status.stdout]
    {
        assert!(place.contains("a lock on table slow") && place.contains(&frees), "{place}");
    }
    sqlx::raw_sql("commit").execute(&mut session).await.unwrap();
    running.wait_for_log("the wait is over after");
    db.wait_for("select count(*) from slow", 2).await;
    is_well(folder.path()).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn an_object_in_use_is_waited_for_and_named() {
    let folder = folder();
    let db = TestDb::create().await;
    // As when a trigger alters a table that its own session is reading.
    db.execute(
        "create table slow (id integer primary key); create table busy (); create table kept (id int);
         create function alters() returns trigger language plpgsql as $$
         begin
             if to_regclass('busy') is not null then
                 for new.id in select new.id from kept right join (select 1) one on true loop
                     alter table kept add column if not exists more int;
                 end loop;
             end if;
             return new;
         end $$;
         create trigger alters before insert on slow for each row execute function alters()",
    )
    .await;
    fs::write(folder.path().join("streams.toml"), "[stream.slow]\nfiles = '*.csv'\n").unwrap();
    fs::write(folder.path().join("1.csv"), "id\n1\n2\n").unwrap();
    let running = start(folder.path(), &db.url());
    let told = running.wait_for_log("trying again");
    assert!(told.contains("kept"), "{told}");
    let ailing = Ended::of(&mut streamer(folder.path(), &["health"])).expect(1).stderr;
    assert!(ailing.contains("kept"), "{ailing}");
    db.execute("drop table busy").await;
    db.wait_for("select count(*) from slow", 2).await;
    is_well(folder.path()).await;
    assert_eq!(running.terminate().0, Some(0));
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 0);
}

#[tokio::test]
async fn a_lock_timeout_is_told_with_who_holds_the_lock() {
    let folder = folder();
    let (db, mut session, pid) = blocked(folder.path()).await;
    db.execute(
        "do $$ begin
             execute format('alter database %I set lock_timeout = 300', current_database());
         end $$",
    )
    .await;
    let running = start(folder.path(), &db.url());
    let told = running.wait_for_log("has committed nothing since");
    let holder = format!("a lock on table public.slow, which is held by process {pid} of user");
    assert!(told.contains(&holder), "{told}");
    sqlx::raw_sql("commit").execute(&mut session).await.unwrap();
    running.wait_for_log("the wait is over after");
    db.wait_for("select count(*) from slow", 2).await;
    is_well(folder.path()).await;
    assert_eq!(running.terminate().0, Some(0));
}
