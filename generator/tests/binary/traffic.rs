//! Records sent over real sockets.

use crate::generator;
use crate::server::{Answer, Request, Server, accepted};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

fn run(flags: &[&str]) -> Output {
    generator(Path::new("/")).args(flags).env_remove("STREAMER_TOKEN").output().unwrap()
}

fn start(flags: &[&str]) -> Child {
    let mut command = generator(Path::new("/"));
    command.args(flags).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn requests(server: Server) -> Vec<Request> {
    server.requests.try_iter().collect()
}

/// A percentile of the report, in milliseconds.
fn percentile(report: &str, name: &str) -> f64 {
    let behind = report.split(&format!("{name} ")).nth(1).unwrap();
    behind.split([',', '\n']).next().unwrap().parse().unwrap()
}

#[test]
fn requests_carry_batches_with_keys_of_their_own() {
    let server = Server::start(|_, request| accepted(request));
    let output = run(&["--to", &server.url, "--count", "250", "--batch", "100"]);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr(&output).starts_with("sent 250, accepted 250, refused 0 in "), "{output:?}");
    assert!(stderr(&output).contains("latency in ms since due: P50 "), "{output:?}");
    let requests = requests(server);
    let sizes: Vec<usize> = requests.iter().map(|request| request.records().len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    for request in &requests {
        assert_eq!(request.line, "POST /streams/user_events/events");
        assert_eq!(request.headers["content-type"], "text/csv");
        assert!(!request.headers.contains_key("authorization"));
        assert!(request.body.starts_with("event_id,user_id,"), "{}", request.body);
    }
    let keys: HashSet<&str> =
        requests.iter().map(|r| r.headers["idempotency-key"].as_str()).collect();
    assert_eq!(keys.len(), 3);
}

#[test]
fn requests_carry_json_the_token_and_the_name_of_the_stream() {
    let server = Server::start(|_, request| accepted(request));
    let flags = [
        "transfers",
        "--to",
        &server.url,
        "--count",
        "20",
        "--format",
        "ndjson",
        "--stream",
        "mine",
    ];
    let mut command = generator(Path::new("/"));
    command.args(flags).args(["--token-env", "MY_TOKEN"]).env("MY_TOKEN", "s3cret");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!stderr(&output).contains("s3cret"));
    let requests = requests(server);
    let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!(request.line, "POST /streams/mine/events");
    assert_eq!(request.headers["content-type"], "application/x-ndjson");
    assert_eq!(request.headers["authorization"], "Bearer s3cret");
    assert_eq!(request.records().len(), 20);
    for record in request.records() {
        let record: serde_json::Value = serde_json::from_str(record).unwrap();
        assert!(record["account_id"].is_u64() && record["transaction_value"].is_number());
        assert!(record["transfer_id"].is_string(), "{record}");
    }
}

#[test]
fn ad_events_number_their_campaigns_in_json_too() {
    let flags = ["ad-events", "--to", "-", "--format", "ndjson", "--window", "1m", "--seed", "1"];
    let output = run(&[&flags[..], &["--count", "500"]].concat());
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 500);
    assert!(text.contains("\"campaign_id\":5,"), "{text}");
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!((1..=10).contains(&record["campaign_id"].as_u64().unwrap()), "{line}");
        let nanoseconds = record["event_time_ns"].as_u64().unwrap();
        assert_eq!(record["window_id"].as_u64(), Some(nanoseconds / 60_000_000_000));
        assert!(record["produce_time"].is_u64(), "{line}");
        for id in ["user_id", "page_id", "ad_id"] {
            assert!(record[id].is_string(), "{line}");
        }
    }
}

#[test]
fn what_may_pass_is_tried_again_by_the_same_key() {
    let server = Server::start(|count, request| match count {
        0 => Answer::Status("503 Service Unavailable", "", String::new()),
        1 => Answer::Status("429 Too Many Requests", "retry-after: 1\r\n", String::new()),
        2 => Answer::HangUp,
        _ => accepted(request),
    });
    let begun = Instant::now();
    let output = run(&["--to", &server.url, "--count", "10"]);
    assert!(begun.elapsed() >= Duration::from_secs(1), "it waits as it is asked to");
    assert!(output.status.success(), "{output:?}");
    let told = stderr(&output);
    assert!(told.starts_with("trying again: http://"), "{told}");
    assert!(told.contains("sent 10, accepted 10, refused 0, sent again 3 times"), "{told}");
    let requests = requests(server);
    assert_eq!(requests.len(), 4);
    for request in &requests {
        assert_eq!(request.headers["idempotency-key"], requests[0].headers["idempotency-key"]);
        assert_eq!(request.body, requests[0].body);
    }
}

#[test]
fn what_is_refused_is_counted_and_told_once() {
    let server = Server::start(|count, request| match count {
        0 => accepted(request),
        _ => Answer::Status("401 Unauthorized", "", "{\"error\": \"no token\"}".to_owned()),
    });
    let output = run(&["--to", &server.url, "--count", "300", "--batch", "100"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert_eq!(told.matches("401 Unauthorized: {\"error\": \"no token\"}").count(), 1, "{told}");
    assert!(told.contains("sent 300, accepted 100, refused 200 in "), "{told}");
    assert!(told.contains("error: not all records were accepted"), "{told}");
}

#[test]
fn producers_send_at_the_same_time() {
    let together = Barrier::new(4);
    let server = Server::start(move |_, request| {
        together.wait();
        accepted(request)
    });
    let flags = ["--to", &server.url, "--count", "80", "--batch", "10", "--producers", "4"];
    let output = run(&flags);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr(&output).starts_with("sent 80, accepted 80, refused 0 in "), "{output:?}");
}

/// 1,000 records, due within a second. The server stands still for most of it, in which about 600
/// are due: who counts from when a record is sent would find one slow record in a thousand.
#[test]
fn a_server_that_stands_still_makes_all_records_late_that_are_due_meanwhile() {
    let server = Server::start(|count, request| {
        if count == 100 {
            thread::sleep(Duration::from_millis(600));
        }
        accepted(request)
    });
    let output = run(&["--to", &server.url, "--batch", "1", "--rate", "1000", "--count", "1000"]);
    assert!(output.status.success(), "{output:?}");
    let told = stderr(&output);
    assert!(percentile(&told, "P50") > 50.0 && percentile(&told, "P90") > 300.0, "{told}");
    assert!(percentile(&told, "max") > 550.0, "{told}");
}

#[test]
fn a_signal_ends_it_with_the_report() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let server = Server::start(|_, request| accepted(request));
        let process = start(&["--to", &server.url, "--rate", "100", "--batch", "1"]);
        server.requests.recv_timeout(Duration::from_secs(30)).unwrap();
        kill(Pid::from_raw(i32::try_from(process.id()).unwrap()), signal).unwrap();
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(stderr(&output).starts_with("sent "), "{output:?}");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_and_a_signal_ends_the_wait() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for target in [format!("http://127.0.0.1:{port}"), format!("tcp://127.0.0.1:{port}")] {
        let mut process = start(&["--to", &target, "--count", "10"]);
        let mut told = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("trying again: {target}")), "{line}");
        kill(Pid::from_raw(i32::try_from(process.id()).unwrap()), Signal::SIGINT).unwrap();
        assert_eq!(process.wait().unwrap().code(), Some(1));
        told.read_to_string(&mut line).unwrap();
        assert!(line.contains("sent 10, accepted 0, refused 0, unanswered 10"), "{line}");
    }
}

#[test]
fn lines_go_to_a_server_and_on_by_a_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let process = start(&["gps", "--to", &target, "--rate", "500", "--count", "500"]);
    let header = "device_id,position_time,latitude,longitude,speed";
    let mut lines = BufReader::new(listener.accept().unwrap().0).lines();
    assert_eq!(lines.next().unwrap().unwrap(), header);
    let before: Vec<String> = lines.by_ref().take(100).map(Result::unwrap).collect();
    drop(lines);
    let mut after = BufReader::new(listener.accept().unwrap().0).lines().map(Result::unwrap);
    assert_eq!(after.next().as_deref(), Some(header));
    let after: Vec<String> = after.collect();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = stderr(&output);
    assert!(told.contains("sent 500, accepted 500, refused 0, sent again "), "{told}");
    // What was on its way when the connection was lost may be lost, and is at most a moment's work.
    assert!(before.len() + after.len() > 400, "{} and {}", before.len(), after.len());
}

/// Connects as soon as somebody listens.
fn client(address: &str) -> BufReader<TcpStream> {
    let begun = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return BufReader::new(stream),
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "{error}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn clients_come_and_go_and_each_gets_all_from_when_it_came() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (target, address) = (format!("tcp-listen:{port}"), format!("127.0.0.1:{port}"));
    let flags = ["emoji", "--to", &target, "--rate", "500", "--count", "500", "--format", "ndjson"];
    let process = start(&flags);
    let first = client(&address);
    let first = thread::spawn(move || first.lines().map(Result::unwrap).collect::<Vec<_>>());
    let second: Vec<String> = client(&address).lines().take(50).map(Result::unwrap).collect();
    let third: Vec<String> = client(&address).lines().map(Result::unwrap).collect();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let first = first.join().unwrap();
    assert_eq!(first.len(), 500, "it was there all the time");
    assert_eq!(second.len(), 50, "it has left");
    assert!(first.windows(50).any(|lines| lines == second), "without a gap");
    assert!(third.len() > 10 && first.ends_with(&third), "{} lines", third.len());
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp-listen:{}", taken.local_addr().unwrap().port());
    let output = run(&["--to", &target]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot listen on 127.0.0.1:"), "{output:?}");
}
