//! One fault at one call.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::clients::{Clients, FAULTY, SOUND};
use crate::fault::{Fault, Noted, inject};
use crate::left::{CSV, JSON, Left, SWAPPED, Segment};
use crate::request::Request;
use crate::support::{Ended, WAIT_MAX};
use crate::verdict::{self, Demand, wrongs};
use crate::world::{Ground, LOOK_EVERY, Streamer, World};

/// How long it may take until all that was acknowledged is loaded.
const LOADED_WITHIN: Duration = Duration::from_secs(60);

/// And until the streamer is well again.
const WELL_WITHIN: Duration = Duration::from_secs(60);

/// What is demanded of the segments that are left behind, before anything is sent again.
const BEFORE: [(Request, Demand); 8] = [
    (CSV[0], Demand::Once),
    (CSV[1], Demand::Once),
    (CSV[2], Demand::Never),
    (SWAPPED[0], Demand::Once),
    (SWAPPED[1], Demand::Never),
    (SWAPPED[2], Demand::Once),
    (JSON[0], Demand::Never),
    (JSON[1], Demand::Never),
];

/// What came of a point.
pub(crate) struct Outcome {
    pub(crate) noted: Noted,
    /// What must not be, and what the streamers told where there is something.
    pub(crate) wrongs: Vec<String>,
}

/// A point under way.
struct Point<'p> {
    world: &'p World<'p>,
    fault: Option<&'p Fault>,
    faulty: Streamer,
    sound: Streamer,
    /// Whether the faulty one was started again.
    is_second: bool,
    wrongs: Vec<String>,
    log: String,
}

/// Runs the scenario with a fault, or with none.
pub(crate) fn run(ground: &Ground, left: &Left, fault: Option<&Fault>) -> Outcome {
    let world = World::new(ground);
    let spool = world.spool();
    left.csv.clone().torn(left.csv.middle(2)).put(&spool);
    let damaged = left.swapped.clone().flipped(left.swapped.middle(1));
    let headless = left.json.clone().headless();
    let empty = left.csv.clone().torn(0);
    damaged.put(&spool);
    headless.put(&spool);
    Segment { name: format!("0{}", empty.name), ..empty }.put(&spool);

    let calls = world.folder().join("calls");
    let mut point = Point::start(&world, fault, &calls);
    let clients = Clients::new(&world, &BEFORE);
    point.keep_up(&clients);
    clients.work(|| point.keep_up(&clients));
    point.wait_until_loaded(&clients);
    point.wait_until_well();
    point.finish();

    let Point { mut wrongs, log, .. } = point;
    wrongs.extend(clients.wrongs());
    wrongs.extend(verdict::wrongs(&world.rows(), &clients.demands()));
    let aside = world.damaged();
    for kept in [&damaged.bytes[damaged.frames[1].clone()], &headless.bytes] {
        if !aside.iter().any(|file| memchr::memmem::find(file, kept).is_some()) {
            wrongs.push("damaged bytes are not kept".to_owned());
        }
    }
    let names = world.names();
    if names.iter().any(|name| !name.ends_with(".damaged")) {
        wrongs.push(format!("left in the spool: {names:?}"));
    }
    if world.dead_letters() > 0 {
        wrongs.push("there are dead letters".to_owned());
    }
    if !wrongs.is_empty() {
        wrongs.push(log);
    }
    Outcome { noted: Noted::read(&calls), wrongs }
}

impl<'p> Point<'p> {
    /// Starts the streamers, the faulty one first, so that it takes up what is left behind.
    fn start(world: &'p World<'p>, fault: Option<&'p Fault>, calls: &Path) -> Point<'p> {
        let mut faulty = world.start(|command| {
            inject(command, &world.ground.shim, &world.root(), calls, fault);
        });
        let deadline = Instant::now() + WAIT_MAX;
        while faulty.open(&world.stream).is_none() && !faulty.has_ended() {
            assert!(Instant::now() < deadline, "it does not get ready:\n{}", faulty.told());
            thread::sleep(LOOK_EVERY);
        }
        let mut sound = world.start(|_| {});
        sound.wait_until_open(&world.stream);
        let (wrongs, log) = (Vec::new(), String::new());
        Point { world, fault, faulty, sound, is_second: false, wrongs, log }
    }

    /// Starts the faulty streamer again if it was killed, and tells the clients where both are.
    fn keep_up(&mut self, clients: &Clients<'_>) {
        if self.faulty.has_ended() {
            self.log += &self.faulty.told();
            if self.is_second || !self.fault.is_some_and(Fault::kills) {
                self.wrongs.push("a streamer has ended, though nobody killed it".to_owned());
            }
            self.log += "\n-- started again\n";
            (self.faulty, self.is_second) = (self.world.start(|_| {}), true);
        }
        for (at, streamer) in [(FAULTY, &mut self.faulty), (SOUND, &mut self.sound)] {
            let port = streamer.http().map_or(0, |http| http.port);
            clients.ports[at].store(port, Ordering::Release);
        }
    }

    /// Waits until all that was acknowledged is in the table, and what was left behind is done.
    fn wait_until_loaded(&mut self, clients: &Clients<'_>) {
        let deadline = Instant::now() + LOADED_WITHIN;
        loop {
            self.keep_up(clients);
            let wrongs = wrongs(&self.world.rows(), &clients.demands());
            if wrongs.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                self.wrongs.push(format!("not loaded while the streamers run: {wrongs:?}"));
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until calls that have failed ail nobody any more.
    fn wait_until_well(&mut self) {
        let deadline = Instant::now() + WELL_WITHIN;
        while self.fault.is_some_and(|fault| !fault.kills()) {
            let Ended { stdout, stderr, .. } = Ended::of(&mut self.world.command(&["health"]));
            if stderr.contains("were damaged") && !stderr.contains("cannot") {
                return;
            }
            if Instant::now() > deadline {
                return self.wrongs.push(format!("it stays unwell: {stdout}{stderr}"));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends the streamers, and loads what they have left.
    fn finish(&mut self) {
        let [faulty, sound] = [&self.faulty, &self.sound].map(|streamer| {
            streamer.running.signal(Signal::SIGTERM);
            streamer
        });
        let deadline = Instant::now() + WAIT_MAX;
        while !(faulty.has_ended() && sound.has_ended()) {
            assert!(Instant::now() < deadline, "a streamer does not stop");
            thread::sleep(LOOK_EVERY);
        }
        for streamer in [&mut self.faulty, &mut self.sound] {
            self.log += &format!("-- one of them\n{}\n", streamer.told());
        }
        let drained = self.world.drain();
        self.log += &format!("-- what was left\n{}\n", drained.stderr);
        if drained.code != Some(0) {
            self.wrongs.push(format!("what was left is not loaded: {:?}", drained.code));
        }
    }
}
