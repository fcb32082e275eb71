//! The HTTP server among clients that are slow, too many, or send nonsense.

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Http, Running, Sandbox, TestDb, WAIT_MAX, folder, streamer};

const CSV: &str = "event_id,user_id,product_id,event_type,event_time\n\
                   0190a5f0-0000-7000-8000-000000000000,1,1,view,2026-01-01T00:00:00Z\n";
const EVENTS: &str = "/streams/user_events/events";

fn start(folder: &Path, db: &TestDb) -> Running {
    let args = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    Running::start(streamer(folder, &args).env("DATABASE_URL", db.url()))
}

#[tokio::test]
async fn slow_clients_are_let_go_and_keep_nobody_out() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db);
    let http = Http::ready(&running);
    let started = Instant::now();
    let body = format!("POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n");
    let mut slow = Vec::new();
    for n in 0..300 {
        let mut stream = http.connect().unwrap();
        // Some are idle, some send a head byte by byte, some a body.
        let begin = match n % 3 {
            0 => String::new(),
            1 => body.clone(),
            _ => format!("{body}Content-Length: 1000\r\n\r\n"),
        };
        stream.write_all(begin.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        slow.push((stream, Vec::new()));
    }
    let mut answers = Vec::new();
    while !slow.is_empty() {
        assert!(started.elapsed() < Duration::from_secs(30), "{} are still there", slow.len());
        slow.retain_mut(|(stream, answer)| {
            // Who is cut off may find it out by this.
            let _ = stream.write(b"x");
            let mut chunk = [0; 1000];
            match stream.read(&mut chunk) {
                Ok(0) => {
                    answers.push(String::from_utf8(std::mem::take(answer)).unwrap());
                    false
                }
                Ok(read) => {
                    answer.extend_from_slice(&chunk[..read]);
                    true
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => true,
                Err(_) => {
                    answers.push(String::from_utf8(std::mem::take(answer)).unwrap());
                    false
                }
            }
        });
        http.get("/healthz").expect(200);
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(answers.len(), 300);
    let told = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 408")).count();
    assert!(told > 0, "those in the middle of a body are told: {:?}", &answers[..3]);
    http.post(EVENTS, CSV).expect(202);
    assert_eq!(db.number("select count(*) from streamer.dead_letter").await, 0);
}

#[tokio::test]
async fn silent_connections_up_to_the_limit_are_let_go_and_let_others_in() {
    let (db, folder) = (TestDb::create().await, folder());
    let settings = "[server]\nmax_connections = 10\n[stream.user_events]\nfiles = '*.csv'\n";
    std::fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let running = start(folder.path(), &db);
    let http = Http::ready(&running);
    let mut silent: Vec<_> = (0..10).map(|_| http.connect().unwrap()).collect();
    http.post(EVENTS, CSV).expect(202);
    for stream in &mut silent {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "");
    }
    db.wait_for("select count(*) from user_events", 1).await;
}

#[tokio::test]
async fn nonsense_is_refused_and_nothing_of_it_is_stored() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db);
    let http = Http::ready(&running);
    let head = format!("POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n");
    let both = format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let two = format!("{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456");
    let chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n");
    let large = format!("{head}X: {}\r\n\r\n", "x".repeat(100_000));
    for (nonsense, statuses) in [
        ("GET\r\n\r\n".to_owned(), vec![400]),
        ("\u{1}\u{2}\r\n\r\n".to_owned(), vec![400]),
        (both, vec![400]),
        (two, vec![400]),
        (chunk, vec![400]),
        (large, vec![431]),
        (format!("{head}Content-Length: 99999999999\r\n\r\n"), vec![413]),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), vec![421]),
    ] {
        let answer = http.raw(nonsense.as_bytes());
        let status = answer.as_ref().map(|answer| answer.status).unwrap_or(0);
        assert!(statuses.contains(&status), "{status} for {:.200}", nonsense);
    }
    // A body that never ends is cut off.
    let mut stream = http.connect().unwrap();
    stream.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).unwrap();
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut sent = 0_u64;
    while stream.write_all(piece.as_bytes()).is_ok() {
        sent += 1;
        assert!(sent < 10_000, "it takes everything");
    }
    // A broken upload stores nothing.
    let mut stream = http.connect().unwrap();
    let half = format!("{head}Content-Length: 1000\r\n\r\n{CSV}");
    stream.write_all(half.as_bytes()).unwrap();
    drop(stream);
    http.post(EVENTS, CSV).expect(202);
    db.wait_for("select coalesce(sum(records), 0)::bigint from streamer.micro_batch", 1).await;
    assert!(running.peak_kb() < 300_000, "{} kB", running.peak_kb());
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing_that_was_accepted() {
    let (db, folder) = (TestDb::create().await, folder());
    let disk = folder.path().join("data");
    std::fs::create_dir(&disk).unwrap();
    let mut command = streamer(&disk, &["run", "--listen", "127.0.0.1:0", "--every", "0s"]);
    command.env("DATABASE_URL", db.url());
    let running = Running::start(&mut Sandbox::small_disk(&disk, 1).wrap(&command));
    let http = Http::ready(&running);
    let mut conn = db.connect().await;
    sqlx::raw_sql("begin; lock table user_events").execute(&mut conn).await.unwrap();
    let mut accepted = 0;
    let record =
        |n: i64| format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n");
    let header = CSV.lines().next().unwrap();
    let refused = loop {
        let body: String = (accepted..accepted + 1000).map(record).collect();
        let answer = http.post(EVENTS, format!("{header}\n{body}"));
        match answer.status {
            202 => accepted += 1000,
            _ => break answer.expect(503),
        }
        assert!(accepted < 100_000, "the disk has no end");
    };
    assert!(refused.header("retry-after").is_some() && !refused.body.contains("/"), "{refused:?}");
    sqlx::raw_sql("commit").execute(&mut conn).await.unwrap();
    db.wait_for("select count(*) from user_events", accepted).await;
    // What is committed makes room.
    let deadline = Instant::now() + WAIT_MAX;
    while http.post(EVENTS, format!("{header}\n{}", record(accepted))).status != 202 {
        assert!(Instant::now() < deadline, "there is no room again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    db.wait_for("select count(*) from user_events", accepted + 1).await;
}
