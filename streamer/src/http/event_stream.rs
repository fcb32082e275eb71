//! The body of an answer that has no end: server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Server-sent events: a first one, then those that come. It ends with their sender.
#[derive(Debug)]
pub(super) struct EventStream {
    first: Option<Bytes>,
    events: mpsc::Receiver<Bytes>,
    /// The right to it, given back at its end.
    _slot: OwnedSemaphorePermit,
}

impl EventStream {
    pub(super) fn new(
        first: Bytes,
        events: mpsc::Receiver<Bytes>,
        slot: OwnedSemaphorePermit,
    ) -> EventStream {
        EventStream { first: Some(first), events, _slot: slot }
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.events.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
