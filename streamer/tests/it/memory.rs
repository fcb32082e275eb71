//! The memory that the program counts: what does not fit waits, is refused, or is read in smaller
//! pieces, and nothing stands still.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::{Ended, Http, Running, TestDb, folder, streamer, wait_until};

const ROWS: &str = "select count(*) from t";

/// The least memory that the settings of these tests take: 10 micro-batches of 1 MiB and four times
/// `max_record_bytes`, the connections, and a request twice.
const FLOOR: &str = "27MiB";

/// Settings whose floor is [`FLOOR`], for a stream into a table of an id and a text.
async fn stream(folder: &Path, memory: &str, settings: &str) -> TestDb {
    let db = TestDb::create().await;
    db.execute("create table t (id bigint primary key, note text check (length(note) <> 3))").await;
    let text = format!(
        "[server]\nmemory = '{memory}'\nmax_body = '2MiB'\nmax_connections = 64\n\
         [stream.t]\nfiles = 't*'\nmax_record_bytes = '256KiB'\nscan_every = '300ms'\n\
         settle = '300ms'\nextra = 'ignore'\n{settings}\n"
    );
    fs::write(folder.join("streams.toml"), text).unwrap();
    db
}

fn run(folder: &Path, db: &TestDb, args: &[&str]) -> Running {
    let args = [&["run", "--every", "0s", "--listen", "127.0.0.1:0"], args].concat();
    Running::start(streamer(folder, &args).env("DATABASE_URL", db.url()))
}

/// Records with these ids, each with a text of so many bytes.
fn records(ids: std::ops::Range<u32>, bytes: usize) -> String {
    let note = "x".repeat(bytes);
    ids.map(|id| format!("{id},{note}\n")).collect()
}

fn csv(ids: std::ops::Range<u32>, bytes: usize) -> String {
    format!("id,note\n{}", records(ids, bytes))
}

/// The bytes packed by zstd with a window of `1 << log` bytes.
fn zst(path: &Path, log: u32, text: &str) {
    let mut encoder = zstd::Encoder::new(File::create(path).unwrap(), 1).unwrap();
    encoder.window_log(log).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
}

#[tokio::test]
async fn settings_that_do_not_fit_are_refused_with_the_sum() {
    let folder = folder();
    let db = stream(folder.path(), "26MiB", "").await;
    let mut run = streamer(folder.path(), &["run", "--listen", "127.0.0.1:0"]);
    let ended = Ended::of(run.env("DATABASE_URL", db.url()));
    let told = ended.expect(1).stderr;
    assert!(told.contains("server.memory must be at least") && told.contains("max_body"), "{told}");
}

#[tokio::test]
async fn every_kind_of_load_at_once_goes_in_with_the_least_memory() {
    let folder = folder();
    let settings = "tcp_listen = '127.0.0.1:0'\ntcp_connections = 32\nwriters = 4\n";
    let db = stream(folder.path(), FLOOR, settings).await;
    let running = run(folder.path(), &db, &[]);
    let http = Http::of(&running);
    let line = running.wait_for_log("taking lines by TCP on ");
    let tcp = line.split_once("TCP on ").unwrap().1.split_whitespace().next().unwrap().to_owned();
    http.wait_until_ready();
    let mut expected = 0;
    // Files of long records, of many short ones, packed ones, one with a window that fits once.
    for number in 1..5 {
        let first = 1_000_000 * number;
        let path = folder.path().join(format!("ta{number}.csv"));
        fs::write(path, csv(first..first + 40, 200_000)).unwrap();
        expected += 40;
    }
    fs::write(folder.path().join("te.csv"), csv(5_000_000..5_050_000, 20)).unwrap();
    for number in 0..3 {
        let first = 6_000_000 + number * 10_000;
        let path = folder.path().join(format!("tf{number}.csv.zst"));
        zst(&path, 21, &csv(first..first + 10_000, 100));
    }
    // Dead letters of 60 kB, and a header of 100 kB.
    let dead: String = (0..200).map(|id| format!("x{id},{}\n", "y".repeat(60_000))).collect();
    fs::write(folder.path().join("tg.csv"), format!("id,note\n{dead}")).unwrap();
    let header: String = (0..20_000).map(|column| format!(",c{column}")).collect();
    let commas = ",".repeat(20_000);
    fs::write(folder.path().join("th.csv"), format!("id,note{header}\n8,a{commas}\n")).unwrap();
    expected += 50_000 + 30_000 + 1;
    thread::scope(|scope| {
        // As many requests as connections, each as large as may be, until they are taken.
        for client in 0..12_u32 {
            let http = &http;
            scope.spawn(move || {
                for request in 0..3 {
                    let first = 10_000_000 + client * 100_000 + request * 10_000;
                    let (body, key) =
                        (csv(first..first + 9, 200_000), format!("{client} {request}"));
                    let headers = [("Content-Type", "text/csv"), ("Idempotency-Key", &key)];
                    loop {
                        let answer = http.post_with("/streams/t/events", &headers, body.as_bytes());
                        match answer.status {
                            202 => break,
                            // A client's pause before it tries again.
                            429 | 503 => thread::sleep(Duration::from_millis(20)),
                            status => panic!("{status}: {}", answer.body),
                        }
                    }
                }
            });
        }
        // Lines of a quarter of a megabyte by more connections than there is memory for.
        for client in 0..24_u32 {
            let tcp = &tcp;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(tcp).unwrap();
                let first = 20_000_000 + client * 1000;
                stream.write_all(csv(first..first + 10, 250_000).as_bytes()).unwrap();
            });
        }
    });
    expected += 12 * 3 * 9 + 24 * 10;
    db.wait_for(ROWS, expected).await;
    db.wait_for("select count(*) from streamer.dead_letter", 200).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_window_that_does_not_fit_refuses_its_file_and_names_the_setting() {
    let folder = folder();
    let db = stream(folder.path(), FLOOR, "").await;
    zst(&folder.path().join("ta.csv.zst"), 27, &csv(0..10, 10));
    zst(&folder.path().join("tb.csv.zst"), 21, &csv(10..20, 10));
    let load = |args: &[&str]| {
        let args = [&["run", "--available-now"], args].concat();
        Ended::of(streamer(folder.path(), &args).env("DATABASE_URL", db.url()))
    };
    let told = load(&[]).expect(1);
    let told = told.stderr + &told.stdout;
    assert!(told.contains("128 MiB") && told.contains("memory leaves"), "{told}");
    assert_eq!(db.number(ROWS).await, 10);
    // The others need not be sent again, nor it.
    load(&["--memory", "256MiB"]).expect(0);
    assert_eq!(db.number(ROWS).await, 20);
}

#[tokio::test]
async fn a_request_for_which_there_is_no_memory_is_told_to_come_again() {
    let folder = folder();
    let db = stream(folder.path(), FLOOR, "").await;
    let running = run(folder.path(), &db, &[]);
    let http = Http::ready(&running);
    let address = format!("127.0.0.1:{}", http.port);
    // They say that they will send much, and send nothing yet.
    let slow: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let head = "POST /streams/t/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: \
                        application/json\r\nContent-Length: 2000000\r\n\r\n[";
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    let large = csv(0..10, 190_000);
    wait_until("a request is refused for want of memory", || {
        let answer = http.post("/streams/t/events", &large);
        let is_refused = answer.status == 503;
        if is_refused {
            assert_eq!(
                answer.headers.iter().find(|(name, _)| name == "retry-after").unwrap().1,
                "1"
            );
            assert!(answer.body.contains("the setting memory"), "{}", answer.body);
        }
        is_refused
    })
    .await;
    drop(slow);
    wait_until("there is room again", || http.post("/streams/t/events", &large).status == 202)
        .await;
    db.wait_for(ROWS, 10).await;
}
