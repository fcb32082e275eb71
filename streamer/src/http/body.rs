//! The body of a request: in bounded time and memory, unpacked.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::App;
use super::answer::Refusal;
use crate::memory::{READ_BYTES, Share};

/// How long a body may take, and how many bytes of it must come a second to have more time.
const WITHIN: Duration = Duration::from_secs(10);
const BYTES_PER_SECOND: u64 = 16 * 1024;

/// What is made room for first, where it is not announced how long the body is.
const FIRST_BYTES: usize = 16 * 1024;

/// A body in hand.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    /// The memory that it is in, and what else is made of it.
    pub(super) share: Share,
    /// How many times it is in memory at the end.
    copies: usize,
    /// Bytes that are in memory besides.
    beside: usize,
}

/// Takes a body in hand, of which `copies` will be in memory.
///
/// # Errors
/// 400, 408, 413, 415, 503.
pub(super) async fn take(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    copies: usize,
) -> Result<Taken, Refusal> {
    let is_packed = is_gzip(headers)?;
    let max = usize::try_from(app.settings.max_body.as_u64()).unwrap_or(usize::MAX);
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large(max));
    }
    let of_plain = if is_packed { 1 } else { copies };
    let mut taken = Taken::new(app.memory.nothing(), of_plain, READ_BYTES);
    let mut body = Incoming { body, taken: 0, started: Instant::now() };
    let refused = match taken.make_room(announced.unwrap_or(FIRST_BYTES).min(max)) {
        Ok(()) => taken.fill(&mut body, max).await.err(),
        refused => refused.err(),
    };
    match refused {
        // Who is cut off in the middle of sending does not read the answer.
        Some(refusal) if refusal.is_later() => {
            drop(taken);
            while body.taken < max && body.next().await?.is_some() {}
            Err(refusal)
        }
        Some(refusal) => Err(refusal),
        None if is_packed => taken.unpacked(max, copies),
        None => Ok(taken),
    }
}

/// A body that comes.
struct Incoming {
    body: Body,
    /// How many bytes have come.
    taken: usize,
    started: Instant,
}

impl Incoming {
    /// The next bytes; nothing at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let earned = u64::try_from(self.taken).unwrap_or(u64::MAX) / BYTES_PER_SECOND;
            let deadline = self.started + WITHIN + Duration::from_secs(earned);
            let frame = tokio::time::timeout_at(deadline, self.body.frame()).await;
            let frame = frame.map_err(|_late| {
                let message = "the body came too slowly";
                let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, message);
                refusal.with(header::CONNECTION, "close")
            })?;
            let Some(frame) = frame else { return Ok(None) };
            let broken = |_| Refusal::new(StatusCode::BAD_REQUEST, "the body broke off");
            if let Ok(data) = frame.map_err(broken)?.into_data() {
                self.taken += data.len();
                return Ok(Some(data));
            }
        }
    }
}

impl Taken {
    fn new(share: Share, copies: usize, beside: usize) -> Taken {
        Taken { bytes: Vec::new(), share, copies, beside }
    }

    /// Makes room for a body of so many bytes.
    fn make_room(&mut self, bytes: usize) -> Result<(), Refusal> {
        let needed = bytes.saturating_mul(self.copies).saturating_add(self.beside);
        if !self.share.try_grow_to(needed) {
            return Err(out_of_memory());
        }
        self.bytes.reserve_exact(bytes.saturating_sub(self.bytes.len()));
        Ok(())
    }

    /// Takes all of it in.
    async fn fill(&mut self, body: &mut Incoming, max: usize) -> Result<(), Refusal> {
        while let Some(data) = body.next().await? {
            self.push(&data, max)?;
        }
        Ok(())
    }

    fn push(&mut self, data: &[u8], max: usize) -> Result<(), Refusal> {
        let bytes = self.bytes.len() + data.len();
        if bytes > max {
            return Err(too_large(max));
        }
        if bytes > self.bytes.capacity() {
            self.make_room(bytes.max(self.bytes.len() * 3 / 2).min(max))?;
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// The same unpacked, but no more than may be.
    fn unpacked(self, max: usize, copies: usize) -> Result<Taken, Refusal> {
        let packed = self.bytes;
        let mut decoder = MultiGzDecoder::new(packed.as_slice());
        let mut taken = Taken::new(self.share, 1, packed.len() + READ_BYTES);
        let mut chunk = vec![0; READ_BYTES / 2];
        loop {
            let read = decoder.read(&mut chunk).map_err(|_damaged| {
                Refusal::new(StatusCode::BAD_REQUEST, "the body is not gzip, or damaged")
            })?;
            if read == 0 {
                break;
            }
            taken.push(&chunk[..read], max)?;
        }
        drop(packed);
        (taken.copies, taken.beside) = (copies, READ_BYTES);
        taken.make_room(taken.bytes.len())?;
        Ok(taken)
    }
}

/// There is no memory for a request now, but soon there may be.
pub(super) fn out_of_memory() -> Refusal {
    let message = "too many requests at once: what the setting memory allows is in use";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later()
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
