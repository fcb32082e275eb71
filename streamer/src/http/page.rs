//! The files of the live page, which are in the program: all of the folder `page` that a browser
//! has a use for.
//!
//! The page loads nothing from elsewhere, and has no script and no style within its HTML: the
//! policy that goes with each file lets the browser refuse both.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// Path, type and content of each file.
static FILES: &[(&str, &str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// The file that `/` leads to.
const INDEX: &str = "/page/index.html";

/// What a browser lets the page do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types lit-html";

/// The routes of the files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(router: axum::Router<S>) -> axum::Router<S> {
    let paths = FILES.iter().map(|(path, ..)| *path).chain(["/"]);
    paths.fold(router, |router, path| router.route(path, get(file)))
}

async fn file(headers: HeaderMap, request: Request) -> Response {
    let path = match request.uri().path() {
        "/" => INDEX,
        path => path,
    };
    let Some((_, kind, content)) = FILES.iter().find(|(of, ..)| *of == path) else {
        let message = "this program was built without the page";
        return super::answer::Refusal::new(StatusCode::NOT_FOUND, message).into_response();
    };
    let tag = format!("\"{:016x}\"", xxh3_64(content));
    let told = [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag.as_str());
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(Bytes::from_static(content)).into_response(),
    };
    for (name, value) in told {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let tag = HeaderValue::from_str(&tag).expect("hexadecimal digits in quotes are a value");
    response.headers_mut().insert(header::ETAG, tag);
    response
}
