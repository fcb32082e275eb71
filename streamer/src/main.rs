//! The `streamer` program: reads the command line, runs the command, and tells how it went.

use std::process::ExitCode;

use streamer::cli::Cli;
use streamer::command;
use tikv_jemallocator::Jemalloc;

/// What is freed goes back to the system at once (`.cargo/config.toml`). glibc's keeps what many
/// threads have freed: after 60 clients with 8 MB each, 411 of 472 MB were still there a minute
/// later.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(message) => message.exit(),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(command::run(cli));
    // A file that is being read, or a micro-batch that hangs, must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            command::print_error(&error);
            ExitCode::FAILURE
        }
    }
}
