//! A server of a test's own, for faults that hit the whole of it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use streamer::embedded::Embedded;
use tempfile::TempDir;

use super::{TestDb, folder, make_template};

/// How long a server may take to stop.
const STOP_GRACE: std::time::Duration = std::time::Duration::from_secs(20);

/// A server with a migrated template.
pub(crate) struct Server {
    embedded: Embedded,
    home: TempDir,
}

impl Server {
    /// Starts it.
    pub(crate) async fn start() -> Server {
        let home = folder();
        let embedded = Embedded::start(home.path()).await.expect("start PostgreSQL");
        make_template(&embedded.connect_options()).await;
        Server { embedded, home }
    }

    /// A database of its own in it.
    pub(crate) async fn create_db(&self) -> TestDb {
        TestDb::create_on(&self.embedded.connect_options()).await
    }

    /// Stops it as `pg_ctl stop -m immediate` does: no checkpoint, no goodbye.
    pub(crate) fn stop_at_once(&self) {
        let file = self.home.path().join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).expect("the server is there");
        let pid = text.lines().next().and_then(|line| line.parse().ok()).expect("its number");
        kill(Pid::from_raw(pid), Signal::SIGQUIT).expect("stop the server");
    }

    /// Starts it again if it has stopped, and waits until it answers.
    pub(crate) async fn ensure_running(&mut self) {
        self.embedded.ensure_running().await.expect("start PostgreSQL again");
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.embedded.stop(STOP_GRACE).await;
    }
}
