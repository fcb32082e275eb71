//! Segment files: making one, and taking up one that was left behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use nix::fcntl::OFlag;

use super::keys;
use crate::format::{Format, Next, Reader};
use crate::partition::fingerprint::Stat;
use crate::partition::{Found, Kind, Name, SPOOL};
use crate::private;
use crate::source::below::open_file;

/// What stands before the ending in the name of a segment whose one record no parser can delimit.
const MALFORMED: &str = ".malformed";

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

impl Content {
    /// What a new segment begins with.
    pub(super) fn beginning(&self) -> Vec<u8> {
        match &self.header {
            Some(header) => [header, b"\n".as_slice()].concat(),
            None => Vec::new(),
        }
    }
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
pub(super) fn create(
    folder: &Path,
    content: &Content,
    is_alone: bool,
) -> io::Result<(String, File)> {
    make_folder(folder)?;
    let (now, pid) = (Utc::now().format("%Y%m%dT%H%M%S%.3fZ"), std::process::id());
    let malformed = if is_alone { MALFORMED } else { "" };
    let ending = content.format.ending();
    for number in 0..NAMES_MAX {
        let name = format!("{now}-{pid}-{number}{malformed}{ending}");
        let path = folder.join(&name);
        let file = match private::create_file(&path) {
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

/// Makes the folder, closed to others, never by way of a link, and syncs its name.
fn make_folder(folder: &Path) -> io::Result<()> {
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
fn names(folder: &Path) -> Vec<String> {
    // Without a folder there is nothing; one that can't be listed is told by the listing of the
    // data folder.
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| format_of(name).is_some()).collect();
    names.sort_unstable();
    names
}

/// What the segment of this name holds.
fn format_of(name: &str) -> Option<Format> {
    Format::all().find(|format| name.ends_with(format.ending()))
}

/// A segment that was taken up, and how long it is; nothing, if another process holds it or nothing
/// is in it.
pub(super) type Adopted = io::Result<Option<(File, u64)>>;

/// Takes up all segments of the folder that nobody holds.
pub(super) fn adopt_all(
    folder: &Path,
    held: &[String],
    record_bytes_max: usize,
) -> Vec<(String, Adopted)> {
    names(folder)
        .into_iter()
        .filter(|name| !held.contains(name))
        .map(|name| {
            let adopted = adopt(folder, &name, record_bytes_max);
            (name, adopted)
        })
        .collect()
}

fn adopt(folder: &Path, name: &str, record_bytes_max: usize) -> Adopted {
    let path = folder.join(name);
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let mut file = match OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() == 0 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let torn = keys::void_torn(folder, name, metadata.len())?;
    bytes.truncate(torn.and_then(|at| usize::try_from(at).ok()).unwrap_or(bytes.len()));
    let is_alone =
        |format: Format| name.strip_suffix(format.ending()).is_some_and(|n| n.ends_with(MALFORMED));
    let len = match format_of(name) {
        Some(format) if format.spans_lines() && !is_alone(format) => {
            whole_records(format, &bytes, record_bytes_max)
        }
        _ => memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1),
    };
    if len == 0 {
        fs::remove_file(&path)?;
        return Ok(None);
    }
    let len = u64::try_from(len).expect("a count of bytes in memory fits");
    if len < metadata.len() {
        file.set_len(len)?;
        tracing::warn!("{name} ended in the middle of a record that was never acknowledged");
    }
    // Its last writer may not have come to it.
    file.sync_all()?;
    Ok(Some((file, len)))
}

/// How many bytes the whole records at the front of a segment have. A line end inside quotes ends
/// none.
fn whole_records(format: Format, bytes: &[u8], record_bytes_max: usize) -> usize {
    let mut reader = Reader::new(format, record_bytes_max);
    let mut at = 0;
    loop {
        match reader.next(bytes, &mut at, false) {
            Next::Record(_) | Next::Malformed(..) => {}
            Next::Endless(place, _) => return place.start,
            Next::Incomplete => return at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_stream_leads_out_of_the_spool() {
        assert_eq!(folder_name("user_events"), "user_events");
        assert_eq!(folder_name("../a/b é."), "%2e%2e%2fa%2fb%20%c3%a9%2e");
    }

    #[test]
    fn a_torn_last_record_is_cut_off_also_within_quotes() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, whole) in [
            ("1.csv", "a,b\n1,2\n3,", "a,b\n1,2\n"),
            ("2.csv", "a,b\n1,\"x\ny\"\n3,\"x\ny", "a,b\n1,\"x\ny\"\n"),
            ("3.csv", "a,b\n5\" pipe,2\n3,4\n", "a,b\n5\" pipe,2\n3,4\n"),
            ("4.malformed.csv", "a,b\n\"open\n", "a,b\n\"open\n"),
            ("5.ndjson", "{\"a\":1}\n{\"a\"", "{\"a\":1}\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
            let adopted = adopt(folder.path(), name, 1000).unwrap();
            assert_eq!(adopted.unwrap().1, whole.len() as u64, "{name}");
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), whole, "{name}");
        }
    }

    #[test]
    fn a_segment_that_somebody_holds_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let content = Content { format: Format::Ndjson, header: None };
        let (name, file) = create(folder, &content, false).unwrap();
        fs::write(folder.join(&name), "{}\n{").unwrap();
        assert!(adopt(folder, &name, 1000).unwrap().is_none());
        assert_eq!(fs::read(folder.join(&name)).unwrap(), b"{}\n{");
        drop(file);
        assert_eq!(adopt(folder, &name, 1000).unwrap().unwrap().1, 3);
        // An empty one is of no use to anybody.
        fs::write(folder.join("0.csv"), "").unwrap();
        assert!(adopt(folder, "0.csv", 1000).unwrap().is_none() && !folder.join("0.csv").exists());
    }
}
