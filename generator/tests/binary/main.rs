//! The real binary: what it writes, where, and how it ends.

mod content;
mod folder;
mod process;
mod server;
#[cfg(unix)]
mod traffic;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The binary, at work in `folder`, so that relative paths land there.
fn generator(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_generator"));
    command.current_dir(folder);
    command
}

/// Runs it in `folder`; it must succeed. Gives the files it printed.
fn make(folder: &Path, flags: &[&str]) -> Vec<PathBuf> {
    let output = generator(folder).args(flags).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    printed(folder, &output)
}

fn printed(folder: &Path, output: &Output) -> Vec<PathBuf> {
    let stdout = std::str::from_utf8(&output.stdout).unwrap();
    stdout.lines().map(|line| folder.join(line)).collect()
}

/// The bytes of the only file made with `flags`.
fn make_one(flags: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let files = make(folder.path(), flags);
    assert_eq!(files.len(), 1);
    std::fs::read(&files[0]).unwrap()
}

/// All names in `folder`, hidden ones too; none if it is missing.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
