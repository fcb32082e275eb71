//! Faults of the machine: full disks, folders and files that can't be used, too few file
//! descriptors, a wrong clock, no notifications.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::support::{
    Ended, Proxy, Running, Sandbox, TestDb, folder, generate, judge, shim, streamer,
};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";
const ROWS: &str = "select count(*) from user_events";

/// Records taken so far.
const RECORDS: &str = "select coalesce(sum(records), 0)::bigint from streamer.checkpoint";

/// Looks at the folder often.
const OFTEN: &str = "[stream.user_events]
files = 'user_events_*.csv'
scan_every = '100ms'
settle = '500ms'
";

fn line(n: u32) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n")
}

/// Writes a file of one record.
fn write(folder: &Path, n: u32) {
    let path = folder.join(format!("user_events_{n}.csv"));
    fs::write(path, format!("{HEADER}{}", line(n))).unwrap();
}

/// A streamer that looks at `folder` often and does not wait.
fn often(db: &TestDb, folder: &Path) -> Command {
    fs::write(folder.join("streams.toml"), OFTEN).unwrap();
    let mut command = streamer(folder, &["run", "--every", "0s", "--max-rows", "100"]);
    command.env("DATABASE_URL", db.url()).env("STREAMER_CONFIG", folder.join("streams.toml"));
    command
}

/// Fills the disk that `path` is on.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for piece in [1 << 16, 1 << 10, 1] {
        loop {
            match file.write_all(&vec![0; piece]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("fill the disk: {error}"),
            }
        }
    }
}

/// Waits for a line of the log without holding up the test's other work.
async fn told(running: Running, text: &'static str) -> (Running, String) {
    let waited = tokio::task::spawn_blocking(move || {
        let line = running.wait_for_log(text);
        (running, line)
    });
    waited.await.unwrap()
}

#[tokio::test]
async fn a_full_disk_of_the_database_is_waited_out_and_costs_no_record() {
    let (data, source) = (folder(), folder());
    let files = generate(source.path(), 1, 10_000, 71);
    let verdict = judge(&files);
    let disk = data.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let run = streamer(data.path(), &["run", "--every", "0s", "--max-rows", "100"]);
    let running = Running::start(&mut Sandbox::small_disk(&disk, 8).wrap(&run));
    let (running, _) = told(running, "look inside").await;
    let disk = Sandbox::path(&running, &disk);
    let db = TestDb::embedded(data.path());
    let space = disk.join("space");
    fs::create_dir(&space).unwrap();
    let owner = data.path().join(".postgres/data").metadata().unwrap();
    chown(&space, Some(owner.uid()), Some(owner.gid())).unwrap();
    let inside = data.path().join("disk/space");
    db.wait_for("select count(*) from pg_class where relname = 'user_events'", 1).await;
    db.execute(&format!("create tablespace small location '{}'", inside.display())).await;
    db.execute("alter table public.user_events set tablespace small").await;
    fill(&disk.join("filler"));
    let draft = data.path().join("next.tmp");
    fs::copy(&files[0], &draft).unwrap();
    fs::rename(draft, data.path().join(files[0].file_name().unwrap())).unwrap();
    let (running, told_of) = told(running, "trying again").await;
    assert!(told_of.contains("No space left on device"), "{told_of}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let letters = db.number("select count(*) from streamer.dead_letter").await;
    assert!(db.number(RECORDS).await < verdict.records);
    assert!(letters < i64::try_from(verdict.bad.len()).unwrap());
    fs::remove_file(disk.join("filler")).unwrap();
    let (running, _) = told(running, "the database is back").await;
    db.wait_for(&format!("select {} - ({RECORDS})", verdict.records), 0).await;
    db.agrees_with(&verdict).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_full_disk_below_data_and_embedded_database_is_waited_out() {
    let (data, source) = (folder(), folder());
    let files = generate(source.path(), 1, 30_000, 72);
    let verdict = judge(&files);
    let run = streamer(data.path(), &["run", "--every", "0s", "--max-rows", "100"]);
    let running = Running::start(&mut Sandbox::small_disk(data.path(), 128).wrap(&run));
    let (running, _) = told(running, "look inside").await;
    let root = Sandbox::path(&running, data.path());
    let db = TestDb::embedded(&root);
    fs::copy(&files[0], root.join("next.tmp")).unwrap();
    fs::rename(root.join("next.tmp"), root.join(files[0].file_name().unwrap())).unwrap();
    let (running, _) = told(running, "committed").await;
    fill(&root.join("filler"));
    // The writer of files notices too, and leaves nothing half-made behind.
    let full = generator::Settings { out: root.clone(), ..generator::Settings::default() };
    let mut full = generator::Generator::new(full).unwrap();
    assert!(full.write_file(&mut |_| std::ops::ControlFlow::Continue(())).is_err());
    let (running, _) = told(running, "trying again").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    fs::remove_file(root.join("filler")).unwrap();
    let (running, _) = told(running, "the database is back").await;
    db.wait_for(&format!("select {} - ({RECORDS})", verdict.records), 0).await;
    db.agrees_with(&verdict).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_read_only_folder_is_read() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 2, 500, 73));
    let sandbox = Sandbox::read_only(folder.path());
    let mut run = streamer(folder.path(), &["run", "--available-now"]);
    Ended::of(&mut sandbox.wrap(run.env("DATABASE_URL", db.url()))).expect(3);
    db.agrees_with(&verdict).await;
    // Without a database of its own there is no place for the embedded one.
    let run = streamer(folder.path(), &["run", "--available-now"]);
    let ended = Ended::of(&mut sandbox.wrap(&run)).expect(1);
    assert!(ended.stderr.contains(".postgres"), "{}", ended.stderr);
    assert!(ended.stderr.contains("Read-only file system"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_told_of_and_read_as_soon_as_it_may() {
    let (db, folder) = (TestDb::create().await, folder());
    write(folder.path(), 1);
    write(folder.path(), 2);
    let secret = folder.path().join("user_events_1.csv");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    let mut command = often(&db, folder.path());
    if geteuid().is_root() {
        // Root may read everything: let nobody run it, from a place that nobody can reach.
        let program = folder.path().join("streamer");
        // By a process of its own: what this one writes, the children of other tests hold open for
        // a moment.
        let copied = Command::new("cp").arg(command.get_program()).arg(&program).status().unwrap();
        assert!(copied.success());
        let mut other = Command::new(program);
        other.args(command.get_args()).current_dir(folder.path()).uid(65534).gid(65534);
        for (name, value) in command.get_envs() {
            value.map(|value| other.env(name, value));
        }
        // The server's socket lets its owner and root in only.
        let proxy = Proxy::start(db.socket_file()).await;
        other.env("DATABASE_URL", db.tcp_url(proxy.port));
        command = other;
    }
    let running = Running::start(&mut command);
    let (running, told_of) = told(running, "not loaded").await;
    assert!(told_of.contains("user_events_1.csv") && told_of.contains("denied"), "{told_of}");
    db.wait_for(ROWS, 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let again = running.log().join("\n");
    assert!(!again.contains("not loaded"), "it is told once:\n{again}");
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    db.wait_for(ROWS, 2).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn without_file_descriptors_it_waits_and_goes_on_when_there_are_some() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = Running::start(&mut often(&db, folder.path()));
    write(folder.path(), 1);
    db.wait_for(ROWS, 1).await;
    let limit = |descriptors: &str| {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &running.id().to_string(), &format!("--nofile={descriptors}")]);
        assert!(prlimit.status().unwrap().success());
    };
    limit("3:1024");
    write(folder.path(), 2);
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and application_name = 'streamer'";
    assert!(db.number(end).await > 0);
    running.wait_for_log("Too many open files");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(db.number(ROWS).await, 1);
    limit("1024:1024");
    db.wait_for(ROWS, 2).await;
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 0);
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn without_notifications_new_files_are_found_by_listing() {
    let (db, folder) = (TestDb::create().await, folder());
    let mut command = often(&db, folder.path());
    // The server's socket lets its owner and root in only, and this root is one by name.
    let proxy = Proxy::start(db.socket_file()).await;
    command.env("DATABASE_URL", db.tcp_url(proxy.port));
    let running = Running::start(&mut Sandbox::without_notifications().wrap(&command));
    let (running, _) = told(running, "no notifications for").await;
    for n in 1..=3 {
        write(folder.path(), n);
        db.wait_for(ROWS, n.into()).await;
    }
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_folder_that_is_removed_and_made_again_is_watched_again() {
    let (db, folder) = (TestDb::create().await, folder());
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut command = often(&db, folder.path());
    let running = Running::start(command.env("STREAMER_DATA", &data));
    for n in 1..=3 {
        write(&data, n);
        db.wait_for(ROWS, n.into()).await;
        fs::remove_dir_all(&data).unwrap();
        running.wait_for_log("cannot list the data folder");
        fs::create_dir(&data).unwrap();
    }
    write(&data, 4);
    db.wait_for(ROWS, 4).await;
    assert_eq!(running.terminate().0, Some(0));
}

/// Runs a command by a clock that is wrong by as many seconds as the file that is returned says.
fn with_clock(command: &mut Command, folder: &Path) -> PathBuf {
    let offset = folder.join("offset");
    fs::write(&offset, "0").unwrap();
    command.env("LD_PRELOAD", shim("it/clock.c", folder)).env("CLOCK_OFFSET", &offset);
    offset
}

#[tokio::test]
async fn a_clock_that_is_set_back_and_forth_loses_nothing() {
    let (db, folder) = (TestDb::create().await, folder());
    let mut command = often(&db, folder.path());
    let offset = with_clock(&mut command, folder.path());
    let running = Running::start(&mut command);
    let year = |line: &str| line[..4].parse::<i32>().unwrap();
    write(folder.path(), 1);
    let this_year = year(&running.wait_for_log("committed"));
    let mut rows = 1;
    for years in [-1, -40, 0, 2] {
        running.log();
        fs::write(&offset, (years * 366 * 24 * 3600_i64).to_string()).unwrap();
        // A new file, more of an old one, and a last line that waits until its file is still.
        write(folder.path(), rows + 1);
        let old = OpenOptions::new().append(true).open(folder.path().join("user_events_1.csv"));
        let more = line(rows + 2) + line(rows + 3).trim_end();
        old.unwrap().write_all(more.as_bytes()).unwrap();
        rows += 3;
        db.wait_for(ROWS, rows.into()).await;
        let told = year(&running.wait_for_log("committed"));
        assert!(years >= 0 || told < this_year, "the clock is wrong: {told}");
        let mut old = OpenOptions::new().append(true).open(folder.path().join("user_events_1.csv"));
        old.as_mut().unwrap().write_all(b"\n").unwrap();
    }
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 0);
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_clock_that_leaps_ahead_makes_no_half_line_a_record() {
    let (db, folder) = (TestDb::create().await, folder());
    let mut command = often(&db, folder.path());
    let patient = OFTEN.replace("500ms", "1h");
    fs::write(folder.path().join("streams.toml"), patient).unwrap();
    let offset = with_clock(&mut command, folder.path());
    let running = Running::start(&mut command);
    write(folder.path(), 1);
    running.wait_for_log("committed");
    let path = folder.path().join("user_events_2.csv");
    fs::write(&path, format!("{}{}", HEADER, line(2).trim_end())).unwrap();
    // A day later by the clock, as when the machine has slept.
    fs::write(&offset, "86400").unwrap();
    write(folder.path(), 3);
    db.wait_for(ROWS, 2).await;
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b".5\n").unwrap();
    running.wait_for_log("dead_letters=1");
    assert_eq!(db.number("select count(*) from user_events where user_id = 2").await, 0);
    assert_eq!(running.terminate().0, Some(0));
}
