//! Faults in a random order that a seed repeats, while files come and change and one, two or four
//! streamers load them, and HTTP clients send requests to these under Idempotency-Keys. In every
//! second round the tables of events are divided by time. After each round a judge that reads the
//! files on its own compares.
//!
//! `CHAOS_KILLS` says how many kills of a streamer there are, among about as many other faults;
//! `CHAOS_SEED` which schedule it is. `.ci/chaos` sets both.

#![allow(clippy::disallowed_types, reason = "tests make SQL of their own")]

mod clients;
mod frozen;
mod inbox;
mod inject;
mod requests;
mod schedule;
#[path = "../it/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the other tests need more of it")]
mod support;
mod tally;
mod verdict;
mod world;

use clients::Told;
use schedule::{Fault, Round};
use support::Server;
use tally::Tally;
use world::World;

/// Kills where `CHAOS_KILLS` names no number.
const KILLS: u32 = 30;

/// Records that were skipped because their key was committed before.
const REPEATED: &str = "select coalesce(sum(repeated), 0)::bigint from streamer.micro_batch";

/// The schedule where `CHAOS_SEED` names none.
const SEED: u64 = 20_261_121;

#[tokio::test(flavor = "multi_thread")]
async fn a_random_schedule_of_faults_loses_nothing_and_doubles_nothing() {
    let (kills, seed) = (number("CHAOS_KILLS", KILLS), number("CHAOS_SEED", SEED));
    println!("{kills} kills among other faults; to repeat this schedule: CHAOS_SEED={seed}");
    let rounds = schedule::rounds(seed, kills);
    let mut server = Server::start().await;
    let mut tally = Tally::default();
    for (number, round) in (1..).zip(&rounds) {
        let mut world = World::new(&server, round).await;
        let tables = if round.is_divided { "divided" } else { "plain" };
        println!(
            "round {number} of {}: {} streamers, {tables} tables",
            rounds.len(),
            round.streamers
        );
        let told = work(&mut world, &mut server, round, &mut tally).await;
        let in_doubt = world.proxy.ambiguous();
        let verdict = verdict::judge(&world.db, world.inbox.partitions(), &told.requests).await;
        tally.judged(round, &verdict, in_doubt);
        tally.told(&told, world.db.number(REPEATED).await);
        assert!(
            verdict.lost == 0 && verdict.doubled == 0 && verdict.miscounts.is_empty(),
            "seed {seed}, round {number}: {verdict:#?}\n{round:#?}\n{}",
            world.log.join("\n")
        );
    }
    println!("{tally}\n{kills} kills, CHAOS_SEED={seed}");
    server.stop().await;
    tally.demand_proof();
}

/// Lets the round's faults happen while the streamers work, then lets them finish; what the clients
/// were told.
async fn work(world: &mut World, server: &mut Server, round: &Round, tally: &mut Tally) -> Told {
    let mut at_last_kill = None;
    for step in &round.steps {
        if let Some(change) = step.change {
            let offsets = world.offsets().await;
            world.inbox.change(change, step.pick, &offsets);
        }
        world.feed().await;
        let gets_on = world.gets_on().await;
        assert!(gets_on, "no commit before {step:?}:\n{}", world.log.join("\n"));
        tokio::time::sleep(step.delay).await;
        world.read_log();
        world.log.push(format!("-- {step:?}"));
        if step.fault == Fault::Kill {
            let acknowledged = world.clients.acknowledged();
            if let Some(before) = at_last_kill.replace(acknowledged) {
                tally.acknowledged_between_kills(acknowledged - before);
            }
        }
        let hit = inject::inject(world, server, step).await;
        tally.injected(step.fault, hit);
        assert!(!world.clients.have_failed(), "a client has ended:\n{}", world.log.join("\n"));
    }
    let told = world.clients.finish().await;
    let is_drained = world.drain().await;
    assert!(is_drained, "something is left to read:\n{}", world.log.join("\n"));
    world.read_log();
    for streamer in world.streamers.drain(..) {
        assert_eq!(streamer.terminate().0, Some(0));
    }
    told
}

/// A number from the environment.
fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => default,
    }
}
