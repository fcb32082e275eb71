//! `streamer bench`: what it reports, and that it leaves everything else alone.

use crate::support::{Ended, TestDb, folder, streamer};

const BENCH: [&str; 12] = [
    "bench",
    "ad-events",
    "--events",
    "600",
    "--duration",
    "3s",
    "--pattern",
    "poisson",
    "--window",
    "1s",
    "--producers",
    "2",
];

/// Databases that benches have made and not removed.
const LEFT: &str = "select count(*) from pg_database where datname like 'streamer\\_bench\\_%'";

#[tokio::test]
async fn a_bench_reports_each_window_and_leaves_nothing_behind() {
    let (db, folder) = (TestDb::create().await, folder());
    let bench = |args: &[&str]| {
        let args = [&BENCH, args].concat();
        let mut command = streamer(folder.path(), &args);
        Ended::of(command.env("DATABASE_URL", db.url()).env("TMPDIR", folder.path()))
    };
    let report = bench(&["--json"]).expect(0).stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    for name in ["events", "accepted", "rows", "in_table"] {
        assert_eq!(report[name], 600, "{name}");
    }
    for name in ["refused", "duplicates", "dead_letters"] {
        assert_eq!(report[name], 0, "{name}");
    }
    assert_eq!(report["is_complete"], true);
    let windows = report["windows"].as_array().unwrap();
    let events: u64 = windows.iter().map(|window| window["events"].as_u64().unwrap()).sum();
    assert_eq!((events, &report["latency"]["events"]), (600, &600.into()));
    // Of 200 events a second, half of them come sooner or later than they would evenly, but not by
    // seconds.
    assert!((3..=5).contains(&windows.len()), "{report}");
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let latency = ["p50_seconds", "p90_seconds", "p99_seconds", "max_seconds"]
        .map(|name| number(&report["latency"][name]));
    assert!(latency.is_sorted() && latency[0] > 0.0 && latency[3] < 60.0, "{latency:?}");
    for (n, window) in (0_u32..).zip(windows) {
        assert_eq!(number(&window["start_seconds"]), f64::from(n));
        assert!(number(&window["average_seconds"]) <= number(&window["max_seconds"]), "{window}");
    }
    assert!((2.0..60.0).contains(&number(&report["seconds"])), "{report}");
    let text = bench(&[]).expect(0).stdout;
    assert!(text.contains("accepted 600: 600 rows, 0 duplicates, 0 dead letters in"), "{text}");
    assert!(text.contains("latency from event to row: P50 "), "{text}");
    assert_eq!(db.number(LEFT).await, 0);
    let untouched =
        "select (select count(*) from ad_events) + (select count(*) from streamer.checkpoint)";
    assert_eq!(db.number(untouched).await, 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a folder is left");
}

#[tokio::test]
async fn a_bench_has_a_server_of_its_own_where_there_is_no_database() {
    let folder = folder();
    let args = ["bench", "gps", "--events", "200", "--duration", "0s"];
    let mut command = streamer(folder.path(), &args);
    let text = Ended::of(command.env("TMPDIR", folder.path())).expect(0).stdout;
    assert!(text.contains("accepted 200: 200 rows, 0 duplicates, 0 dead letters in"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a folder is left");
}

#[tokio::test]
async fn a_bench_says_what_it_lacks() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create role bench_guest login").await;
    let url = db.url().replace("streamer@", "bench_guest@");
    let mut command = streamer(folder.path(), &["bench", "gps"]);
    let told = Ended::of(command.env("DATABASE_URL", url)).expect(1).stderr;
    assert!(told.contains("make a database for the bench beside yours"), "{told}");
    for wrong in [&["bench", "nothing"][..], &["bench", "gps", "--events", "0"]] {
        Ended::of(&mut streamer(folder.path(), wrong)).expect(2);
    }
}
