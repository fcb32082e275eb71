//! What all listeners share: the place of the spool, one token for all streams, and what status
//! tells of them.

use std::fs;

use crate::support::{Ended, Http, Running, TestDb, folder, streamer};

const EVENTS: &str = "/streams/user_events/events";
const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";
const ROWS: &str = "select count(*) from user_events";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn line(n: u32) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n")
}

#[tokio::test]
async fn the_spool_may_be_elsewhere_and_the_data_folder_is_then_only_read() {
    let (db, folder, spool) = (TestDb::create().await, folder(), folder());
    let data = folder.path().join("in");
    fs::create_dir(&data).unwrap();
    let command = |args: &[&str]| {
        let mut command = streamer(folder.path(), args);
        command.env("DATABASE_URL", db.url()).env("STREAMER_DATA", &data);
        command.env("STREAMER_SPOOL", spool.path());
        command
    };
    let running =
        Running::start(&mut command(&["run", "--listen", "127.0.0.1:0", "--every", "1h"]));
    let http = Http::ready(&running);
    // The first micro-batch takes it or the start, and the second waits for an hour.
    http.post(EVENTS, format!("{HEADER}{}", line(1))).expect(202);
    http.post(EVENTS, format!("{HEADER}{}", line(2))).expect(202);
    http.post(EVENTS, "user_id,event_id\n").expect(400);
    running.kill();
    let status = || Ended::of(&mut command(&["status", "--json"])).expect(0).stdout;
    let stream = |text: &str| -> serde_json::Value {
        let status: serde_json::Value = serde_json::from_str(text).unwrap();
        let streams = status["streams"].as_array().unwrap();
        streams.iter().find(|stream| stream["stream"] == "user_events").unwrap().clone()
    };
    let before = stream(&status());
    assert_eq!(before["spool"]["segments"], 1, "{before}");
    assert!(before["spool"]["lag_bytes"].as_u64().unwrap() > 0, "{before}");
    assert_eq!(before["spool"]["lag_bytes"], before["lag_bytes"]);
    let text = Ended::of(&mut command(&["status"])).expect(0).stdout;
    assert!(text.contains("in 1 segment of the spool"), "{text}");
    Ended::of(&mut command(&["run", "--available-now"])).expect(0);
    assert_eq!(db.number(ROWS).await, 2);
    let after = stream(&status());
    assert_eq!(
        (after["spool"]["segments"].as_u64(), after["lag_bytes"].as_u64()),
        (Some(0), Some(0))
    );
    assert!(fs::read_dir(&data).unwrap().all(|entry| entry.unwrap().file_name() != "spool"));
    assert_eq!(fs::read_dir(spool.path().join("user_events")).unwrap().count(), 0);
}

#[tokio::test]
async fn one_token_serves_all_streams_that_have_none_of_their_own() {
    let (db, folder) = (TestDb::create().await, folder());
    let own = "fedcba9876543210fedcba9876543210";
    let settings = "[stream.user_events]\nfiles = 'a*.csv'\n\
                    [stream.other]\nfiles = 'b*.csv'\ntable = 'user_events'\ntoken_file = 'own'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    fs::write(folder.path().join("own"), own).unwrap();
    fs::write(folder.path().join("shared"), TOKEN).unwrap();
    let in_file = format!("[server]\ntoken_file = 'shared'\n{settings}");
    fs::write(folder.path().join("shared.toml"), in_file).unwrap();
    let ways = [
        ("STREAMER_TOKEN", TOKEN),
        ("STREAMER_TOKEN_FILE", "shared"),
        ("STREAMER_CONFIG", "shared.toml"),
    ];
    for (n, way) in (1..).zip(ways) {
        let mut command =
            streamer(folder.path(), &["run", "--listen", "0.0.0.0:0", "--every", "0s"]);
        command.env("DATABASE_URL", db.url()).env(way.0, way.1);
        let running = Running::start(&mut command);
        let http = Http::ready(&running);
        let post = |stream: &str, token: &str, n: u32| {
            let shown = format!("Bearer {token}");
            let headers = [("Content-Type", "text/csv"), ("Authorization", shown.as_str())];
            let body = format!("{HEADER}{}", line(n));
            http.post_with(&format!("/streams/{stream}/events"), &headers, body.as_bytes())
        };
        post("user_events", TOKEN, n * 10).expect(202);
        post("other", own, n * 10 + 1).expect(202);
        post("user_events", own, 99).expect(401);
        post("other", TOKEN, 99).expect(401);
        http.post(EVENTS, HEADER).expect(401);
        db.wait_for(ROWS, i64::from(n) * 2).await;
    }
    // An empty variable is none, as where a file of variables lists it without a value.
    let run = |token: &str| {
        let mut command = streamer(folder.path(), &["run", "--listen", "0.0.0.0:0"]);
        Ended::of(command.env("DATABASE_URL", db.url()).env("STREAMER_TOKEN", token))
            .expect(1)
            .stderr
    };
    assert!(run("").contains("set STREAMER_TOKEN"));
    assert!(run("short").contains("shorter than 32 characters"));
}
