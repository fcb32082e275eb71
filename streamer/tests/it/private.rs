//! What others on the machine can enter and read of the streamer's own files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Http, Running, TestDb, folder, streamer};

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
