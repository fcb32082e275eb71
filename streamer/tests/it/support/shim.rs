//! Shared libraries that come between a program and the system, by `LD_PRELOAD`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes one in `folder` of a C file whose path starts at the folder of the tests.
pub(crate) fn shim(source: &str, folder: &Path) -> PathBuf {
    let shim = folder.join("shim.so");
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).join(source);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source).arg("-ldl");
    assert!(compiler.status().expect("run cc").success(), "cc makes the shim");
    shim
}
