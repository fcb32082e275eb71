//! Usage, signals, standard output, exit codes.

use crate::{generator, names};

#[test]
fn help_has_examples_and_version_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let told = |flag| {
        let output = generator(folder.path()).arg(flag).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(told("--help").contains("Examples:\n"));
    assert_eq!(told("--version"), format!("generator {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn mappings_are_printed_and_no_file_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["ad-events", "--mappings", "--seed", "1"];
    let output = generator(folder.path()).args(flags).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), generator::mappings(Some(1)));
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn usage_errors_exit_with_2_name_the_flag_and_make_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for flags in [["--rows", "-5"], ["--duplicates", "2"], ["--every", "now"], ["--colour", "red"]]
    {
        let output = generator(folder.path()).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(flags[0]), "{output:?}");
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn nobody_reading_standard_output_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    // Gone before the process starts, so that it cannot write a path that somebody reads.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let flags = ["--rows", "10", "--every", "1ms"];
    let output = generator(folder.path()).args(flags).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(names(&folder.path().join("data")).len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = generator(folder.path()).args(["--rows", "1"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[test]
fn standard_output_gets_the_records_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--seed", "7", "--rows", "1000"];
    let output = generator(folder.path()).args(flags).args(["--to", "-"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(output.stdout, crate::make_one(&flags));
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn records_at_a_rate_take_their_time_and_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["gps", "--to", "-", "--rate", "500", "--pattern", "poisson", "--count", "100"];
    let begun = std::time::Instant::now();
    let output = generator(folder.path()).args(flags).output().unwrap();
    // 0.2 s on average, with a standard deviation of 0.02 s.
    assert!(begun.elapsed().as_millis() > 100);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 101);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("sent 100, accepted 100, refused 0 in 0."), "{told}");
}

#[cfg(unix)]
mod signals {
    use crate::{generator, names};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::io::{BufRead, BufReader};
    use std::path::Path;
    use std::process::{Child, ExitStatus, Stdio};
    use std::time::{Duration, Instant};

    fn stop(process: &mut Child, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(i32::try_from(process.id()).unwrap()), signal).unwrap();
        process.wait().unwrap()
    }

    /// Waits until a file is being written in `folder`.
    fn wait_for_draft(folder: &Path) {
        let begun = Instant::now();
        while !names(folder).iter().any(|name| name.ends_with(".part")) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no file was begun");
            std::thread::yield_now();
        }
    }

    #[test]
    fn every_makes_sets_until_a_signal_and_exits_with_0() {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let folder = tempfile::tempdir().unwrap();
            let mut command = generator(folder.path());
            command.args(["--rows", "10", "--files", "2", "--every", "10ms"]);
            let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
            let stdout = BufReader::new(process.stdout.take().unwrap());
            let mut lines = stdout.lines();
            assert_eq!(lines.by_ref().take(6).count(), 6);
            assert_eq!(stop(&mut process, signal).code(), Some(0));
            assert!(names(&folder.path().join("data")).len() >= 6 + lines.count());
        }
    }

    #[test]
    fn the_wait_between_sets_ends_with_a_signal() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = generator(folder.path());
        command.args(["--rows", "10", "--every", "10y"]).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut first = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(stop(&mut process, Signal::SIGTERM).code(), Some(0));
        assert_eq!(names(&folder.path().join("data")).len(), 1);
    }

    #[test]
    fn a_signal_in_the_middle_of_a_file_leaves_nothing() {
        for (flags, code) in [(vec!["--every", "1h"], 0), (vec![], 1)] {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path().join("data");
            let mut command = generator(folder.path());
            let mut process = command
                .args(["--rows", "1000000000"])
                .args(flags)
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            wait_for_draft(&data);
            assert_eq!(stop(&mut process, Signal::SIGINT).code(), Some(code));
            assert_eq!(names(&data), Vec::<String>::new());
        }
    }
}
