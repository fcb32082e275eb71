//! A segment that was left behind with damage in it.

use std::ops::Range;
use std::thread;
use std::time::Instant;

use crate::left::{CSV, Segment};
use crate::request::Reply;
use crate::support::{Ended, WAIT_MAX};
use crate::verdict::{Demand, Demands, wrongs};
use crate::world::{Ground, LOOK_EVERY, World};

/// A segment with damage in it.
pub(crate) struct Case {
    pub(crate) what: String,
    segment: Segment,
    /// Which of its requests can't be read.
    lost: Vec<usize>,
    /// What of it is to be kept.
    aside: Option<Range<usize>>,
}

/// What can happen to a segment with three requests.
pub(crate) fn cases(whole: &Segment) -> Vec<Case> {
    let (len, last) = (whole.bytes.len(), &whole.frames[2]);
    let case = |what: &str, segment: Segment, lost: &[usize], aside: Option<Range<usize>>| Case {
        what: what.to_owned(),
        segment,
        lost: lost.to_vec(),
        aside,
    };
    let whole = || whole.clone();
    let mut cases = vec![
        case("zeros behind it", whole().zeroed(len, len + 4096), &[], None),
        case("zeros in its last request", whole().zeroed(whole().middle(2), len), &[2], None),
        case("zeros for its last request", whole().zeroed(last.start, len), &[2], None),
        case("torn in the front of a frame", whole().torn(last.start + 10), &[2], None),
        case("torn in the records", whole().torn(whole().middle(2)), &[2], None),
        case("torn before the last byte", whole().torn(len - 1), &[2], None),
        case("torn in the head", whole().torn(whole().head - 1), &[0, 1, 2], None),
        case("flipped in one copy of the head", whole().flipped(25), &[], None),
        case("flipped in both copies of it", whole().headless(), &[0, 1, 2], Some(0..len)),
    ];
    for frame in 0..3 {
        let range = whole().frames[frame].clone();
        for at in [range.start, range.start + 20, whole().middle(frame), range.end - 1] {
            let what = format!("flipped at {} of request {frame}", at - range.start);
            cases.push(case(&what, whole().flipped(at), &[frame], Some(range.clone())));
        }
    }
    cases
}

impl Case {
    /// Has a streamer take the segment up, and all of it sent again. Returns what must not be.
    pub(crate) fn run(&self, ground: &Ground) -> Vec<String> {
        let world = World::new(ground);
        self.segment.put(&world.spool());
        let mut demands: Demands = (0..3)
            .map(|at| {
                let demand = if self.lost.contains(&at) { Demand::Never } else { Demand::Once };
                (CSV[at].id, (CSV[at], demand))
            })
            .collect();
        let mut streamer = world.start(|_| {});
        let http = streamer.wait_until_open(&world.stream);
        let mut found = wait_until_loaded(&world, &demands);
        self.check_health(&world, &mut found);
        for request in CSV {
            match request.send(http, &world.stream, true) {
                Reply::Accepted(_) => demands.insert(request.id, (request, Demand::Once)),
                other => panic!("{}: {other:?}", self.what),
            };
        }
        found.extend(wrongs(&world.rows(), &demands));
        assert_eq!(streamer.running.terminate().0, Some(0));
        let drained = world.drain().expect(0);
        found.extend(wrongs(&world.rows(), &demands));
        let kept = self.aside.clone().map(|aside| self.segment.bytes[aside].to_vec());
        if world.damaged() != Vec::from_iter(kept) {
            found.push(format!("what is damaged is not kept, or more: {:?}", world.damaged()));
        }
        if world.names().len() != usize::from(self.aside.is_some()) {
            found.push(format!("left in the spool: {:?}", world.names()));
        }
        if world.dead_letters() > 0 {
            found.push("there are dead letters".to_owned());
        }
        if !found.is_empty() {
            found.push(drained.stderr);
        }
        found
    }

    /// Whether `streamer health` tells of the damage, if there is any to tell of.
    fn check_health(&self, world: &World<'_>, found: &mut Vec<String>) {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let Ended { code, stdout, stderr } = Ended::of(&mut world.command(&["health"]));
            let is_told = (stdout + &stderr).contains("were damaged");
            if (code == Some(0), is_told) == (self.aside.is_none(), self.aside.is_some()) {
                return;
            }
            if Instant::now() > deadline {
                return found.push(format!("`streamer health` says {stderr}"));
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Waits until the table is as demanded; returns what is wrong if it does not get so.
fn wait_until_loaded(world: &World<'_>, demands: &Demands) -> Vec<String> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let wrongs = wrongs(&world.rows(), demands);
        if wrongs.is_empty() || Instant::now() > deadline {
            return wrongs;
        }
        thread::sleep(LOOK_EVERY);
    }
}
