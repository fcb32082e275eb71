//! The requests that clients send. The numbers and notes of the records tell which request each row
//! came by.

use std::fmt::Write as _;
use std::ops::Range;

use crate::support::{Answer, Http};

/// How the records of a request are written. Each form has segments of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Csv,
    /// CSV with the columns in the other order.
    Swapped,
    Json,
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: u32,
    pub(crate) records: u32,
    pub(crate) form: Form,
    pub(crate) is_keyed: bool,
}

/// What came of sending a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It is taken in.
    Accepted(Answer),
    /// It is not, for now.
    Refused,
    /// There was no answer.
    Lost,
    /// An answer that must not be.
    Wrong(String),
}

impl Request {
    pub(crate) const fn keyed(id: u32, records: u32, form: Form) -> Request {
        Request { id, records, form, is_keyed: true }
    }

    pub(crate) const fn plain(id: u32, records: u32, form: Form) -> Request {
        Request { id, records, form, is_keyed: false }
    }

    /// The numbers of its records.
    pub(crate) fn numbers(self) -> Range<u32> {
        self.id * 100..self.id * 100 + self.records
    }

    /// The note of each of its records: two lines.
    pub(crate) fn note(self) -> String {
        format!("of request\n{}", self.id)
    }

    fn body(self) -> String {
        let (note, mut body) = (self.note(), String::new());
        body += match self.form {
            Form::Csv => "n,note\n",
            Form::Swapped => "note,n\n",
            Form::Json => "",
        };
        for n in self.numbers() {
            let written = match self.form {
                Form::Csv => writeln!(body, "{n},\"{note}\""),
                Form::Swapped => writeln!(body, "\"{note}\",{n}"),
                Form::Json => writeln!(body, "{}", serde_json::json!({"n": n, "note": note})),
            };
            written.expect("a string takes everything");
        }
        body
    }

    /// Sends it to `stream` once.
    pub(crate) fn send(self, http: Http, stream: &str, waits: bool) -> Reply {
        let kind = if self.form == Form::Json { "application/x-ndjson" } else { "text/csv" };
        let key = format!("request {}", self.id);
        let mut headers = vec![("Content-Type", kind)];
        if self.is_keyed {
            headers.push(("Idempotency-Key", &key));
        }
        let query = if waits { "?wait=commit" } else { "" };
        let path = format!("/streams/{stream}/events{query}");
        match http.ask("POST", &path, &headers, self.body().as_bytes()) {
            Ok(answer) => match answer.status {
                // Whoever asked to wait for the commit is not told less.
                200 | 202 if (answer.status == 200) == waits => Reply::Accepted(answer),
                429 | 503 => Reply::Refused,
                _ => Reply::Wrong(format!("{self:?} with waits={waits}: {answer:?}")),
            },
            Err(_) => Reply::Lost,
        }
    }
}
