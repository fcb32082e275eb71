//! When the folder is to be listed again.

use std::time::Duration;

use tokio::time::Instant;

/// The last listing of the folder.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) ended: Option<Instant>,
    pub(super) cost: Duration,
}

impl Listing {
    /// Whether it is time for another: at a change, or when `scan_every` has passed.
    pub(super) fn is_due(&self, scan_every: Duration, changed: bool) -> bool {
        let pause = if changed { self.spacing() } else { self.rest(scan_every) };
        self.ended.is_none_or(|ended| ended.elapsed() >= pause)
    }

    /// The pause between two listings while files keep changing, of which they take at most a tenth.
    pub(super) fn spacing(&self) -> Duration {
        self.cost * 10
    }

    /// The pause while nothing happens, of which they take at most half a hundredth.
    pub(super) fn rest(&self, scan_every: Duration) -> Duration {
        scan_every.max(self.cost * 200)
    }
}
