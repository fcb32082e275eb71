//! Segments that a streamer has left behind: of a real one that was killed before it could commit.

use std::fs;
use std::ops::Range;
use std::path::Path;

use nix::sys::signal::Signal;
use streamer::framing::{FRAME_BYTES, Head, Start};

use crate::request::{Form, Reply, Request};
use crate::world::{Ground, World};

/// The requests in the three segments.
pub(crate) const CSV: [Request; 3] = [
    Request::keyed(1, 3, Form::Csv),
    Request::keyed(2, 1, Form::Csv),
    Request::keyed(3, 2, Form::Csv),
];
pub(crate) const SWAPPED: [Request; 3] = [
    Request::keyed(4, 1, Form::Swapped),
    Request::keyed(5, 2, Form::Swapped),
    Request::keyed(6, 1, Form::Swapped),
];
pub(crate) const JSON: [Request; 2] =
    [Request::keyed(7, 1, Form::Json), Request::keyed(8, 2, Form::Json)];

/// A segment.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// How long its head is.
    pub(crate) head: usize,
    /// Where the frames of its requests are.
    pub(crate) frames: Vec<Range<usize>>,
}

/// A segment for each form.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) csv: Segment,
    pub(crate) swapped: Segment,
    pub(crate) json: Segment,
}

impl Left {
    pub(crate) fn make(ground: &Ground) -> Left {
        let world = World::new(ground);
        let mut streamer = world.start(|_| {});
        let http = streamer.wait_until_open(&world.stream);
        let held = ground.runtime.block_on(async {
            let mut conn = ground.db.connect().await;
            let lock = format!("begin; lock table {}", world.stream);
            let locked = sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut conn).await;
            locked.expect("lock the table");
            conn
        });
        for request in CSV.into_iter().chain(SWAPPED).chain(JSON) {
            let reply = request.send(http, &world.stream, false);
            assert!(matches!(reply, Reply::Accepted(_)), "{reply:?}");
        }
        streamer.running.signal(Signal::SIGKILL);
        streamer.running.wait();
        let mut names = world.names();
        names.sort();
        let [csv, swapped, json] =
            [0, 1, 2].map(|at| Segment::read(&world.spool(), names[at].clone()));
        ground.runtime.block_on(async { drop(held) });
        Left { csv, swapped, json }
    }
}

impl Segment {
    fn read(spool: &Path, name: String) -> Segment {
        let bytes = fs::read(spool.join(&name)).expect("read the segment");
        let Start::Head(head) = Head::read(&bytes) else { panic!("{name} has no head") };
        let head_len = usize::try_from(head.len).expect("it fits");
        let (mut at, mut frames) = (head_len, Vec::new());
        while at < bytes.len() {
            let frame = head.read_frame(&bytes[at..]).expect("it is a frame");
            let end = at + FRAME_BYTES + usize::try_from(frame.len).expect("it fits");
            frames.push(at..end);
            at = end;
        }
        Segment { name, bytes, head: head_len, frames }
    }

    /// The same with a byte changed.
    pub(crate) fn flipped(mut self, at: usize) -> Segment {
        self.bytes[at] ^= 0x40;
        self
    }

    /// The same with a byte changed in both copies of the head.
    pub(crate) fn headless(self) -> Segment {
        let copy = self.head / 2;
        self.flipped(copy - 1).flipped(2 * copy - 1)
    }

    /// The same, broken off.
    pub(crate) fn torn(mut self, at: usize) -> Segment {
        self.bytes.truncate(at);
        self
    }

    /// The same with nothing but zeros from `at` on, up to so many bytes in all.
    pub(crate) fn zeroed(mut self, at: usize, len: usize) -> Segment {
        self.bytes.truncate(at);
        self.bytes.resize(len, 0);
        self
    }

    /// The middle of a frame.
    pub(crate) fn middle(&self, frame: usize) -> usize {
        let Range { start, end } = self.frames[frame];
        start + (end - start) / 2
    }

    /// Puts it into a spool, as if it had been left behind there.
    pub(crate) fn put(&self, spool: &Path) {
        fs::create_dir_all(spool).expect("make the spool");
        fs::write(spool.join(&self.name), &self.bytes).expect("write the segment");
    }
}
