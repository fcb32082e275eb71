//! A folder of other people's CSV files through the real program into a real PostgreSQL, each into
//! a table of its own, and what came of each against `expected.tsv` there.
//!
//! Run by `tests/corpus/run FOLDER`; without the environment variable `CORPUS` there is nothing to
//! do.

#![allow(clippy::disallowed_types, reason = "tests make SQL of their own")]

mod case;
mod judge;
mod outcome;
mod report;
mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use case::Case;
use server::Server;

/// Streams that run at once: each has a connection, of which the server has 100.
const CASES_AT_ONCE: usize = 40;

fn main() -> ExitCode {
    let Some(folder) = std::env::var_os("CORPUS").map(PathBuf::from) else {
        println!("corpus: CORPUS names no folder, so no file of it is tried");
        return ExitCode::SUCCESS;
    };
    let started = Instant::now();
    let cases = match case::load(&folder) {
        Ok(cases) if !cases.is_empty() => cases,
        Ok(_) => return fail(&folder, "there are no files"),
        Err(error) => return fail(&folder, &error.to_string()),
    };
    let runtime = tokio::runtime::Runtime::new().expect("start a runtime");
    let report = runtime.block_on(try_all(&cases));
    println!("{}", report.text(started.elapsed()));
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fail(folder: &Path, reason: &str) -> ExitCode {
    eprintln!("corpus: {}: {reason}", folder.display());
    ExitCode::FAILURE
}

async fn try_all(cases: &[Case]) -> report::Report {
    let server = Server::start(cases).await;
    let mut report = report::Report::default();
    let numbered: Vec<(usize, &Case)> = cases.iter().enumerate().collect();
    for chunk in numbered.chunks(CASES_AT_ONCE) {
        let failures = server.load(chunk);
        eprintln!("corpus: {} of {} cases", chunk[chunk.len() - 1].0 + 1, cases.len());
        for (number, case) in chunk {
            let outcome = match failures.iter().find(|(failed, _)| failed == number) {
                Some((_, failure)) => outcome::Outcome::failed(failure.clone()),
                None => server.outcome(*number, case).await,
            };
            report.note(case, &outcome);
        }
    }
    server.stop().await;
    report
}
