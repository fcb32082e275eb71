//! Which paths a stream's pattern matches.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{Glob, GlobMatcher};

/// A pattern, made ready for very many paths.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// What a path begins and ends with, where the pattern asks for no more than a name between
    /// them, as `*.csv` does: to compare these takes a small part of the time and of the memory of
    /// a regular expression.
    Ends(Vec<u8>, Vec<u8>),
    /// Any other.
    Glob(GlobMatcher),
}

impl Pattern {
    /// Of a pattern whose `*` matches no `/`.
    pub(super) fn new(glob: &Glob) -> Pattern {
        let is_plain = |part: &str| !part.contains(['*', '?', '[', ']', '{', '}', '\\']);
        match glob.glob().split_once('*') {
            Some((head, tail)) if is_plain(head) && is_plain(tail) => {
                Pattern::Ends(head.into(), tail.into())
            }
            _ => Pattern::Glob(glob.compile_matcher()),
        }
    }

    /// Whether this path matches.
    pub(super) fn is_match(&self, path: &Path) -> bool {
        match self {
            Pattern::Glob(glob) => glob.is_match(path),
            Pattern::Ends(head, tail) => {
                let behind = path.as_os_str().as_bytes().strip_prefix(head.as_slice());
                let between = behind.and_then(|behind| behind.strip_suffix(tail.as_slice()));
                between.is_some_and(|between| !between.contains(&b'/'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use globset::GlobBuilder;
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> Option<Glob> {
        GlobBuilder::new(text).literal_separator(true).build().ok()
    }

    #[test]
    fn names_of_any_bytes_match_what_stands_around_a_star() {
        let matches = |bytes: &[u8]| {
            let pattern = Pattern::new(&glob("in/a*a.csv").unwrap());
            pattern.is_match(Path::new(OsStr::from_bytes(bytes)))
        };
        assert!(matches(b"in/aa.csv") && matches(b"in/a\xff\n*a.csv"));
        assert!(!matches(b"in/a.csv") && !matches(b"in/a/a.csv") && !matches(b"in/aa.csv.gz"));
    }

    proptest! {
        #[test]
        fn it_matches_what_the_glob_does(text in r"[ab./*?{\[\]}\\]{0,3}\*?[ab./]{0,3}", path in "[ab./\n]{0,6}") {
            if let Some(glob) = glob(&text) {
                let path = Path::new(&path);
                let matcher = glob.compile_matcher();
                prop_assert_eq!(Pattern::new(&glob).is_match(path), matcher.is_match(path));
            }
        }
    }
}
