//! The bytes of a file, unpacked where its name says that they are packed. Offsets are always those
//! of the unpacked bytes.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::packed::Packed;
use crate::format::Packing;
use crate::memory::Memory;
use crate::partition::fingerprint::{ReadAt, Stat};

/// The content of an open file.
#[derive(Debug)]
pub struct Content {
    file: Arc<File>,
    /// Nothing for a plain file.
    packed: Option<Packed>,
    /// Bytes behind this are not there yet, whatever the file has.
    limit: Option<Arc<AtomicU64>>,
}

impl Content {
    /// The content of `file`, which is called `name`. It is unpacked in shares of `memory`.
    pub fn new(file: File, name: &str, memory: &Memory) -> Content {
        let packed = Packing::of(name).map(|packing| Packed::new(packing, memory));
        Content { file: Arc::new(file), packed, limit: None }
    }

    /// The same, of which nothing behind `limit` is read.
    pub fn within(self, limit: Option<Arc<AtomicU64>>) -> Content {
        Content { limit, ..self }
    }

    /// The same file, read from its beginning; in the same memory, for as long as only one of the
    /// two is read on.
    pub fn anew(&self) -> Content {
        let packed = self.packed.as_ref().map(Packed::anew);
        Content { file: self.file.clone(), packed, limit: self.limit.clone() }
    }

    /// Gives the memory back that unpacking takes. To read on is to unpack from the beginning.
    pub fn put_down(&mut self) {
        if let Some(packed) = &mut self.packed {
            packed.put_down();
        }
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
        self.packed.as_ref().and_then(Packed::damage)
    }

    /// Whether the content ends at `offset`.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn ends_at(&mut self, offset: u64) -> io::Result<bool> {
        Ok(self.read_at(&mut [0], offset)? == 0 && self.damage().is_none())
    }

    /// Whether the packed bytes that were read are the same as ever; `None` for a plain file, and
    /// where that is not known any more.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn is_packed_the_same(&self) -> io::Result<Option<bool>> {
        let Some(packed) = &self.packed else { return Ok(None) };
        packed.is_the_same(&self.file, self.stat()?)
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
