//! What others on the machine can enter and read of the streamer's own files, and what is left of
//! them when it was killed.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

use crate::support::{Http, Running, TestDb, folder, streamer, wait_until};

const CSV: &str = "event_id,user_id,product_id,event_type,event_time\n\
                   0190a5f0-0000-7000-8000-000000000000,1,1,view,2026-01-01T00:00:00Z\n";
const EVENTS: &str = "/streams/user_events/events";

/// The same command where no mode is restrained.
fn without_umask(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$@\"", "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.current_dir(command.get_current_dir().expect("it has a folder"));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn the_spool_is_closed_to_others() {
    let (db, folder) = (TestDb::create().await, folder());
    let spool = folder.path().join("spool");
    let run = || {
        let args = ["run", "--listen", "127.0.0.1:0", "--every", "1h"];
        let mut command = streamer(folder.path(), &args);
        command.env("DATABASE_URL", db.url());
        let running = Running::start(&mut without_umask(&command));
        let http = Http::ready(&running);
        http.post(EVENTS, CSV).expect(202);
        http.post(EVENTS, CSV).expect(202);
        running.kill();
    };
    let segments = spool.join("user_events");
    run();
    assert_eq!((mode(&spool), mode(&segments)), (0o700, 0o700));
    let files = entries(&segments);
    assert!(!files.is_empty() && files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    // One that was made by a streamer that did not look after that.
    fs::set_permissions(&segments, Permissions::from_mode(0o755)).unwrap();
    run();
    assert_eq!(mode(&segments), 0o700);
}

/// The folders of the sockets through which a streamer connects.
fn tunnels(running: &Running) -> Vec<PathBuf> {
    let begins = format!("tunnel-{}-", running.id());
    let is_its = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begins))
    };
    let folder = format!("/tmp/streamer-{}", geteuid());
    entries(Path::new(&folder)).into_iter().filter(is_its).collect()
}

#[tokio::test]
async fn what_a_killed_streamer_left_is_cleared_by_a_later_one_and_nobody_elses() {
    // It takes connections, and never answers: so they are about to be made.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@{}/db?sslmode=disable", mute.local_addr().unwrap());
    let start = |folder: &Path| {
        let mut command = streamer(folder, &["run"]);
        Running::start(&mut without_umask(command.env("DATABASE_URL", &url)))
    };
    let folders = [folder(), folder(), folder()];
    let (killed, living) = (start(folders[0].path()), start(folders[1].path()));
    wait_until("both connect", || !tunnels(&killed).is_empty() && !tunnels(&living).is_empty())
        .await;
    let left = tunnels(&killed).remove(0);
    assert_eq!(mode(&left), 0o700);
    killed.kill();
    let _later = start(folders[2].path());
    wait_until("it is cleared up", || !left.exists()).await;
    let ask = |folder: &Path, well: &str| {
        let asked = streamer(folder, &["health"]).output().unwrap();
        let told = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert!(told.contains(well), "{told}");
    };
    ask(folders[0].path(), "no `streamer run` is at work");
    ask(folders[1].path(), "is not well");
    wait_until("the living one has its folder", || !tunnels(&living).is_empty()).await;
}
