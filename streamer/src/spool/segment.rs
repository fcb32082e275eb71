//! Segment files: their names, and making one.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use chrono::Utc;

use crate::format::Format;
use crate::framing::Key;
use crate::partition::fingerprint::Stat;
use crate::partition::{Found, Kind, Name, SPOOL};
use crate::private;
use crate::source::below::open_file;

/// What stands before the ending in the name of a segment of the first version whose one record no
/// parser can delimit.
pub(super) const MALFORMED: &str = ".malformed";

/// What the names of files end with that hold what is damaged of a segment.
pub(super) const DAMAGED: &str = ".damaged";

/// A file that shows whether the spool can be written, and its size.
const PROBE: &str = ".probe";
const PROBE_BYTES: usize = 64 * 1024;

/// What tells the segments of this process from those of others: containers that share a folder may
/// have the same process numbers.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(NAMES_MAX) >> 32);

/// How many names are tried for a new segment.
const NAMES_MAX: u32 = 100;

/// What a segment holds; other records go into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What its records are.
    pub format: Format,
    /// The header above them, without its line end, where the format has one.
    pub header: Option<Arc<[u8]>>,
}

/// A segment that was taken up.
pub(super) struct Adopted {
    pub(super) file: File,
    pub(super) len: u64,
    /// The keys of its requests, with where their records stand and how many there are.
    pub(super) keys: Vec<(Key, Range<u64>, u64)>,
}

/// The folder of a stream's segments: its name, with all that might mean something in a path
/// written as `%NN`.
pub(super) fn folder_name(stream: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    stream
        .bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") })
        .collect()
}

/// Makes an empty segment and locks it. Its name is synced too.
pub(super) fn create(folder: &Path, format: Format) -> io::Result<(String, File)> {
    make_folder(folder)?;
    let (now, ending) = (Utc::now().format("%Y%m%dT%H%M%S%.3fZ"), format.ending());
    for number in 0..NAMES_MAX {
        let name = format!("{now}-{:08x}-{number}{ending}", *PROCESS);
        let file = match private::create_file(&folder.join(&name)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            made => made?,
        };
        // Before it was locked, another process may have taken it for one that was left behind.
        if file.try_lock().is_ok() && file.metadata()?.nlink() > 0 {
            File::open(folder)?.sync_all()?;
            return Ok((name, file));
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, "all names for a segment are taken"))
}

/// Tries whether something can be written into the folder.
pub(super) fn probe(folder: &Path) -> io::Result<()> {
    make_folder(folder)?;
    let path = folder.join(PROBE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = private::create_file(&path).and_then(|file| {
        file.write_all_at(&[0; PROBE_BYTES], 0)?;
        file.sync_all()
    });
    fs::remove_file(&path).and(written)
}

/// Makes the folder, closed to others, never by way of a link, and syncs its name.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let parents = folder.parent().into_iter().filter(|parent| !parent.exists());
    for missing in parents.chain([folder]) {
        if private::make_closed_folder(missing)? {
            let parent = missing.parent().unwrap_or(Path::new("."));
            File::open(parent)?.sync_all()?;
        }
    }
    let is_folder = |path: &Path| Ok::<_, io::Error>(path.symlink_metadata()?.is_dir());
    if is_folder(folder)? && folder.parent().map_or(Ok(true), is_folder)? {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::NotADirectory, "the spool is a link, which is not followed"))
}

/// The segments of a stream whoever holds them, where the spools of all streams are in `root`; in
/// order.
pub fn segments(root: &Path, stream: &str) -> Vec<Found> {
    let folder_name = folder_name(stream);
    let folder = root.join(&folder_name);
    let found = |name: String| {
        let metadata = fs::symlink_metadata(folder.join(&name)).ok()?;
        let name = Name::new(Kind::Segment, format!("{SPOOL}/{folder_name}/{name}"));
        metadata.is_file().then(|| Found { name, stat: Stat::of(&metadata) })
    };
    names(&folder).into_iter().filter_map(found).collect()
}

/// Opens a segment for reading, where the spools of all streams are in `root`: never by way of a
/// link, and only a regular file, so that nothing blocks.
///
/// # Errors
/// When it can't be opened, or is no regular file.
pub fn open_segment(root: &Path, name: &Name) -> io::Result<(File, Stat)> {
    open_file(root, &name.path())
}

/// The names of the segments in a folder, in order.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = entries(folder).filter(|name| format_of(name).is_some()).collect();
    names.sort_unstable();
    names
}

/// Whether the folder has a segment that nobody holds.
pub(super) fn has_unheld(folder: &Path) -> bool {
    names(folder).iter().any(|name| {
        let file = File::open(folder.join(name));
        file.is_ok_and(|file| file.try_lock_shared().is_ok())
    })
}

/// The files of the folder that hold what is damaged of segments.
pub(super) fn damaged(folder: &Path) -> Vec<String> {
    entries(folder).filter(|name| name.ends_with(DAMAGED)).collect()
}

/// The names in a folder. Without a folder there is nothing; one that can't be listed is told by
/// the listing of the data folder.
fn entries(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// What the segment of this name holds.
pub(super) fn format_of(name: &str) -> Option<Format> {
    Format::all().find(|format| name.ends_with(format.ending()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_stream_leads_out_of_the_spool() {
        assert_eq!(folder_name("user_events"), "user_events");
        assert_eq!(folder_name("../a/b é."), "%2e%2e%2fa%2fb%20%c3%a9%2e");
    }
}
