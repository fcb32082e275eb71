//! The path on which a micro-batch is tried first, by the duplicates that the ones before it had.

use crate::batch::Path;

/// After so many micro-batches without duplicates none are expected any more.
const CLEAN_MAX: u32 = 100;

/// What the duplicates of a micro-batch repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    /// There are none, as far as it was looked up.
    None,
    /// Rows that were lately written: to look up such keys alone would have found them all.
    Recent,
    /// Others too.
    Older,
}

/// The path to begin with.
#[derive(Debug)]
pub(super) struct FirstPath {
    path: Path,
    /// How many micro-batches had no duplicates since the last that had some.
    clean: u32,
}

impl FirstPath {
    /// That of the first micro-batch.
    pub(super) fn new() -> FirstPath {
        FirstPath { path: Path::Direct, clean: 0 }
    }

    pub(super) fn path(&self) -> Path {
        self.path
    }

    /// Goes by what the next micro-batch had. Once there were duplicates, those of recent rows are
    /// looked for: that costs little, a refused COPY much.
    pub(super) fn note(&mut self, duplicates: Duplicates) {
        self.clean = if duplicates == Duplicates::None { self.clean.saturating_add(1) } else { 0 };
        self.path = match duplicates {
            Duplicates::Older => Path::Filtered,
            Duplicates::Recent => Path::Recent,
            Duplicates::None if self.path == Path::Direct || self.clean >= CLEAN_MAX => {
                Path::Direct
            }
            Duplicates::None => Path::Recent,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{CLEAN_MAX, Duplicates, FirstPath, Path};

    /// The path after these micro-batches.
    fn after(duplicates: &[Duplicates]) -> Path {
        let mut first = FirstPath::new();
        duplicates.iter().for_each(|&duplicates| first.note(duplicates));
        first.path()
    }

    #[test]
    fn keys_are_looked_up_as_the_last_duplicates_would_have_needed_it() {
        use Duplicates::{None, Older, Recent};
        for (duplicates, path) in [
            (&[][..], Path::Direct),
            (&[None], Path::Direct),
            (&[Recent], Path::Recent),
            (&[Recent, None], Path::Recent),
            (&[Older], Path::Filtered),
            (&[Older, None], Path::Recent),
            (&[Older, Recent], Path::Recent),
            (&[Recent, Older], Path::Filtered),
        ] {
            assert_eq!(after(duplicates), path, "{duplicates:?}");
        }
    }

    #[test]
    fn what_has_had_none_for_long_is_copied_straight_in_again() {
        let clean = |count: u32| {
            [vec![Duplicates::Recent], vec![Duplicates::None; count as usize]].concat()
        };
        assert_eq!(after(&clean(CLEAN_MAX - 1)), Path::Recent);
        assert_eq!(after(&clean(CLEAN_MAX)), Path::Direct);
    }
}
