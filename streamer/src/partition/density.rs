//! How many records bytes hold, reckoned from those that were read.

/// Beyond so many bytes what was read long ago counts for less.
const BYTES_MAX: u64 = 64 << 20;

/// Bytes that were read, and the records in them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Density {
    bytes: u64,
    records: u64,
}

impl Density {
    /// So many bytes held so many records.
    pub fn note(&mut self, bytes: u64, records: u64) {
        if self.bytes > BYTES_MAX {
            (self.bytes, self.records) = (self.bytes / 2, self.records / 2);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.records = self.records.saturating_add(records);
    }

    /// About how many records so many bytes hold; `None` if none was read to reckon from.
    pub fn records_in(&self, bytes: u64) -> Option<u64> {
        if bytes == 0 {
            return Some(0);
        }
        let product = u128::from(bytes) * u128::from(self.records);
        let records = product.div_ceil(u128::from(self.bytes.max(1)));
        (self.records > 0).then(|| u64::try_from(records).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_reckoned_from_those_that_were_read() {
        let mut density = Density::default();
        assert_eq!(density.records_in(0), Some(0));
        assert_eq!(density.records_in(1), None);
        density.note(1000, 10);
        assert_eq!(
            [1, 100, 101, 3000].map(|bytes| density.records_in(bytes).unwrap()),
            [1, 1, 2, 30]
        );
        for _ in 0..1000 {
            density.note(1 << 20, 1 << 18);
        }
        assert_eq!(density.records_in(4000), Some(1000), "what was read last counts most");
    }
}
