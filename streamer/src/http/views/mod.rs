//! What pages show of the database. However many pages are open, each view is asked for at most
//! every two seconds, and few at a time: what one page was told is told to all others meanwhile.
//!
//! Every question is asked in a transaction that can only read, and that the database ends if it
//! takes too long.

mod letters;
mod objects;
mod rollup;
mod stream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Semaphore;

use super::App;
use super::answer::Refusal;
use super::chosen::Chosen;
use crate::database::Database;

/// For how long an answer is good.
const FRESH: Duration = Duration::from_secs(2);

/// How many connections there are at most for all views.
const CONNECTIONS_MAX: usize = 2;

/// How many answers are kept.
const KEPT_MAX: usize = 256;

/// How long the database may take to connect and to answer.
const WITHIN: Duration = Duration::from_secs(8);

/// How a transaction of a view begins.
const BEGIN: &str = "set statement_timeout = '5s'; begin isolation level repeatable read read only";

/// The database, once it is open. Whoever opened it closes it, too. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Place(Arc<OnceLock<Weak<Database>>>);

/// What the views have told.
#[derive(Debug)]
pub(super) struct Views {
    place: Place,
    free: Semaphore,
    kept: Mutex<HashMap<String, Kept>>,
}

/// An answer, and when it was given; nothing before the first.
type Kept = Arc<tokio::sync::Mutex<Option<(Instant, Bytes)>>>;

impl Place {
    /// The database is open.
    pub fn note(&self, database: &Arc<Database>) {
        // It is opened once.
        let _ = self.0.set(Arc::downgrade(database));
    }

    fn database(&self) -> Option<Arc<Database>> {
        self.0.get()?.upgrade()
    }
}

impl Views {
    pub(super) fn new(place: Place) -> Views {
        Views { place, free: Semaphore::new(CONNECTIONS_MAX), kept: Mutex::default() }
    }

    /// The database, where it is open.
    ///
    /// # Errors
    /// That it is not.
    pub(super) fn database(&self) -> Result<Arc<Database>, Refusal> {
        self.place.database().ok_or_else(away)
    }

    /// Forgets what was told, because it is no more true.
    pub(super) fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What `ask` makes of the database now.
    ///
    /// # Errors
    /// It is not there, or does not answer.
    pub(super) async fn asked<T>(
        &self,
        ask: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Refusal> {
        let asking = async {
            let _free = self.free.acquire().await;
            let database = self.place.database().ok_or(sqlx::Error::PoolClosed)?;
            let mut conn = database.connect().await?;
            drop(database);
            conn.execute(BEGIN).await?;
            let told = ask(&mut conn).await?;
            conn.close().await?;
            Ok(told)
        };
        let told = tokio::time::timeout(WITHIN, asking).await;
        told.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|error| match error {
            sqlx::Error::RowNotFound => {
                Refusal::new(StatusCode::NOT_FOUND, "there is no such thing")
            }
            error => {
                tracing::debug!("the database was asked in vain: {error}");
                away()
            }
        })
    }

    /// The answer for `key`: what was told lately, else what `ask` makes of the database.
    async fn told<T: Serialize>(
        &self,
        key: String,
        ask: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<Response, Refusal> {
        let kept = self.kept(key);
        // Whoever asks for the same meanwhile waits for the answer.
        let mut kept = kept.lock().await;
        if let Some((at, bytes)) = kept.as_ref()
            && at.elapsed() < FRESH
        {
            return Ok(json(bytes.clone()));
        }
        let told = self.asked(ask).await?;
        let bytes: Bytes = serde_json::to_vec(&told).unwrap_or_default().into();
        *kept = Some((Instant::now(), bytes.clone()));
        Ok(json(bytes))
    }

    fn kept(&self, key: String) -> Kept {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            // One that somebody waits for is forgotten, too: then it is asked for twice.
            kept.clear();
        }
        kept.entry(key).or_default().clone()
    }
}

/// How many windows of a rollup are asked for, and by which aggregate keys are the largest.
#[derive(Deserialize)]
struct OfRollup {
    windows: Option<i32>,
    by: Option<String>,
}

/// Of which stream dead letters are asked for.
#[derive(Deserialize)]
struct OfStream {
    stream: Option<String>,
}

/// The routes of the views.
pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router
        .route("/api/streams/{stream}", get(of_stream))
        .route("/api/streams/{stream}/rollups/{rollup}", get(of_rollup))
        .route("/api/dead-letters", get(of_letters))
        .route("/api/dead-letters/exports", get(of_exports))
        .route("/api/dead-letters/{id}", get(of_letter))
        .route("/api/dictionary", get(of_objects))
}

async fn of_stream(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let stream = app.seen_stream(&name, &headers)?;
    let key = format!("stream {name}");
    app.views.told(key, async |conn| stream::read(conn, stream, app.live().data()).await).await
}

async fn of_rollup(
    State(app): State<Arc<App>>,
    Path((name, rollup)): Path<(String, String)>,
    asked: Result<Query<OfRollup>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(OfRollup { windows, by }) = asked.map_err(|_| wrong_query())?;
    let stream = app.seen_stream(&name, &headers)?;
    let windows = windows.unwrap_or(rollup::WINDOWS).clamp(1, rollup::WINDOWS_MAX);
    let key = format!("rollup {windows} {by:?} {rollup:?} {name}");
    let ask = async |conn: &mut PgConnection| {
        rollup::read(conn, stream, &rollup, windows, by.as_deref()).await
    };
    app.views.told(key, ask).await
}

async fn of_letters(
    State(app): State<Arc<App>>,
    asked: Result<Query<OfStream>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(OfStream { stream }) = asked.map_err(|_| wrong_query())?;
    let sees = app.sees(&headers)?;
    let only: Option<Arc<[String]>> = match stream {
        Some(stream) => Some([app.seen_stream(&stream, &headers)?.name.clone()].into()),
        None => sees.only(),
    };
    let key = format!("letters {only:?}");
    app.views.told(key, async |conn| letters::groups(conn, only.as_deref()).await).await
}

async fn of_exports(
    State(app): State<Arc<App>>,
    asked: Result<Query<Chosen>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(chosen) = asked.map_err(|_| wrong_query())?;
    app.seen_stream(&chosen.stream, &headers)?;
    let key = format!("exports {chosen:?}");
    let of = chosen.alike()?;
    app.views.told(key, async |conn| letters::exports(conn, &chosen, of.as_ref()).await).await
}

async fn of_letter(
    State(app): State<Arc<App>>,
    id: Result<Path<i64>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let missing = |_| Refusal::new(StatusCode::NOT_FOUND, "there is no such dead letter");
    let Path(id) = id.map_err(missing)?;
    let only = app.sees(&headers)?.only();
    let key = format!("letter {id} {only:?}");
    let command = app.live().streamer_command();
    app.views.told(key, async |conn| letters::one(conn, id, only.as_deref(), command).await).await
}

async fn of_objects(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let only = app.sees(&headers)?.only();
    let seen = app.entries.values().map(|entry| &entry.stream);
    let is_seen = |name: &String| only.as_ref().is_none_or(|only| only.contains(name));
    let tables = seen.filter(|stream| is_seen(&stream.name)).map(|stream| stream.table.clone());
    let tables: Vec<String> = tables.collect();
    let key = format!("objects {only:?}");
    let psql = match app.views.place.database() {
        Some(database) => database.psql_command().await,
        None => None,
    };
    let pgadmin = app.live().pgadmin();
    app.views.told(key, async |conn| objects::read(conn, &tables, psql, pgadmin).await).await
}

/// The database can't be asked.
pub(super) fn away() -> Refusal {
    let message = "the database does not answer, or takes too long";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later()
}

pub(super) fn wrong_query() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "what stands behind the ? is not understood")
}

fn json(bytes: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}
