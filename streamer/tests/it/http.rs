//! Posting events by HTTP: what is taken, what is refused, and what is told of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use crate::support::{Answer, Ended, Http, Running, TestDb, folder, one_stream, streamer};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";
const EVENTS: &str = "/streams/user_events/events";
const WAIT: &str = "/streams/user_events/events?wait=commit";
const TOKEN: &str = "canary-0123456789abcdef0123456789abcdef";

fn line(n: u32) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n")
}

fn csv(numbers: impl IntoIterator<Item = u32>) -> String {
    HEADER.to_owned() + &numbers.into_iter().map(line).collect::<String>()
}

fn start(folder: &Path, db: &TestDb, settings: &str) -> Running {
    let text = format!("{settings}\n[stream.user_events]\nfiles = '*.csv'\n");
    start_with(folder, db, &text)
}

fn start_with(folder: &Path, db: &TestDb, settings: &str) -> Running {
    fs::write(folder.join("streams.toml"), settings).unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    Running::start(streamer(folder, &args).env("DATABASE_URL", db.url()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn outcome(answer: Answer) -> [u64; 4] {
    let json = answer.expect(200).json();
    ["accepted", "rows", "duplicates", "dead_letters"].map(|name| json[name].as_u64().unwrap())
}

#[tokio::test]
async fn whoever_waits_is_told_what_became_of_the_very_records() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "");
    let http = Http::ready(&running);
    assert_eq!(outcome(http.post(WAIT, csv(0..10))), [10, 10, 0, 0]);
    // Five were there, one is twice in it, one no event, and one is refused by the table itself.
    db.execute("alter table user_events add check (user_id <> 666)").await;
    let body = csv(5..15) + &line(14) + "bad,1,1,view,\n" + &line(666);
    assert_eq!(outcome(http.post(WAIT, body)), [13, 5, 6, 2]);
    // Many at once share transactions, and each is told of its own.
    std::thread::scope(|scope| {
        for n in 0..16 {
            scope.spawn(move || {
                let (from, bad) = (1000 + n * 100, "bad,1,1,view,\n".repeat(n as usize));
                let body = csv((from..from + 20).chain(0..n % 5)) + &bad;
                let n = u64::from(n);
                let expected = [20 + n % 5 + n, 20, n % 5, n];
                assert_eq!(outcome(http.post(WAIT, body)), expected);
            });
        }
    });
    assert_eq!(db.number("select count(*) from user_events").await, 15 + 16 * 20);
}

#[tokio::test]
async fn nobody_waits_for_the_next_listing() {
    let (db, folder) = (TestDb::create().await, folder());
    let settings = "[stream.user_events]\nfiles = '*.csv'\nscan_every = '1h'\nwriters = 4\n";
    let running = start_with(folder.path(), &db, settings);
    let http = Http::ready(&running);
    // Few at a time, so that no other post makes good what was missed at one.
    std::thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn(move || {
                for n in 0..100 {
                    assert_eq!(outcome(http.post(WAIT, csv([client * 1000 + n]))), [1, 1, 0, 0]);
                }
            });
        }
    });
    assert_eq!(db.number("select count(*) from user_events").await, 400);
}

#[tokio::test]
async fn json_is_taken_in_every_form_and_a_misfit_is_a_dead_letter() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "");
    let http = Http::ready(&running);
    let event = |n: u32, price: &str| {
        format!(
            r#"{{"event_id": "0190a5f0-0000-7000-8000-0000{n:08}", "user_id": {n}, "product_id": 1,
                "event_type": "view", "event_time": "2026-01-01T00:00:00Z", "price": {price}}}"#
        )
    };
    let post =
        |kind: &str, body: &str| http.post_with(WAIT, &[("Content-Type", kind)], body.as_bytes());
    assert_eq!(outcome(post("application/json", &event(1, "1.10"))), [1, 1, 0, 0]);
    let array = format!("[{}, {}, {}]", event(2, "null"), event(1, "1"), event(3, "1.999"));
    assert_eq!(outcome(post("application/json; charset=utf-8", &array)), [3, 1, 1, 1]);
    let lines = [4, 5].map(|n| event(n, "12345678.90").replace('\n', "")).join("\n");
    assert_eq!(outcome(post("application/x-ndjson", &lines)), [2, 2, 0, 0]);
    assert_eq!(
        db.rows("select user_id, price from user_events order by 1").await,
        ["1|1.10", "2|∅", "4|12345678.90", "5|12345678.90"]
    );
    // What is no JSON is named, and nothing of its request is taken.
    let broken = format!("{}\n{{\"event_id\":\n{}", event(6, "1").replace('\n', ""), "{}");
    let answer = post("application/x-ndjson", &broken).expect(400);
    assert!(answer.body.contains("record 2"), "{answer:?}");
    let answer = post("application/json", &format!("[{}, nonsense]", event(6, "1"))).expect(400);
    assert!(answer.body.contains("record 2"), "{answer:?}");
    for nonsense in ["", "5", "\u{1}", &"[".repeat(100_000)] {
        post("application/json", nonsense).expect(400);
    }
    assert_eq!(post("application/json", "[]").expect(202).json()["accepted"], 0);
    assert_eq!(db.number("select sum(records)::bigint from streamer.micro_batch").await, 6);
    // Between CSV, each in its own segment.
    assert_eq!(outcome(http.post(WAIT, csv(10..12))), [2, 2, 0, 0]);
}

#[tokio::test]
async fn a_key_is_honoured_across_a_restart() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table plain (n int)").await;
    let settings = "[stream.plain]\nfiles = '*.csv'\n";
    let running = start_with(folder.path(), &db, settings);
    let http = Http::ready(&running);
    let post = |http: Http, key: &str, body: &str| {
        let headers = [("Content-Type", "text/csv"), ("Idempotency-Key", key)];
        http.post_with("/streams/plain/events?wait=commit", &headers, body.as_bytes())
    };
    assert_eq!(outcome(post(http, "a", "n\n1\n2\n")), [2, 2, 0, 0]);
    let again = post(http, "a", "n\n1\n2\n").expect(200).json();
    assert_eq!((again["accepted"].as_u64(), again["repeated"].as_bool()), (Some(2), Some(true)));
    post(http, "a", "n\n3\n").expect(422);
    running.kill();
    let running = start_with(folder.path(), &db, settings);
    let http = Http::ready(&running);
    post(http, "a", "n\n1\n2\n").expect(200);
    post(http, "a", "n\n3\n").expect(422);
    post(http, "b", "n\n3\n").expect(200);
    assert_eq!(db.number("select count(*) from plain").await, 3);
    assert_eq!(post(http, "", "n\n3\n").status, 400);
    assert_eq!(post(http, &"x".repeat(256), "n\n3\n").status, 400);
}

#[tokio::test]
async fn what_can_not_be_taken_is_refused_as_a_whole_with_its_reason() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "[server]\nmax_body = '10kB'\n");
    let http = Http::ready(&running);
    let says = |answer: Answer, status: u16, words: &str| {
        let answer = answer.expect(status);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(words), "{error}");
    };
    says(http.post("/streams/no/events", csv(0..1)), 404, "there are: user_events");
    says(http.post("/elsewhere", ""), 404, "openapi");
    says(http.ask("PUT", EVENTS, &[], b"").unwrap(), 405, "method");
    says(http.post(EVENTS, ""), 400, "no header");
    says(http.post(EVENTS, "a,b\n1,2\n"), 400, "names none of the table's columns");
    says(http.post(EVENTS, csv(0..1) + "\"open"), 400, "record 2, on line 3: the quote");
    says(http.post(&format!("{EVENTS}?wait=commit2"), csv(0..1)), 400, "wait=commit");
    says(http.post(EVENTS, csv(0..500)), 413, "10000 bytes");
    let with = |headers: &[(&str, &str)], body: &[u8]| http.post_with(EVENTS, headers, body);
    let gz = [("Content-Type", "text/csv"), ("Content-Encoding", "gzip")];
    says(with(&gz, &gzip(&vec![b'\n'; 50 << 20])), 413, "unpacked");
    says(with(&gz, b"plain"), 400, "gzip");
    says(with(&[gz[0], ("Content-Encoding", "br")], b""), 415, "gzip");
    says(with(&[("Content-Type", "text/html")], b""), 415, "text/csv");
    says(with(&[("Content-Type", "text/csv; charset=utf-16")], b""), 415, "UTF-8");
    says(with(&[], b""), 415, "Content-Type");
    assert_eq!(db.number("select count(*) from streamer.micro_batch").await, 0);
    assert!(!folder.path().join("spool").exists(), "nothing of it is stored");
    // What is good is taken, packed or not.
    let packed = [gzip(csv(0..3).as_bytes()), gzip(line(3).as_bytes())].concat();
    assert_eq!(with(&gz, &packed).expect(202).json()["accepted"], 4);
    assert_eq!(http.post(EVENTS, HEADER).expect(202).json()["accepted"], 0);
    db.wait_for("select count(*) from user_events", 4).await;
}

#[tokio::test]
async fn a_token_opens_its_stream_only_and_is_shown_nowhere() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table other (like user_events including all)").await;
    let other = "another-0123456789abcdef0123456789abcdef";
    fs::write(folder.path().join("token"), format!("{TOKEN}\nold-{TOKEN}\n")).unwrap();
    let settings = "[stream.user_events]\nfiles = 'a*.csv'\ntoken_file = 'token'\n\
                    [stream.other]\nfiles = 'b*.csv'\ntoken_env = 'OTHER_TOKEN'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--every", "0s"];
    let mut command = streamer(folder.path(), &args);
    command.env("DATABASE_URL", db.url()).env("OTHER_TOKEN", other).env("RUST_LOG", "trace");
    let running = Running::start(&mut command);
    let http = Http::ready(&running);
    let post = |path: &str, authorization: &str| {
        let headers = [("Content-Type", "text/csv"), ("Authorization", authorization)];
        http.post_with(path, &headers, csv(0..1).as_bytes())
    };
    let refused = http.post(EVENTS, csv(0..1)).expect(401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    for wrong in [
        TOKEN.to_owned(),
        format!("bearer  {TOKEN}"),
        format!("Basic {TOKEN}"),
        "Bearer ".to_owned(),
        format!("Bearer {}", TOKEN.to_uppercase()),
        format!("Bearer {TOKEN}x"),
        format!("Bearer {other}"),
    ] {
        assert_eq!(post(EVENTS, &wrong).expect(401).body, refused.body, "{wrong}");
    }
    post(&format!("{EVENTS}?token={TOKEN}"), "").expect(401);
    post("/streams/no/events", "Bearer wrong").expect(401);
    let unknown = post("/streams/no/events", &format!("Bearer {TOKEN}")).expect(404);
    assert!(unknown.body.contains("user_events") && !unknown.body.contains("other"), "{unknown:?}");
    post(EVENTS, &format!("Bearer {TOKEN}")).expect(202);
    post(EVENTS, &format!("Bearer old-{TOKEN}")).expect(202);
    post("/streams/other/events", &format!("Bearer {other}")).expect(202);
    db.wait_for("select count(*) from other", 1).await;
    let metrics = http.get("/metrics").body;
    assert!(metrics.contains("streamer_unauthorized_requests_total 10"), "{metrics}");
    let log = running.log().join("\n");
    assert!(!log.contains("canary") && !log.contains("another-"), "{log}");
}

#[tokio::test]
async fn nothing_is_served_to_other_machines_without_a_token() {
    let (db, folder) = (TestDb::create().await, folder());
    one_stream(folder.path());
    let run = |listen: &str| {
        Ended::of(
            streamer(folder.path(), &["run", "--listen", listen]).env("DATABASE_URL", db.url()),
        )
    };
    let ended = run("0.0.0.0:0").expect(1);
    assert!(ended.stderr.contains("stream user_events has no token"), "{}", ended.stderr);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ended = run(&taken.local_addr().unwrap().to_string()).expect(1);
    assert!(
        ended.stderr.contains("--listen") && ended.stderr.contains("in use"),
        "{}",
        ended.stderr
    );
    run("nowhere").expect(2);
    let settings = "[stream.user_events]\nfiles = '*.csv'\ntoken_file = 'token'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    assert!(run("0.0.0.0:0").expect(1).stderr.contains("read the token in token"));
    fs::write(folder.path().join("token"), "short").unwrap();
    assert!(run("0.0.0.0:0").expect(1).stderr.contains("shorter than 32"));
    fs::write(folder.path().join("token"), TOKEN).unwrap();
    let mut command = streamer(folder.path(), &["run", "--listen", "0.0.0.0:0"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    http.post(EVENTS, csv(0..1)).expect(401);
    http.get("/metrics").expect(401);
    let bearer = [("Authorization", &*format!("Bearer {TOKEN}"))];
    http.ask("GET", "/metrics", &bearer, b"").unwrap().expect(200);
    assert!(!http.get("/openapi.json").expect(200).body.contains("user_events"));
    // All that is there now needs no listener.
    let ended = Ended::of(
        streamer(folder.path(), &["run", "--available-now"])
            .env("DATABASE_URL", db.url())
            .env_remove("STREAMER_LISTEN"),
    );
    assert!(!ended.expect(0).stderr.contains("listening"));
}

#[tokio::test]
async fn a_page_posts_only_if_it_is_listed() {
    let (db, folder) = (TestDb::create().await, folder());
    let running =
        start(folder.path(), &db, "[server]\ncors_origins = ['https://shop.example', 'null']\n");
    let http = Http::ready(&running);
    let post = |origin: &str| {
        let headers = [("Content-Type", "text/csv"), ("Origin", origin)];
        http.post_with(EVENTS, &headers, csv(0..1).as_bytes())
    };
    for listed in ["https://shop.example", "null"] {
        let answer = post(listed).expect(202);
        assert_eq!(answer.header("access-control-allow-origin"), Some(listed));
        let asked = http.ask("OPTIONS", EVENTS, &[("Origin", listed)], b"").unwrap().expect(204);
        assert_eq!(asked.header("access-control-allow-methods"), Some("POST"));
        assert_eq!(asked.header("access-control-allow-origin"), Some(listed));
    }
    post(&format!("http://127.0.0.1:{}", http.port)).expect(202);
    for strange in ["https://evil.example", "https://shop.example.evil", "http://127.0.0.1:1"] {
        let answer = post(strange).expect(403);
        assert_eq!(answer.header("access-control-allow-origin"), None);
        http.ask("OPTIONS", EVENTS, &[("Origin", strange)], b"").unwrap().expect(403);
    }
    // A name of the page's own that leads to this machine.
    let rebound = [("Host", "evil.example:8080"), ("Content-Type", "text/csv")];
    http.post_with(EVENTS, &rebound, csv(0..1).as_bytes()).expect(421);
    for local in ["localhost", "LOCALHOST:1", "[::1]:8080", "127.0.0.2"] {
        http.ask("GET", "/healthz", &[("Host", local)], b"").unwrap().expect(200);
    }
    let answer = http.get("/healthz");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("server"), None);
}

#[tokio::test]
async fn it_tells_how_it_is_and_counts_what_became_of_records() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "");
    let http = Http::ready(&running);
    assert_eq!(http.get("/healthz").expect(200).json()["status"], "ok");
    http.post(WAIT, csv((0..10).chain(0..2)) + "bad,1,1,view,\n").expect(200);
    let answer = http.get("/metrics").expect(200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let value = |name: &str| {
        let start = format!("streamer_{name}{{stream=\"user_events\"}} ");
        let line = answer.body.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {name} in {}", answer.body)).to_owned()
    };
    assert_eq!(
        ["records_total", "rows_total", "duplicates_total", "dead_letters_total"].map(value),
        ["13", "10", "2", "1"]
    );
    assert_eq!(value("accepted_records_total"), "13");
    assert_eq!((value("spool_bytes").as_str(), value("lag_bytes").as_str()), ("0", "0"));
    assert_eq!(value("latency_seconds_count"), "1");
    assert!(value("micro_batch_seconds_count").parse::<u32>().unwrap() >= 1);
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
}

#[tokio::test]
async fn each_status_in_the_description_occurs_and_no_other() {
    let (db, folder) = (TestDb::create().await, folder());
    let token_file = "token_file = 'token'";
    fs::write(folder.path().join("token"), TOKEN).unwrap();
    let settings = format!(
        "[server]\nmax_body = '10kB'\nmax_spool = '3kB'\n[stream.user_events]\nfiles = '*.csv'\n{token_file}\n"
    );
    let running = start_with(folder.path(), &db, &settings);
    let http = Http::of(&running);
    let bearer = format!("Bearer {TOKEN}");
    let post = |path: &str, more: &[(&str, &str)], body: &str| {
        let common = [("Content-Type", "text/csv"), ("Authorization", bearer.as_str())];
        let named = |(name, _): &&(&str, &str)| more.iter().all(|(other, _)| other != name);
        let headers = [common.iter().filter(named).copied().collect(), more.to_vec()].concat();
        http.post_with(path, &headers, body.as_bytes()).status
    };
    let mut seen = BTreeMap::new();
    // Before the table is known; if that is quicker than this, the absence is shown below.
    let mut conn = db.connect().await;
    http.wait_until_ready();
    seen.insert(
        "/streams/{stream}/events",
        vec![
            post(WAIT, &[], &csv(0..1)),
            post(EVENTS, &[("Idempotency-Key", "a")], &csv(1..2)),
            post(EVENTS, &[("Idempotency-Key", "a")], &csv(2..3)),
            post(EVENTS, &[], "no\n"),
            post(EVENTS, &[("Authorization", "")], ""),
            post(EVENTS, &[("Origin", "https://evil.example")], ""),
            post("/streams/no/events", &[], ""),
            post(EVENTS, &[], &csv(0..500)),
            post(EVENTS, &[("Content-Type", "no")], ""),
            post(EVENTS, &[("Host", "evil.example")], ""),
        ],
    );
    sqlx::raw_sql("begin; lock table user_events").execute(&mut conn).await.unwrap();
    let full = (0..100).map(|_| post(EVENTS, &[], &csv(10..20))).find(|status| *status != 202);
    let events = seen.get_mut("/streams/{stream}/events").unwrap();
    events.extend(full);
    // Shown by tests of their own: 408 by the slow ones, 503 by what is said of a disk that is
    // full.
    events.extend([408, 503]);
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        let with = |headers: &[(&str, &str)]| http.ask("GET", path, headers, b"").unwrap().status;
        let strange = [("Origin", "https://evil.example")];
        let mut statuses = vec![with(&[]), with(&strange), with(&[("Host", "evil.example")])];
        statuses.extend((path == "/readyz").then_some(503));
        // Shown by a test of its own.
        statuses.extend((path == "/metrics").then_some(401));
        seen.insert(path, statuses);
    }
    let description = http.get("/openapi.json").expect(200).json();
    for (path, mut statuses) in seen {
        statuses.sort_unstable();
        let method = if path.starts_with("/streams") { "post" } else { "get" };
        let described = description["paths"][path][method]["responses"].as_object();
        let described: Vec<u16> =
            described.unwrap().keys().map(|status| status.parse().unwrap()).collect();
        assert_eq!(statuses, described, "{path}");
    }
    assert_eq!(
        description["paths"]["/streams/{stream}/events"]["post"]["parameters"][0]["schema"]["enum"],
        serde_json::json!(["user_events"])
    );
}
