//! A TCP connection with the socket options that sqlx 0.9.0 can't be told to set.
//!
//! Without TCP_NODELAY every few small transactions wait 40 ms for an acknowledgement, and without
//! keepalive and a timeout for unacknowledged data a peer that vanished is waited for half an hour.
//! So the TCP connection is made here, and sqlx talks to it through a Unix socket of this process.
//! TLS goes on between sqlx and the server, with the server's own name.

use std::io;
use std::path::Path;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use sqlx::postgres::PgConnectOptions;
use tokio::net::{TcpStream, UnixListener};

use crate::private::sockets::SocketFolder;

/// How long to wait for the server to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer is given up when it acknowledges nothing for so long.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What is held in each direction, in bytes: a message of COPY data on its way up, replies down.
const BUFFER_BYTES: (usize, usize) = (256 * 1024, 16 * 1024);

/// A way for one connection; the folder of its socket goes when this is dropped.
pub(super) struct Tunnel {
    folder: SocketFolder,
}

impl Tunnel {
    /// Connects to the server that `options` name, and waits for sqlx at the other end.
    pub(super) async fn open(options: &PgConnectOptions) -> io::Result<Tunnel> {
        let address = (options.get_host(), options.get_port());
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let mut server = connecting??;
        server.set_nodelay(true)?;
        let keepalive =
            TcpKeepalive::new().with_time(SILENCE_MAX / 3).with_interval(SILENCE_MAX / 3);
        SockRef::from(&server).set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        SockRef::from(&server).set_tcp_user_timeout(Some(SILENCE_MAX))?;
        let folder = SocketFolder::make()?;
        let path = folder.path().join(format!(".s.PGSQL.{}", options.get_port()));
        let listener = UnixListener::bind(path)?;
        tokio::spawn(async move {
            let Ok((mut client, _)) = listener.accept().await else { return };
            drop(listener);
            let (up, down) = BUFFER_BYTES;
            let copied =
                tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, up, down).await;
            if let Err(error) = copied {
                // The other end sees its connection end, and tells.
                tracing::debug!("the connection to the database ended: {error}");
            }
        });
        Ok(Tunnel { folder })
    }

    /// Where sqlx is to connect to.
    pub(super) fn socket(&self) -> &Path {
        self.folder.path()
    }
}
