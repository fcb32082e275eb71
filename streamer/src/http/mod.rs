//! The HTTP server: `POST /streams/{stream}/events` into the spool, and what tells how the streamer
//! is.
//!
//! Everything has a limit: connections, the time for a request's head and body, the bytes of a
//! body, the memory of all bodies in hand, and what waits to be committed. Nothing that a client
//! sent is in the log or in an answer.

mod accept;
mod access;
mod answer;
mod api;
mod auth;
mod body;
mod chosen;
mod event_stream;
mod events;
mod letters;
mod live;
mod load_test;
mod metrics;
mod openapi;
mod origin;
mod page;
mod rows;
mod simulator;
mod views;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use access::Sessions;
use answer::Refusal;
pub use auth::{Token, TokenError};
pub use live::{Live, LiveParts};
use load_test::LoadTests;
pub use metrics::Metrics;
pub use views::Place;
use views::Views;

use crate::config::{LISTEN_DEFAULT, Listen, Server, Stream};
use crate::health::Health;
use crate::memory::Memory;
use crate::spool::{SpoolWriter, Spools};

/// Why the server can't be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Somebody else listens there, or nobody may.
    #[error("listen on {address}; choose another address with --listen, or --listen none")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Everybody could post.
    #[error(
        "stream {stream} has no token, and {address} can be reached from other machines; set STREAMER_TOKEN, or \
         token_file for it or for the [server] in streams.toml, or listen on 127.0.0.1"
    )]
    Open {
        /// A stream without a token.
        stream: String,
        /// Where the server was to listen.
        address: SocketAddr,
    },
    /// The token of the server can't be read.
    #[error("the server's token")]
    ServerToken(#[source] TokenError),
    /// A token can't be read.
    #[error("stream {stream}")]
    Token {
        /// The stream.
        stream: String,
        /// Why.
        source: TokenError,
    },
}

/// What the handlers share.
struct App {
    entries: BTreeMap<String, Entry>,
    settings: Server,
    /// Where it is listening: browsers on this machine must have it under one of these names.
    address: SocketAddr,
    /// What bodies are taken into.
    memory: Memory,
    metrics: Arc<Metrics>,
    health: Health,
    stop: CancellationToken,
    /// The tokens that open all streams.
    tokens: Vec<Token>,
    sessions: Sessions,
    /// What pages see; `None`, where none are served.
    live: Option<Live>,
    views: Views,
    load_tests: LoadTests,
    doing: letters::Doing,
}

/// The way into one stream.
struct Entry {
    stream: Stream,
    spool: SpoolWriter,
    /// Nothing is asked for where there are none.
    tokens: Vec<Token>,
}

/// A server that has its address, but takes no request yet.
pub struct Bound {
    listener: TcpListener,
    app: Arc<App>,
}

/// What is started with the server.
#[derive(Debug)]
pub struct Parts {
    /// The spools of the streams.
    pub spools: Spools,
    /// Where the engine's events are counted.
    pub metrics: Arc<Metrics>,
    /// What ails the streamer.
    pub health: Health,
    /// The memory that is shared.
    pub memory: Memory,
    /// Ends the server.
    pub stop: CancellationToken,
    /// What pages see; `None`, where none are to be served.
    pub live: Option<Live>,
    /// The database that they are shown.
    pub place: Place,
}

/// Tells a proxy not to hold back what comes of an answer.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

impl App {
    /// What pages see. Only their routes ask for it.
    fn live(&self) -> &Live {
        self.live.as_ref().expect("pages are served only where there is something to see")
    }

    /// Whether whoever asks may know which streams there are: from this machine, or with a token of
    /// one of them.
    fn tells_names(&self, headers: &HeaderMap) -> bool {
        let shows_one = |entry: &Entry| auth::shows_one(headers, &entry.tokens);
        self.address.ip().is_loopback() || self.entries.values().any(shows_one)
    }
}

impl Bound {
    /// Takes the address that the settings name, or the usual one; nothing, if there is to be no
    /// server. The usual address may be taken by another streamer: that is no failure.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn bind(
        settings: &Server,
        streams: &[Stream],
        parts: Parts,
    ) -> Result<Option<Bound>, ServerError> {
        let address = match settings.listen {
            Some(Listen::None) => return Ok(None),
            Some(Listen::At(address)) => address,
            None => LISTEN_DEFAULT,
        };
        let tokens = Token::load(settings.token.as_ref()).map_err(ServerError::ServerToken)?;
        let mut entries = BTreeMap::new();
        for stream in streams {
            let name = stream.name.clone();
            let Some(spool) = parts.spools.writer(&name) else { continue };
            let tokens = Token::load(stream.listeners.token.as_ref().or(settings.token.as_ref()))
                .map_err(|source| ServerError::Token { stream: name.clone(), source })?;
            if tokens.is_empty() && !address.ip().is_loopback() {
                return Err(ServerError::Open { stream: name, address });
            }
            entries.insert(name, Entry { stream: stream.clone(), spool, tokens });
        }
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) if settings.listen.is_none() => {
                tracing::warn!(
                    "cannot listen on {address}: {error}; going on without HTTP. Choose another address with \
                     --listen"
                );
                return Ok(None);
            }
            Err(source) => return Err(ServerError::Listen { address, source }),
        };
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!("listening on http://{address}");
        let Parts { metrics, health, memory, stop, live, place, .. } = parts;
        let (settings, sessions) = (settings.clone(), Sessions::new());
        if let Some(live) = &live {
            live.note_address(address);
            tell_of_page(address, &sessions);
        }
        let app = App {
            entries,
            settings,
            address,
            memory,
            metrics,
            health,
            stop,
            tokens,
            sessions,
            live,
            views: Views::new(place),
            load_tests: LoadTests::default(),
            doing: letters::Doing::new(),
        };
        Ok(Some(Bound { listener, app: Arc::new(app) }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.app.address
    }

    /// Answers requests until it is to stop; those in hand are answered.
    pub async fn serve(self) {
        let Bound { listener, app } = self;
        let (stop, connections) = (app.stop.clone(), app.settings.max_connections);
        let telling = async {
            if app.live.is_some() {
                rows::tell(app.clone()).await;
            }
        };
        tokio::join!(accept::serve(listener, router(app.clone()), connections, stop), telling);
    }
}

/// Tells where the page is, and how to log in without a token.
fn tell_of_page(address: SocketAddr, sessions: &Sessions) {
    let host = match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        _ => address,
    };
    let code = sessions.code().unwrap_or_default();
    tracing::info!(
        "the page is at http://{host}/; this opens it logged in, once and within 10 minutes: \
         http://{host}/#/login/{code}"
    );
}

fn router(app: Arc<App>) -> Router {
    let pages = |router| match app.live {
        Some(_) => {
            let router = letters::routes(views::routes(api::routes(router)));
            let router = simulator::routes(page::routes(router));
            rows::routes(load_test::routes(router))
        }
        None => router,
    };
    pages(Router::new())
        .route("/streams/{stream}/events", post(events::post).options(origin::preflight))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .fallback(async || {
            Refusal::new(StatusCode::NOT_FOUND, "there is nothing here; see /openapi.json")
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "not by this method; see /openapi.json")
        })
        .layer(middleware::from_fn_with_state(app.clone(), origin::guard))
        .layer(middleware::from_fn(confine))
        .with_state(app)
}

/// Tells browsers to make nothing of an answer but what it says it is.
async fn confine(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        // The files of the page have a policy of their own.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The process is there.
async fn healthz() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// Whether records can be taken and go into their tables, of some stream at least. What ails the
/// streamer is told to whoever may know which streams there are.
async fn readyz(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let ails = |name: &str| !app.health.ailments_of(name).is_empty();
    // A stream that can't go on keeps the others from nothing.
    let is_known = |(name, entry): (&String, &Entry)| entry.spool.is_open() || ails(name);
    let works = app.entries.is_empty() || app.entries.keys().any(|name| !ails(name));
    let is_ready = app.entries.iter().all(is_known) && works && app.health.is_ready();
    let ailments = if app.tells_names(&headers) { app.health.ailments() } else { Vec::new() };
    if is_ready {
        return Json(json!({"status": "ready", "ailments": ailments})).into_response();
    }
    let message = match ailments.as_slice() {
        [] => "not ready; `streamer health` tells what ails it".to_owned(),
        ailments => format!("not ready: {}", ailments.join("; ")),
    };
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later().into_response()
}

/// What was counted. It names the streams, and so is told to other machines only for a token of one
/// of them.
async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !app.tells_names(&headers) {
        app.metrics.note_unauthorized();
        return auth::refusal().into_response();
    }
    for (name, entry) in &app.entries {
        app.metrics.note_spool(name, &entry.spool);
        app.metrics.note_health(name, &app.health);
    }
    app.metrics.note_memory(&app.memory);
    app.metrics.note_event_streams(app.live.as_ref().map_or(0, Live::clients));
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], app.metrics.text()).into_response()
}

async fn openapi(State(app): State<Arc<App>>) -> Response {
    // Other machines are not told which streams there are.
    let is_told = |_: &&str| app.address.ip().is_loopback();
    let streams: Vec<&str> = app.entries.keys().map(String::as_str).filter(is_told).collect();
    let is_open = app.entries.values().any(|entry| entry.tokens.is_empty());
    let is_locked = app.entries.values().any(|entry| !entry.tokens.is_empty());
    let has_page = app.live.is_some();
    Json(openapi::description(&streams, is_open, is_locked, has_page)).into_response()
}
