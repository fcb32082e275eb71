//! Refusals, all of one form: a status, and a JSON object that says why.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// When to try again, in seconds.
const RETRY_AFTER: &str = "1";

/// Why a request was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into(), headers: Vec::new() }
    }

    /// The same, with a header.
    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Refusal {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Whether the same may be done soon.
    pub(super) fn is_later(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == header::RETRY_AFTER)
    }

    /// The same may be done soon.
    pub(super) fn later(self) -> Refusal {
        self.with(header::RETRY_AFTER, RETRY_AFTER)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": self.message}));
        let mut response = (self.status, body).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}
