//! Files that appear, grow, end in the middle of a line, or are replaced.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::support::{Ended, Running, TestDb, folder, streamer};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";
const ROWS: &str = "select count(*) from user_events";

fn line(n: u32) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n")
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(line).collect()
}

/// A stream whose files count as still only after an hour, and whose folder is listed all the time.
const PATIENT: &str = "[stream.user_events]
files = 'user_events_*.csv'
settle = '1h'
scan_every = '20ms'
";

#[tokio::test]
async fn new_and_growing_files_are_picked_up_while_it_runs() {
    let (db, folder) = (TestDb::create().await, folder());
    let mut run = streamer(folder.path(), &["run", "--every", "0s"]);
    let running = Running::start(run.env("DATABASE_URL", db.url()));
    let path = folder.path().join("user_events_1.csv");
    fs::write(&path, format!("{HEADER}{}", lines(0..10))).unwrap();
    db.wait_for(ROWS, 10).await;
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(lines(10..15).as_bytes()).unwrap();
    db.wait_for(ROWS, 15).await;
    let draft = folder.path().join(".user_events_2.csv.part");
    fs::write(&draft, format!("{HEADER}{}", lines(15..20))).unwrap();
    fs::rename(&draft, folder.path().join("user_events_2.csv")).unwrap();
    db.wait_for(ROWS, 20).await;
    assert_eq!(running.terminate().0, Some(0));
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 0);
}

#[tokio::test]
async fn a_truncated_last_line_is_taken_once_it_is_complete() {
    let (db, folder) = (TestDb::create().await, folder());
    fs::write(folder.path().join("streams.toml"), PATIENT).unwrap();
    let mut run = streamer(folder.path(), &["run", "--every", "0s"]);
    let running = Running::start(run.env("DATABASE_URL", db.url()));
    let mut file = File::create(folder.path().join("user_events_1.csv")).unwrap();
    // Cut in the header, in a line, and between the two bytes of a line end.
    let text = format!("{HEADER}{}", lines(0..3).replace('\n', "\r\n"));
    let bytes = text.as_bytes();
    let cuts = [10, HEADER.len() + 20, bytes.len() - 1];
    let mut from = 0;
    for (cut, rows) in cuts.into_iter().zip([0, 0, 2]) {
        file.write_all(&bytes[from..cut]).unwrap();
        from = cut;
        // Some listings later nothing of the unfinished line has been taken.
        tokio::time::sleep(Duration::from_millis(150)).await;
        db.wait_for(ROWS, rows).await;
    }
    file.write_all(&bytes[from..]).unwrap();
    file.write_all(line(3).trim_end().as_bytes()).unwrap();
    db.wait_for(ROWS, 3).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    db.wait_for(ROWS, 3).await;
    file.write_all(b"\n").unwrap();
    db.wait_for(ROWS, 4).await;
    assert_eq!(running.terminate().0, Some(0));
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 0);
}

#[tokio::test]
async fn a_last_line_without_a_line_end_counts_once_the_file_is_still() {
    let (db, folder) = (TestDb::create().await, folder());
    let settings = PATIENT.replace("1h", "300ms");
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let text = format!("{HEADER}{}", lines(0..3));
    fs::write(folder.path().join("user_events_1.csv"), text.trim_end()).unwrap();
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(0);
    assert_eq!(db.number(ROWS).await, 3);
    assert_eq!(db.number("select count(*) from streamer.checkpoint where state = 'done'").await, 1);
}

#[tokio::test]
async fn a_replaced_or_truncated_file_is_read_from_its_start() {
    let (db, folder) = (TestDb::create().await, folder());
    let path = folder.path().join("user_events_1.csv");
    let run = || {
        let mut command = streamer(folder.path(), &["run", "--available-now"]);
        Ended::of(command.env("DATABASE_URL", db.url())).expect(0)
    };
    fs::write(&path, format!("{HEADER}{}", lines(0..10))).unwrap();
    run();
    // Another file under the same name.
    fs::remove_file(&path).unwrap();
    fs::write(&path, format!("{HEADER}{}", lines(10..30))).unwrap();
    run();
    assert_eq!(db.number(ROWS).await, 30);
    // Other bytes in place: the same size, inode and time of modification.
    let modified = path.metadata().unwrap().modified().unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(format!("{HEADER}{}", lines(30..50)).as_bytes(), 0).unwrap();
    file.set_modified(modified).unwrap();
    run();
    assert_eq!(db.number(ROWS).await, 50);
    // Truncated and written again: what was there before is a duplicate.
    fs::write(&path, format!("{HEADER}{}", lines(49..51))).unwrap();
    run();
    assert_eq!(db.number(ROWS).await, 51);
    // Only touched: nothing happens.
    file.set_modified(std::time::SystemTime::now()).unwrap();
    assert_eq!(run().stdout, "nothing new to load\n");
    assert_eq!(
        db.rows("select partition, records from streamer.checkpoint order by 1").await,
        [
            "user_events_1.csv|10",
            "user_events_1.csv#2|20",
            "user_events_1.csv#3|20",
            "user_events_1.csv#4|2"
        ]
    );
}

#[tokio::test]
async fn a_thousand_small_files_share_micro_batches() {
    let (db, folder) = (TestDb::create().await, folder());
    for n in 0..1000 {
        let text = format!("{HEADER}{}", lines(n * 3..n * 3 + 4));
        fs::write(folder.path().join(format!("user_events_{n:04}.csv")), text).unwrap();
    }
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(0);
    assert_eq!(db.number(ROWS).await, 3001);
    assert_eq!(
        db.number("select count(*) from streamer.checkpoint where state = 'done'").await,
        1000
    );
    let sums = "select sum(records), sum(rows), sum(duplicates) from streamer.micro_batch";
    assert_eq!(db.rows(sums).await, ["4000|3001|999"]);
    let transactions = "select count(distinct xmin::text) from streamer.micro_batch";
    // Those of the files that were claimed together.
    assert!(db.number(transactions).await <= 8, "up to 1,000 records go in one transaction");
}

#[tokio::test]
async fn a_file_whose_header_does_not_fit_is_refused_and_the_others_go_on() {
    let (db, folder) = (TestDb::create().await, folder());
    let write = |name: &str, text: &[u8]| {
        fs::write(folder.path().join(format!("user_events_{name}.csv")), text).unwrap();
    };
    let good = format!("{HEADER}{}", lines(0..2));
    let with_header = |header: &str| good.replace(HEADER.trim_end(), header);
    write("good", good.as_bytes());
    write(
        "extra",
        with_header("event_id,user_id,product_id,event_type,event_time,colour").as_bytes(),
    );
    write("lacks", with_header("event_id,user_id,product_id,event_type").as_bytes());
    write("none", with_header("a;b;c").as_bytes());
    write("twice", with_header("event_id,user_id,user_id,event_type,event_time").as_bytes());
    write("utf16", b"\xff\xfee\0v\0");
    write("empty", b"");
    let ended = Ended::of(
        streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()),
    )
    .expect(1);
    assert_eq!(db.number(ROWS).await, 2);
    for reason in [
        "user_events_extra.csv: line 1 names colour, which the table does not have",
        "user_events_lacks.csv: line 1 lacks event_time",
        "user_events_none.csv: line 1 names none of the table's columns (event_id, user_id,",
        "user_events_twice.csv: line 1 names column user_id twice",
        "user_events_utf16.csv: the file is UTF-16",
    ] {
        assert!(ended.stdout.contains(reason), "{reason} is not in\n{}", ended.stdout);
    }
    assert_eq!(
        db.number("select count(*) from streamer.checkpoint where state = 'refused'").await,
        5
    );
    // Mended, it is loaded.
    write("extra", format!("{HEADER}{}", lines(2..4)).as_bytes());
    let mut again = streamer(folder.path(), &["run", "--available-now"]);
    Ended::of(again.env("DATABASE_URL", db.url())).expect(1);
    assert_eq!(db.number(ROWS).await, 4);
    assert_eq!(
        db.number("select count(*) from streamer.checkpoint where state = 'refused'").await,
        4
    );
}

#[tokio::test]
async fn available_now_ends_whatever_the_files_are() {
    let (db, folder) = (TestDb::create().await, folder());
    let settings = "[stream.user_events]\nfiles = 'user_events_*.csv'\nsettle = '500ms'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    fs::write(folder.path().join("user_events_blank.csv"), "\n\n").unwrap();
    fs::write(folder.path().join("user_events_bom.csv"), "\u{feff}").unwrap();
    fs::create_dir(folder.path().join("user_events_folder.csv")).unwrap();
    nix::unistd::mkfifo(&folder.path().join("user_events_pipe.csv"), nix::sys::stat::Mode::S_IRWXU)
        .unwrap();
    // A writer that never rests, and never stops at a line's end.
    let path = folder.path().join("user_events_live.csv");
    fs::write(&path, HEADER).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        let text = lines(0..100_000);
        for bytes in text.as_bytes().chunks(50) {
            file.write_all(bytes).unwrap();
            if stopped.recv_timeout(Duration::from_millis(5)) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    let started = Instant::now();
    let mut run = streamer(folder.path(), &["run", "--available-now"]);
    Ended::of(run.env("DATABASE_URL", db.url())).expect(0);
    assert!(started.elapsed() < Duration::from_secs(20), "it follows the writer");
    stop.send(()).unwrap();
    writer.join().unwrap();
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 0);
}

#[tokio::test]
async fn a_file_that_comes_back_after_many_others_were_gone_is_still_known() {
    let (db, folder) = (TestDb::create().await, folder());
    let path = folder.path().join("user_events_zzz.csv");
    fs::write(&path, format!("{HEADER}{}", lines(0..10))).unwrap();
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(0);
    let away = folder.path().join("away");
    fs::rename(&path, &away).unwrap();
    // More than are remembered.
    db.execute(
        "insert into streamer.checkpoint (stream, partition, next_offset, next_line, records, state)
         select 'user_events', 'user_events_' || n || '.csv', 1, 2, 0, 'done'
           from generate_series(1, 12000) n",
    )
    .await;
    let mut run = streamer(folder.path(), &["run", "--every", "0s"]);
    let running = Running::start(run.env("DATABASE_URL", db.url()));
    let other = folder.path().join("user_events_other.csv");
    fs::write(other, format!("{HEADER}{}", lines(10..11))).unwrap();
    db.wait_for(ROWS, 11).await;
    fs::rename(&away, &path).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(lines(11..12).as_bytes()).unwrap();
    db.wait_for(ROWS, 12).await;
    assert_eq!(running.terminate().0, Some(0));
    let known = "select partition, records from streamer.checkpoint where partition like '%zzz%'";
    assert_eq!(db.rows(known).await, ["user_events_zzz.csv|11"]);
    assert_eq!(db.number("select sum(records)::bigint from streamer.micro_batch").await, 12);
}
