//! `GET /streams/{stream}/live`: the rows that this streamer commits from now on, as server-sent
//! events, for several readers.
//!
//! A commit tells which micro-batches it was of. Only while somebody follows the stream, its rows
//! are then asked for by their `batch_id`, by one task and one connection for all: so a commit
//! waits for nobody, and each row is told at most once. What is not told is told as a `gap`.

mod ask;
mod follower;
mod wanted;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Notify, mpsc};

use super::accept::HangUp;
use super::answer::Refusal;
use super::event_stream::EventStream;
use super::{App, Entry, auth, origin};
use crate::event::Commit;
use follower::{Follower, WAITING_MAX, gap};
use wanted::Wanted;

/// A reader is told so often that it is still there, where nothing else comes.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// How many commits wait to be asked for; the rows of more are a gap.
const COMMITS_MAX: usize = 256;

/// What a reader that comes again says it had last.
const LAST_EVENT_ID: &str = "last-event-id";

/// Who follows which stream, and what was committed of those that somebody follows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    state: Mutex<Followed>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Followed {
    followers: Vec<Follower>,
    commits: VecDeque<Noted>,
}

/// A commit with rows.
#[derive(Debug)]
struct Noted {
    stream: String,
    batch_ids: Vec<i64>,
    rows: u64,
    /// Rows of commits that came when too many waited.
    missed: u64,
}

/// The route.
pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router.route("/streams/{stream}/live", get(follow).options(origin::preflight_to_read))
}

async fn follow(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    Extension(HangUp(hang_up)): Extension<HangUp>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let stream = &entry(&app, &name, &headers)?.stream;
    let wanted = Wanted::parse(query.as_deref().unwrap_or_default())?;
    let columns = app.views.asked(async |conn| ask::columns(conn, &stream.table).await).await?;
    columns.check(&wanted)?;
    let Some(slot) = app.live().slot() else {
        let message = "too many event streams are open; close one";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later());
    };
    let (sender, events) = mpsc::channel(WAITING_MAX);
    let first = match headers.get(LAST_EVENT_ID) {
        Some(_) => gap(None, "what was committed while nobody listened is not told"),
        None => ":\n\n".into(),
    };
    app.live().rows().state().followers.push(Follower { stream: name, wanted, sender, hang_up });
    let told = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (super::X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((told, Body::new(EventStream::new(first, events, slot))).into_response())
}

/// The entry to a stream, for one who may read its rows: with its token, or after a login. Whoever
/// may read none is not told which streams there are.
fn entry<'a>(app: &'a App, stream: &str, headers: &HeaderMap) -> Result<&'a Entry, Refusal> {
    let session = app.by_session(headers).filter(|_| origin::is_own_or_none(headers));
    let passes = |entry: &Entry| {
        let has_token = entry.tokens.is_empty() || auth::shows_one(headers, &entry.tokens);
        has_token || session.as_ref().is_some_and(|sees| sees.has(&entry.stream.name))
    };
    match app.entries.get(stream) {
        Some(entry) if passes(entry) => Ok(entry),
        None if app.entries.values().any(passes) => {
            Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such stream"))
        }
        _ => {
            app.metrics.note_unauthorized();
            Err(auth::refusal())
        }
    }
}

/// Tells rows until the server is to stop, which ends all event streams.
pub(super) async fn tell(app: Arc<App>) {
    let rows = app.live().rows();
    let mut asker = ask::Asker::default();
    let mut alive = tokio::time::interval(ALIVE_EVERY);
    loop {
        tokio::select! {
            biased;
            () = app.stop.cancelled() => break,
            () = rows.news.notified() => {}
            _ = alive.tick() => rows.tell_alive(),
        }
        while let Some(noted) = rows.next() {
            tokio::select! {
                biased;
                () = app.stop.cancelled() => break,
                () = asker.tell(&app, rows, &noted) => {}
            }
        }
        if rows.state().followers.is_empty() {
            asker.close().await;
        }
    }
    rows.state().followers.clear();
}

impl Rows {
    /// Notes a commit, if somebody follows its stream.
    pub(super) fn note(&self, commit: &Commit<'_>) {
        let mut state = self.state();
        if !state.followers.iter().any(|follower| follower.stream == commit.stream) {
            return;
        }
        let parts = commit.parts.iter().filter(|part| part.counts.rows > 0);
        let (batch_ids, rows): (Vec<i64>, Vec<u64>) =
            parts.map(|part| (part.batch_id, part.counts.rows)).unzip();
        let rows = rows.into_iter().sum();
        if rows == 0 {
            return;
        }
        let is_full = state.commits.len() >= COMMITS_MAX;
        let mut waiting = state.commits.iter_mut().rev();
        if let Some(last) = waiting.find(|one| is_full && one.stream == commit.stream) {
            last.missed += rows;
        } else {
            let (stream, missed) = (commit.stream.to_owned(), 0);
            state.commits.push_back(Noted { stream, batch_ids, rows, missed });
        }
        drop(state);
        self.news.notify_one();
    }

    /// The next commit to be told.
    fn next(&self) -> Option<Noted> {
        self.state().commits.pop_front()
    }

    /// Tells all followers that the server is there; who does not read loses its connection.
    fn tell_alive(&self) {
        self.state().followers.retain(|follower| follower.send(":\n\n".into()));
    }

    /// What the followers of a stream want, each once.
    fn wanted(&self, stream: &str) -> Vec<Wanted> {
        let mut state = self.state();
        state.followers.retain(|follower| !follower.sender.is_closed());
        let of_stream = state.followers.iter().filter(|follower| follower.stream == stream);
        let mut wanted: Vec<Wanted> = of_stream.map(|follower| follower.wanted.clone()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// Sends the same to all followers of a stream that want this, or to all.
    fn send(&self, stream: &str, wanted: Option<&Wanted>, events: &hyper::body::Bytes) {
        self.state().followers.retain(|follower| {
            let is_one =
                follower.stream == stream && wanted.is_none_or(|wanted| follower.wanted == *wanted);
            !is_one || follower.send(events.clone())
        });
    }

    fn state(&self) -> MutexGuard<'_, Followed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
