//! Lines and headers of a size that no table takes: the memory stays bounded.

use std::fs::{self, File};
use std::io::Write;

use crate::support::{Running, TestDb, folder, streamer};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";

/// The most memory that the streamer may have had. Unit: kB.
const PEAK_MAX: u64 = 150 * 1024;

fn line(n: u32) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n")
}

fn start(db: &TestDb, folder: &std::path::Path) -> Running {
    let run = ["run", "--every", "0s"];
    Running::start(streamer(folder, &run).env("DATABASE_URL", db.url()))
}

/// Loads a file with a line of 200 MB, which begins with `begin`, between two good ones.
async fn passes_over_a_line(begin: &str) {
    let (db, folder) = (TestDb::create().await, folder());
    let mut file = File::create(folder.path().join("user_events_1.csv")).unwrap();
    file.write_all((HEADER.to_owned() + &line(1) + begin).as_bytes()).unwrap();
    for _ in 0..200 {
        file.write_all(&vec![b'x'; 1_000_000]).unwrap();
    }
    file.write_all(("\n".to_owned() + &line(2)).as_bytes()).unwrap();
    let running = start(&db, folder.path());
    let done = "select count(*) from streamer.checkpoint where state = 'done'";
    db.wait_for(done, 1).await;
    let peak = running.peak_kb();
    assert!(peak < PEAK_MAX, "{peak} kB");
    assert_eq!(running.terminate().0, Some(0));
    assert_eq!(db.rows("select user_id from user_events order by 1").await, ["1", "2"]);
    let letters = "select line, length(raw), end_offset - start_offset >= 200000000,
                          reasons->0->>'reason' from streamer.dead_letter";
    let letters = db.rows(letters).await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(letters[0].starts_with("3|65536|t|"), "{letters:?}");
}

#[tokio::test]
async fn a_line_of_200_mb_is_one_dead_letter_in_bounded_memory() {
    passes_over_a_line("").await;
}

#[tokio::test]
async fn a_quote_that_200_mb_do_not_close_is_one_dead_letter_in_bounded_memory() {
    passes_over_a_line("\"").await;
}

#[tokio::test]
async fn a_header_of_100_000_columns_refuses_the_file_in_bounded_memory_and_few_words() {
    let (db, folder) = (TestDb::create().await, folder());
    let more: String = (0..100_000).map(|n| format!(",c_{n}")).collect();
    let wide = format!("{}{more}\n{}\n", HEADER.trim_end(), ",".repeat(100_004));
    fs::write(folder.path().join("user_events_1.csv"), wide).unwrap();
    fs::write(folder.path().join("user_events_2.csv"), HEADER.to_owned() + &line(1)).unwrap();
    let running = start(&db, folder.path());
    let told = running.wait_for_log("not loaded");
    assert!(told.contains("user_events_1.csv") && told.contains("c_0"), "{told}");
    assert!(told.len() < 2000, "{} bytes: {told}", told.len());
    db.wait_for("select count(*) from user_events", 1).await;
    let peak = running.peak_kb();
    assert!(peak < PEAK_MAX, "{peak} kB");
    assert_eq!(running.terminate().0, Some(0));
    let refused = "select count(*) from streamer.checkpoint where refusal like '%c_0%'";
    assert_eq!(db.number(refused).await, 1);
}
