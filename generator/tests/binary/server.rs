//! A small HTTP server on a real socket, which answers as a test asks.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    /// By name in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// What the server does with a request.
pub(crate) enum Answer {
    /// Status line, further header lines, body.
    Status(&'static str, &'static str, String),
    /// Closes the connection.
    HangUp,
}

/// Takes what is sent.
pub(crate) fn accepted(request: &Request) -> Answer {
    let accepted = request.records().len();
    Answer::Status("202 Accepted", "", format!("{{\"accepted\": {accepted}}}"))
}

/// A server that ends with the test's process.
pub(crate) struct Server {
    /// As `--to` has it.
    pub(crate) url: String,
    pub(crate) requests: Receiver<Request>,
}

impl Request {
    /// The lines of the body, without a header of CSV.
    pub(crate) fn records(&self) -> Vec<&str> {
        let header = usize::from(self.headers["content-type"] == "text/csv");
        self.body.lines().skip(header).collect()
    }

    fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let mut headers = HashMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        Some(Request { line, headers, body: String::from_utf8(body).unwrap() })
    }
}

impl Server {
    /// Answers each request as `answer` says, which is told how many came before.
    pub(crate) fn start(
        answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (told, requests) = channel();
        let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, count, told) = (answer.clone(), count.clone(), told.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &*answer, &count, &told));
            }
        });
        Server { url, requests }
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &dyn Fn(usize, &Request) -> Answer,
    count: &AtomicUsize,
    told: &Sender<Request>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = Request::read(&mut reader) {
        // Nobody listens any more once the test has ended.
        drop(told.send(request.clone()));
        match answer(count.fetch_add(1, Ordering::SeqCst), &request) {
            Answer::Status(status, headers, body) => {
                let length = body.len();
                let text =
                    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}");
                if stream.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
            Answer::HangUp => return,
        }
    }
}
