//! Web pages: which may post, so that not any page that somebody on this machine looks at can.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::answer::Refusal;

/// For how long a browser need not ask again, in seconds.
const MAX_AGE: &str = "600";

/// Lets a request pass if it is not a strange page's: the names that it has this server under must
/// be those of this machine where only this machine is served, for a name of the page's own may
/// lead here too; and the page must be listed, or be this server's.
pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if app.address.ip().is_loopback() && !is_local(headers) {
        let message = "served under the names of this machine only, such as 127.0.0.1";
        return Refusal::new(StatusCode::MISDIRECTED_REQUEST, message).into_response();
    }
    let origin = headers.get(header::ORIGIN).cloned();
    let allowed = match &origin {
        None => None,
        Some(origin) if is_listed(&app, origin) => Some(origin.clone()),
        Some(origin) if is_own(headers, origin) => None,
        Some(_) => {
            let message = "this page may not post here; list its origin in server.cors_origins";
            return Refusal::new(StatusCode::FORBIDDEN, message).into_response();
        }
    };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

/// What a browser asks before it lets a page post. Without a listed origin the answer allows
/// nothing.
pub(super) async fn preflight() -> Response {
    preflight_of("POST", "POST, OPTIONS")
}

/// The same of what pages read.
pub(super) async fn preflight_to_read() -> Response {
    preflight_of("GET", "GET, OPTIONS")
}

fn preflight_of(method: &'static str, methods: &'static str) -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, method),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, content-encoding, idempotency-key, last-event-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        (header::ALLOW, methods),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn is_listed(app: &App, origin: &HeaderValue) -> bool {
    app.settings.cors_origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes())
}

/// Whether the page is from this server itself.
fn is_own(headers: &HeaderMap, origin: &HeaderValue) -> bool {
    let page =
        origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    page.is_some() && page == headers.get(header::HOST).and_then(|host| host.to_str().ok())
}

/// Whether no page asks, or one of this server.
pub(super) fn is_own_or_none(headers: &HeaderMap) -> bool {
    headers.get(header::ORIGIN).is_none_or(|origin| is_own(headers, origin))
}

/// Whether the client has this server under a name of this machine.
pub(super) fn is_local(headers: &HeaderMap) -> bool {
    host(headers).is_some_and(is_local_name)
}

/// The name that the client has this server under, without the port.
fn host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    Some(match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    })
}

fn is_local_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
