//! `POST /streams/{stream}/events`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::oneshot;

use super::answer::Refusal;
use super::body::{self, Taken};
use super::{App, Entry, auth};
use crate::batch::{Counts, bytes_of_rows};
use crate::framing::Key;
use crate::memory::{Held, Memory, Share, names_bytes};
use crate::receiver::records::{self, Records, RecordsError};
use crate::spool::{Append, Receipt, SpoolError};

/// How long a client may wait for the commit; later it is told what is certain, that its records
/// are synced.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Bodies that are larger are looked through on another thread, so that nobody waits for it.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of an Idempotency-Key at most.
const KEY_BYTES_MAX: usize = 255;

/// What the name of the key's header is.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// How the records of a body are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    /// One object, or an array of them.
    Json,
    /// An object on each line.
    Ndjson,
}

pub(super) async fn post(
    State(app): State<Arc<App>>,
    Path(stream): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answered = take(&app, &stream, query.as_deref(), &headers, body).await;
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn take(
    app: &App,
    stream: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let entry = entry(app, stream, headers)?;
    let form = form(headers)?;
    let waits = waits(query)?;
    let key = key(headers)?;
    entry.spool.check_room().map_err(refusal)?;
    let copies = if form == Form::Json { 2 } else { 1 };
    let taken = body::take(app, headers, body, copies).await?;
    let record_bytes_max = entry.stream.reading.record_bytes_max;
    let memory = app.memory.clone();
    let parse = move || parse(taken, form, record_bytes_max, &memory);
    let (mut records, mut share) = match waits_long(headers) {
        false => parse(),
        true => tokio::task::spawn_blocking(parse).await.map_err(|_panic| broken())?,
    }?;
    check_header(entry, records.header.take())?;
    if records.count == 0 {
        return Ok((StatusCode::ACCEPTED, Json(json!({"accepted": 0}))).into_response());
    }
    let Records { content, bytes, count, .. } = records;
    let key = key.map(|key| Key::new(&key, &bytes));
    if key.is_some() && bytes_of_rows(bytes.len(), count) > app.memory.largest() {
        let message = format!(
            "what comes under one Idempotency-Key is committed at once, and {count} records do not fit \
             into the setting memory; send them in parts"
        );
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    share.shrink_to(bytes.capacity());
    let bytes = Arc::new(Held::new(bytes, Some(share)));
    let append = Append { content, bytes, records: count, key, waits };
    let Receipt { records, is_repeated, outcome } =
        entry.spool.append(append).await.map_err(refusal)?;
    app.metrics.note_accepted(&entry.stream.name, if is_repeated { 0 } else { records });
    if let Some(outcome) = outcome
        && let Some(Counts { rows, duplicates, repeated, dead_letters, .. }) =
            committed(app, outcome).await
    {
        // Whether it came before may show only when it is committed.
        let answer = match is_repeated || repeated > 0 {
            true => json!({"accepted": records, "repeated": true}),
            false => json!({
                "accepted": records,
                "rows": rows,
                "duplicates": duplicates,
                "dead_letters": dead_letters,
            }),
        };
        return Ok((StatusCode::OK, Json(answer)).into_response());
    }
    let answer = match is_repeated {
        true => json!({"accepted": records, "repeated": true}),
        false => json!({"accepted": records}),
    };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// The records of a body, and the memory that they are in.
fn parse(
    taken: Taken,
    form: Form,
    record_bytes_max: usize,
    memory: &Memory,
) -> Result<(Records, Share), Refusal> {
    let Taken { bytes, mut share, .. } = taken;
    if form == Form::Csv {
        take_names(&mut share, names_bytes(records::header_bytes(&bytes)), memory)?;
    }
    let records = match form {
        Form::Csv => records::csv(bytes, record_bytes_max),
        Form::Json => records::json(&bytes),
        Form::Ndjson => records::ndjson(bytes),
    };
    let refused = |error: RecordsError| Refusal::new(StatusCode::BAD_REQUEST, error.to_string());
    Ok((records.map_err(refused)?, share))
}

/// Makes room for the names of a long header.
fn take_names(share: &mut Share, bytes: usize, memory: &Memory) -> Result<(), Refusal> {
    if bytes > memory.largest() {
        let message = "the header is longer than the setting memory has room for";
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    if share.try_grow(bytes) { Ok(()) } else { Err(body::out_of_memory()) }
}

/// What became of the records; nothing, if that takes too long or will not be known.
pub(super) async fn committed(app: &App, outcome: oneshot::Receiver<Counts>) -> Option<Counts> {
    tokio::select! {
        outcome = outcome => outcome.ok(),
        () = tokio::time::sleep(WAIT_MAX) => None,
        () = app.stop.cancelled() => None,
    }
}

/// The entry to a stream, for one who may pass. Whoever shows no token is not told which streams
/// there are.
fn entry<'a>(app: &'a App, stream: &str, headers: &HeaderMap) -> Result<&'a Entry, Refusal> {
    let passes = |entry: &Entry| {
        let has_token = entry.tokens.is_empty() || auth::shows_one(headers, &entry.tokens);
        has_token || app.page_may_post(headers, entry)
    };
    match app.entries.get(stream) {
        Some(entry) if passes(entry) => Ok(entry),
        None if app.entries.values().any(passes) => {
            let open = app.entries.iter().filter(|(_, entry)| passes(entry));
            let names: Vec<&str> = open.map(|(name, _)| name.as_str()).collect();
            let message = format!("no such stream; there are: {}", names.join(", "));
            Err(Refusal::new(StatusCode::NOT_FOUND, message))
        }
        _ => {
            app.metrics.note_unauthorized();
            Err(auth::refusal())
        }
    }
}

fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = text.unwrap_or_default().split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_utf8 = parts.all(|parameter| {
        let parameter = parameter.to_ascii_lowercase();
        let charset = parameter.strip_prefix("charset=").map(|charset| charset.trim_matches('"'));
        charset.is_none_or(|charset| ["utf-8", "utf8", "us-ascii"].contains(&charset))
    });
    match kind.as_str() {
        "text/csv" if is_utf8 => Ok(Form::Csv),
        "application/json" if is_utf8 => Ok(Form::Json),
        "application/x-ndjson" | "application/jsonl" if is_utf8 => Ok(Form::Ndjson),
        _ => {
            let message = "the Content-Type must be application/json, application/x-ndjson or text/csv, in UTF-8";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
        }
    }
}

/// Whether the client waits for the commit.
pub(super) fn waits(query: Option<&str>) -> Result<bool, Refusal> {
    match query.unwrap_or_default() {
        "" => Ok(false),
        "wait=commit" => Ok(true),
        _ => Err(Refusal::new(StatusCode::BAD_REQUEST, "the only parameter is wait=commit")),
    }
}

fn key(headers: &HeaderMap) -> Result<Option<Vec<u8>>, Refusal> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter().map(|value| value.as_bytes());
    let Some(key) = keys.next() else { return Ok(None) };
    if key.is_empty() || key.len() > KEY_BYTES_MAX || keys.next().is_some() {
        let message = format!("an Idempotency-Key has from 1 to {KEY_BYTES_MAX} characters");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
    }
    Ok(Some(key.to_vec()))
}

/// Whether the body is so large that looking through it takes a while; one whose length is not
/// announced may be.
fn waits_long(headers: &HeaderMap) -> bool {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let is_packed = headers.contains_key(header::CONTENT_ENCODING);
    is_packed
        || announced
            .and_then(|len| len.parse().ok())
            .is_none_or(|len: usize| len > INLINE_BYTES_MAX)
}

/// Records under a header that the table can't take would stay in the spool for ever.
fn check_header(entry: &Entry, header: Option<Vec<String>>) -> Result<(), Refusal> {
    if !entry.spool.is_open() {
        let message = "the stream's table is not known yet: the database was not there since the \
                       start, or the table can't be used; `streamer health` tells";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later());
    }
    let Some(header) = header else { return Ok(()) };
    let checked = entry.spool.check_header(header);
    checked.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
}

fn refusal(error: SpoolError) -> Refusal {
    let message = error.to_string();
    match error {
        SpoolError::Full | SpoolError::Busy => {
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, message).later()
        }
        SpoolError::KeyReused => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message),
        // Why, is in the log.
        SpoolError::Io(_) => {
            let message = "the records cannot be written to disk now";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later()
        }
    }
}

fn broken() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "a bug in the streamer")
}
