//! The command line as it is read.

use super::*;
use generator::{Pace, Pattern};

fn parsed(flags: &[&str]) -> Result<Order, clap::Error> {
    Flags::try_parse_from([&["generator"], flags].concat()).and_then(order)
}

#[test]
fn the_definition_of_the_flags_is_sound() {
    Flags::command().debug_assert();
}

#[test]
fn no_flags_mean_the_default_settings() {
    let default = Order { settings: Settings::default(), output: Output::Files(None) };
    assert_eq!(parsed(&[]).unwrap(), default);
}

#[test]
fn the_span_is_the_interval_unless_given() {
    let span = |flags: &[&str]| parsed(flags).unwrap().settings.span;
    assert_eq!(span(&["--every", "30s"]), Duration::from_secs(30));
    assert_eq!(span(&["--every", "30s", "--span", "2m"]), Duration::from_secs(120));
}

#[test]
fn a_start_may_have_another_time_zone() {
    let order = parsed(&["--start", "2026-03-01T02:00:00+02:00"]).unwrap();
    assert_eq!(order.settings.start.unwrap().to_rfc3339(), "2026-03-01T00:00:00+00:00");
}

#[test]
fn a_dataset_takes_flags_of_its_own_and_the_common_ones_on_either_side() {
    let flags = ["--rows", "7", "transfers", "--region", "A=B=0.5", "--people", "--seed", "1"];
    let regions = vec![("A=B".to_owned(), 0.5)];
    let dataset = Dataset::Transfers(Banking { regions, people: true });
    let settings = Settings { dataset, rows: 7, seed: Some(1), ..Settings::default() };
    assert_eq!(parsed(&flags).unwrap().settings, settings);
    assert_eq!(parsed(&["ad-events", "--mappings"]).unwrap().output, Output::Mappings);
    assert!(parsed(&["gps", "--mappings"]).is_err());
    let window =
        |flags: &[&str]| parsed(&[&["ad-events"], flags].concat()).unwrap().settings.dataset;
    let of = |window| Dataset::AdEvents(Advertising { window });
    assert_eq!(window(&[]), of(Duration::from_secs(10)));
    assert_eq!(window(&["--window", "1ms"]), of(Duration::from_millis(1)));
    for length in ["999us", "0s", "long"] {
        let error = parsed(&["ad-events", "--window", length]).unwrap_err();
        assert!(error.to_string().contains("--window"), "{length}: {error}");
    }
    for region in ["North", "North=", "North=much", "North=-1", "=0.5"] {
        let error = parsed(&["transfers", "--region", region]).unwrap_err();
        assert!(error.to_string().contains("--region"), "{region}: {error}");
    }
}

fn traffic(flags: &[&str]) -> Traffic {
    match parsed(flags).unwrap().output {
        Output::Traffic(traffic) => traffic,
        other => panic!("{flags:?} is {other:?}"),
    }
}

#[test]
fn standard_output_takes_a_pace() {
    let flags = ["gps", "--to", "-", "--rate", "100", "--pattern", "mmpp", "--count", "7"];
    let pace = Pace {
        pattern: Pattern::Mmpp,
        rate: Some(100.0),
        rate_ratio: 5.0,
        duration: None,
        count: Some(7),
    };
    assert_eq!(traffic(&flags).pace, pace);
    assert_eq!(parsed(&["--to", "-"]).unwrap().output, Output::Stdout);
    for (flags, words) in [
        (&["--rate", "100"][..], "--rate is for another target than files"),
        (&["--to", "files:x", "--preset", "bursty"], "--preset is for another target"),
        (&["--to", "-", "--pattern", "poisson"], "need a --rate"),
        (&["--to", "-", "--files", "2"], "--files"),
        (&["--to", "-", "--rate", "100", "--rows", "2"], "--rows"),
        (&["--to", "-", "--out", "x"], "--out"),
        (&["--to", "pigeon:home"], "http://host:port"),
        (&["--to", "tcp://a:1", "--format", "ndjson", "--bad", "0.1"], "--bad"),
        (&["--to", "http://a:1", "--token-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
        (&["--to", "http://a:1", "--batch", "0"], "--batch"),
        (&["--to", "http://a:1", "--preset", "calm"], "low-latency"),
    ] {
        let error = parsed(flags).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{flags:?}");
        assert!(error.to_string().contains(words), "{flags:?}: {error}");
    }
    for rate in ["0", "-1", "inf", "NaN", "many"] {
        let error = parsed(&["--to", "-", "--rate", rate]).unwrap_err();
        assert!(error.to_string().contains("--rate"), "{rate}: {error}");
    }
}

#[test]
fn files_may_be_named_as_a_target() {
    let named = Settings { out: PathBuf::from("x"), ..Settings::default() };
    assert_eq!(parsed(&["--to", "files:x"]).unwrap().settings, named);
    assert_eq!(parsed(&["--to", "files:x"]).unwrap(), parsed(&["--out", "x"]).unwrap());
}

#[test]
fn a_target_has_the_stream_of_the_dataset_and_as_many_records_as_a_file() {
    let sent = traffic(&["transfers", "--to", "http://127.0.0.1:1", "--rows", "7"]);
    assert_eq!((sent.stream.as_str(), sent.batch, sent.producers), ("transfers", 100, 1));
    assert_eq!((sent.pace.rate, sent.pace.count), (None, Some(7)));
    let flags = ["--to", "tcp://a:1", "--stream", "mine", "--format", "ndjson", "--duration", "5s"];
    let sent = traffic(&flags);
    assert_eq!((sent.stream.as_str(), sent.format), ("mine", Format::Ndjson));
    assert_eq!((sent.pace.count, sent.pace.duration), (None, Some(Duration::from_secs(5))));
}

#[test]
fn flags_win_over_their_preset() {
    let flags = ["--to", "http://127.0.0.1:1", "--preset", "bursty"];
    let preset = traffic(&flags);
    assert_eq!((preset.pace.pattern, preset.pace.rate), (Pattern::Mmpp, Some(5_000.0)));
    assert_eq!((preset.pace.rate_ratio, preset.batch, preset.producers), (9.0, 50, 4));
    assert_eq!(preset.pace.duration, Some(Duration::from_secs(60)));
    let own = ["--rate", "7", "--pattern", "poisson", "--count", "9", "--batch", "1"];
    let own = traffic(&[&flags[..], &own].concat());
    assert_eq!((own.pace.pattern, own.pace.rate), (Pattern::Poisson, Some(7.0)));
    assert_eq!((own.pace.count, own.pace.duration), (Some(9), None));
    assert_eq!((own.batch, own.producers), (1, 4));
}

#[test]
fn usage_errors_name_the_flag() {
    for (flag, value) in [
        ("--rows", "-1"),
        ("--rows", "many"),
        ("--files", "0"),
        ("--every", "0s"),
        ("--every", "soon"),
        ("--span", "0s"),
        ("--span", "1000000y"),
        ("--start", "yesterday"),
        ("--start", "1969-12-31T23:59:59Z"),
        ("--seed", "x"),
        ("--duplicates", "1.1"),
        ("--duplicates", "NaN"),
        ("--bad", "-0.1"),
        ("--out", ""),
    ] {
        let error = parsed(&[flag, value]).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{flag} {value}");
        assert!(error.to_string().contains(flag), "{flag} {value}: {error}");
    }
    let error = parsed(&["--duplicates", "0.6", "--bad", "0.5"]).unwrap_err().to_string();
    assert!(error.contains("--duplicates") && error.contains("--bad"), "{error}");
}
