//! The names of logs and of their partitions, as checkpoints, tables and messages write them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What the names of segments begin with; also the folder below the data folder that the spools of
/// all streams are in, unless they are elsewhere. No stream's pattern reaches into it.
pub const SPOOL: &str = "spool";

/// What a log is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A file below the data folder.
    File,
    /// A segment of a stream's spool: records that were taken by a listener.
    Segment,
}

/// What the offsets of a log count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes from the start; of a packed file, those of its content.
    Bytes,
    /// Records, which the log numbers itself.
    Messages,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Bytes => "byte",
            Unit::Messages => "message",
        })
    }
}

impl Kind {
    /// What the offsets of such logs count.
    pub fn unit(self) -> Unit {
        match self {
            Kind::File | Kind::Segment => Unit::Bytes,
        }
    }
}

/// The name of a log. Several logs may have it, one after the other: the generations of a
/// [`Partition`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// As [`Name::as_str`] gives it.
    text: String,
    kind: Kind,
}

/// A partition: the unit of order and of checkpoints. A log that was replaced or truncated under
/// its name is another partition of the next generation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The log's name.
    pub name: Name,
    /// How many logs have had the name, this one included: from 1.
    pub generation: u32,
}

impl Name {
    /// The name of a log of this kind, which is written as `text`.
    pub fn new(kind: Kind, text: impl Into<String>) -> Name {
        Name { text: text.into(), kind }
    }

    /// The name of the file at this path below the data folder.
    pub fn of_file(below: &Path) -> Name {
        Name::new(Kind::File, file_text(below))
    }

    /// The name that is written as `text`.
    pub fn parse(text: impl Into<String>) -> Name {
        let text = text.into();
        let rest = text.strip_prefix(SPOOL);
        let is_segment = rest.is_some_and(|rest| rest.starts_with('/'));
        let kind = if is_segment { Kind::Segment } else { Kind::File };
        Name { text, kind }
    }

    /// What kind of log it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How it is written: the path below the data folder, see [`file_text`]; of a segment the path
    /// below the folder of all spools, behind [`SPOOL`].
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path below the data folder; of a segment, below the folder of all spools.
    pub fn path(&self) -> PathBuf {
        let path = path_of(&self.text);
        match self.kind {
            Kind::File => path,
            Kind::Segment => path.strip_prefix(SPOOL).map(Path::to_owned).unwrap_or(path),
        }
    }
}

impl Partition {
    /// The log of this generation under `name`.
    pub fn new(name: Name, generation: u32) -> Partition {
        Partition { name, generation }
    }

    /// The partition that is written as `text`, as [`Partition::text`] does.
    pub fn parse(text: &str) -> Partition {
        let numbered = text
            .rsplit_once('#')
            .and_then(|(name, generation)| Some((name, generation.parse().ok()?)));
        let (name, generation) = numbered.unwrap_or((text, 1));
        Partition { name: Name::parse(name), generation }
    }

    /// What kind of log it is.
    pub fn kind(&self) -> Kind {
        self.name.kind
    }

    /// How it is written: the name, and behind it `#2`, `#3` and so on from the second generation
    /// on.
    pub fn text(&self) -> Cow<'_, str> {
        match self.generation {
            1 => Cow::Borrowed(&self.name.text),
            generation => Cow::Owned(format!("{}#{generation}", self.name.text)),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// A file's path as text that a table and a log can hold. Bytes that are no UTF-8, control
/// characters, `\` and `#` are written as `\xNN`, so that different paths have different names and
/// `#2` can mark a second generation.
pub fn file_text(below: &Path) -> Cow<'_, str> {
    file_text_without(below, &HashSet::new())
}

/// The same where characters are `lacking` to write it with: those are written as `\xNN`, too.
pub fn file_text_without<'p>(below: &'p Path, lacking: &HashSet<char>) -> Cow<'p, str> {
    let is_odd = |c: char| c.is_control() || c == '\\' || c == '#' || lacking.contains(&c);
    if let Some(plain) = below.to_str().filter(|name| !name.contains(is_odd)) {
        return plain.into();
    }
    let mut name = String::new();
    for chunk in below.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_odd(c) {
                let mut utf8 = [0; 4];
                escape(&mut name, c.encode_utf8(&mut utf8).as_bytes());
            } else {
                name.push(c);
            }
        }
        escape(&mut name, chunk.invalid());
    }
    name.into()
}

fn escape(name: &mut String, bytes: &[u8]) {
    name.extend(bytes.iter().map(|byte| format!("\\x{byte:02x}")));
}

/// The path that has this name: what [`file_text`] made it of.
fn path_of(name: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.strip_prefix(b"x").filter(|_| first == b'\\');
        let hex = escaped.and_then(|escaped| std::str::from_utf8(escaped.get(..2)?).ok());
        let (byte, behind) = match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => (byte, &behind[3..]),
            None => (first, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn names_that_are_no_plain_text_are_escaped_and_stay_distinct() {
        let name = |bytes: &[u8]| Name::of_file(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(name("é a.csv".as_bytes()).as_str(), "é a.csv");
        let strange = b"in/a\nb\xff\\#2\\x41.csv";
        assert_eq!(name(strange).as_str(), "in/a\\x0ab\\xff\\x5c\\x232\\x5cx41.csv");
        assert_eq!(name(strange).path().as_os_str().as_bytes(), strange);
        assert_eq!(Name::parse("é a.csv").path(), Path::new("é a.csv"));
        let kept = file_text_without(Path::new("é€.csv"), &HashSet::from(['€']));
        assert_eq!(kept, "é\\xe2\\x82\\xac.csv");
        assert_eq!(Name::parse(kept).path(), Path::new("é€.csv"));
    }

    #[test]
    fn a_partition_is_written_as_its_name_and_from_the_second_generation_on_its_number() {
        let name = Name::parse("a.csv");
        for (text, generation) in [("a.csv", 1), ("a.csv#3", 3)] {
            let partition = Partition::new(name.clone(), generation);
            assert_eq!(partition.text(), text);
            assert_eq!(Partition::parse(text), partition);
        }
        assert_eq!(Partition::parse("a#b").name.as_str(), "a#b");
    }

    #[test]
    fn what_is_in_the_spool_is_told_from_files() {
        let segment = Partition::parse("spool/s/1.csv#2");
        assert_eq!((segment.kind(), segment.generation), (Kind::Segment, 2));
        assert_eq!(segment.name.path(), Path::new("s/1.csv"));
        for file in ["spool.csv", "spool", "in/spool/1.csv"] {
            assert_eq!(Name::parse(file).kind(), Kind::File, "{file}");
            assert_eq!(Name::parse(file).path(), Path::new(file));
        }
        assert_eq!(Kind::Segment.unit(), Unit::Bytes);
    }
}
