//! Whoever connects: each client gets all records from when it connects.

use super::batch::Batch;
use super::json::Encoder;
use super::peer::Peer;
use super::run::Run;
use super::{Fate, PAUSE_MAX, Sender};
use std::io;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

/// A client that takes nothing for so long is let go: the others wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon somebody who connects is noticed while nobody is there.
const LOOK_FOR_CLIENTS: Duration = Duration::from_millis(10);

/// A server of lines. As long as nobody is connected, the records wait.
pub(super) struct Listen {
    listener: TcpListener,
    encoder: Encoder,
    clients: Vec<Peer>,
    /// Those that have not got a header yet.
    newcomers: Vec<Peer>,
    text: Vec<u8>,
}

impl Listen {
    pub(super) fn new(listener: TcpListener, encoder: Encoder) -> io::Result<Listen> {
        listener.set_nonblocking(true)?;
        let (clients, newcomers) = (Vec::new(), Vec::new());
        Ok(Listen { listener, encoder, clients, newcomers, text: Vec::new() })
    }

    /// Waits for the first client, unless `go_on` breaks off.
    pub(super) fn wait_for_client(
        &mut self,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        loop {
            self.let_in();
            if !self.newcomers.is_empty() {
                return ControlFlow::Continue(());
            }
            go_on()?;
            thread::sleep(PAUSE_MAX);
        }
    }

    /// Takes up whoever has connected. One that is gone again, or can't be taken up now, is no
    /// trouble.
    fn let_in(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            self.newcomers.extend(Peer::new(stream));
        }
    }

    /// Sends away whoever has hung up; false if nobody is left.
    fn has_clients(&mut self) -> bool {
        self.let_in();
        self.newcomers.retain_mut(|client| !client.is_gone());
        self.clients.retain_mut(|client| !client.is_gone());
        !(self.newcomers.is_empty() && self.clients.is_empty())
    }
}

impl Sender for Listen {
    fn send(&mut self, batch: &Batch, run: &Run) -> io::Result<Fate> {
        self.text.clear();
        self.encoder.encode(&batch.lines, &mut self.text);
        while !run.is_over() {
            if !self.has_clients() {
                let soon = run.elapsed() + LOOK_FOR_CLIENTS;
                run.sleep_until(soon);
                continue;
            }
            let header = self.encoder.header();
            let greeted = |mut client: Peer| match client.write(header, run, PATIENCE) {
                Ok(()) => Some(client),
                Err(_) => None,
            };
            self.clients.extend(self.newcomers.drain(..).filter_map(greeted));
            self.clients.retain_mut(|client| client.write(&self.text, run, PATIENCE).is_ok());
            if !self.clients.is_empty() {
                return Ok(Fate::Accepted(batch.records()));
            }
        }
        Ok(Fate::Unanswered)
    }

    fn finish(&mut self) {
        self.clients.drain(..).chain(self.newcomers.drain(..)).for_each(Peer::close);
    }
}
