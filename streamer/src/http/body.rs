//! The body of a request: in bounded time and memory, unpacked.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::App;
use super::answer::Refusal;

/// How long a body may take, and how many bytes of it must come a second to have more time.
const WITHIN: Duration = Duration::from_secs(10);
const BYTES_PER_SECOND: u64 = 16 * 1024;

/// A body in hand.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    /// Its share of what may be in hand.
    share: Option<OwnedSemaphorePermit>,
}

/// Takes a body in hand.
///
/// # Errors
/// 400, 408, 413, 415, 503.
pub(super) async fn take(app: &App, headers: &HeaderMap, body: Body) -> Result<Taken, Refusal> {
    let is_packed = is_gzip(headers)?;
    let max = usize::try_from(app.settings.max_body.as_u64()).unwrap_or(usize::MAX);
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > max)
    {
        return Err(too_large(max));
    }
    let mut taken = Taken { bytes: Vec::new(), share: None };
    let mut body = body;
    let started = Instant::now();
    loop {
        let earned = u64::try_from(taken.bytes.len()).unwrap_or(u64::MAX) / BYTES_PER_SECOND;
        let deadline = started + WITHIN + Duration::from_secs(earned);
        let frame = tokio::time::timeout_at(deadline, body.frame()).await.map_err(|_late| {
            let message = "the body came too slowly";
            Refusal::new(StatusCode::REQUEST_TIMEOUT, message).with(header::CONNECTION, "close")
        })?;
        let Some(frame) = frame else { break };
        let broken = |_| Refusal::new(StatusCode::BAD_REQUEST, "the body broke off");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if taken.bytes.len() + data.len() > max {
            return Err(too_large(max));
        }
        taken.reserve(app, data.len())?;
        taken.bytes.extend_from_slice(&data);
    }
    if is_packed {
        taken.unpack(app, max)?;
    }
    Ok(taken)
}

impl Taken {
    /// Takes more bytes into account.
    fn reserve(&mut self, app: &App, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let share = Arc::clone(&app.bodies).try_acquire_many_owned(bytes).map_err(|_full| {
            let message = "too many requests at once";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later()
        })?;
        match &mut self.share {
            Some(held) => held.merge(share),
            None => self.share = Some(share),
        }
        Ok(())
    }

    /// Unpacks it, but no more than may be.
    fn unpack(&mut self, app: &App, max: usize) -> Result<(), Refusal> {
        let packed = std::mem::take(&mut self.bytes);
        let mut decoder = MultiGzDecoder::new(packed.as_slice());
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let read = decoder.read(&mut chunk).map_err(|_damaged| {
                Refusal::new(StatusCode::BAD_REQUEST, "the body is not gzip, or damaged")
            })?;
            if read == 0 {
                return Ok(());
            }
            if self.bytes.len() + read > max {
                return Err(too_large(max));
            }
            self.reserve(app, read)?;
            self.bytes.extend_from_slice(&chunk[..read]);
        }
    }
}

/// Whether the body is packed.
fn is_gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    match (encodings.next().map(|value| value.as_bytes()), encodings.next()) {
        (None, _) => Ok(false),
        (Some(one), None) if one.eq_ignore_ascii_case(b"identity") => Ok(false),
        (Some(one), None) if one.eq_ignore_ascii_case(b"gzip") => Ok(true),
        _ => {
            let message = "a body is plain or packed with gzip";
            let refusal = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
            Err(refusal.with(header::ACCEPT_ENCODING, "gzip"))
        }
    }
}

fn too_large(max: usize) -> Refusal {
    let message = format!("a body has at most {max} bytes, unpacked; send it in parts");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}
