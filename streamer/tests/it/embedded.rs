//! The private server: it stops with the streamer, however that ends, and is found again.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use streamer::embedded::Embedded;

use crate::support::{Ended, Running, folder, generate, judge, streamer};

/// Whether a server's process is there.
fn is_running(home: &Path) -> bool {
    let Ok(pid_file) = fs::read_to_string(home.join("data/postmaster.pid")) else { return false };
    let pid = pid_file.lines().next().unwrap_or_default().to_owned();
    Path::new("/proc").join(&pid).exists()
}

fn wait_until_stopped(home: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while is_running(home) {
        assert!(Instant::now() < deadline, "the server goes on without its streamer");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn rows(server: &Embedded) -> i64 {
    let mut conn = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    sqlx::query_scalar("select count(*) from user_events").fetch_one(&mut conn).await.unwrap()
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
    running.kill();
    wait_until_stopped(&home);
    let running = run();
    running.wait_for_log("look inside");
    let asked =
        Command::new("bash").args(["-c", &format!("{psql} -Atc 'select 1'")]).output().unwrap();
    assert_eq!(asked.stdout, b"1\n", "{psql}: {asked:?}");
    let (code, _) = running.terminate();
    assert_eq!(code, Some(0));
    wait_until_stopped(&home);
    Ended::of(&mut streamer(folder.path(), &["run", "--available-now"]));
    let server = Embedded::start(&home).await.unwrap();
    assert_eq!(rows(&server).await, i64::try_from(verdict.rows.len()).unwrap());
    server.stop(Duration::from_secs(20)).await;
    assert!(!is_running(&home));
}

#[tokio::test]
async fn a_server_left_behind_is_taken_over() {
    let folder = folder();
    let home = folder.path().join(".postgres");
    let mut run = streamer(folder.path(), &["run"]);
    // A group of its own, so that the guard's can be told apart.
    let running = Running::start(run.process_group(0));
    running.wait_for_log("look inside");
    let data = home.join("data");
    let guard = format!("pkill -KILL -f \"sh -c .* guard .*{}\"", data.display());
    Command::new("bash").args(["-c", &guard]).status().unwrap();
    running.kill();
    std::thread::sleep(Duration::from_millis(200));
    assert!(is_running(&home), "with its guard dead the server goes on");
    let server = Embedded::start(&home).await.unwrap();
    assert!(!server.is_joined());
    server.stop(Duration::from_secs(20)).await;
    assert!(!is_running(&home));
}

#[tokio::test]
async fn a_server_that_was_killed_is_recovered() {
    let folder = folder();
    let home = folder.path().join("home with spaces, a comma and 'quotes'");
    let mut server = Embedded::start(&home).await.unwrap();
    let pid = fs::read_to_string(server.home().join("data/postmaster.pid")).unwrap();
    let pid: i32 = pid.lines().next().unwrap().parse().unwrap();
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while PgConnection::connect_with(&server.connect_options()).await.is_ok() {
        assert!(Instant::now() < deadline);
    }
    server.ensure_running().await.unwrap();
    PgConnection::connect_with(&server.connect_options()).await.unwrap();
    server.stop(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn two_that_start_at_once_share_one_server_and_the_second_takes_over() {
    let folder = folder();
    let home = folder.path().join("x".repeat(120));
    let (first, second) = tokio::join!(Embedded::start(&home), Embedded::start(&home));
    let (first, mut second) = match (first.unwrap(), second.unwrap()) {
        (a, b) if b.is_joined() => (a, b),
        (a, b) => (b, a),
    };
    assert!(!first.is_joined() && second.is_joined());
    first.stop(Duration::from_secs(20)).await;
    second.ensure_running().await.unwrap();
    assert!(!second.is_joined());
    PgConnection::connect_with(&second.connect_options()).await.unwrap();
    second.stop(Duration::from_secs(20)).await;
}
