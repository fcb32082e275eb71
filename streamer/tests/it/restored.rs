//! A database that is restored from an older state: rows and checkpoints go back together.

use nix::sys::signal::Signal;

use crate::support::{
    Ended, Running, TestDb, Verdict, folder, generate, judge, one_stream, streamer,
};

const READ: &str = "select coalesce(sum(records), 0)::bigint from streamer.checkpoint";

fn start(db: &TestDb, folder: &std::path::Path) -> Running {
    let run = ["run", "--every", "0s", "--max-rows", "100"];
    Running::start(streamer(folder, &run).env("DATABASE_URL", db.url()))
}

/// Loads a part of the files, and keeps the state of the database.
async fn load_a_part(seed: u64) -> (TestDb, tempfile::TempDir, Verdict) {
    let (db, folder) = (TestDb::create().await, folder());
    // Another stream could connect just while the database is away, and be told that there is none.
    one_stream(folder.path());
    let verdict = judge(&generate(folder.path(), 3, 6000, seed));
    let running = start(&db, folder.path());
    running.wait_for_log("committed");
    running.wait_for_log("committed");
    running.kill();
    db.save().await;
    let read = db.number(READ).await;
    assert!(read > 0 && read < verdict.records, "{read} of {} are read", verdict.records);
    (db, folder, verdict)
}

#[tokio::test]
async fn what_was_loaded_since_the_backup_is_loaded_again() {
    let (db, folder, verdict) = load_a_part(91).await;
    let now = ["run", "--available-now"];
    for _ in 0..2 {
        Ended::of(streamer(folder.path(), &now).env("DATABASE_URL", db.url())).expect(3);
        db.agrees_with(&verdict).await;
        db.restore().await;
        assert!(db.number(READ).await < verdict.records, "it is the old state");
    }
    Ended::of(streamer(folder.path(), &now).env("DATABASE_URL", db.url())).expect(3);
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn a_streamer_that_has_read_all_goes_back_with_the_database_at_the_next_file() {
    let (db, folder, verdict) = load_a_part(93).await;
    let running = start(&db, folder.path());
    let all = format!("select {} - ({READ})", verdict.records);
    db.wait_for(&all, 0).await;
    // A look at a file just while the database is away would be told that there is none.
    running.signal(Signal::SIGSTOP);
    db.restore().await;
    assert!(db.number(READ).await < verdict.records, "it is the old state");
    running.signal(Signal::SIGCONT);
    std::fs::write(folder.path().join("user_events_empty.csv"), "event_id\n").unwrap();
    db.wait_for(&all, 0).await;
    assert_eq!(running.terminate().0, Some(0));
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn a_streamer_that_is_at_work_meanwhile_goes_back_with_the_database() {
    let (db, folder, verdict) = load_a_part(92).await;
    let before = db.number(READ).await;
    let running = start(&db, folder.path());
    running.wait_for_log("committed");
    running.wait_for_log("committed");
    // It sees nothing of it, and believes that it stands where it stood.
    running.signal(Signal::SIGSTOP);
    let read = db.number(READ).await;
    assert!(before < read && read < verdict.records, "{read} of {} are read", verdict.records);
    db.restore().await;
    assert_eq!(db.number(READ).await, before);
    running.signal(Signal::SIGCONT);
    db.wait_for(&format!("select {} - ({READ})", verdict.records), 0).await;
    assert_eq!(running.terminate().0, Some(0));
    db.agrees_with(&verdict).await;
}
