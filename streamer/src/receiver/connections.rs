//! The connections to one listener: so many at a time, and none that is silent for ever.
//!
//! A connection is silent while the streamer waits for it. That the streamer lets it wait, for the
//! disk or because nothing more may be spooled, does not count.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::TcpListen;

/// Who was silent for so long makes room for another.
const SILENT_MIN: Duration = Duration::from_secs(10);

/// Connections that were closed within this time are told together.
const GATHER: Duration = Duration::from_secs(1);

/// The pause until more of them are told.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// All that are connected.
pub(super) struct Connections {
    limits: TcpListen,
    state: Mutex<State>,
    /// A place may have become free.
    changed: Notify,
    /// There is something to tell.
    closed: Notify,
}

#[derive(Default)]
struct State {
    taken: u64,
    peers: HashMap<u64, Peer>,
    /// How many were closed and not told yet: those that were idle, and those that made room.
    closed: (u64, u64),
}

/// What a connection is about.
enum Peer {
    /// The streamer has work with it.
    Served,
    /// It sends nothing, from then on.
    Silent(Instant, oneshot::Sender<()>),
    /// It was asked to make room.
    Asked,
}

/// A place among the connections, which is free again when this is dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
}

impl Connections {
    pub(super) fn new(limits: TcpListen) -> Arc<Connections> {
        let (state, changed, closed) = Default::default();
        Arc::new(Connections { limits, state, changed, closed })
    }

    /// A place, once there is one. Whoever was silent for too long has to leave.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        loop {
            if let Some(place) = self.free_place() {
                return place;
            }
            let ripe = self.ask_silent();
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(ripe) => {}
            }
        }
    }

    /// Asks the connection that was silent for the longest time to make room, if that is long
    /// enough and none was asked already. Returns when to ask again.
    pub(super) fn ask_silent(&self) -> Instant {
        let mut state = self.state();
        let (now, later) = (Instant::now(), Instant::now() + SILENT_MIN);
        if state.peers.values().any(|peer| matches!(peer, Peer::Asked)) {
            return later;
        }
        let since = |peer: &Peer| match peer {
            Peer::Silent(since, _) => Some(*since),
            Peer::Served | Peer::Asked => None,
        };
        let silent = state.peers.values_mut().filter_map(|peer| Some((since(peer)?, peer)));
        let Some((since, peer)) = silent.min_by_key(|(since, _)| *since) else { return later };
        if since + SILENT_MIN > now {
            return since + SILENT_MIN;
        }
        if let Peer::Silent(_, ask) = std::mem::replace(peer, Peer::Asked) {
            // Who has something to read at last need not know.
            let _ = ask.send(());
        }
        later
    }

    /// Tells how many connections were closed: those that go together at once, and more of them
    /// only after a pause.
    pub(super) async fn tell(&self, stream: &str) -> Infallible {
        loop {
            self.closed.notified().await;
            sleep(GATHER).await;
            let (idle, displaced) = std::mem::take(&mut self.state().closed);
            let TcpListen { idle: after, connections_max, .. } = self.limits;
            if idle > 0 {
                let after = humantime::format_duration(after);
                tracing::info!(%stream, "closed TCP connections that sent nothing for {after}: {idle}");
            }
            if displaced > 0 {
                tracing::info!(
                    %stream,
                    "closed TCP connections, the longest silent, to make room for others: \
                     {displaced}; tcp_connections is {connections_max}"
                );
            }
            sleep(TELL_EVERY).await;
        }
    }

    fn free_place(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state();
        if state.peers.len() >= self.limits.connections_max {
            return None;
        }
        state.taken += 1;
        let id = state.taken;
        state.peers.insert(id, Peer::Served);
        Some(Place { connections: self.clone(), id })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// What the other side sends; nothing if it was silent for too long, and is to leave.
    pub(super) async fn hear<T>(&self, sent: impl Future<Output = T>) -> Option<T> {
        let (ask, asked) = oneshot::channel();
        self.turn(Peer::Silent(Instant::now(), ask));
        let all = &self.connections;
        tokio::select! {
            // What has come is read, whatever else is due.
            biased;
            sent = sent => {
                if let Peer::Asked = self.turn(Peer::Served) {
                    all.changed.notify_one();
                }
                return Some(sent);
            }
            Ok(()) = asked => all.state().closed.1 += 1,
            () = sleep(all.limits.idle) => all.state().closed.0 += 1,
        }
        all.closed.notify_one();
        None
    }

    /// Notes what the connection is about now, and returns what it was.
    fn turn(&self, peer: Peer) -> Peer {
        let mut state = self.connections.state();
        state.peers.insert(self.id, peer).expect("it has its place")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.state().peers.remove(&self.id);
        self.connections.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::SocketAddr;

    use super::*;

    fn connections(connections_max: usize, idle: Duration) -> Arc<Connections> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Connections::new(TcpListen { address, idle, connections_max })
    }

    /// Lets all who are silent have been so for `time` longer.
    fn pass(connections: &Connections, time: Duration) {
        for peer in connections.state().peers.values_mut() {
            if let Peer::Silent(since, _) = peer {
                *since -= time;
            }
        }
    }

    #[tokio::test]
    async fn the_longest_silent_makes_room_and_who_is_served_stays() {
        let all = connections(3, Duration::from_secs(3600));
        let (served, first, second) = (all.place().await, all.place().await, all.place().await);
        let hear = |place: Place| tokio::spawn(async move { place.hear(pending::<()>()).await });
        let first = hear(first);
        tokio::task::yield_now().await;
        let second = hear(second);
        tokio::task::yield_now().await;
        assert!(all.free_place().is_none());
        assert!(all.ask_silent() > Instant::now(), "nobody was silent for long");
        pass(&all, SILENT_MIN);
        let place = all.place().await;
        assert_eq!(first.await.unwrap(), None);
        assert!(!second.is_finished() && all.state().peers.len() == 3);
        drop((served, place));
        assert_eq!(all.state().closed, (0, 1));
    }

    #[tokio::test]
    async fn who_is_asked_and_has_sent_something_stays() {
        let all = connections(1, Duration::from_secs(3600));
        let place = all.place().await;
        let (send, sent) = oneshot::channel();
        let hearing = tokio::spawn(async move { (place.hear(sent).await, place) });
        tokio::task::yield_now().await;
        pass(&all, SILENT_MIN);
        all.ask_silent();
        send.send(7).unwrap();
        let (heard, place) = hearing.await.unwrap();
        assert_eq!(heard, Some(Ok(7)));
        // It is not asked for that any more.
        let hearing = tokio::spawn(async move { place.hear(pending::<()>()).await });
        tokio::task::yield_now().await;
        assert!(!hearing.is_finished());
        assert!(matches!(all.state().peers.values().next(), Some(Peer::Silent(..))));
        hearing.abort();
    }

    #[tokio::test]
    async fn who_sends_nothing_leaves_after_a_while() {
        let all = connections(2, Duration::from_millis(10));
        let place = all.place().await;
        assert_eq!(place.hear(pending::<()>()).await, None);
        assert_eq!(place.hear(async { 7 }).await, Some(7));
        assert_eq!(all.state().closed, (1, 0));
    }
}
