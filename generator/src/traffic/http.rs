//! A server that takes requests: `POST /streams/{stream}/events`.

use super::batch::Batch;
use super::json::Encoder;
use super::run::{Run, pauses};
use super::{Fate, Sender, Token};
use anyhow::{Context, ensure};
use serde::Deserialize;
use std::io;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderMap, HeaderValue, StatusCode};

/// How long a server may take to answer. Behind it the same request is sent again, which does no
/// harm: it has the same Idempotency-Key.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The longest wait that a server can ask for by Retry-After.
const RETRY_AFTER_MAX: u64 = 60;

/// How much of an answer is read. Unit: bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// How much of why it refuses something is told. Unit: characters.
const REASON_MAX: usize = 300;

/// Sends a request for each batch, by one connection that is kept open.
pub(super) struct Http {
    url: String,
    /// Marks the requests of this run, so that a server tells them from those of others.
    key: u128,
    authorization: Option<HeaderValue>,
    encoder: Encoder,
    agent: Agent,
    body: Vec<u8>,
}

/// What a server says of records that it has taken.
#[derive(Deserialize)]
struct Answer {
    accepted: Option<u64>,
}

/// What came of one try.
enum Try {
    Known(Fate),
    /// To be tried again, after so many seconds if the server has said so.
    Again(String, Option<u64>),
}

impl Http {
    /// Sends to the stream of that name at `url`.
    pub(super) fn new(
        url: &str,
        stream: &str,
        token: Option<&Token>,
        encoder: Encoder,
    ) -> anyhow::Result<Http> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.~".contains(c);
        ensure!(
            !stream.is_empty() && stream.chars().all(is_plain),
            "no stream is called `{stream}`"
        );
        let authorization =
            token.map(|Token(token)| HeaderValue::from_str(&format!("Bearer {token}")));
        let mut authorization = authorization
            .transpose()
            .ok()
            .context("the token has characters that none can have")?;
        if let Some(authorization) = &mut authorization {
            authorization.set_sensitive(true);
        }
        let url = format!("{url}/streams/{stream}/events");
        let (agent, body) = (agent(), Vec::new());
        Ok(Http { url, key: rand::random(), authorization, encoder, agent, body })
    }

    /// Another one with a connection of its own.
    pub(super) fn beside(&self) -> Http {
        Http {
            url: self.url.clone(),
            authorization: self.authorization.clone(),
            encoder: self.encoder.clone(),
            agent: agent(),
            body: Vec::new(),
            ..*self
        }
    }

    fn try_once(&self, batch: &Batch) -> Try {
        let key = format!("{:032x}-{}", self.key, batch.number);
        let mut request = self
            .agent
            .post(&self.url)
            .header("content-type", self.encoder.content_type())
            .header("idempotency-key", key);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let answered = request.send(&self.body).and_then(|mut response| {
            let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
            Ok((response.status(), response.headers().clone(), body))
        });
        match answered {
            Ok((status, headers, body)) => self.judge(status, &headers, &body, batch),
            Err(error) => Try::Again(format!("{}: {error}", self.url), None),
        }
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], batch: &Batch) -> Try {
        if status.is_success() {
            let accepted =
                serde_json::from_slice(body).ok().and_then(|Answer { accepted }| accepted);
            return Try::Known(Fate::Accepted(accepted.unwrap_or(batch.records())));
        }
        let reason = String::from_utf8_lossy(body);
        let reason: String =
            reason.trim().chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
        let told = format!("{}: {status}: {reason}", self.url);
        let is_passing = status.is_server_error()
            || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
        if !is_passing {
            return Try::Known(Fate::Refused(told));
        }
        let after = headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        Try::Again(told, after)
    }
}

impl Sender for Http {
    fn send(&mut self, batch: &Batch, run: &Run) -> io::Result<Fate> {
        self.body.clear();
        self.body.extend_from_slice(self.encoder.header());
        self.encoder.encode(&batch.lines, &mut self.body);
        let mut pauses = pauses();
        loop {
            let (trouble, after) = match self.try_once(batch) {
                Try::Known(fate) => return Ok(fate),
                Try::Again(trouble, after) => (trouble, after),
            };
            let pause = pauses.next().expect("pauses never end");
            let asked = after.map(|seconds| Duration::from_secs(seconds.min(RETRY_AFTER_MAX)));
            if !run.pause(asked.map_or(pause, |asked| asked + pause / 10), trouble) {
                return Ok(Fate::Unanswered);
            }
        }
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(ANSWER_MAX))
        .user_agent(concat!("streamer-generator/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}
