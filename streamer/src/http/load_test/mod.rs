//! `POST /load_test`: batches of made-up reactions at a rate, sent the way that events by HTTP go,
//! and how long each takes from its acceptance to its commit. It is there only where the settings
//! have `simulator = true`; one runs at a time, and the last one is remembered.

mod run;
mod tally;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::answer::Refusal;
use super::live::At;
use super::{App, body, simulator};
use tally::Tally;

/// For how long a load test may send, in seconds.
pub(super) const DURATION_S: (u64, u64) = (1, 600);

/// How many batches it may send in a second.
pub(super) const BATCHES_PER_SECOND: (u64, u64) = (1, 100);

/// How many events a batch has.
pub(super) const EVENTS_PER_BATCH: (u64, u64) = (10, 100);

/// Where its state is read, and where it is stopped.
const STATE_AT: &str = "/api/load_test";

/// The load test that runs, or the last that did.
#[derive(Debug, Default)]
pub(super) struct LoadTests(Mutex<Option<Arc<LoadTest>>>);

/// How much is asked for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    /// Unit: seconds.
    duration: u64,
    batches_per_second: u64,
}

/// One load test.
#[derive(Debug)]
struct LoadTest {
    id: String,
    stream: String,
    load: Load,
    started_at: At,
    began: Instant,
    /// Ends the sending.
    stop: CancellationToken,
    tally: Mutex<Tally>,
}

/// What is told of a load test. Counts are as of now.
#[derive(Debug, Serialize)]
struct Told<'a> {
    id: &'a str,
    stream: &'a str,
    duration_s: u64,
    batches_per_second: u64,
    started_at: &'a At,
    /// Until now, or until it has ended.
    elapsed_s: f64,
    #[serde(flatten)]
    tally: tally::Told<'a>,
}

/// The routes of the load test.
pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router.route("/load_test", post(start)).route(STATE_AT, get(tell).delete(stop))
}

async fn start(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let stream = simulator::checked_entry(&app, &headers)?.stream.name.clone();
    let taken = body::take(&app, &headers, body, 1).await?;
    let load = Load::read(&taken.bytes)?;
    let test = app.load_tests.begin(&app, stream, load)?;
    tracing::info!(
        "a load test sends {} batches per second for {} s",
        load.batches_per_second,
        load.duration
    );
    let id = test.id.clone();
    tokio::spawn(run::run(app.clone(), test));
    let told = json!({"id": id, "url": STATE_AT});
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, STATE_AT)], Json(told)).into_response())
}

/// What may be asked for, and how the last one is or was.
async fn tell(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let stream = &simulator::entry(&app)?.stream.name;
    app.seen_stream(stream, &headers)?;
    let test = app.load_tests.lock().clone();
    let test = test.map(|test| test.told());
    let limits = json!({
        "duration": DURATION_S,
        "batches_per_second": BATCHES_PER_SECOND,
        "events_per_batch": EVENTS_PER_BATCH,
    });
    Ok(Json(json!({"limits": limits, "test": test})).into_response())
}

/// Ends the sending; what was accepted is still waited for.
async fn stop(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    simulator::checked_entry(&app, &headers)?;
    let test = app.load_tests.lock().clone().filter(|test| test.is_running());
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "no load test runs");
    test.ok_or_else(missing)?.stop.cancel();
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl Load {
    fn read(bytes: &[u8]) -> Result<Load, Refusal> {
        let is_within = |of: u64, (least, most): (u64, u64)| (least..=most).contains(&of);
        let load = serde_json::from_slice(bytes).ok().filter(|load: &Load| {
            is_within(load.duration, DURATION_S)
                && is_within(load.batches_per_second, BATCHES_PER_SECOND)
        });
        load.ok_or_else(|| {
            let message = format!(
                "a JSON object is needed, with a duration from {} to {} s and batches_per_second from {} to {}",
                DURATION_S.0, DURATION_S.1, BATCHES_PER_SECOND.0, BATCHES_PER_SECOND.1
            );
            Refusal::new(StatusCode::BAD_REQUEST, message)
        })
    }
}

impl LoadTests {
    /// The next one, unless one runs.
    fn begin(&self, app: &App, stream: String, load: Load) -> Result<Arc<LoadTest>, Refusal> {
        let mut last = self.lock();
        if let Some(running) = last.as_ref().filter(|test| test.is_running()) {
            let message = format!("the load test {} still runs", running.id);
            return Err(Refusal::new(StatusCode::CONFLICT, message));
        }
        let test = Arc::new(LoadTest {
            id: Uuid::new_v4().to_string(),
            stream,
            load,
            started_at: At(Utc::now()),
            began: Instant::now(),
            stop: app.stop.child_token(),
            tally: Mutex::default(),
        });
        *last = Some(test.clone());
        Ok(test)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<LoadTest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoadTest {
    fn is_running(&self) -> bool {
        self.tally().is_running()
    }

    /// How long it has run.
    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn told(&self) -> Value {
        let (tally, elapsed) = (self.tally(), self.elapsed());
        let elapsed = tally.ended().unwrap_or(elapsed);
        let told = Told {
            id: &self.id,
            stream: &self.stream,
            duration_s: self.load.duration,
            batches_per_second: self.load.batches_per_second,
            started_at: &self.started_at,
            elapsed_s: elapsed.as_secs_f64(),
            tally: tally.told(elapsed),
        };
        serde_json::to_value(told).unwrap_or_default()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Load;

    #[test]
    fn a_load_is_bounded() {
        let read = |text: &str| Load::read(text.as_bytes()).ok().map(|load| load.duration);
        assert_eq!(read(r#"{"duration": 600, "batches_per_second": 100}"#), Some(600));
        for wrong in [
            r#"{"duration": 601, "batches_per_second": 1}"#,
            r#"{"duration": 0, "batches_per_second": 1}"#,
            r#"{"duration": 1, "batches_per_second": 101}"#,
            r#"{"duration": 1, "batches_per_second": 0.5}"#,
            r#"{"duration": 1}"#,
            r#"{"duration": 1, "batches_per_second": 1, "more": 1}"#,
            "[]",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
