//! Finished files that are archived or deleted.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Ended, Http, Running, Sandbox, TestDb, folder, streamer, wait_until};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";
const ROWS: &str = "select count(*) from user_events";
const RECORDS: &str = "select coalesce(sum(records), 0)::bigint from streamer.micro_batch";

fn text(numbers: std::ops::Range<u32>) -> String {
    let line =
        |n: u32| format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n");
    HEADER.to_owned() + &numbers.map(line).collect::<String>()
}

fn settings(folder: &Path, more: &str) {
    let text = format!("[stream.user_events]\nfiles = '**/*.csv'\nscan_every = '50ms'\n{more}\n");
    fs::write(folder.join("streams.toml"), text).unwrap();
}

fn run(folder: &Path, db: &TestDb) -> Ended {
    Ended::of(streamer(folder, &["run", "--available-now"]).env("DATABASE_URL", db.url()))
}

/// The files of a folder, in order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The rows in all files of the archive, and how many files there are.
fn archived(folder: &Path) -> (usize, usize) {
    let texts: Vec<String> =
        files(folder).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    (texts.iter().map(|text| text.lines().count() - 1).sum(), texts.len())
}

#[tokio::test]
async fn finished_files_go_to_the_archive_and_none_is_written_over() {
    let (db, folder) = (TestDb::create().await, folder());
    let root = folder.path();
    settings(root, "on_done = 'archive'\narchive = 'old/done'\nsettle = '300ms'");
    let strange = std::ffi::OsStr::from_bytes(b"-rf a\n\xff;.csv");
    for (at, name) in
        [Path::new("a/1.csv"), Path::new("b/1.csv"), Path::new(strange)].iter().enumerate()
    {
        let at = u32::try_from(at).unwrap();
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), text(at * 10..at * 10 + 10)).unwrap();
    }
    fs::write(root.join("refused.csv"), "a;b\n1;2\n").unwrap();
    run(root, &db).expect(1);
    assert_eq!(db.number(ROWS).await, 30);
    let archive = root.join("old/done");
    assert_eq!(archived(&archive), (30, 3));
    assert!([root.join("a"), root.join("b")].iter().all(|folder| files(folder).is_empty()));
    assert!(root.join("refused.csv").exists(), "what is not loaded stays");
    // The archive is not read again, though the pattern matches.
    fs::remove_file(root.join("refused.csv")).unwrap();
    assert_eq!(run(root, &db).expect(0).stdout, "nothing new to load\n");
    // The same file once more is known; another of its name is loaded. Both are archived beside the
    // first.
    fs::write(root.join("a/1.csv"), text(0..10)).unwrap();
    run(root, &db).expect(0);
    fs::write(root.join("a/1.csv"), text(30..40)).unwrap();
    run(root, &db).expect(0);
    assert_eq!((db.number(ROWS).await, archived(&archive)), (40, (50, 5)));
    assert_eq!(db.number(RECORDS).await, 40);
}

#[tokio::test]
async fn a_file_is_deleted_only_when_nobody_writes_it_any_more() {
    let (db, folder) = (TestDb::create().await, folder());
    settings(folder.path(), "on_done = 'delete'\nsettle = '700ms'");
    let mut command = streamer(folder.path(), &["run", "--every", "0s"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    let path = folder.path().join("1.csv");
    fs::write(&path, text(0..1)).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    for n in 1..10 {
        db.wait_for(ROWS, i64::from(n)).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(path.exists());
        file.write_all(text(n..n + 1).strip_prefix(HEADER).unwrap().as_bytes()).unwrap();
    }
    db.wait_for(ROWS, 10).await;
    // Replaced within the time: the other file is loaded before it goes.
    fs::remove_file(&path).unwrap();
    fs::write(&path, text(10..20) + "bad\n").unwrap();
    running.wait_for_log("deleted 1.csv");
    assert!(!path.exists());
    assert_eq!(db.number(ROWS).await, 20);
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 1);
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_crash_between_commit_and_move_is_made_good_without_reading_again() {
    let (db, folder) = (TestDb::create().await, folder());
    for n in 0..1000 {
        fs::write(folder.path().join(format!("{n}.csv")), text(n..n + 1)).unwrap();
    }
    settings(folder.path(), "on_done = 'archive'\nsettle = '1h'");
    let args = ["run", "--every", "0s", "--max-rows", "400"];
    let start = || Running::start(streamer(folder.path(), &args).env("DATABASE_URL", db.url()));
    let running = start();
    db.wait_for(ROWS, 1000).await;
    running.kill();
    assert!(!folder.path().join("archive").exists());
    settings(folder.path(), "on_done = 'archive'\nsettle = '200ms'");
    // Killed again and again while it moves.
    let mut kills = 0;
    // The settings and the archive are left.
    while files(folder.path()).len() > 2 {
        let running = start();
        running.wait_for_log("archived");
        running.kill();
        kills += 1;
    }
    assert!(kills > 1, "no kill hit it in the middle");
    assert_eq!(run(folder.path(), &db).expect(0).stdout, "nothing new to load\n");
    assert_eq!(archived(&folder.path().join("archive")), (1000, 1000));
    assert_eq!((db.number(ROWS).await, db.number(RECORDS).await), (1000, 1000));
}

#[tokio::test]
async fn a_move_that_fails_is_told_once_and_loads_nothing_twice() {
    let (db, folder) = (TestDb::create().await, folder());
    let outside = crate::support::folder();
    for n in 0..3 {
        fs::write(folder.path().join(format!("{n}.csv")), text(n * 10..n * 10 + 10)).unwrap();
    }
    settings(folder.path(), "on_done = 'archive'\nsettle = '100ms'");
    // A link leads nowhere, and a file is no folder.
    let archive = folder.path().join("archive");
    std::os::unix::fs::symlink(outside.path(), &archive).unwrap();
    let ended = run(folder.path(), &db).expect(0);
    assert_eq!(ended.stderr.matches("is loaded, but cannot be archived").count(), 1);
    assert_eq!((files(outside.path()).len(), db.number(RECORDS).await), (0, 30));
    fs::remove_file(&archive).unwrap();
    fs::write(&archive, "").unwrap();
    let ended = run(folder.path(), &db).expect(0);
    assert_eq!(ended.stderr.matches("is loaded, but cannot be archived").count(), 1);
    assert_eq!(ended.stdout, "nothing new to load\n");
    fs::remove_file(&archive).unwrap();
    run(folder.path(), &db).expect(0);
    assert_eq!((archived(&archive), db.number(RECORDS).await), ((30, 3), 30));
}

/// Archives in a sandbox where that can't be, and then outside.
async fn is_archived_later(sandbox: impl Fn(&Path) -> Sandbox, why: &[&str]) {
    let (db, folder) = (TestDb::create().await, folder());
    for n in 0..3 {
        fs::write(folder.path().join(format!("{n}.csv")), text(n * 10..n * 10 + 10)).unwrap();
    }
    settings(folder.path(), "on_done = 'archive'\nsettle = '100ms'");
    let archive = folder.path().join("archive");
    fs::create_dir(&archive).unwrap();
    for _ in 0..2 {
        let mut command = streamer(folder.path(), &["run", "--available-now"]);
        command.env("DATABASE_URL", db.url());
        command.env("STREAMER_CONFIG", folder.path().join("streams.toml"));
        let ended = Ended::of(&mut sandbox(folder.path()).wrap(&command)).expect(0);
        let count = ended.stderr.matches("is loaded, but cannot be archived").count();
        assert_eq!(count, 1, "it is told once: {}", ended.stderr);
        assert!(why.iter().all(|why| ended.stderr.contains(why)), "{}", ended.stderr);
        assert_eq!((db.number(ROWS).await, db.number(RECORDS).await), (30, 30));
        assert_eq!(archived(&archive).1, 0);
    }
    assert_eq!(run(folder.path(), &db).expect(0).stdout, "nothing new to load\n");
    assert_eq!((archived(&archive), db.number(RECORDS).await), ((30, 3), 30));
}

#[tokio::test]
async fn an_archive_on_another_file_system_is_told_of_and_loads_nothing_twice() {
    let words = ["the archive must be on the file system of the data folder"];
    is_archived_later(|folder| Sandbox::small_disk(&folder.join("archive"), 8), &words).await;
}

#[tokio::test]
async fn a_folder_that_is_read_only_is_told_of_and_loads_nothing_twice() {
    is_archived_later(Sandbox::read_only, &["Read-only file system"]).await;
}

#[tokio::test]
async fn a_file_that_another_stream_reads_stays() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table other (like user_events including all)").await;
    settings(
        folder.path(),
        "on_done = 'delete'\nsettle = '0s'\n[stream.other]\nfiles = 'both*.csv'",
    );
    fs::write(folder.path().join("both.csv"), text(0..10)).unwrap();
    fs::write(folder.path().join("mine.csv"), text(10..20)).unwrap();
    let ended = run(folder.path(), &db).expect(0);
    assert!(ended.stderr.contains("stream other reads them too"), "{}", ended.stderr);
    assert_eq!(
        files(folder.path()),
        [folder.path().join("both.csv"), folder.path().join("streams.toml")]
    );
    assert_eq!(db.number("select count(*) from other").await, 10);
    assert_eq!(db.number(ROWS).await, 20);
}

#[tokio::test]
async fn a_file_that_has_stopped_its_stream_stays_until_it_may_go_on() {
    let (db, folder) = (TestDb::create().await, folder());
    let delete = "on_done = 'delete'\nsettle = '0s'\n";
    settings(folder.path(), &format!("{delete}max_dead_letters = 1"));
    let path = folder.path().join("1.csv");
    fs::write(&path, text(0..10) + "bad\nworse\n").unwrap();
    let ended = run(folder.path(), &db);
    assert!(path.exists() && ended.stderr.contains("the stream is stopped"), "{}", ended.stderr);
    // Nor does the next start take it for finished.
    run(folder.path(), &db);
    assert!(path.exists());
    settings(folder.path(), delete);
    let ended = run(folder.path(), &db);
    assert!(!path.exists(), "{:?} {}", ended.code, ended.stderr);
    assert_eq!((db.number(ROWS).await, db.number(RECORDS).await), (10, 12));
}

#[tokio::test]
async fn what_comes_by_http_goes_on_behind_what_was_loaded_of_it() {
    let (db, folder) = (TestDb::create().await, folder());
    let root = folder.path();
    settings(root, "on_done = 'delete'\nsettle = '100ms'");
    let args = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    let running = Running::start(streamer(root, &args).env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    for n in 0..3 {
        http.post("/streams/user_events/events?wait=commit", text(n..n + 1)).expect(200);
        // When a file that came later is gone, so would be the segment, were it taken for a file.
        let later = root.join(format!("{n}.csv"));
        fs::write(&later, text(10 + n..11 + n)).unwrap();
        wait_until("the file is deleted", || !later.exists()).await;
    }
    assert_eq!(db.number(ROWS).await, 6);
}
