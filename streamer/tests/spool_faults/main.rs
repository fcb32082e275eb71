//! A fault at each call that a streamer makes on its spool, and damage to what it has left there.
//!
//! A shim counts the calls of a streamer that takes up segments left behind and takes in requests,
//! while another is at work on the same folder. Then the same is done once for each call and each
//! way in which it can go wrong: it fails, alone or with some behind it, or the process is killed
//! before it, after it, or with half of it written. Clients send each request with a key until it
//! is acknowledged. In the end what was acknowledged must be in the table, and nothing twice.

#![allow(clippy::disallowed_types, reason = "tests make SQL of their own")]

mod calls;
mod clients;
mod damage;
mod fault;
mod left;
mod request;
#[path = "../it/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the other tests need more of it")]
mod support;
mod verdict;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use left::Left;
use world::Ground;

/// How many points are run side by side: most of the time they wait.
const AT_ONCE: usize = 4;

/// How many faults happen at least. How many calls there are depends on which requests are written
/// together.
const FAULTS_MIN: usize = 190;

#[test]
fn a_fault_at_any_call_on_the_spool_loses_nothing_and_doubles_nothing() {
    let ground = Ground::new();
    let left = Left::make(&ground);
    let begun = Instant::now();
    let sound = calls::run(&ground, &left, None);
    assert!(sound.wrongs.is_empty(), "without a fault: {}", sound.wrongs.join("\n"));
    println!("{:?} without a fault: {:?}", begun.elapsed(), sound.noted.calls);
    let points = sound.noted.points();
    let hits = AtomicUsize::new(0);
    let begun = Instant::now();
    let wrongs = side_by_side(&points, |fault| {
        let outcome = calls::run(&ground, &left, Some(fault));
        hits.fetch_add(usize::from(outcome.noted.is_hit), Ordering::Relaxed);
        (fault.to_string(), outcome.wrongs)
    });
    let hits = hits.into_inner();
    println!("{hits} faults at {} points in {:?}", points.len(), begun.elapsed());
    assert!(wrongs.is_empty(), "{} points:\n{}", wrongs.len(), wrongs.join("\n"));
    assert!(hits >= FAULTS_MIN, "only {hits} faults have happened");
}

#[test]
fn what_is_damaged_of_a_segment_is_kept_and_told_and_all_else_is_loaded() {
    let ground = Ground::new();
    let left = Left::make(&ground);
    let cases = damage::cases(&left.csv);
    let begun = Instant::now();
    let wrongs = side_by_side(&cases, |case| (case.what.clone(), case.run(&ground)));
    println!("{} kinds of damage in {:?}", cases.len(), begun.elapsed());
    assert!(wrongs.is_empty(), "{} kinds:\n{}", wrongs.len(), wrongs.join("\n"));
}

/// Does `work` with each of `points`, several at a time: its name, and what was wrong. Returns what
/// was, by name.
fn side_by_side<T: Sync>(
    points: &[T],
    work: impl Fn(&T) -> (String, Vec<String>) + Sync,
) -> Vec<String> {
    let (next, wrongs) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (name, found) = work(point);
                    if !found.is_empty() {
                        let mut wrongs = wrongs.lock().unwrap_or_else(PoisonError::into_inner);
                        wrongs.push(format!("== {name}\n{}", found.join("\n")));
                    }
                }
            });
        }
    });
    wrongs.into_inner().unwrap_or_else(PoisonError::into_inner)
}
