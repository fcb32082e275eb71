//! Lines by TCP.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::support::{Running, Sandbox, TestDb, folder, streamer, wait_until};

const HEADER: &str = "event_id,user_id,product_id,event_type,event_time\n";
const ROWS: &str = "select count(*) from user_events";
const DEAD: &str = "select count(*) from streamer.dead_letter";

fn lines(numbers: std::ops::Range<u32>) -> String {
    let line =
        |n: u32| format!("0190a5f0-0000-7000-8000-0000{n:08},{n},1,view,2026-01-01T00:00:00Z\n");
    numbers.map(line).collect()
}

fn start(folder: &Path, db: &TestDb, setting: &str) -> Running {
    let text = format!("[stream.user_events]\nfiles = '*.csv'\n{setting}\n");
    fs::write(folder.join("streams.toml"), text).unwrap();
    let mut command = streamer(folder, &["run", "--every", "0s"]);
    Running::start(command.env("DATABASE_URL", db.url()))
}

/// Where `running` takes lines.
fn address(running: &Running) -> String {
    let line = running.wait_for_log("taking lines by TCP on ");
    let (_, rest) = line.split_once("TCP on ").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn many_clients_send_lines_and_half_a_line_is_a_dead_letter() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "tcp_listen = '127.0.0.1:0'");
    let address = address(&running);
    std::thread::scope(|scope| {
        for client in 0..10 {
            let address = &address;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(HEADER.as_bytes()).unwrap();
                let text = lines(client * 1000..client * 1000 + 100);
                for piece in text.as_bytes().chunks(1000) {
                    stream.write_all(piece).unwrap();
                }
                if client == 0 {
                    // It looks like a whole record, but who knows what was to follow.
                    let half = lines(999_999..1_000_000);
                    stream.write_all(half.trim_end().as_bytes()).unwrap();
                }
                if client == 1 {
                    stream.write_all(b"\"open").unwrap();
                }
            });
        }
    });
    db.wait_for(ROWS, 1000).await;
    db.wait_for(DEAD, 2).await;
    // Another sends JSON; an object that is whole is no half line.
    let mut stream = TcpStream::connect(&address).unwrap();
    let object = |n: u32| {
        format!(
            r#"{{"event_id":"0190a5f0-0000-7000-8000-0000{n:08}","user_id":1,"product_id":1,"event_type":"view","event_time":"2026-01-01T00:00:00Z"}}"#
        )
    };
    let text = format!("{}\n{}\n{}", object(70_000), object(70_001), &object(70_002)[..50]);
    stream.write_all(text.as_bytes()).unwrap();
    drop(stream);
    db.wait_for(ROWS, 1002).await;
    db.wait_for(DEAD, 3).await;
    // A header that does not fit closes the connection.
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"a,b\n1,2\n").unwrap();
    running.wait_for_log("closed a TCP connection: line 1 names none");
    // What is too long costs its line.
    let mut stream = TcpStream::connect(&address).unwrap();
    let long = format!("{HEADER}{}\n{}", "x".repeat(3 << 20), lines(60_000..60_001));
    stream.write_all(long.as_bytes()).unwrap();
    db.wait_for(ROWS, 1003).await;
    db.wait_for(DEAD, 4).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_client_that_floods_is_not_read_until_there_is_room() {
    let (db, folder) = (TestDb::create().await, folder());
    // That it is not read is no silence of its own.
    let setting = "tcp_listen = '127.0.0.1:0'\ntcp_idle = '1s'\n[server]\nmax_spool = '1MB'\n";
    let running = start(folder.path(), &db, setting);
    let address = address(&running);
    let mut conn = db.connect().await;
    db.execute(
        "insert into user_events (event_id, user_id, product_id, event_type, event_time)
                values (gen_random_uuid(), 1, 1, 'view', now())",
    )
    .await;
    sqlx::raw_sql("begin; lock table user_events").execute(&mut conn).await.unwrap();
    let sender = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all((HEADER.to_owned() + &lines(0..500_000)).as_bytes()).unwrap();
    });
    let spooled = || -> u64 {
        fs::read_dir(folder.path().join("spool/user_events"))
            .map(|entries| entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum())
            .unwrap_or(0)
    };
    wait_until("the spool to fill", || spooled() >= 900_000).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(spooled() < 3_000_000, "{} bytes in the spool", spooled());
    assert!(!sender.is_finished());
    sqlx::raw_sql("commit").execute(&mut conn).await.unwrap();
    db.wait_for(ROWS, 500_001).await;
    sender.join().unwrap();
}

/// Whether the other side has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[tokio::test]
async fn the_longest_silent_connection_makes_room_for_who_has_something_to_send() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "tcp_listen = '127.0.0.1:0'\ntcp_connections = 20");
    let address = address(&running);
    let connect = || TcpStream::connect(&address).unwrap();
    let mut busy = connect();
    busy.write_all(HEADER.as_bytes()).unwrap();
    let mut first = connect();
    let text = HEADER.to_owned() + &lines(0..1) + lines(1..2).trim_end();
    first.write_all(text.as_bytes()).unwrap();
    db.wait_for(ROWS, 1).await;
    let mut silent: Vec<TcpStream> = (0..18).map(|_| connect()).collect();
    let mut late = connect();
    late.write_all((HEADER.to_owned() + &lines(1000..1010)).as_bytes()).unwrap();
    let mut sent = 0;
    while db.number(&format!("{ROWS} where user_id >= 1000")).await < 10 {
        busy.write_all(lines(sent + 10..sent + 11).as_bytes()).unwrap();
        sent += 1;
        assert!(sent < 900, "who is late is kept out");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.wait_for_log("to make room for others: 1; tcp_connections is 20");
    assert!(is_closed(&mut first) && !is_closed(&mut busy) && !is_closed(&mut late));
    assert!(!silent.iter_mut().any(is_closed));
    db.wait_for(DEAD, 1).await;
    db.wait_for(ROWS, i64::from(sent) + 11).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn silent_connections_make_room_where_no_more_files_can_be_opened() {
    let (db, folder) = (TestDb::create().await, folder());
    let text = "[stream.user_events]\nfiles = '*.csv'\ntcp_listen = '127.0.0.1:0'\n";
    let file = folder.path().join("streams.toml");
    fs::write(&file, text).unwrap();
    let mut command = streamer(folder.path(), &["run", "--config", file.to_str().unwrap()]);
    command.env("DATABASE_URL", db.url());
    let running = Running::start(&mut Sandbox::few_files(60).wrap(&command));
    let address = address(&running);
    // The streamer has its own connections by then.
    let text = HEADER.to_owned() + &lines(0..1);
    TcpStream::connect(&address).unwrap().write_all(text.as_bytes()).unwrap();
    db.wait_for(ROWS, 1).await;
    let mut silent: Vec<TcpStream> =
        (0..80).map(|_| TcpStream::connect(&address).unwrap()).collect();
    wait_until("one of them makes room", || silent.iter_mut().any(is_closed)).await;
}

#[tokio::test]
async fn a_connection_that_sends_nothing_for_long_is_closed() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "tcp_listen = '127.0.0.1:0'\ntcp_idle = '200ms'");
    let address = address(&running);
    let mut streams: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let text = HEADER.to_owned() + &lines(0..1) + "half";
    streams[0].write_all(text.as_bytes()).unwrap();
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    running.wait_for_log("closed TCP connections that sent nothing for 200ms: 3");
    db.wait_for(ROWS, 1).await;
    db.wait_for(DEAD, 1).await;
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn a_server_is_connected_to_again_whenever_it_has_gone() {
    let (db, folder) = (TestDb::create().await, folder());
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let running = start(folder.path(), &db, &format!("tcp_connect = '{address}'"));
    for n in 0..3 {
        let (mut stream, _) = server.accept().unwrap();
        stream.write_all((HEADER.to_owned() + &lines(n * 10..n * 10 + 10)).as_bytes()).unwrap();
    }
    db.wait_for(ROWS, 30).await;
    drop(server);
    running.wait_for_log("cannot read from");
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn lines_are_not_taken_from_other_machines_unless_that_is_said() {
    let (db, folder) = (TestDb::create().await, folder());
    let running = start(folder.path(), &db, "tcp_listen = '0.0.0.0:0'");
    let (code, log) = running.wait();
    assert!(code == Some(1) && log.contains("tcp_open_to_all"), "{log}");
    let open = "tcp_listen = '0.0.0.0:0'\ntcp_open_to_all = true";
    address(&start(folder.path(), &db, open));
}
