//! Taking up segments that were left behind.
//!
//! What a crash leaves of a segment is its synced front, and behind it what was being written: a
//! frame that ends too early, or that has the zeros of a file system where its bytes should be.
//! Such an end was never acknowledged, and is cut off. Anything else that is no frame is damage to
//! what was acknowledged: it is copied into a file of its own, `NAME.damaged`, for somebody to look
//! at, and a frame is written over it that says that it is to be passed over. The frames behind it
//! are loaded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::former;
use super::segment::{Adopted, DAMAGED, names};
use crate::framing::{FRAME_BYTES, Head, Start, VERSION};
use crate::partition::fingerprint::ReadAt;
use crate::private;
use crate::source::walk::Walk;

/// How much is looked through at a time for a frame behind damage, and copied, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Takes up all segments of the folder that nobody holds, but for those in `held`: each, or why it
/// can't be taken up. Segments that another process holds, and empty ones, are passed over.
pub(super) fn adopt_all(
    folder: &Path,
    held: &[String],
    record_bytes_max: usize,
) -> Vec<(String, io::Result<Adopted>)> {
    let mut former = former::Adoption::new(folder, record_bytes_max);
    let names = names(folder).into_iter().filter(|name| !held.contains(name));
    names
        .filter_map(|name| {
            let adopted = adopt(folder, &name, &mut former).transpose()?;
            Some((name, adopted))
        })
        .collect()
}

fn adopt(
    folder: &Path,
    name: &str,
    former: &mut former::Adoption<'_>,
) -> io::Result<Option<Adopted>> {
    let path = folder.join(name);
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = match OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path) {
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
    private::close(&file)?;
    let adopted = match Walk::start(&mut &file)? {
        Start::Head(head) => mend(file, &path, head)?,
        Start::First => former.adopt(file, name)?,
        // It ended before anything was acknowledged.
        Start::NotYet => Adopted { file, len: 0, keys: Vec::new() },
        Start::Damaged if ends_in_zeros(&file)? => Adopted { file, len: 0, keys: Vec::new() },
        Start::Newer(version) => {
            let message = format!(
                "it was written by a later version of the streamer (format {version}; this one knows up to \
                 {VERSION}): start that version again to load it"
            );
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
        Start::Damaged => {
            fs::rename(&path, damaged(&path))?;
            sync_folder(&path)?;
            return Ok(None);
        }
    };
    if adopted.len == 0 {
        fs::remove_file(&path)?;
        return Ok(None);
    }
    // Its last writer may not have come to it.
    adopted.file.sync_all()?;
    Ok(Some(adopted))
}

/// Goes through the frames of a segment: cuts its end off if that was not written whole, and puts
/// what is damaged aside.
fn mend(file: File, path: &Path, head: Head) -> io::Result<Adopted> {
    let size = file.metadata()?.len();
    let mut content = &file;
    let mut walk = Walk::new(&mut content, head.clone());
    let mut keys = Vec::new();
    let mut end = head.len;
    while end < size {
        match walk.step()? {
            Some(frame) if walk.offset() <= size && walk.is_whole(end, &frame)? => {
                let records = walk.offset() - frame.len..walk.offset();
                keys.extend(frame.key.map(|key| (key, records, u64::from(frame.records))));
                end = walk.offset();
            }
            frame => {
                let is_cut = frame.is_some() && walk.offset() > size;
                let Some(next) = next_frame(&file, &head, end, size)? else {
                    if !is_cut && size - end >= FRAME_BYTES as u64 && !ends_in_zeros(&file)? {
                        put_aside(&file, path, end..size)?;
                    } else {
                        tracing::warn!(
                            "{} ended in the middle of a request that was never acknowledged",
                            path.display()
                        );
                    }
                    file.set_len(end)?;
                    break;
                };
                put_aside(&file, path, end..next)?;
                file.write_all_at(&head.void(next - end), end)?;
                end = next;
            }
        }
        walk.go_to(end);
    }
    // A head alone holds nothing.
    let len = if end > head.len { end } else { 0 };
    Ok(Adopted { file, len, keys })
}

/// Where the first whole frame starts behind damage at `start`.
fn next_frame(file: &File, head: &Head, start: u64, size: u64) -> io::Result<Option<u64>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    // What is passed over takes the bytes of a frame at least.
    let mut at = start + FRAME_BYTES as u64;
    while at < size {
        let read = (&mut &*file).read_at(&mut chunk, at)?;
        for found in Head::frames_in(&chunk[..read]) {
            let offset = at + found as u64;
            let mut content = file;
            let mut walk = Walk::new(&mut content, head.clone());
            walk.go_to(offset);
            if let Some(frame) = walk.step()?
                && walk.offset() <= size
                && walk.is_whole(offset, &frame)?
            {
                return Ok(Some(offset));
            }
        }
        if read < FRAME_BYTES {
            return Ok(None);
        }
        // A frame may begin at the chunk's end.
        at += (read - FRAME_BYTES + 1) as u64;
    }
    Ok(None)
}

/// Whether the last byte is none that was written: every frame ends in a line end.
fn ends_in_zeros(file: &File) -> io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, file.metadata()?.len().saturating_sub(1))?;
    Ok(last == [0])
}

/// Copies damaged bytes to where somebody can look at them; synced before they are passed over.
fn put_aside(file: &File, path: &Path, range: Range<u64>) -> io::Result<()> {
    let aside = damaged(path);
    let mut to = match private::create_file(&aside) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().append(true).open(&aside)?
        }
        made => made?,
    };
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = range.start;
    while at < range.end {
        let left = usize::try_from(range.end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let read = (&mut &*file).read_at(&mut chunk[..left], at)?;
        if read == 0 {
            break;
        }
        to.write_all(&chunk[..read])?;
        at += read as u64;
    }
    to.sync_all()?;
    sync_folder(path)
}

fn damaged(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(DAMAGED);
    name.into()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
