//! `streamer tap`: the records of a stream as they pass, each as it stands in its file or in the
//! spool.
//!
//! It reads on its own what the streamer reads, and changes nothing: no checkpoint, no lock, no
//! database. So it never slows the streamer, and shows what comes whatever becomes of it. What is
//! deleted before it comes to it, it does not show.

use std::collections::HashMap;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Exit, harmless, stream_named};
use crate::cli::{Global, TapArgs};
use crate::config::{Settings, Stream};
use crate::format::{Beginning, Format, HeaderFault};
use crate::memory::Memory;
use crate::partition::fingerprint::Stat;
use crate::partition::{Found, Kind, Name};
use crate::source::content::Content;
use crate::source::file::{OpenFile, Step};
use crate::source::folder::Folder;
use crate::spool::{open_segment, segments};

/// How long it rests between two listings; as long as a listing takes, if that is more.
const PAUSE: Duration = Duration::from_millis(50);

/// Files of the folder that are kept open for what is appended to them.
const OPEN_MAX: usize = 64;

/// Shows records until as many are shown as were asked for, or nobody reads them any more.
pub(super) fn run(global: &Global, args: &TapArgs) -> Result<Exit> {
    let settings = Settings::load(global.overrides())?;
    let stream = stream_named(&settings, &args.stream)?.clone();
    let name = stream.name.clone();
    let mut tap = Tap {
        folder: Folder::new(settings.data.clone(), &stream.reading),
        spool: settings.spool,
        stream,
        seen: HashMap::new(),
        open: HashMap::new(),
        out: Out {
            stdout: BufWriter::new(io::stdout().lock()),
            is_terminal: io::stdout().is_terminal(),
            left: args.count.unwrap_or(usize::MAX),
        },
    };
    if !args.from_start {
        tap.pass_over().with_context(|| format!("list {}", settings.data.display()))?;
    }
    // Without stderr there is nobody to tell.
    drop(writeln!(
        io::stderr(),
        "showing the records of stream {name} as they pass; Ctrl-C ends it"
    ));
    match tap.show() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("write to stdout")
        }
        _ => Ok(Exit::Done),
    }
}

struct Tap {
    folder: Folder,
    /// The folder that all spools are in.
    spool: PathBuf,
    stream: Stream,
    /// By name.
    seen: HashMap<Name, Seen>,
    /// What is kept open: all segments, and files that have changed of late.
    open: HashMap<Name, OpenFile>,
    out: Out,
}

/// A file or segment, as it was at the last look.
struct Seen {
    stat: Stat,
    /// When it was first seen like that.
    since: Instant,
    /// Records that start before this were there before, or are shown.
    shown: u64,
    /// Whether it ends with what may be a record that lacks its line end.
    is_open_ended: bool,
}

/// Where records are shown.
struct Out {
    stdout: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
    /// How many more are wanted.
    left: usize,
}

impl Tap {
    /// Takes what is there now as shown.
    fn pass_over(&mut self) -> io::Result<()> {
        for found in self.list()? {
            // Of a packed file, the size says nothing of the offsets in it.
            let shown = if found.is_packed() { u64::MAX } else { found.stat.size };
            self.seen.insert(found.name.clone(), Seen::new(found.stat, shown));
            // A segment may be gone by the next look, once it is loaded.
            if found.name.kind() == Kind::Segment {
                self.read(&found, false)?;
            }
        }
        Ok(())
    }

    /// Shows what comes, until enough is shown.
    fn show(&mut self) -> io::Result<()> {
        while self.out.left > 0 {
            let begun = Instant::now();
            // A folder that can't be listed now may come back.
            let found = self.list().unwrap_or_default();
            let pause = begun.elapsed().max(PAUSE);
            self.forget_all_but(&found)?;
            for found in &found {
                let seen = self.seen.get(&found.name);
                let has_changed = seen.is_none_or(|seen| seen.stat != found.stat);
                let is_still =
                    seen.is_some_and(|seen| seen.since.elapsed() >= self.stream.reading.settle);
                let is_open_ended = seen.is_some_and(|seen| seen.is_open_ended);
                if has_changed || (is_still && is_open_ended) {
                    self.read(found, is_still && !has_changed)?;
                }
            }
            let (seen, settle) = (&self.seen, self.stream.reading.settle);
            let is_recent =
                |name: &Name| seen.get(name).is_some_and(|one| one.since.elapsed() < settle);
            self.open.retain(|name, _| name.kind() == Kind::Segment || is_recent(name));
            self.out.stdout.flush()?;
            if self.out.left > 0 {
                std::thread::sleep(pause);
            }
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<Found>> {
        let mut found = segments(&self.spool, &self.stream.name);
        let file = |name: &str| Name::new(Kind::File, name);
        self.folder.visit(|name, stat| found.push(Found { name: file(name), stat }))?;
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Forgets what is gone; what was appended to it at last is shown, where it is still open.
    fn forget_all_but(&mut self, found: &[Found]) -> io::Result<()> {
        let is_there = |name: &Name| found.binary_search_by(|file| file.name.cmp(name)).is_ok();
        let gone: Vec<Name> = self.seen.keys().filter(|name| !is_there(name)).cloned().collect();
        for name in gone {
            let seen = self.seen.remove(&name);
            if let (Some(mut seen), Some(mut file)) = (seen, self.open.remove(&name))
                && file.is_still_itself().unwrap_or(false)
            {
                self.out.show(&mut file, &mut seen.shown, false)?;
            }
        }
        Ok(())
    }

    /// Shows what is new in a file. `is_still` says that nobody is writing it.
    fn read(&mut self, found: &Found, is_still: bool) -> io::Result<()> {
        let mut seen = match self.seen.remove(&found.name) {
            Some(seen) if seen.stat == found.stat => seen,
            Some(seen) if seen.stat.inode() == found.stat.inode() => {
                Seen::new(found.stat, seen.shown)
            }
            // New, or another file under the name.
            _ => {
                self.open.remove(&found.name);
                Seen::new(found.stat, 0)
            }
        };
        let mut kept = self.open.remove(&found.name).filter(|file| !file.is_packed());
        let is_itself = kept.as_mut().is_some_and(|file| file.is_still_itself().unwrap_or(false));
        if !is_itself {
            if kept.is_some() || (!found.is_packed() && found.stat.size < seen.shown) {
                seen.shown = 0;
            }
            // One that can't be read now is tried again when it changes.
            kept = self.begin(found, is_still).unwrap_or_default();
        }
        seen.is_open_ended = !is_still;
        if let Some(mut file) = kept {
            self.out.show(&mut file, &mut seen.shown, is_still)?;
            seen.is_open_ended &= !file.ends_here().unwrap_or(true);
            if found.name.kind() == Kind::Segment || self.open.len() < OPEN_MAX {
                self.open.insert(found.name.clone(), file);
            }
        }
        self.seen.insert(found.name.clone(), seen);
        Ok(())
    }

    /// Opens a file and passes over its header; nothing, where it has no records.
    fn begin(&self, found: &Found, is_still: bool) -> io::Result<Option<OpenFile>> {
        let name = &found.name;
        let ((file, stat), format) = match name.kind() {
            Kind::Segment => (open_segment(&self.spool, name)?, Format::of(name.as_str())),
            Kind::File => (
                self.folder.open_below(&name.path())?,
                self.stream.reading.format_of(name.as_str()),
            ),
        };
        let content = Content::new(file, name.as_str(), &Memory::unlimited());
        let record_bytes_max = self.stream.reading.record_bytes_max;
        let mut file = OpenFile::from_start(name.kind(), content, stat, format, record_bytes_max);
        let has_begun = match file.begin(is_still)? {
            Beginning::Header(_) | Beginning::Records => true,
            // A segment is read on when something is appended to it, though its name is gone by
            // then.
            Beginning::Empty => !format.has_header(),
            Beginning::Unreadable(HeaderFault::Encoding(_) | HeaderFault::Packed(_)) => false,
            // What follows a bad header can be shown.
            Beginning::Unreadable(_) => true,
            Beginning::NotYet => false,
        };
        Ok(has_begun.then_some(file))
    }
}

impl Seen {
    fn new(stat: Stat, shown: u64) -> Seen {
        Seen { stat, since: Instant::now(), shown, is_open_ended: false }
    }
}

impl Out {
    /// Shows the records that start at `shown` or behind it, as far as they are written, or wanted.
    fn show(&mut self, file: &mut OpenFile, shown: &mut u64, is_still: bool) -> io::Result<()> {
        while self.left > 0 {
            // A file that can't be read now is tried again when it changes.
            let Ok(step) = file.step(is_still) else { return Ok(()) };
            let (raw, offset) = match &step {
                Step::Record(record) => (record.raw, record.range.start),
                Step::Refused(refused) => (refused.raw, refused.range.start),
                Step::Between => continue,
                Step::End | Step::Wait => return Ok(()),
            };
            if offset < *shown {
                continue;
            }
            if self.is_terminal {
                self.stdout.write_all(harmless(&String::from_utf8_lossy(raw)).as_bytes())?;
            } else {
                self.stdout.write_all(raw)?;
            }
            self.stdout.write_all(b"\n")?;
            *shown = offset + 1;
            self.left -= 1;
        }
        Ok(())
    }
}
