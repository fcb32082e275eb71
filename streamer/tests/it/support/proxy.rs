//! A TCP proxy in front of the server's socket that cuts connections at chosen steps of the
//! protocol.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// CopyDone, the last message of a COPY.
const COPY_DONE: &[u8] = b"c\0\0\0\x04";

/// Where the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// In the middle of the answer that tells where the partitions stand.
    CheckpointRead,
    /// The server never gets the BEGIN.
    BeforeBegin,
    /// The server gets half of a message of COPY data.
    MidCopy,
    /// The server has taken all rows, but its answer is lost.
    AfterCopy,
    /// The server never gets the COMMIT.
    BeforeCommit,
    /// The server commits, but its reply is lost.
    AfterCommit,
    /// The client is cut off at once; the server gets the COMMIT a second later.
    LateCommit,
}

/// A proxy on a port of the loopback. It ends with the test's runtime.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    order: Mutex<Option<Order>>,
    commits: AtomicU32,
    cuts: AtomicU32,
    ambiguous: AtomicU32,
}

/// What is to be cut: at every `nth` time that the step is seen, until `left` is 0.
struct Order {
    cut: Cut,
    nth: u32,
    seen: u32,
    left: u32,
}

impl Proxy {
    /// Forwards to `socket`, and cuts nothing yet.
    pub(crate) async fn start(socket: PathBuf) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let port = listener.local_addr().expect("it has an address").port();
        let shared = Arc::new(Shared::default());
        let served = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (socket, shared) = (socket.clone(), served.clone());
                tokio::spawn(async move {
                    // Either side may go away at any time: that is what this is for.
                    let Ok(server) = UnixStream::connect(socket).await else { return };
                    drop(Link { client, server, shared, in_doubt: false }.forward().await);
                });
            }
        });
        Proxy { port, shared }
    }

    /// Cuts at every `nth` time that the step comes, `times` in all.
    pub(crate) fn arm(&self, cut: Cut, nth: u32, times: u32) {
        *self.shared.order() = Some(Order { cut, nth, seen: 0, left: times });
    }

    /// Cuts no more.
    pub(crate) fn disarm(&self) {
        *self.shared.order() = None;
    }

    /// How many COMMITs the server has answered.
    pub(crate) fn commits(&self) -> u32 {
        self.shared.commits.load(Ordering::SeqCst)
    }

    /// How often it has cut where it was meant to.
    pub(crate) fn cuts(&self) -> u32 {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// Waits until it has cut so often, but not for ever; how often it has.
    pub(crate) async fn wait_for_cuts(&self, cuts: u32) -> u32 {
        let enough = async {
            while self.cuts() < cuts {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        drop(tokio::time::timeout(Duration::from_secs(10), enough).await);
        self.cuts()
    }

    /// How many COMMITs the server got whose reply the client did not, by a cut or its own end.
    pub(crate) fn ambiguous(&self) -> u32 {
        self.shared.ambiguous.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn order(&self) -> MutexGuard<'_, Option<Order>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cut to make at this message, if one is due.
    fn due(&self, bytes: &[u8]) -> Option<Cut> {
        let mut order = self.order();
        let order = order.as_mut().filter(|order| order.left > 0)?;
        if !is_at(order.cut, bytes) {
            return None;
        }
        order.seen += 1;
        if !order.seen.is_multiple_of(order.nth) {
            return None;
        }
        order.left -= 1;
        Some(order.cut)
    }
}

/// Whether these bytes of the client are the step at which `cut` is made.
fn is_at(cut: Cut, bytes: &[u8]) -> bool {
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    match cut {
        Cut::CheckpointRead => holds(b"from streamer.checkpoint where stream = $1"),
        Cut::BeforeBegin => bytes.starts_with(b"Q") && holds(b"begin; set constraints"),
        Cut::MidCopy => bytes.starts_with(b"d"),
        Cut::AfterCopy => bytes.ends_with(COPY_DONE),
        Cut::BeforeCommit | Cut::AfterCommit | Cut::LateCommit => is_commit(bytes),
    }
}

/// sqlx sends COMMIT as a query message of its own.
fn is_commit(bytes: &[u8]) -> bool {
    bytes.starts_with(b"Q") && bytes.ends_with(b"COMMIT\0")
}

/// One client and its way to the server.
struct Link {
    client: TcpStream,
    server: UnixStream,
    shared: Arc<Shared>,
    /// A COMMIT was forwarded whose reply was not.
    in_doubt: bool,
}

impl Link {
    async fn forward(mut self) -> io::Result<()> {
        let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = self.client.read(&mut up) => {
                    let bytes = &up[..read.unwrap_or(0)];
                    if bytes.is_empty() {
                        return self.client_gone().await;
                    }
                    if let Some(cut) = self.shared.due(bytes) {
                        return self.cut(cut, bytes).await;
                    }
                    self.in_doubt |= is_commit(bytes);
                    self.server.write_all(bytes).await?;
                }
                read = self.server.read(&mut down) => {
                    let bytes = &down[..read?];
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    if self.client.write_all(bytes).await.is_err() {
                        return self.client_gone().await;
                    }
                    self.shared.commits.fetch_add(u32::from(self.in_doubt), Ordering::SeqCst);
                    self.in_doubt = false;
                }
            }
        }
    }

    /// The client has ended; if a COMMIT was on its way, looks what became of it.
    async fn client_gone(mut self) -> io::Result<()> {
        if self.in_doubt {
            committed(&mut self.server, &self.shared).await?;
        }
        Ok(())
    }

    /// Cuts, and counts it if it hit where it was meant to.
    async fn cut(self, cut: Cut, bytes: &[u8]) -> io::Result<()> {
        let Link { mut client, mut server, shared, .. } = self;
        match cut {
            Cut::BeforeBegin | Cut::BeforeCommit => {}
            Cut::MidCopy => server.write_all(&bytes[..bytes.len() / 2]).await?,
            Cut::AfterCopy => {
                server.write_all(bytes).await?;
                answer(&mut server).await?;
            }
            Cut::CheckpointRead => {
                server.write_all(bytes).await?;
                let answer = answer(&mut server).await?;
                client.write_all(&answer[..answer.len() / 2]).await?;
            }
            Cut::AfterCommit => {
                server.write_all(bytes).await?;
                committed(&mut server, &shared).await?;
            }
            Cut::LateCommit => {
                drop(client);
                tokio::time::sleep(Duration::from_secs(1)).await;
                server.write_all(bytes).await?;
                committed(&mut server, &shared).await?;
            }
        }
        shared.cuts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// What the server answers.
async fn answer(server: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 1 << 16];
    let len = server.read(&mut bytes).await?;
    bytes.truncate(len);
    if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

/// Demands that the server answers a COMMIT, whose reply nobody gets, with CommandComplete.
async fn committed(server: &mut UnixStream, shared: &Shared) -> io::Result<()> {
    if !answer(server).await?.starts_with(b"C") {
        return Err(io::Error::other("not committed"));
    }
    shared.ambiguous.fetch_add(1, Ordering::SeqCst);
    Ok(())
}
