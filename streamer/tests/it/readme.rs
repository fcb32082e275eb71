//! The README's own commands, run as shown.

use std::path::Path;
use std::process::{Command, Stdio};

/// The lines of the README's shell blocks that call the two programs, one behind the other.
fn commands() -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let mut commands = Vec::new();
    let mut is_shell = false;
    for line in readme.lines() {
        match line.trim() {
            "```sh" => is_shell = true,
            "```" => is_shell = false,
            command if is_shell => commands.push(command.to_owned()),
            _ => {}
        }
    }
    commands
}

/// A folder with the two programs, for PATH.
fn programs() -> std::path::PathBuf {
    let streamer = Path::new(env!("CARGO_BIN_EXE_streamer"));
    streamer.parent().expect("it is in a folder").to_owned()
}

#[test]
fn every_command_of_the_readme_works_as_shown() {
    let folder = crate::support::folder();
    let path = std::env::join_paths(
        std::iter::once(programs())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )
    .expect("PATH can be made");
    let mut run = 0;
    for command in commands() {
        let command = command
            .replace("cargo run --release -p streamer -- ", "streamer ")
            .replace("cargo run --release -p generator -- ", "generator ");
        let program = command.split(' ').next().unwrap_or_default();
        if !["streamer", "generator"].contains(&program) {
            // The others build, test or install the repository itself, are tried by tests/stack, or
            // need a server of one's own.
            let is_other =
                ["cargo", "docker"].contains(&program) || program.starts_with("DATABASE_URL=");
            assert!(is_other, "{command}");
            continue;
        }
        // One that goes on for ever is stopped as a person would stop it: once. Without
        // --foreground the signal goes to the process and to its group.
        let script = match command.as_str() {
            "streamer run" => "timeout --foreground --preserve-status --signal=INT 5 streamer run",
            command => command,
        };
        let output = Command::new("bash")
            .args(["-c", script])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .output()
            .expect("run bash");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 3)), "{command} ended with {code:?}: {stderr}");
        run += 1;
    }
    assert!(run >= 8, "only {run} commands were found in the README");
}
