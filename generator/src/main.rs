//! The command `generator`: reads the command line and runs it.

mod cli;
mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::run(cli::parse())
}
