//! The embedded server: kept data, several streamers at once, and every way of being killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection, PgConnection};
use streamer::embedded::Embedded;

use crate::support::{Ended, Running, folder, generate, judge, streamer, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);

async fn query(server: &Embedded, sql: &'static str) -> i64 {
    let mut conn = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
}

async fn remember(server: &Embedded, sql: &'static str) {
    let mut conn = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    sqlx::query(sql).execute(&mut conn).await.unwrap();
}

/// `streamer run` in a process of its own, with its server running.
fn run_program(data: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamer"));
    command.args(["run", "--data"]).arg(data).current_dir(data).stderr(Stdio::piped());
    for name in ["DATABASE_URL", "RUST_LOG", "STREAMER_CONFIG", "STREAMER_LOG_FORMAT"] {
        command.env_remove(name);
    }
    let mut program = command.spawn().unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("psql")), "the program did not start");
    // Read to the end, or the program would be stopped by a broken pipe.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    program
}

fn pid_file(data: &Path) -> PathBuf {
    data.join(".postgres/data/postmaster.pid")
}

fn server_of(data: &Path) -> Pid {
    server_if_any(data).expect("a server is at work")
}

fn server_if_any(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(pid_file(data)).ok()?;
    Some(Pid::from_raw(text.lines().next()?.parse().ok()?))
}

fn kill_hard(pid: Pid) {
    kill(pid, Signal::SIGKILL).unwrap();
}

fn kill_program(mut program: Child) {
    program.kill().unwrap();
    program.wait().unwrap();
}

#[tokio::test]
async fn data_outlive_a_restart_and_nothing_listens_on_tcp() {
    let folder = folder();
    let home = folder.path().join("home");
    let server = Embedded::start(&home).await.unwrap();
    assert!(!server.is_joined());
    let open = "select count(*) from pg_settings
        where (name, setting) in (('listen_addresses', ''), ('fsync', 'on'), ('data_checksums', 'on'))";
    assert_eq!(query(&server, open).await, 3);
    remember(&server, "create table kept as select 7::bigint as x").await;
    server.stop(PATIENCE).await;

    let server = Embedded::start(&home).await.unwrap();
    assert_eq!(query(&server, "select x from kept").await, 7);
    let socket = server.connect_options().get_socket().unwrap().clone();
    assert_eq!(fs::metadata(socket).unwrap().permissions().mode() & 0o777, 0o700);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn of_several_that_start_at_once_one_owns_and_the_next_takes_over() {
    let folder = folder();
    let home = folder.path().join("home");
    let start = || Embedded::start(&home);
    let (a, b, c) = tokio::try_join!(start(), start(), start()).unwrap();
    let (mut joined, owners): (Vec<_>, Vec<_>) =
        [a, b, c].into_iter().partition(Embedded::is_joined);
    assert_eq!(owners.len(), 1);
    for owner in owners {
        owner.stop(PATIENCE).await;
    }
    for server in &mut joined {
        server.ensure_running().await.unwrap();
        assert_eq!(query(server, "select 1::bigint").await, 1);
    }
    assert_eq!(joined.iter().filter(|server| !server.is_joined()).count(), 1);
    for server in joined {
        server.stop(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_path_that_is_deep_and_odd_is_no_obstacle() {
    let folder = folder();
    let deep = folder.path().join("it's a \"$HOME\", or * ".repeat(5)).join("home");
    let server = Embedded::start(&deep).await.unwrap();
    assert_eq!(query(&server, "select 1::bigint").await, 1);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn the_server_stops_in_order_when_its_owner_is_killed() {
    let folder = folder();
    let program = run_program(folder.path());
    let server = Embedded::start(&folder.path().join(".postgres")).await.unwrap();
    assert!(server.is_joined());
    remember(&server, "create table kept as select 7::bigint as x").await;
    kill_program(program);
    let gone = || !pid_file(folder.path()).exists();
    wait_until("the server still runs", gone).await;

    let mut server = server;
    server.ensure_running().await.unwrap();
    assert!(!server.is_joined());
    assert_eq!(query(&server, "select x from kept").await, 7);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_killed_server_is_started_again_by_its_owner() {
    let folder = folder();
    let mut server = Embedded::start(&folder.path().join(".postgres")).await.unwrap();
    remember(&server, "create table kept as select 7::bigint as x").await;
    let killed = server_of(folder.path());
    kill_hard(killed);
    wait_until("the server could not be started again", || {
        // The kill takes a moment.
        fs::read(format!("/proc/{killed}/cmdline")).unwrap_or_default().is_empty()
    })
    .await;
    server.ensure_running().await.unwrap();
    assert_eq!(query(&server, "select x from kept").await, 7);
    assert_ne!(server_of(folder.path()), killed);
    server.stop(PATIENCE).await;
}

/// Finds the guard and its helper as Linux tells them.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_without_owner_and_guard_is_replaced() {
    let folder = folder();
    let program = run_program(folder.path());
    let left = server_of(folder.path());
    let status = fs::read_to_string(format!("/proc/{left}/status")).unwrap();
    let guard = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();
    let children = fs::read_to_string(format!("/proc/{guard}/task/{guard}/children")).unwrap();
    let all = children.split_whitespace().chain([guard]);
    let all = all.map(|pid| Pid::from_raw(pid.parse().unwrap()));
    all.filter(|pid| *pid != left).for_each(kill_hard);
    kill_program(program);
    assert!(pid_file(folder.path()).exists(), "the server was to be left behind");

    let server = Embedded::start(&folder.path().join(".postgres")).await.unwrap();
    assert!(!server.is_joined());
    assert_ne!(server_of(folder.path()), left);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn data_of_another_major_version_are_refused_with_a_way_out() {
    let folder = folder();
    let home = folder.path().join("home");
    fs::create_dir_all(home.join("data")).unwrap();
    fs::write(home.join("data/PG_VERSION"), "7\n").unwrap();
    let error = Embedded::start(&home).await.unwrap_err().to_string();
    assert!(error.contains("made by PostgreSQL 7"), "{error}");
    assert!(error.contains("STREAMER_PG_BIN"), "{error}");
}

#[tokio::test]
async fn without_a_database_the_streamer_runs_its_own_and_takes_it_along_however_it_ends() {
    let folder = folder();
    let home = folder.path().join(".postgres");
    let verdict = judge(&generate(folder.path(), 1, 2000, 41));
    let run = || Running::start(&mut streamer(folder.path(), &["run", "--every", "0s"]));
    let running = run();
    let line = running.wait_for_log("look inside with: psql");
    let psql = line.split("with: ").nth(1).unwrap().to_owned();
    running.wait_for_log("committed");
    // Another terminal looks at it meanwhile.
    Ended::of(&mut streamer(folder.path(), &["status"])).expect(0);
    let server = server_of(folder.path());
    running.kill();
    wait_until("the server to stop", || kill(server, None).is_err()).await;
    let running = run();
    running.wait_for_log("look inside");
    let asked = Command::new("bash")
        .args(["-c", &format!("{psql} -Atc 'select current_schema()'")])
        .output();
    let asked = asked.unwrap();
    assert_eq!(asked.stdout, b"public\n", "{psql}: {asked:?}");
    let server = server_of(folder.path());
    assert_eq!(running.terminate().0, Some(0));
    wait_until("the server to stop", || kill(server, None).is_err()).await;
    Ended::of(&mut streamer(folder.path(), &["run", "--available-now"]));
    let server = Embedded::start(&home).await.unwrap();
    let rows = query(&server, "select count(*) from user_events").await;
    assert_eq!(rows, i64::try_from(verdict.rows.len()).unwrap());
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_crash_of_the_server_in_mid_load_loses_nothing_and_doubles_nothing() {
    let folder = folder();
    let verdict = judge(&generate(folder.path(), 2, 5000, 42));
    let run = ["run", "--every", "0s", "--max-rows", "20"];
    let running = Running::start(&mut streamer(folder.path(), &run));
    for _ in 0..3 {
        running.log();
        running.wait_for_log("committed");
        let killed = server_of(folder.path());
        kill_hard(killed);
        wait_until("another server", || {
            server_if_any(folder.path()).is_some_and(|it| it != killed)
        })
        .await;
    }
    assert_eq!(running.terminate().0, Some(0));
    Ended::of(&mut streamer(folder.path(), &["run", "--available-now"]));
    let server = Embedded::start(&folder.path().join(".postgres")).await.unwrap();
    let rows = query(&server, "select count(*) from user_events").await;
    assert_eq!(rows, i64::try_from(verdict.rows.len()).unwrap());
    let records = "select sum(records)::bigint from streamer.checkpoint";
    assert_eq!(query(&server, records).await, verdict.records);
    server.stop(PATIENCE).await;
}
