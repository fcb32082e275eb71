//! Unpacking a file while it is read. It can only go on or begin anew.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::bufread::MultiGzDecoder;

use crate::format::Packing;
use crate::memory::{Memory, Share, with_kept};
use crate::partition::fingerprint::{Consumed, ReadAt, Stat};

/// How many packed bytes are read at a time, and how many unpacked ones are passed over.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a decoder takes in memory beside its window, with what is unpacked ahead, in bytes.
const DECODER_BYTES: usize = 512 * 1024;

/// The windows that a zstd decoder is given, until one is large enough, as powers of two. Files of
/// the default level have the first at most, those of the highest the second. A file may ask for
/// the last, by `--long`; the library refuses larger ones, too.
const WINDOWS: [u32; 4] = [21, 23, 25, 27];

/// The longest header of a frame.
///
/// Source: RFC 8878, 3.1.1.1, with the magic number.
const FRAME_HEADER_BYTES: usize = 18;

/// What zstd says of a window that is larger than it may be.
///
/// Source: zstd 1.5, lib/zstd_errors.h, `ZSTD_error_frameParameter_windowTooLarge`.
const WINDOW_TOO_LARGE: usize = 16;

/// A packed file that is being read.
pub(super) struct Packed {
    packing: Packing,
    decoder: Option<Decoder>,
    /// Which of the windows its decoder is given.
    window: usize,
    memory: Memory,
    share: Arc<Mutex<Share>>,
    /// How many bytes the decoder has given.
    position: u64,
    /// Why the decoder gives no more, where the file does not end properly.
    damage: Option<String>,
}

enum Decoder {
    Gzip(Box<MultiGzDecoder<BufReader<Raw>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Raw>>>),
}

/// The packed bytes.
struct Raw {
    file: Arc<File>,
    position: u64,
    consumed: Consumed,
}

impl Packed {
    pub(super) fn new(packing: Packing, memory: &Memory) -> Packed {
        let share = Arc::new(Mutex::new(memory.nothing()));
        Packed::of(packing, memory, share)
    }

    fn of(packing: Packing, memory: &Memory, share: Arc<Mutex<Share>>) -> Packed {
        let memory = memory.clone();
        Packed { packing, decoder: None, window: 0, memory, share, position: 0, damage: None }
    }

    /// The same, read from its beginning.
    pub(super) fn anew(&self) -> Packed {
        Packed::of(self.packing, &self.memory, self.share.clone())
    }

    /// Why nothing follows, where that is not the proper end of the file.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Gives the memory back.
    pub(super) fn put_down(&mut self) {
        self.decoder = None;
        self.share().shrink_to(0);
    }

    /// Whether the packed bytes of `file` that were read are the same as ever; nothing, where it was
    /// put down since.
    pub(super) fn is_the_same(&self, mut file: &File, stat: Stat) -> io::Result<Option<bool>> {
        let Some(raw) = self.decoder.as_ref().map(Decoder::raw) else { return Ok(None) };
        let print = raw.consumed.fingerprint(stat);
        Ok(Some(Consumed::verify(&mut file, &print, raw.position)?.is_some()))
    }

    /// Reads at `offset` of the unpacked bytes; nothing where the file ends, properly or not.
    pub(super) fn read_at(
        &mut self,
        file: &Arc<File>,
        into: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        if offset < self.position {
            self.decoder = None;
        }
        loop {
            if self.decoder.is_none() {
                (self.position, self.damage) = (0, None);
                if file.metadata()?.len() == 0 || !self.start(file)? {
                    return Ok(0);
                }
            }
            match self.read_on(into, offset) {
                Err(error) if is_window_too_large(&error) => {
                    self.decoder = None;
                    self.window += 1;
                }
                read => return read,
            }
        }
    }

    /// Starts at the beginning of the file; false if there will never be memory for it.
    fn start(&mut self, file: &Arc<File>) -> io::Result<bool> {
        let mut header = [0; FRAME_HEADER_BYTES];
        let read = (&mut &**file).read_at(&mut header, 0)?;
        if let Some(bytes) = declared_window(&header[..read]) {
            let fits = WINDOWS.iter().take_while(|window| 1 << **window < bytes);
            self.window = self.window.max(fits.count());
        }
        let window = match self.packing {
            Packing::Gzip => 0,
            Packing::Zstd => match WINDOWS.get(self.window) {
                Some(window) => 1 << window,
                None => {
                    self.damage =
                        Some("the zstd data ask for a window of more than 128 MiB".into());
                    return Ok(false);
                }
            },
        };
        let (bytes, largest) = (window + DECODER_BYTES, self.memory.largest());
        let what = || format!("unpacking it takes a window of up to {} MiB", window >> 20);
        if bytes > largest {
            self.damage = Some(format!(
                "{}, and the setting memory leaves {} MiB: raise it by {} MiB at least",
                what(),
                largest >> 20,
                with_kept(bytes - largest).div_ceil(1 << 20)
            ));
            return Ok(false);
        }
        if !self.share().try_grow_to(bytes) {
            let message = format!("{}, for which there is no memory now", what());
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, message));
        }
        self.decoder = Some(Decoder::new(self.packing, file.clone(), self.window)?);
        Ok(true)
    }

    fn read_on(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut passed = vec![0; if self.position < offset { CHUNK_BYTES } else { 0 }];
        while self.position < offset {
            let left = usize::try_from(offset - self.position).unwrap_or(CHUNK_BYTES);
            if self.read(&mut passed[..left.min(CHUNK_BYTES)])? == 0 {
                return Ok(0);
            }
        }
        self.read(into)
    }

    /// The next bytes; none where the file ends, properly or not.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.damage.is_some() {
            return Ok(0);
        }
        let decoder = self.decoder.as_mut().expect("the caller has made one");
        match decoder.read(into) {
            Ok(read) => {
                self.position += u64::try_from(read).expect("a count of bytes in memory fits");
                Ok(read)
            }
            // Errors of the file system have a number, those of the decoders have none.
            Err(error) if error.raw_os_error().is_some() => {
                self.decoder = None;
                Err(error)
            }
            Err(error) if is_window_too_large(&error) => Err(error),
            Err(error) => {
                let name = self.packing.name();
                self.damage = Some(match error.kind() {
                    io::ErrorKind::UnexpectedEof => format!(
                        "the {name} data break off in the middle: what stands before is read, and the \
                         rest once the file is complete"
                    ),
                    _ => format!("the {name} data are damaged ({error}): replace the file"),
                });
                Ok(0)
            }
        }
    }

    fn share(&self) -> MutexGuard<'_, Share> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decoder {
    fn new(packing: Packing, file: Arc<File>, window: usize) -> io::Result<Decoder> {
        let raw = Raw { file, position: 0, consumed: Consumed::default() };
        let raw = BufReader::with_capacity(CHUNK_BYTES, raw);
        Ok(match packing {
            Packing::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(raw))),
            Packing::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(raw)?;
                decoder.window_log_max(WINDOWS[window])?;
                Decoder::Zstd(Box::new(decoder))
            }
        })
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Decoder::Gzip(decoder) => decoder.read(into),
                Decoder::Zstd(decoder) => decoder.read(into),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn raw(&self) -> &Raw {
        match self {
            Decoder::Gzip(decoder) => decoder.get_ref().get_ref(),
            Decoder::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = (&mut &*self.file).read_at(into, self.position)?;
        self.consumed.push(&into[..read]);
        self.position += u64::try_from(read).expect("a count of bytes in memory fits");
        Ok(read)
    }
}

/// The window that the frame of zstd asks for whose header `bytes` begin with, in bytes; nothing,
/// where none begins there. Frames behind the first may ask for a larger one.
///
/// Source: RFC 8878, 3.1.1.1.
fn declared_window(bytes: &[u8]) -> Option<u64> {
    let [descriptor, rest @ ..] = bytes.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])? else {
        return None;
    };
    if descriptor & 0x20 == 0 {
        let window = *rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // All of the content is the window.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let (len, least) = [(1, 0), (2, 256), (4, 0), (8, 0)][usize::from(descriptor >> 6)];
    let mut size = [0; 8];
    size[..len].copy_from_slice(rest.get(dictionary..dictionary + len)?);
    Some(u64::from_le_bytes(size).saturating_add(least))
}

/// Whether a zstd decoder was given too small a window.
fn is_window_too_large(error: &io::Error) -> bool {
    let words = zstd::zstd_safe::get_error_name(WINDOW_TOO_LARGE.wrapping_neg());
    error.raw_os_error().is_none() && error.to_string() == words
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed")
            .field("packing", &self.packing)
            .field("position", &self.position)
            .field("damage", &self.damage)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
