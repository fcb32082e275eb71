//! Taking connections: only so many at a time, and none that is too slow.
//!
//! `axum::serve` sets no time for a request's head, so a client could hold a connection for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// From when a connection is idle until a request's head is there.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of a head at most.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// The pause after a failure to take a connection, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// How long requests in hand may take once the server is to stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Answers requests until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    stop: CancellationToken,
) {
    let free = Arc::new(Semaphore::new(connections_max));
    let connections = TaskTracker::new();
    let serving = async {
        loop {
            let Ok(permit) = free.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    connections.spawn(async move {
                        converse(stream, router, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::debug!("cannot take a connection: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = serving => {}
    }
    drop(listener);
    connections.close();
    drop(tokio::time::timeout(STOP_GRACE, connections.wait()).await);
}

/// What a handler ends its connection with, when the client does not take what it is sent.
#[derive(Debug, Clone)]
pub(super) struct HangUp(pub(super) CancellationToken);

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Answers are small, and somebody waits for each.
    drop(stream.set_nodelay(true));
    let (hang_up, router) = (CancellationToken::new(), TowerToHyperService::new(router));
    let given = HangUp(hang_up.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(given.clone());
        router.call(request)
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(conversation);
    let ended = tokio::select! {
        ended = conversation.as_mut() => ended,
        () = hang_up.cancelled() => return,
        () = stop.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection was given up: {error}");
    }
}
