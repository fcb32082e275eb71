//! Where the files land, and what is left when they cannot.

use crate::{generator, make, names, printed};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// It must fail with exit code 1, say nothing on standard output, and tell error and cause in two
/// lines, whatever RUST_BACKTRACE says. Gives what it told.
fn refusal(command: &mut Command) -> String {
    let output = command.env("RUST_BACKTRACE", "full").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty());
    let told = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.len() == 2, "{told}");
    assert!(lines[0].starts_with("error: ") && lines[1].starts_with("caused by: "), "{told}");
    told
}

#[test]
fn the_name_has_the_time_and_the_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let before = chrono::Utc::now().format("user_events_%Y%m%d_%H%M%S.csv").to_string();
    let files = make(folder.path(), &["--rows", "1", "--out", "a/b"]);
    let after = chrono::Utc::now().format("user_events_%Y%m%d_%H%M%S.csv").to_string();
    let name = files[0].file_name().unwrap().to_str().unwrap();
    assert!(before.as_str() <= name && name <= after.as_str(), "{name}");
    assert_eq!(names(&folder.path().join("a/b")), [name]);
}

#[test]
fn each_dataset_has_names_of_its_own() {
    for (dataset, stem) in [
        ("user-events", "user_events_"),
        ("ad-events", "ad_events_"),
        ("transfers", "transfers_"),
        ("gps", "gps_positions_"),
        ("pos", "pos_sales_"),
        ("emoji", "emoji_reactions_"),
        ("simulator", "simulator_events_"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        // Flags may stand before the dataset and behind it.
        let files = make(folder.path(), &["--rows", "1", dataset, "--files", "2"]);
        assert_eq!(files.len(), 2);
        let name = files[0].file_name().unwrap().to_str().unwrap();
        assert_eq!(name.strip_prefix(stem).map(str::len), Some("20260101_000000.csv".len()));
    }
}

#[test]
fn runs_at_the_same_time_do_not_collide() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = generator(folder.path());
        command.args(["--rows", "50", "--files", "10"]).stdout(Stdio::piped()).spawn().unwrap()
    };
    let processes: Vec<_> = (0..8).map(|_| start()).collect();
    let outputs: Vec<Output> =
        processes.into_iter().map(|process| process.wait_with_output().unwrap()).collect();
    assert!(outputs.iter().all(|output| output.status.success()));
    let paths: HashSet<PathBuf> =
        outputs.iter().flat_map(|output| printed(folder.path(), output)).collect();
    assert_eq!(paths.len(), 80);
    let texts: Vec<String> =
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(texts.iter().all(|text| text.lines().count() == 51));
    let ids: HashSet<&str> =
        texts.iter().flat_map(|text| text.lines().skip(1).map(|line| &line[..36])).collect();
    assert_eq!(ids.len(), 4_000);
    assert_eq!(names(&folder.path().join("data")).len(), 80);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for out in ["file", "file/below"] {
        let told = refusal(generator(folder.path()).args(["--out", out]));
        assert!(told.contains(&format!("cannot make folder {out}: ")), "{told}");
        assert!(told.contains("choose another folder"), "{told}");
    }
    assert_eq!(names(folder.path()), ["file"]);
}

/// A limit on the size of files stands for the full disk. The shell ignores SIGXFSZ, so that the
/// write fails instead of the process being killed.
#[cfg(unix)]
fn with_little_space(folder: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"";
    command.current_dir(folder).args(["-c", script, env!("CARGO_BIN_EXE_generator")]).args(flags);
    command
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let told = refusal(&mut with_little_space(folder.path(), &["--rows", "100000"]));
    assert!(told.contains("cannot write data/user_events_"), "{told}");
    assert!(told.contains("free some space"), "{told}");
    assert_eq!(names(&folder.path().join("data")), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn files_that_fit_are_kept_when_a_later_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--rows", "100"];
    assert!(with_little_space(folder.path(), &flags).output().unwrap().status.success());
    refusal(&mut with_little_space(folder.path(), &["--rows", "100000"]));
    assert_eq!(names(&folder.path().join("data")).len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let told = refusal(generator(folder.path()).args(["--out", "/proc/self"]));
    assert!(told.contains("/proc/self"), "{told}");
}
