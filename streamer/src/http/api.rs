//! What pages ask for below `/api/`: the event stream, what is known now, and the session.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::accept::HangUp;
use super::answer::Refusal;
use super::{App, simulator};

/// For how long a browser keeps the cookie of a session, in seconds.
const COOKIE_AGE: u64 = 12 * 3600;

/// What the page can show of this streamer.
const VIEWS: [&str; 5] = ["overview", "micro_batches", "stream", "dead_letters", "sql"];

/// What somebody logs in with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    token: Option<String>,
    code: Option<String>,
}

/// The routes of the page's data.
pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router
        .route("/api/live", get(live))
        .route("/api/overview", get(overview))
        .route("/api/session", get(session))
        .route("/api/login", post(login))
        .route("/api/logout", post(logout))
}

/// The event stream: the past, then a frame each second.
async fn live(
    State(app): State<Arc<App>>,
    Extension(HangUp(hang_up)): Extension<HangUp>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let sees = app.sees(&headers)?;
    let Some(events) = app.live().listen(sees.only(), hang_up) else {
        let message = "too many pages are open; close one";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later());
    };
    let told = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // A proxy in between is not to wait for more.
        (super::X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((told, Body::new(events)).into_response())
}

/// What the last frame told, of all streams.
async fn overview(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let sees = app.sees(&headers)?;
    Ok(Json(app.live().now(sees.only().as_deref())).into_response())
}

/// What whoever asks may do.
async fn session(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let (open, session) = (app.is_open_to(&headers), app.by_session(&headers));
    let logged_in = session.is_some();
    // The streams that it may change: all, if there are none.
    let changes = session.as_ref().map(|sees| json!({"streams": sees.only()}));
    let streams = session.and_then(|sees| sees.only()).filter(|_| !open);
    let has_simulator = app.settings.simulator;
    let mut views = VIEWS.to_vec();
    views.extend(has_simulator.then_some("simulator"));
    views.extend(simulator::entry(&app).is_ok().then_some("load_test"));
    Json(json!({
        "open": open,
        "logged_in": logged_in,
        "streams": streams,
        "simulator": has_simulator,
        "changes": changes,
        "may_post": has_simulator && open || logged_in,
        "views": views,
    }))
    .into_response()
}

async fn login(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    login: Result<Json<Login>, JsonRejection>,
) -> Result<Response, Refusal> {
    app.check_page(&headers)?;
    let needed = "a JSON object with a token or a code is needed";
    let id = match login {
        Ok(Json(Login { code: Some(code), token: None })) => app.sessions.open_by_code(&code),
        Ok(Json(Login { token: Some(token), code: None })) => {
            app.by_typed(&token).map(|sees| app.sessions.open(sees))
        }
        _ => return Err(Refusal::new(StatusCode::BAD_REQUEST, needed)),
    };
    let Some(id) = id else {
        app.metrics.note_unauthorized();
        let message = "that is no token of this streamer, and no code that is still good";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, message));
    };
    Ok(with_cookie(&app, &headers, &id, COOKIE_AGE))
}

async fn logout(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    app.check_page(&headers)?;
    if let Some(id) = app.session_id(&headers) {
        app.sessions.end(&id);
    }
    Ok(with_cookie(&app, &headers, "", 0))
}

/// An answer without content that sets the cookie of a session.
fn with_cookie(app: &App, headers: &HeaderMap, id: &str, age: u64) -> Response {
    let name = app.cookie_name(headers);
    let cookie = format!("{name}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}");
    let cookie = HeaderValue::from_str(&cookie).expect("letters and digits are a value");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}
