//! The bytes of a file, unpacked where its name says that they are packed. Offsets are always those
//! of the unpacked bytes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::format::Packing;
use crate::partition::fingerprint::{Consumed, ReadAt, Stat};

/// How many packed bytes are read at a time, and how many unpacked ones are passed over.
const CHUNK_BYTES: usize = 64 * 1024;

/// The content of an open file.
#[derive(Debug)]
pub struct Content {
    file: Arc<File>,
    /// Nothing for a plain file.
    packed: Option<Packed>,
    /// Bytes behind this are not there yet, whatever the file has.
    limit: Option<Arc<AtomicU64>>,
}

/// A file that is unpacked while it is read. It can only go on or begin anew.
struct Packed {
    packing: Packing,
    decoder: Option<Decoder>,
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

impl Content {
    /// The content of `file`, which is called `name`.
    pub fn new(file: File, name: &str) -> Content {
        Content::of(Arc::new(file), Packing::of(name))
    }

    fn of(file: Arc<File>, packing: Option<Packing>) -> Content {
        let packed =
            packing.map(|packing| Packed { packing, decoder: None, position: 0, damage: None });
        Content { file, packed, limit: None }
    }

    /// The same, of which nothing behind `limit` is read.
    pub fn within(self, limit: Option<Arc<AtomicU64>>) -> Content {
        Content { limit, ..self }
    }

    /// The same file, read from its beginning.
    pub fn anew(&self) -> Content {
        let packing = self.packed.as_ref().map(|packed| packed.packing);
        Content::of(self.file.clone(), packing).within(self.limit.clone())
    }

    /// What the file looks like now.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(Stat::of(&self.file.metadata()?))
    }

    /// Whether the file is packed.
    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Why nothing follows, where that is not the proper end of a packed file.
    pub fn damage(&self) -> Option<&str> {
        self.packed.as_ref().and_then(|packed| packed.damage.as_deref())
    }

    /// Whether the content ends at `offset`.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn ends_at(&mut self, offset: u64) -> io::Result<bool> {
        Ok(self.read_at(&mut [0], offset)? == 0 && self.damage().is_none())
    }

    /// Whether the packed bytes that were read are the same as ever; `None` for a plain file.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn is_packed_the_same(&self) -> io::Result<Option<bool>> {
        let Some(packed) = &self.packed else { return Ok(None) };
        let Some(raw) = packed.decoder.as_ref().map(Decoder::raw) else { return Ok(Some(true)) };
        let print = raw.consumed.fingerprint(self.stat()?);
        Ok(Some(Consumed::verify(&mut &*self.file, &print, raw.position)?.is_some()))
    }
}

impl ReadAt for Content {
    fn read_at(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.limit.as_ref().map(|limit| {
            let left = limit.load(Ordering::Acquire).saturating_sub(offset);
            usize::try_from(left).unwrap_or(usize::MAX)
        });
        let len = into.len().min(left.unwrap_or(usize::MAX));
        let into = &mut into[..len];
        match &mut self.packed {
            None => (&mut &*self.file).read_at(into, offset),
            Some(packed) => packed.read_at(&self.file, into, offset),
        }
    }
}

impl Packed {
    fn read_at(&mut self, file: &Arc<File>, into: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.position {
            self.decoder = None;
        }
        if self.decoder.is_none() {
            (self.position, self.damage) = (0, None);
            if file.metadata()?.len() == 0 {
                return Ok(0);
            }
            self.decoder = Some(Decoder::new(self.packing, file.clone())?);
        }
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
}

impl Decoder {
    fn new(packing: Packing, file: Arc<File>) -> io::Result<Decoder> {
        let raw = Raw { file, position: 0, consumed: Consumed::default() };
        let raw = BufReader::with_capacity(CHUNK_BYTES, raw);
        Ok(match packing {
            Packing::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(raw))),
            // It takes windows up to 128 MiB, so that no file can ask for more memory.
            Packing::Zstd => Decoder::Zstd(Box::new(zstd::Decoder::with_buffer(raw)?)),
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
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    /// All that can be read in a file that holds `bytes`, and what is wrong with its end.
    fn read(packing: Packing, bytes: &[u8]) -> (Vec<u8>, Option<String>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut content = Content::of(Arc::new(file), Some(packing));
        let (mut all, mut chunk) = (Vec::new(), [0; 1000]);
        loop {
            match content.read_at(&mut chunk, all.len() as u64).unwrap() {
                0 => return (all, content.damage().map(str::to_owned)),
                read => all.extend_from_slice(&chunk[..read]),
            }
        }
    }

    fn numbers(count: u32) -> Vec<u8> {
        (0..count)
            .flat_map(|n| format!("{n},{}\n", n.wrapping_mul(2_654_435_761)).into_bytes())
            .collect()
    }

    #[test]
    fn members_and_frames_are_read_one_behind_the_other() {
        let text = numbers(50_000);
        for packing in [Packing::Gzip, Packing::Zstd] {
            let (one, two) = text.split_at(300_001);
            let bytes = [packed(packing, one), packed(packing, b""), packed(packing, two)].concat();
            assert_eq!(read(packing, &bytes), (text.clone(), None));
            assert_eq!(read(packing, b""), (Vec::new(), None), "an empty file");
        }
    }

    #[test]
    fn what_stands_before_a_cut_or_damage_is_read() {
        let text = numbers(50_000);
        for packing in [Packing::Gzip, Packing::Zstd] {
            let whole = packed(packing, &text);
            for len in [1, 10, whole.len() / 2, whole.len() - 1] {
                let (read, damage) = read(packing, &whole[..len]);
                assert!(text.starts_with(&read));
                assert!(damage.unwrap().contains("break off"), "{packing:?} {len}");
            }
            let (half, _) = read(packing, &whole[..whole.len() / 2]);
            assert!(half.len() > text.len() / 4, "{packing:?}: {} bytes", half.len());
            let (all, damage) = read(packing, &[whole.as_slice(), b"no packed data"].concat());
            assert!(all == text && damage.unwrap().contains("damaged"), "{packing:?}");
            let damage = read(packing, b"event_id,user_id\n1,2\n").1.unwrap();
            assert!(damage.contains("data are damaged"), "{damage}");
        }
    }

    #[test]
    fn any_place_can_be_read() {
        let text = numbers(50_000);
        for packing in [Packing::Gzip, Packing::Zstd] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&packed(packing, &text)).unwrap();
            let mut content = Content::of(Arc::new(file), Some(packing));
            for offset in [400_000, 0, 7, 500_000, 499_999] {
                let mut bytes = [0; 5];
                assert_eq!(content.read_at(&mut bytes, offset).unwrap(), 5);
                let offset = usize::try_from(offset).unwrap();
                assert_eq!(bytes, text[offset..offset + 5]);
            }
            let end = text.len() as u64;
            assert!(content.ends_at(end).unwrap() && !content.ends_at(end - 1).unwrap());
            assert!(content.ends_at(end + 1).unwrap());
        }
    }

    #[test]
    fn names_and_first_bytes_tell_the_packing() {
        assert_eq!(Packing::of("a.csv.GZ"), Some(Packing::Gzip));
        assert_eq!(Packing::of("a.zst"), Some(Packing::Zstd));
        assert_eq!(["a.csv", "gz", "a.gz.csv"].map(Packing::of), [None; 3]);
        for packing in [Packing::Gzip, Packing::Zstd] {
            assert_eq!(Packing::of_bytes(&packed(packing, b"a")), Some(packing));
        }
    }
}
