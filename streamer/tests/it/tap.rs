//! `streamer tap`: what it shows, and what it leaves alone.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use flate2::write::GzEncoder;

use crate::support::{Ended, Http, Running, TestDb, WAIT_MAX, folder, streamer};

const EVENTS: &str = "/streams/user_events/events";
const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";

fn line(n: u32) -> String {
    format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n")
}

fn csv(numbers: impl IntoIterator<Item = u32>) -> String {
    HEADER.to_owned() + &numbers.into_iter().map(line).collect::<String>()
}

/// A tap at work; it is ended when dropped.
struct Tap {
    child: Child,
    lines: Receiver<String>,
}

impl Tap {
    /// Starts one, and waits until what comes from now on is shown. It has no database.
    fn start(folder: &Path, args: &[&str]) -> Tap {
        let mut command = streamer(folder, &[&["tap", "user_events"], args].concat());
        Tap::of(command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"))
    }

    fn of(command: &mut Command) -> Tap {
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut told = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut told).unwrap();
        assert!(told.contains("showing the records of stream user_events"), "{told}");
        let (send, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Tap { child, lines }
    }

    /// Demands that these lines come next, in any order of those that come together.
    fn expect(&self, lines: &str) {
        let mut expected: Vec<&str> = lines.lines().collect();
        let mut shown: Vec<String> = Vec::new();
        while shown.len() < expected.len() {
            match self.lines.recv_timeout(WAIT_MAX) {
                Ok(line) => shown.push(line),
                Err(error) => panic!("{error} behind {shown:?}"),
            }
        }
        shown.sort_unstable();
        expected.sort_unstable();
        assert_eq!(shown, expected);
    }

    /// Demands that it ends by itself and has shown nothing more.
    fn expect_end(mut self) {
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert_eq!(self.lines.recv().ok(), None);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn what_comes_by_files_and_doors_is_shown_once_and_as_it_stands() {
    let (db, folder) = (TestDb::create().await, folder());
    let settings = "[stream.user_events]\nfiles = 'user_events_*'\nsettle = '3s'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("user_events_old.csv"), csv(1..5)).unwrap();
    let mut command = streamer(folder.path(), &["run", "--listen", "127.0.0.1:0", "--every", "0s"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    http.post(EVENTS, csv(5..10)).expect(202);
    let tap = Tap::start(folder.path(), &["--count", "24"]);
    // In the segment that was begun before, and in one of another kind.
    http.post(EVENTS, csv(10..12)).expect(202);
    tap.expect(&(line(10) + &line(11)));
    let object = "{\"event_id\":\"0190a5f0-0000-7000-8000-000000000012\", \"user_id\": 12}";
    let json = [("Content-Type", "application/x-ndjson")];
    http.post_with(EVENTS, &json, format!("{object}\n").as_bytes()).expect(202);
    tap.expect(object);
    // Files: one that has grown, a new one with what is no record, and a packed one.
    let mut old = fs::File::options().append(true).open(path("user_events_old.csv")).unwrap();
    old.write_all(line(13).as_bytes()).unwrap();
    tap.expect(&line(13));
    let strange = "\"a\"b,1\nwith,\"a\nline end\",1,1,1\n";
    fs::write(path("user_events_new.csv"), format!("{HEADER}{strange}{}", line(15))).unwrap();
    tap.expect(&(strange.to_owned() + &line(15)));
    // Half a line is none yet.
    old.write_all(&line(14).as_bytes()[..20]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    old.write_all(&line(14).as_bytes()[20..]).unwrap();
    tap.expect(&line(14));
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(csv(16..20).as_bytes()).unwrap();
    fs::write(path(".packed"), packed.finish().unwrap()).unwrap();
    fs::rename(path(".packed"), path("user_events_packed.csv.gz")).unwrap();
    tap.expect(&(16..20).map(line).collect::<String>());
    db.wait_for("select count(*) from user_events where user_id = 15", 1).await;
    // A file under a known name is another one.
    fs::write(path(".replaced"), csv(20..24)).unwrap();
    fs::rename(path(".replaced"), path("user_events_new.csv")).unwrap();
    tap.expect(&(20..24).map(line).collect::<String>());
    // Without a line end it counts once the file is still.
    fs::write(path("user_events_last.csv"), csv(24..32).trim_end()).unwrap();
    tap.expect(&(24..32).map(line).collect::<String>());
    tap.expect_end();
    db.wait_for("select count(*) from user_events", 30).await;
}

#[test]
fn what_is_there_already_is_shown_on_demand_and_left_as_it_is() {
    let folder = folder();
    let segment = folder.path().join("spool/user_events/20260101T000000.000Z-1-0.ndjson");
    fs::create_dir_all(segment.parent().unwrap()).unwrap();
    // It was torn, which is for the streamer to mend.
    fs::write(&segment, "{\"a\": 1}\n{").unwrap();
    fs::write(folder.path().join("user_events_1.csv"), csv(1..3)).unwrap();
    let tap = Tap::start(folder.path(), &["--from-start", "--count", "3"]);
    tap.expect(&format!("{}{{\"a\": 1}}\n", csv(1..3).replace(HEADER, "")));
    tap.expect_end();
    assert_eq!(fs::read_to_string(&segment).unwrap(), "{\"a\": 1}\n{");
    let ended = Ended::of(&mut streamer(folder.path(), &["tap", "none"])).expect(1);
    assert!(ended.stderr.contains("there is no stream none"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_tap_that_nobody_reads_holds_nothing_up() {
    let (db, folder) = (TestDb::create().await, folder());
    let mut command = streamer(folder.path(), &["run", "--listen", "127.0.0.1:0", "--every", "0s"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    let http = Http::ready(&running);
    let mut tap = streamer(folder.path(), &["tap", "user_events"]);
    let mut tap = tap.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    BufReader::new(tap.stderr.take().unwrap()).read_line(&mut told).unwrap();
    // More than a pipe holds.
    for batch in 0..20 {
        http.post(EVENTS, csv(batch * 1000..batch * 1000 + 1000)).expect(202);
    }
    db.wait_for("select count(*) from user_events", 20_000).await;
    // Nor does one whose reader has gone away.
    drop(tap.stdout.take());
    assert_eq!(tap.wait().unwrap().code(), Some(0));
    assert_eq!(running.terminate().0, Some(0));
}
