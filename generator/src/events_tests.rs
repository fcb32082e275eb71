//! Tests of whole runs, written to memory.

use super::*;
use std::collections::HashMap;

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn next_file(generator: &mut Generator) -> (Vec<u8>, Counts) {
    let mut bytes = Vec::new();
    let counts = generator.write_events(&mut bytes, &mut go_on).unwrap().unwrap();
    (bytes, counts)
}

fn seeded() -> Settings {
    Settings { seed: Some(42), rows: 5_000, ..Settings::default() }
}

fn made(settings: Settings) -> (Vec<u8>, Counts) {
    next_file(&mut Generator::new(settings).unwrap())
}

fn records(bytes: &[u8]) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(bytes).records().map(Result::unwrap).collect()
}

#[test]
fn equal_seeds_give_equal_bytes_and_others_do_not() {
    let mixed = || Settings { duplicates: 0.1, bad: 0.1, ..seeded() };
    assert_eq!(made(mixed()), made(mixed()));
    assert_ne!(made(seeded()).0, made(Settings { seed: Some(43), ..seeded() }).0);
    let unseeded = || Settings { seed: None, ..seeded() };
    assert_ne!(made(unseeded()).0, made(unseeded()).0);
}

#[test]
fn the_files_of_a_set_share_its_span_and_go_on_from_one_another() {
    let mut generator = Generator::new(Settings { files: 2, ..seeded() }).unwrap();
    let files: Vec<_> = (0..4).flat_map(|_| records(&next_file(&mut generator).0)).collect();
    assert!(files.is_sorted_by(|a, b| a[0] < b[0] && a[4] <= b[4]));
    let hour = |file: usize| &files[file * 5_000][4][..16];
    assert_eq!(hour(0), "2026-01-01T00:00");
    assert_eq!(hour(1), "2026-01-01T00:30");
    assert_eq!(hour(2), "2026-01-01T01:00");
    assert_eq!(hour(3), "2026-01-01T01:30");
}

#[test]
fn duplicates_repeat_records_of_earlier_files_too() {
    let mut generator = Generator::new(Settings { duplicates: 0.5, ..seeded() }).unwrap();
    let (first, _) = next_file(&mut generator);
    let (second, counts) = next_file(&mut generator);
    let first: HashMap<String, csv::StringRecord> =
        records(&first).into_iter().map(|record| (record[0].to_owned(), record)).collect();
    let second = records(&second);
    let repeated: Vec<_> = second.iter().filter_map(|it| Some((it, first.get(&it[0])?))).collect();
    assert!(repeated.len() > 500 && counts.duplicates > 2_400);
    assert!(repeated.iter().all(|(again, before)| again == before));
}

#[test]
fn extreme_shares_are_followed() {
    let counts = |duplicates, bad| made(Settings { duplicates, bad, ..seeded() }).1;
    assert_eq!(counts(0.0, 0.0), Counts { rows: 5_000, duplicates: 0, bad: 0 });
    assert_eq!(counts(1.0, 0.0), Counts { rows: 5_000, duplicates: 4_999, bad: 0 });
    assert_eq!(counts(0.0, 1.0), Counts { rows: 5_000, duplicates: 0, bad: 5_000 });
    let half = counts(0.3, 0.7);
    assert!(half.duplicates + half.bad >= 4_999);
}

#[test]
fn no_rows_give_a_header_only() {
    let (bytes, counts) = made(Settings { rows: 0, ..seeded() });
    let header = "event_id,user_id,product_id,event_type,event_time,price,category,user_device,\
                  user_location\n";
    assert_eq!(String::from_utf8(bytes).unwrap(), header);
    assert_eq!(counts, Counts::default());
}

#[test]
fn progress_rises_to_the_number_of_rows() {
    let mut seen = Vec::new();
    let mut note = |made| {
        seen.push(made);
        ControlFlow::Continue(())
    };
    Generator::new(seeded()).unwrap().write_events(io::sink(), &mut note).unwrap();
    assert_eq!(seen, [0, 1_024, 2_048, 3_072, 4_096, 5_000]);
}

#[test]
fn progress_can_break_off() {
    let mut stop = |_| ControlFlow::Break(());
    let outcome = Generator::new(seeded()).unwrap().write_events(io::sink(), &mut stop);
    assert_eq!(outcome.unwrap(), None);
}

#[test]
fn errors_of_the_output_are_handed_on() {
    let outcome =
        Generator::new(seeded()).unwrap().write_events([0; 10].as_mut_slice(), &mut go_on);
    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::WriteZero);
}
