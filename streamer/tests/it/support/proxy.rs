//! A TCP proxy in front of the server's socket that cuts connections at a commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// Where, at a COMMIT, the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never gets the COMMIT.
    Before,
    /// The server commits, but its reply is lost.
    After,
    /// The client is cut off at once; the server gets the COMMIT a second later.
    Late,
}

/// A proxy on a port of the loopback. It ends with the test's runtime.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cuts: Arc<AtomicU32>,
}

impl Proxy {
    /// Forwards to `socket`, and cuts at every `nth` COMMIT, `times` in all.
    pub(crate) async fn start(socket: PathBuf, cut: Cut, nth: u32, times: u32) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let port = listener.local_addr().expect("it has an address").port();
        let (cuts, commits) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let told = cuts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (socket, cuts, commits) = (socket.clone(), told.clone(), commits.clone());
                let counted = cuts.clone();
                let is_due = move || {
                    let is_nth = (commits.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(nth);
                    is_nth && counted.load(Ordering::SeqCst) < times
                };
                tokio::spawn(async move {
                    let server = UnixStream::connect(socket).await.expect("reach the server");
                    // Either side may go away at any time: that is what this is for.
                    if let Ok(true) = forward(client, server, cut, is_due).await {
                        cuts.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Proxy { port, cuts }
    }

    /// How often it has cut.
    pub(crate) fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::SeqCst)
    }
}

async fn forward(
    mut client: TcpStream,
    mut server: UnixStream,
    cut: Cut,
    is_due: impl Fn() -> bool,
) -> std::io::Result<bool> {
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let bytes = &up[..read?];
                if bytes.is_empty() {
                    return Ok(false);
                }
                // sqlx sends COMMIT as a query message of its own.
                if bytes.starts_with(b"Q") && bytes.ends_with(b"COMMIT\0") && is_due() {
                    return at_commit(client, server, cut, bytes).await;
                }
                server.write_all(bytes).await?;
            }
            read = server.read(&mut down) => {
                let bytes = &down[..read?];
                if bytes.is_empty() {
                    return Ok(false);
                }
                client.write_all(bytes).await?;
            }
        }
    }
}

/// Cuts; whether the cut hit where it was meant to.
async fn at_commit(
    client: TcpStream,
    mut server: UnixStream,
    cut: Cut,
    commit: &[u8],
) -> std::io::Result<bool> {
    let mut answer = *b"C";
    match cut {
        Cut::Before => {}
        Cut::After => {
            server.write_all(commit).await?;
            server.read_exact(&mut answer).await?;
            drop(client);
        }
        Cut::Late => {
            drop(client);
            tokio::time::sleep(Duration::from_secs(1)).await;
            server.write_all(commit).await?;
            server.read_exact(&mut answer).await?;
        }
    }
    // CommandComplete: the server has committed.
    Ok(answer == *b"C")
}
