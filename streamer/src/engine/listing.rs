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
    /// Whether it is time for another: at a change, or when `scan_every` has passed. Listings take at
    /// most a tenth of the time while files keep changing, a hundredth while nothing happens.
    pub(super) fn is_due(&self, scan_every: Duration, changed: bool) -> bool {
        let pause = if changed { self.cost * 10 } else { scan_every.max(self.cost * 100) };
        self.ended.is_none_or(|ended| ended.elapsed() >= pause)
    }
}
