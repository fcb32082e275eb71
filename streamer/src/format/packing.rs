//! How a file is packed, as its name or its first bytes say.

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952, one or several members.
    Gzip,
    /// RFC 8878, one or several frames.
    Zstd,
}

impl Packing {
    /// How a file of this name is packed.
    pub fn of(name: &str) -> Option<Packing> {
        let ending = name.rsplit('.').next().filter(|ending| ending.len() < name.len())?;
        [(Packing::Gzip, "gz"), (Packing::Zstd, "zst")]
            .into_iter()
            .find(|(_, known)| ending.eq_ignore_ascii_case(known))
            .map(|(packing, _)| packing)
    }

    /// How a file that begins with these bytes is packed.
    pub fn of_bytes(bytes: &[u8]) -> Option<Packing> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            _ => None,
        }
    }

    /// The format's name.
    pub fn name(self) -> &'static str {
        match self {
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
        }
    }

    /// A file's name without the ending that says how it is packed.
    pub(super) fn stripped(name: &str) -> &str {
        match (Packing::of(name), name.rsplit_once('.')) {
            (Some(_), Some((stripped, _))) => stripped,
            _ => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Packing;

    #[test]
    fn names_tell_the_packing() {
        assert_eq!(Packing::of("a.csv.GZ"), Some(Packing::Gzip));
        assert_eq!(Packing::of("a.zst"), Some(Packing::Zstd));
        assert_eq!(["a.csv", "gz", "a.gz.csv"].map(Packing::of), [None; 3]);
        let stripped = ["a.csv.GZ", "a.zst", "a.csv", "gz", ".gz"].map(Packing::stripped);
        assert_eq!(stripped, ["a.csv", "a", "a.csv", "gz", ""]);
    }
}
