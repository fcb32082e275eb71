//! What each dataset must offer.

use crate::broken::Fault;
use crate::lines::Lines;
use rand_chacha::ChaCha8Rng;
use std::fmt;

/// The records of one dataset.
pub(crate) trait Records: fmt::Debug + Send {
    /// In the order of the header.
    fn columns(&self) -> &'static [&'static str];

    /// How a record can be broken so that a strict loader refuses it.
    fn faults(&self) -> &'static [Fault];

    /// Adds the fields of the next record, which happens at `moment`, microseconds since 1970 and
    /// never before the last one.
    fn next(&mut self, moment: u64, rng: &mut ChaCha8Rng, line: &mut Lines);
}
