//! What pages do about dead letters: retry them, discard them, and export them to a file.
//!
//! To change them takes a login or a token; that the page is open is not enough. One change is made
//! at a time. An export reads the database as slowly as the client takes what is sent.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as AnyBody;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::body::{Body, Bytes, Frame};
use serde_json::json;
use sqlx::{Executor, PgConnection};
use tokio::sync::{Semaphore, mpsc};

use super::App;
use super::answer::Refusal;
use super::chosen::Chosen;
use super::views::{away, wrong_query};
use crate::advice::advise;
use crate::database::Database;
use crate::ledger::dead_letter::{self, Alike};
use crate::ledger::export::{self, Group};
use crate::memory::Share;
use crate::sink::{Replayed, RetryError, retry};

/// How many records of an export are read at a time; each has 64 KiB at most.
const RECORDS_MAX: i64 = 32;

/// What an export holds of the memory: what was read, what is made of it, and what waits to be
/// sent.
const EXPORT_BYTES: usize = 4 * 32 * 64 * 1024;

/// How long a client may take to read what is sent.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// How an export begins: with one view of the table, however long it takes.
const BEGIN: &str = "set idle_in_transaction_session_timeout = '60s'; set statement_timeout = '60s'; \
                     begin isolation level repeatable read read only";

/// One at a time of each.
#[derive(Debug)]
pub(super) struct Doing {
    changing: Semaphore,
    exporting: Arc<Semaphore>,
}

/// A file on its way to a client; an error breaks it off.
struct Download(mpsc::Receiver<io::Result<Bytes>>);

impl Doing {
    pub(super) fn new() -> Doing {
        Doing { changing: Semaphore::new(1), exporting: Arc::new(Semaphore::new(1)) }
    }
}

/// The routes.
pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router
        .route("/api/dead-letters/retry", post(retry_chosen))
        .route("/api/dead-letters/discard", post(discard_chosen))
        .route("/api/dead-letters/export", get(export_chosen))
}

async fn retry_chosen(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    asked: Result<Json<Chosen>, JsonRejection>,
) -> Result<Response, Refusal> {
    let chosen = app.chosen(&headers, asked)?;
    let stream = app.seen_stream(&chosen.stream, &headers)?;
    let alike = chosen.alike()?;
    let _alone = app.alone()?;
    let database = app.views.database()?;
    let mut conn = connect(&database).await?;
    let retried = retry(&mut conn, stream, chosen.which(alike.as_ref())).await;
    app.views.forget();
    let Replayed { rows, duplicates, refused } = match retried {
        Ok(replayed) => replayed,
        Err(error) => return Err(failed(&database, &stream.table, &error).await),
    };
    tracing::info!(
        stream = %stream.name,
        "dead letters were retried by the page: {rows} rows loaded, {duplicates} duplicates, {refused} still refused"
    );
    Ok(Json(json!({"rows": rows, "duplicates": duplicates, "dead_letters": refused}))
        .into_response())
}

async fn discard_chosen(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    asked: Result<Json<Chosen>, JsonRejection>,
) -> Result<Response, Refusal> {
    let chosen = app.chosen(&headers, asked)?;
    let stream = app.seen_stream(&chosen.stream, &headers)?;
    let alike = chosen.alike()?;
    let _alone = app.alone()?;
    let database = app.views.database()?;
    let mut conn = connect(&database).await?;
    let discarded = dead_letter::discard(&mut conn, chosen.which(alike.as_ref())).await;
    app.views.forget();
    let discarded = match discarded {
        Ok(discarded) => discarded,
        Err(error) => return Err(failed(&database, &stream.table, &error.into()).await),
    };
    tracing::info!(stream = %stream.name, "{discarded} dead letters were discarded by the page");
    Ok(Json(json!({"discarded": discarded})).into_response())
}

async fn export_chosen(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    asked: Result<Query<Chosen>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(chosen) = asked.map_err(|_| wrong_query())?;
    app.seen_stream(&chosen.stream, &headers)?;
    let alike = chosen.alike()?;
    let busy = |message| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later();
    let only = Arc::clone(&app.doing.exporting).try_acquire_owned();
    let only = only.map_err(|_| busy("another export is under way"))?;
    let share = app.memory.try_share(EXPORT_BYTES).ok_or_else(|| busy("memory is short"))?;
    let database = app.views.database()?;
    let mut conn = connect(&database).await?;
    drop(database);
    let lost = |error: sqlx::Error| {
        tracing::debug!("dead letters are not exported: {error}");
        away()
    };
    conn.execute(BEGIN).await.map_err(lost)?;
    let groups = export::groups(&mut conn, chosen.which(alike.as_ref())).await.map_err(lost)?;
    let group = one_of(groups, chosen.first_id)?;
    let (sender, receiver) = mpsc::channel(1);
    let name = group.file_name(1);
    tokio::spawn(async move {
        // Whoever no longer reads has broken it off.
        if let Err(error) = send(&mut conn, &chosen, alike.as_ref(), &group, &sender, share).await {
            tracing::debug!("an export was broken off: {error}");
            drop(tokio::time::timeout(READ_WITHIN, sender.send(Err(error))).await);
        }
        drop(only);
    });
    let disposition = format!("attachment; filename=\"{}\"", plain(&name));
    let told = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((told, AnyBody::new(Download(receiver))).into_response())
}

impl App {
    /// What a request to change dead letters chooses.
    fn chosen(
        &self,
        headers: &HeaderMap,
        asked: Result<Json<Chosen>, JsonRejection>,
    ) -> Result<Chosen, Refusal> {
        let sees = self.may_change(headers)?;
        let message = "a JSON object is needed with stream, and if need be alike and last_id";
        let refused = |_| Refusal::new(StatusCode::BAD_REQUEST, message);
        let Json(chosen) = asked.map_err(refused)?;
        if chosen.first_id.is_some() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
        }
        // With an open page it is seen, too.
        let missing = || Refusal::new(StatusCode::NOT_FOUND, "there is no such stream");
        sees.has(&chosen.stream).then_some(chosen).ok_or_else(missing)
    }

    fn alone(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Refusal> {
        let message = "dead letters are being retried or discarded already";
        let busy = |_| Refusal::new(StatusCode::CONFLICT, message);
        self.doing.changing.try_acquire().map_err(busy)
    }
}

async fn connect(database: &Database) -> Result<PgConnection, Refusal> {
    database.connect().await.map_err(|error| {
        tracing::debug!("dead letters are left as they are: {error}");
        away()
    })
}

/// Why it failed, with what can be done about it.
async fn failed(database: &Database, table: &str, error: &RetryError) -> Refusal {
    let cause = match error {
        RetryError::Table(error) => error.source().and_then(|cause| cause.downcast_ref()),
        RetryError::Database(error) => Some(error),
    };
    let advice = match cause {
        Some(cause) => advise(database, Some(table), cause).await,
        None => None,
    };
    let advice = advice.map(|advice| format!("; to do: {advice}")).unwrap_or_default();
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}{advice}")).later()
}

/// The group whose first letter this is, or the only one.
fn one_of(groups: Vec<Group>, first_id: Option<i64>) -> Result<Group, Refusal> {
    let is_meant = |group: &Group| first_id.is_none_or(|id| group.first_id == id);
    let mut meant = groups.into_iter().filter(|group| group.whole > 0 && is_meant(group));
    let missing = "no such dead letter is open, or none that is kept whole";
    let first = meant.next().ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, missing))?;
    if meant.next().is_some() {
        let message = "these have different headers or formats, and a file has one; \
                       /api/dead-letters/exports names a file for each";
        return Err(Refusal::new(StatusCode::CONFLICT, message));
    }
    Ok(first)
}

/// Sends the header and the records of a group, each with a line end.
async fn send(
    conn: &mut PgConnection,
    chosen: &Chosen,
    alike: Option<&Alike>,
    group: &Group,
    sender: &mpsc::Sender<io::Result<Bytes>>,
    _share: Share,
) -> io::Result<()> {
    let mut next: Vec<u8> = group.header_line().map(with_line_end).unwrap_or_default();
    let mut after = (String::new(), -1_i64);
    loop {
        let which = chosen.which(alike);
        let records = export::next_records(conn, which, group, &after, RECORDS_MAX).await;
        let records = records.map_err(io::Error::other)?;
        let last = records.last().map(|(partition, offset, _)| (partition.clone(), *offset));
        records.into_iter().for_each(|(.., raw)| next.extend(with_line_end(raw)));
        if !next.is_empty() {
            let sent = sender.send(Ok(std::mem::take(&mut next).into()));
            let sent = tokio::time::timeout(READ_WITHIN, sent).await;
            sent.map_err(|_late| io::ErrorKind::TimedOut)?.map_err(io::Error::other)?;
        }
        let Some(last) = last else { return Ok(()) };
        after = last;
    }
}

fn with_line_end(mut line: Vec<u8>) -> Vec<u8> {
    line.push(b'\n');
    line
}

/// A file's name as a header takes it.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

impl Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx).map(|part| part.map(|part| part.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_files_break_no_header() {
        assert_eq!(plain("a\"\r\n;é.csv"), "a_____.csv");
    }
}
