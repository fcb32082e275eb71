//! What is in the files.

use crate::{generator, make, make_one, names, printed};
use chrono::{DateTime, Utc};
use csv::{ByteRecord, StringRecord};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

const MIXED: [&str; 8] =
    ["--seed", "7", "--rows", "20000", "--duplicates", "0.05", "--bad", "0.02"];

fn records(bytes: &[u8]) -> Vec<StringRecord> {
    csv::Reader::from_reader(bytes).records().map(Result::unwrap).collect()
}

fn time(record: &StringRecord) -> DateTime<Utc> {
    assert!(record[4].ends_with('Z'), "{record:?}");
    DateTime::parse_from_rfc3339(&record[4]).unwrap().to_utc()
}

/// Whether a strict loader would take the line into the columns of the table.
fn is_loadable(line: &[u8]) -> bool {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line);
    let mut record = ByteRecord::new();
    let well_formed = reader.read_byte_record(&mut record).unwrap() && record.len() == 9;
    let mut canonical = csv::Writer::from_writer(Vec::new());
    canonical.write_byte_record(&record).unwrap();
    let well_quoted = canonical.into_inner().unwrap() == line;
    let Ok(record) = StringRecord::from_byte_record(record) else { return false };
    well_formed
        && well_quoted
        && !line.contains(&0)
        && record[0].len() == 36
        && Uuid::try_parse(&record[0]).is_ok()
        && record[1].parse::<i64>().is_ok()
        && record[2].parse::<i64>().is_ok()
        && !record[3].is_empty()
        && DateTime::parse_from_rfc3339(&record[4]).is_ok()
        && is_price(&record[5])
}

fn is_price(text: &str) -> bool {
    let (units, cents) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str, most| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    digits(units, 8) && digits(cents, 2)
}

/// Lines without the header, each with its newline.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').skip(1).collect()
}

#[test]
fn by_default_there_are_30000_events_of_the_last_hour_in_data() {
    let folder = tempfile::tempdir().unwrap();
    let before = Utc::now();
    let output = generator(folder.path()).output().unwrap();
    let after = Utc::now();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let files = printed(folder.path(), &output);
    assert_eq!(files.len(), 1);
    assert_eq!(
        names(&folder.path().join("data")),
        [files[0].file_name().unwrap().to_str().unwrap()]
    );

    let records = records(&std::fs::read(&files[0]).unwrap());
    assert_eq!(records.len(), 30_000);
    let (first, last) = (time(&records[0]), time(&records[29_999]));
    let minutes = |count| chrono::TimeDelta::minutes(count);
    assert!(first >= before - minutes(60) && first < after - minutes(59), "{first}");
    assert!(last > before - minutes(1) && last <= after, "{last}");
}

#[test]
fn the_header_names_the_columns() {
    let bytes = make_one(&["--rows", "1"]);
    let header = "event_id,user_id,product_id,event_type,event_time,price,category,user_device,\
                  user_location\n";
    assert!(bytes.starts_with(header.as_bytes()));
}

/// Whoever changes these bytes changes what a seed means to users: say so in the changelog.
#[test]
fn the_bytes_of_a_seed_are_as_ever() {
    let bytes = make_one(&["--seed", "7", "--rows", "1000"]);
    let text = String::from_utf8(bytes).unwrap();
    let first: Vec<&str> = text.lines().skip(1).take(3).collect();
    assert_eq!(
        first,
        [
            "019b76da-aa38-710a-9741-76f6c127c75c,14656,987,view,2026-01-01T00:00:00.568065Z,89.50,\
             Toys & Games,Windows PC,Brendaside",
            "019b76da-b977-74f5-8fc9-04aeeba9b0a9,18496,1380,view,2026-01-01T00:00:04.471310Z,32.99,\
             \"Clothing, Shoes & Jewelry\",iPhone,\"Colin, France\"",
            "019b76da-c987-763d-8da7-0dcf4c2f385a,1078,574,view,2026-01-01T00:00:08.583390Z,61.50,\
             \"Clothing, Shoes & Jewelry\",Android phone,Ullrichstad",
        ]
    );
    assert_eq!(xxh3_64(text.as_bytes()), 5_496_507_631_153_273_149);
    assert_eq!(xxh3_64(&make_one(&MIXED)), 5_556_057_390_759_731_209);
}

/// The same for the other datasets.
#[test]
fn the_bytes_of_a_seed_are_as_ever_for_every_dataset() {
    let hash = |dataset: &[&str]| xxh3_64(&make_one(&[dataset, &MIXED].concat()));
    assert_eq!(hash(&["user-events"]), 5_556_057_390_759_731_209);
    assert_eq!(hash(&["ad-events"]), 4_891_514_325_791_833_635);
    assert_eq!(hash(&["transfers"]), 9_541_213_234_282_342_438);
    assert_eq!(hash(&["gps"]), 14_145_982_627_343_405_393);
    assert_eq!(hash(&["pos"]), 4_774_230_600_842_833_488);
    assert_eq!(hash(&["emoji"]), 14_761_243_715_509_593_712);
    assert_eq!(hash(&["simulator"]), 16_438_950_741_266_104_587);
    let chosen = ["transfers", "--people", "--region", "North=0.3", "--region", "South=0.7"];
    assert_eq!(hash(&chosen), 16_927_090_343_328_266_932);
}

#[test]
fn other_seeds_and_no_seed_give_other_bytes() {
    let one = make_one(&["--seed", "1", "--rows", "100"]);
    assert_eq!(one, make_one(&["--seed", "1", "--rows", "100"]));
    assert_ne!(one, make_one(&["--seed", "2", "--rows", "100"]));
    let start = ["--start", "2026-01-01T00:00:00Z", "--rows", "100"];
    assert_ne!(make_one(&start), make_one(&start));
}

#[test]
fn ids_are_version_7_ascend_and_carry_the_milliseconds_of_the_time() {
    // Ten events in a microsecond: the ids must ascend even then.
    let records = records(&make_one(&["--seed", "1", "--rows", "20000", "--span", "2ms"]));
    assert!(records.is_sorted_by(|a, b| a[0] < b[0] && time(a) <= time(b)));
    for record in &records {
        let id = Uuid::try_parse(&record[0]).unwrap();
        assert_eq!(id.get_version_num(), 7);
        let milliseconds = id.as_u128() >> 80;
        assert_eq!(milliseconds, u128::try_from(time(record).timestamp_millis()).unwrap());
    }
}

#[test]
fn times_run_forward_within_the_span_from_the_start() {
    let flags = ["--rows", "5000", "--span", "10m", "--start", "2026-05-01T12:00:00+02:00"];
    let times: Vec<_> = records(&make_one(&flags)).iter().map(time).collect();
    assert!(times.is_sorted());
    assert!(times[0].to_rfc3339().starts_with("2026-05-01T10:00:"));
    assert!(times[4_999].to_rfc3339().starts_with("2026-05-01T10:09:"));
}

#[test]
fn the_files_of_a_run_go_on_from_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let files = make(folder.path(), &["--rows", "300", "--files", "3"]);
    assert_eq!(files.len(), 3);
    let all: Vec<StringRecord> =
        files.iter().flat_map(|file| records(&std::fs::read(file).unwrap())).collect();
    assert_eq!(all.len(), 900);
    assert!(all.is_sorted_by(|a, b| a[0] < b[0] && time(a) <= time(b)));
}

#[test]
fn users_keep_device_and_location_and_products_category_and_price_across_runs() {
    let mut users = HashMap::new();
    let mut products = HashMap::new();
    for seed in ["1", "2"] {
        for record in records(&make_one(&["--seed", seed, "--rows", "20000"])) {
            let device_and_location = (record[7].to_owned(), record[8].to_owned());
            let known = users.entry(record[1].to_owned()).or_insert(device_and_location.clone());
            assert_eq!(*known, device_and_location);
            let category_and_price = (record[6].to_owned(), record[5].to_owned());
            let known = products.entry(record[2].to_owned()).or_insert(category_and_price.clone());
            assert_eq!(*known, category_and_price);
        }
    }
    assert!(users.len() > 5_000 && products.len() > 1_000);
}

#[test]
fn events_are_as_in_life() {
    let bytes = make_one(&["--seed", "1"]);
    let mut kinds: HashMap<String, usize> = HashMap::new();
    let mut users: HashMap<String, usize> = HashMap::new();
    for record in records(&bytes) {
        *kinds.entry(record[3].to_owned()).or_default() += 1;
        *users.entry(record[1].to_owned()).or_default() += 1;
    }
    assert!(kinds["view"] > 10 * kinds["purchase"]);
    assert!(kinds["add_to_cart"] > kinds["purchase"] + kinds["remove_from_cart"]);
    assert!(kinds["purchase"] > 1_000 && kinds["add_to_wishlist"] > 500);
    assert!(users.values().max().unwrap() > &50, "some users come often");
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(", ") && text.contains("12\"\" Vinyl") && !text.is_ascii());
}

#[test]
fn without_bad_records_every_line_is_loadable() {
    let bytes = make_one(&["--rows", "5000"]);
    assert!(lines(&bytes).iter().all(|line| is_loadable(line)));
}

#[test]
fn duplicates_and_bad_records_are_as_many_as_asked_and_as_told() {
    let folder = tempfile::tempdir().unwrap();
    let output = generator(folder.path()).args(MIXED).output().unwrap();
    let bytes = std::fs::read(&printed(folder.path(), &output)[0]).unwrap();
    let lines = lines(&bytes);
    assert_eq!(lines.len(), 20_000);
    let (good, bad): (Vec<&[u8]>, Vec<&[u8]>) = lines.iter().partition(|line| is_loadable(line));
    let ids: HashSet<&[u8]> = good.iter().map(|line| &line[..36]).collect();
    let distinct: HashSet<&[u8]> = good.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "a duplicate repeats the whole record");
    let duplicates = good.len() - distinct.len();
    assert!((300..500).contains(&bad.len()), "{}", bad.len());
    assert!((900..1_100).contains(&duplicates), "{duplicates}");
    let told = format!("20000 records, of them {duplicates} duplicates and {} broken", bad.len());
    assert!(String::from_utf8_lossy(&output.stderr).contains(&told), "{output:?}");
}

#[test]
fn broken_records_do_not_swallow_their_neighbours() {
    let bytes = make_one(&["--seed", "7", "--rows", "5000", "--bad", "0.3"]);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_slice());
    assert_eq!(reader.byte_records().map(Result::unwrap).count(), 5_000);
    assert_eq!(lines(&bytes).len(), 5_000);
}
