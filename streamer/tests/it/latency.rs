//! From the creation of an event to its row being visible: what is told of it while the streamer
//! runs.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};

use crate::support::{
    Cut, Ended, Http, Proxy, Running, TestDb, folder, generate, judge, one_stream, streamer,
    wait_until,
};

const RUN: [&str; 5] = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];

/// Seconds; the quantiles of [`events`] are of these ages.
const AGES: [u32; 4] = [1_000, 10_000, 100_000, 10_000_000];

fn id(n: usize) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08}")
}

/// A hundred ages: of 50 events, 40, 9 and one.
fn ages() -> impl Iterator<Item = u32> {
    AGES.into_iter().zip([50, 40, 9, 1]).flat_map(|(age, count)| [age].repeat(count))
}

fn time(now: DateTime<Utc>, age: u32) -> DateTime<Utc> {
    now - TimeDelta::seconds(age.into())
}

/// Events of those ages, two duplicates and two dead letters, all of them older.
fn events(now: DateTime<Utc>) -> String {
    let line =
        |id: &str, age: u32| format!("{id},1,1,view,{}\n", time(now, age).format("%FT%T%.6fZ"));
    let mut text = "event_id,user_id,product_id,event_type,event_time\n".to_owned();
    text.extend(ages().enumerate().map(|(n, age)| line(&id(n), age)));
    text.extend([0, 1].map(|n| line(&id(n), 100_000_000)));
    text.extend(["bad", "worse"].map(|id| line(id, 100_000_000)));
    text
}

/// The same ages as positions, whose time another column tells, and as ads, which count it in
/// milliseconds.
fn others(now: DateTime<Utc>) -> [(&'static str, String); 2] {
    let mut positions = "device_id,position_time,latitude,longitude\n".to_owned();
    let mut ads =
        "user_id,page_id,ad_id,ad_type,event_type,event_time_ns,campaign_id,produce_time\n"
            .to_owned();
    for (n, age) in ages().enumerate() {
        let time = time(now, age);
        positions += &format!("{n},{},1,1\n", time.format("%FT%T%.6fZ"));
        let (id, millis) = (id(n), time.timestamp_millis());
        ads += &format!("{id},{id},{id},text,view,{n},5,{millis}\n");
    }
    [("gps_positions", positions), ("ad_events", ads)]
}

/// Demands the quantiles of [`ages`], give or take what two digits and the load may take.
fn agrees(quantiles: [f64; 4]) {
    for (found, age) in quantiles.into_iter().zip(AGES.map(f64::from)) {
        assert!((age * 0.99..age * 1.01 + 120.0).contains(&found), "{quantiles:?}");
    }
}

#[tokio::test]
async fn rows_of_known_age_have_the_right_quantiles() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = Running::start(streamer(folder.path(), &RUN).env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    let now = Utc::now();
    fs::write(folder.path().join("user_events_1.csv"), events(now)).unwrap();
    for (stream, text) in others(now) {
        fs::write(folder.path().join(format!("{stream}_1.csv")), text).unwrap();
    }
    let mut metrics = String::new();
    wait_until("all three are told of", || {
        metrics = http.get("/metrics").expect(200).body;
        let count = "streamer_event_latency_seconds_count{stream=\"";
        metrics.lines().filter(|line| line.starts_with(count)).count() == 3
    })
    .await;
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("streamer_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    };
    let status = |args: &[&str]| {
        let args = [&["status"], args].concat();
        Ended::of(streamer(folder.path(), &args).env("DATABASE_URL", db.url())).expect(0).stdout
    };
    let json: serde_json::Value = serde_json::from_str(&status(&["--json"])).unwrap();
    for stream in ["user_events", "gps_positions", "ad_events"] {
        let of = format!("stream=\"{stream}\"");
        assert_eq!(value(&format!("event_latency_seconds_count{{{of}}}")), 100.0, "{stream}");
        agrees(["0.5", "0.9", "0.99", "1"].map(|quantile| {
            value(&format!("event_latency_quantile_seconds{{{of},quantile=\"{quantile}\"}}"))
        }));
        let within = |bound| value(&format!("event_latency_seconds_bucket{{le=\"{bound}\",{of}}}"));
        assert_eq!(
            ["524.288", "2097.152", "16777.216", "134217.728"].map(within),
            [0.0, 50.0, 90.0, 99.0]
        );
        assert_eq!(within("+Inf"), 100.0);
        let sum = value(&format!("event_latency_seconds_sum{{{of}}}"));
        let expected: f64 = ages().map(f64::from).sum();
        assert!((expected - 1.0..expected + 12_000.0).contains(&sum), "{sum}, {expected}");
        let streams = json["streams"].as_array().unwrap();
        let latency = &streams.iter().find(|one| one["stream"] == stream).unwrap()["latency"];
        assert_eq!(latency["events"], 100);
        let names = ["p50_seconds", "p90_seconds", "p99_seconds", "max_seconds"];
        agrees(names.map(|name| latency[name].as_f64().unwrap()));
    }
    let text = status(&[]);
    let line = text.lines().find(|line| line.starts_with("latency of 100 rows")).unwrap();
    assert!(
        line.ends_with(" days") && line.contains("P50 1") && line.contains(" min, P90 "),
        "{line}"
    );
    // Whoever is not there says nothing.
    running.kill();
    let json: serde_json::Value = serde_json::from_str(&status(&["--json"])).unwrap();
    let streams = json["streams"].as_array().unwrap();
    assert!(streams.iter().all(|stream| stream["latency"].is_null()), "{json}");
}

/// The proxy works beside what waits here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_whose_commit_was_not_answered_are_counted_once() {
    let (db, folder) = (TestDb::create().await, folder());
    one_stream(folder.path());
    let verdict = judge(&generate(folder.path(), 2, 2000, 61));
    let proxy = Proxy::start(db.socket_file()).await;
    proxy.arm(Cut::AfterCommit, 5, 4);
    let args = [&RUN[..], &["--max-rows", "100"]].concat();
    let url = db.tcp_url(proxy.port);
    let running = Running::start(streamer(folder.path(), &args).env("DATABASE_URL", url));
    let http = Http::ready(&running);
    assert_eq!(proxy.wait_for_cuts(4).await, 4, "the fault hit");
    let rows = verdict.rows.len();
    let count = format!("streamer_event_latency_seconds_count{{stream=\"user_events\"}} {rows}\n");
    wait_until(&count, || http.get("/metrics").body.contains(&count)).await;
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn a_column_that_tells_no_time_is_refused() {
    let (db, folder) = (TestDb::create().await, folder());
    for column in ["category", "nothing"] {
        let settings = format!("[stream.user_events]\nfiles = '*.csv'\nevent_time = '{column}'\n");
        fs::write(folder.path().join("streams.toml"), settings).unwrap();
        let run = ["run", "--available-now"];
        let ended = Ended::of(streamer(folder.path(), &run).env("DATABASE_URL", db.url()));
        let told = ended.expect(1).stderr;
        assert!(told.contains(&format!("no column {column} that tells a time")), "{told}");
    }
}
