//! Two clients, which send small requests to two streamers and try again as careful clients do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::left;
use crate::request::Form::{Csv, Json, Swapped};
use crate::request::{Reply, Request};
use crate::support::{Http, WAIT_MAX};
use crate::verdict::{Demand, Demands};
use crate::world::{LOOK_EVERY, World};

/// The streamer that the fault happens to, and the other.
pub(crate) const FAULTY: usize = 0;
pub(crate) const SOUND: usize = 1;

/// How a request is sent.
#[derive(Clone, Copy)]
enum Way {
    /// Once, whatever comes of it, to this streamer if it is there.
    Once(usize),
    /// To this streamer first, then to either in turn, until it is acknowledged.
    Until(usize),
    /// So to both at the same time.
    Both,
}

/// What a client does.
struct Step {
    request: Request,
    way: Way,
    waits: bool,
}

const fn step(request: Request, way: Way) -> Step {
    Step { request, way, waits: false }
}

const fn waiting(request: Request, way: Way) -> Step {
    Step { request, way, waits: true }
}

use Way::{Both, Once, Until};

/// What each client does, one after the other. What was damaged or torn of the segments left behind
/// is sent again, and something of what was not: in front of the damage, and behind it.
const PLANS: [&[Step]; 2] = [
    &[
        step(left::SWAPPED[1], Until(FAULTY)),
        waiting(Request::keyed(11, 3, Csv), Until(FAULTY)),
        step(Request::plain(12, 2, Csv), Once(FAULTY)),
        step(Request::keyed(13, 2, Csv), Both),
        waiting(Request::keyed(11, 3, Csv), Until(SOUND)),
        step(left::CSV[0], Until(FAULTY)),
        step(left::CSV[2], Until(SOUND)),
        waiting(Request::plain(14, 3, Csv), Once(FAULTY)),
    ],
    &[
        waiting(Request::keyed(21, 1, Swapped), Until(FAULTY)),
        step(Request::keyed(22, 2, Csv), Until(SOUND)),
        step(Request::keyed(22, 2, Csv), Until(FAULTY)),
        waiting(left::SWAPPED[2], Until(SOUND)),
        step(left::JSON[1], Until(FAULTY)),
        step(Request::plain(23, 3, Json), Once(FAULTY)),
        waiting(left::CSV[0], Until(SOUND)),
        step(Request::keyed(24, 4, Csv), Until(FAULTY)),
    ],
];

/// The clients, and what they know.
pub(crate) struct Clients<'w> {
    world: &'w World<'w>,
    /// Where each streamer listens; 0 where it is not there.
    pub(crate) ports: [AtomicU16; 2],
    demands: Mutex<Demands>,
    /// What must not be.
    wrongs: Mutex<Vec<String>>,
}

impl Clients<'_> {
    /// `before` is what is demanded before they have done anything.
    pub(crate) fn new<'w>(world: &'w World<'w>, before: &[(Request, Demand)]) -> Clients<'w> {
        let demands: BTreeMap<_, _> = before.iter().map(|one| (one.0.id, *one)).collect();
        Clients {
            world,
            ports: Default::default(),
            demands: Mutex::new(demands),
            wrongs: Mutex::default(),
        }
    }

    /// Lets them work to the end; `beside` is done again and again meanwhile.
    pub(crate) fn work(&self, mut beside: impl FnMut()) {
        thread::scope(|scope| {
            let threads =
                PLANS.map(|plan| scope.spawn(move || plan.iter().for_each(|step| self.act(step))));
            while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
                beside();
                thread::sleep(LOOK_EVERY);
            }
        });
    }

    pub(crate) fn demands(&self) -> Demands {
        lock(&self.demands).clone()
    }

    pub(crate) fn wrongs(&self) -> Vec<String> {
        lock(&self.wrongs).clone()
    }

    fn act(&self, step: &Step) {
        match step.way {
            Once(to) => {
                let reply = self.send(step, to);
                // Before the answer is looked at, it may be there or not.
                self.demand(step.request, Demand::WholeOrNot);
                self.note(step, reply);
            }
            Until(to) => self.insist(step, to),
            Both => thread::scope(|scope| {
                for to in [FAULTY, SOUND] {
                    scope.spawn(move || self.insist(step, to));
                }
            }),
        }
    }

    /// Sends a request to either streamer in turn until one acknowledges it.
    fn insist(&self, step: &Step, first: usize) {
        let deadline = Instant::now() + WAIT_MAX;
        let mut to = first;
        while !self.note(step, self.send(step, to)) {
            if Instant::now() > deadline {
                return self.wrong(format!("{:?} is never acknowledged", step.request));
            }
            to = 1 - to;
            thread::sleep(LOOK_EVERY);
        }
    }

    fn send(&self, step: &Step, to: usize) -> Reply {
        let port = |at: usize| self.ports[at].load(Ordering::Acquire);
        let port = if port(to) == 0 { port(1 - to) } else { port(to) };
        step.request.send(Http { port }, &self.world.stream, step.waits)
    }

    /// Takes note of a reply; returns whether the request is acknowledged.
    fn note(&self, step: &Step, reply: Reply) -> bool {
        let request = step.request;
        let answer = match reply {
            Reply::Accepted(answer) => answer,
            Reply::Refused | Reply::Lost => return false,
            Reply::Wrong(what) => {
                self.wrong(what);
                return true;
            }
        };
        if step.waits {
            let rows = self.world.rows_of(request);
            let is_there = |n| rows.get(&(n, request.note())) == Some(&1);
            if !request.numbers().all(is_there) {
                self.wrong(format!("{request:?} is told to be committed, but there is {rows:?}"));
            }
        }
        let before = self.demand(request, Demand::Once);
        let is_repetition = before == Some(Demand::Once);
        if step.waits && is_repetition && answer.json()["repeated"] != true {
            self.wrong(format!("{request:?} came before, but that is not told: {answer:?}"));
        }
        if answer.json()["accepted"] != request.records {
            self.wrong(format!("{request:?} is counted wrongly: {answer:?}"));
        }
        true
    }

    /// Demands something of a request; returns what was demanded before.
    fn demand(&self, request: Request, demand: Demand) -> Option<Demand> {
        lock(&self.demands).insert(request.id, (request, demand)).map(|(_, before)| before)
    }

    fn wrong(&self, what: String) {
        lock(&self.wrongs).push(what);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
