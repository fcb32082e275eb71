//! The connections that all streams share: how many there are, who waits, and what holds claims.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::support::{Ended, Http, Running, TestDb, WAIT_MAX, folder, streamer, wait_until};

/// How many streams there are, and how many connections their micro-batches have.
const STREAMS: usize = 20;
const CONNECTIONS: usize = 4;

/// How many more a streamer has at most.
const ASIDE: i64 = 6;

/// The connections of the streamer.
const CONNECTED: &str = "select count(*) from pg_stat_activity
                          where datname = current_database() and application_name = 'streamer'";

/// A streamer's session that holds claims.
const CLAIMER: &str = "select pid from pg_locks where locktype = 'advisory' and granted
                          and database = (select oid from pg_database
                                           where datname = current_database())";

/// A table and a stream for each number.
async fn make_streams(db: &TestDb, folder: &Path) {
    let (mut tables, mut settings) = (String::new(), String::new());
    for n in 0..STREAMS {
        write!(tables, "create table s{n} (id integer primary key);").unwrap();
        write!(settings, "[stream.s{n}]\nfiles = 's{n}_*.csv'\n").unwrap();
    }
    db.execute(&tables).await;
    fs::write(folder.join("streams.toml"), settings).unwrap();
}

/// A file of two records for each stream.
fn write_files(folder: &Path, round: usize) {
    for n in 0..STREAMS {
        let (path, id) = (folder.join(format!("s{n}_{round}.csv")), 2 * round);
        fs::write(path, format!("id\n{id}\n{}\n", id + 1)).unwrap();
    }
}

#[tokio::test]
async fn a_locked_table_does_not_keep_other_streams_from_their_connections() {
    let (db, folder) = (TestDb::create().await, folder());
    make_streams(&db, folder.path()).await;
    let mut session = db.connect().await;
    sqlx::raw_sql("begin; lock table s0").execute(&mut session).await.unwrap();
    let limit = CONNECTIONS.to_string();
    let run = ["run", "--every", "0s", "--connections", &limit, "--listen", "127.0.0.1:0"];
    let running = Running::start(streamer(folder.path(), &run).env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    let committed = "select count(*) from streamer.checkpoint where state = 'done'";
    for round in 1..=4 {
        write_files(folder.path(), round);
        let (all, since) = (i64::try_from((STREAMS - 1) * round).unwrap(), Instant::now());
        while db.number(committed).await < all {
            let connected = db.number(CONNECTED).await;
            assert!(connected <= i64::try_from(CONNECTIONS).unwrap() + ASIDE, "{connected}");
            assert!(since.elapsed() < WAIT_MAX, "the other streams wait in round {round}");
        }
        assert_eq!(db.number(committed).await, all, "nothing of the locked table is committed");
    }
    let told = running.wait_for_log("has committed nothing since");
    assert!(told.contains("stream s0") && told.contains("a lock on table"), "{told}");
    let metrics = http.get("/metrics").body;
    assert!(
        metrics.contains(&format!("\nstreamer_connections_limit {CONNECTIONS}\n")),
        "{metrics}"
    );
    for name in ["streamer_connections ", "streamer_connections_waiting "] {
        assert!(metrics.contains(&format!("\n{name}")), "{metrics}");
    }
    let status = ["status", "--json"];
    let status = Ended::of(streamer(folder.path(), &status).env("DATABASE_URL", db.url()));
    let status: serde_json::Value = serde_json::from_str(&status.expect(0).stdout).unwrap();
    assert_eq!(status["connections"]["limit"], CONNECTIONS, "{status}");
    assert!(
        status["memory"]["shared_bytes"].as_u64() > status["memory"]["used_bytes"].as_u64(),
        "{status}"
    );
    sqlx::raw_sql("commit").execute(&mut session).await.unwrap();
    running.wait_for_log("the wait is over after");
    db.wait_for("select count(*) from s0", 8).await;
    assert_eq!(running.log().iter().filter(|line| line.contains("stream s0 has")).count(), 0);
    let health = || Ended::of(&mut streamer(folder.path(), &["health"])).stdout;
    wait_until("it is well", || health() == "healthy\n").await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn claims_that_are_lost_with_their_session_are_taken_again() {
    let (db, folder) = (TestDb::create().await, folder());
    // A micro-batch lasts until the gate is open.
    db.execute(
        "create table gate (); insert into gate default values;
         create table slow (id integer primary key);
         create function waits() returns trigger language plpgsql as $$
         begin
             while exists (select from gate) loop
                 perform pg_sleep(0.02);
             end loop;
             return new;
         end $$;
         create trigger waits before insert on slow for each row execute function waits()",
    )
    .await;
    fs::write(folder.path().join("streams.toml"), "[stream.slow]\nfiles = '*.csv'\n").unwrap();
    fs::write(folder.path().join("1.csv"), "id\n1\n2\n").unwrap();
    let run = ["run", "--every", "0s"];
    let running = Running::start(streamer(folder.path(), &run).env("DATABASE_URL", db.url()));
    let claims = format!("select count(*) from ({CLAIMER}) claimer");
    db.wait_for(&claims, 1).await;
    let before = db.number(&CLAIMER.replace("select pid", "select pid::bigint")).await;
    db.execute(&format!("select pg_terminate_backend({before})")).await;
    let again = format!("{claims} where pid <> {before}");
    db.wait_for(&again, 1).await;
    db.execute("delete from gate").await;
    db.wait_for("select count(*) from slow", 2).await;
    db.wait_for(&claims, 0).await;
    let log = running.log().join("\n");
    assert!(!log.contains("trying again"), "the session of claims is no trouble:\n{log}");
    assert_eq!(running.terminate().0, Some(0));
}

#[test]
fn the_number_of_connections_has_bounds() {
    let folder = folder();
    let ended = Ended::of(&mut streamer(folder.path(), &["run", "--connections", "1"])).expect(1);
    let words = "database.connections must be from 2 to 1000";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
}
