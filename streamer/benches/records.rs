//! From bytes to rows, in memory: the splitter, each kind of value, and whole records of user
//! events.
//!
//! Run by `cargo bench -p streamer`. The input is fixed: the generator's records of one seed.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use streamer::batch::MicroBatch;
use streamer::config::{Overrides, Settings};
use streamer::encode::{Rules, Type, TypeCatalog, TypeEntry, Zone};
use streamer::format::{Format, Next, Reader, Record};
use streamer::latency::Latency;
use streamer::layout::{Fit, Layout};
use streamer::schema::{Column, Key, KeyPart, Table};

/// As many as one large micro-batch takes.
const RECORDS: u64 = 10_000;

/// A time behind all records' ones: the end of January 2026. Unit: microseconds since 1970.
const NOW_US: i64 = 1_769_900_000_000_000;

fn main() {
    divan::main();
}

/// Cuts the records and unescapes their fields.
#[divan::bench]
fn split(bencher: Bencher<'_, '_>) {
    let records = records();
    counted(bencher, &records).bench_local(|| {
        each_record(&records, |record| {
            black_box(record);
        });
    });
}

/// The same, and each record as a row of the table user_events.
#[divan::bench]
fn split_and_encode(bencher: Bencher<'_, '_>) {
    let records = records();
    let layout = user_events();
    let (mut rows, mut reasons) = (Vec::new(), Vec::new());
    counted(bencher, &records).bench_local(|| {
        rows.clear();
        each_record(&records, |record| {
            layout.encode(&record.fields, &mut rows, &mut reasons);
        });
        assert!(reasons.is_empty());
    });
}

/// When the events of rows in key order were created, as the latency needs it where not all rows of
/// a micro-batch went in.
#[divan::bench]
fn created(bencher: Bencher<'_, '_>) {
    let records = records();
    let mut batch = MicroBatch::new(Fit::Header(Arc::new(user_events())));
    let mut reasons = Vec::new();
    each_record(&records, |record| batch.take(&record, &mut reasons));
    batch.finish();
    let mut latency = Latency::default();
    counted(bencher, &records).bench_local(|| {
        let created: Arc<[i64]> =
            batch.rows.iter().filter_map(|row| batch.created_us_of(row)).collect();
        let late = |created: &i64| NOW_US.saturating_sub(*created).unsigned_abs();
        created.iter().map(late).for_each(|micros| latency.note(micros));
        assert_eq!(created.len(), batch.rows.len());
    });
}

/// One value of each kind that user_events has.
#[divan::bench(args = ["uuid", "bigint", "timestamptz", "numeric", "text"])]
fn value(bencher: Bencher<'_, '_>, kind: &str) {
    let (kind, text) = match kind {
        "uuid" => (&UUID, "019b76da-aa38-710a-9741-76f6c127c75c"),
        "bigint" => (&BIGINT, "14656"),
        "timestamptz" => (&TIMESTAMPTZ, "2026-01-01T00:00:00.568065Z"),
        "numeric" => (&NUMERIC_10_2, "89.50"),
        _ => (&TEXT, "Toys & Games"),
    };
    let encoding = resolved(kind);
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        out.clear();
        encoding.encode(black_box(text), &mut out).is_ok()
    });
}

/// A type of PostgreSQL's: the functions of its text and binary forms, its number in pg_type, its
/// typmod.
struct Kind {
    input: &'static str,
    receive: &'static str,
    oid: u32,
    typmod: i32,
}

const UUID: Kind = Kind { input: "uuid_in", receive: "uuid_recv", oid: 2950, typmod: -1 };
const BIGINT: Kind = Kind { input: "int8in", receive: "int8recv", oid: 20, typmod: -1 };
const TEXT: Kind = Kind { input: "textin", receive: "textrecv", oid: 25, typmod: -1 };
const TIMESTAMPTZ: Kind =
    Kind { input: "timestamptz_in", receive: "timestamptz_recv", oid: 1184, typmod: -1 };
const NUMERIC_10_2: Kind =
    Kind { input: "numeric_in", receive: "numeric_recv", oid: 1700, typmod: ((10 << 16) | 2) + 4 };

/// The columns of user_events that come from a file.
const COLUMNS: [(&str, &Kind); 9] = [
    ("event_id", &UUID),
    ("user_id", &BIGINT),
    ("product_id", &BIGINT),
    ("event_type", &TEXT),
    ("event_time", &TIMESTAMPTZ),
    ("price", &NUMERIC_10_2),
    ("category", &TEXT),
    ("user_device", &TEXT),
    ("user_location", &TEXT),
];

fn resolved(kind: &Kind) -> Type {
    let entry = TypeEntry {
        input: kind.input.to_owned(),
        receive: kind.receive.to_owned(),
        ..TypeEntry::default()
    };
    let catalog: TypeCatalog = [(kind.oid, entry)].into_iter().collect();
    let rules = Rules { zone: &Zone::Utc, takes_nan: false };
    Type::resolve(&catalog, kind.oid, kind.typmod, rules)
}

/// The fit of the generator's header to the table, as the catalog would have it.
fn user_events() -> Layout {
    let column = |&(name, kind): &(&str, &Kind)| Column {
        name: name.to_owned(),
        type_name: String::new(),
        cast: String::new(),
        type_oid: kind.oid,
        array_oid: 1,
        encoding: resolved(kind),
        not_null: false,
        has_default: false,
    };
    let key = Key {
        name: "user_events_pkey".to_owned(),
        columns: vec!["event_id".to_owned()],
        parts: vec![KeyPart {
            sql: "\"event_id\"".to_owned(),
            label: "event_id".to_owned(),
            is_expression: false,
            equal: "operator(\"pg_catalog\".=)".to_owned(),
            collation: None,
        }],
        nulls_are_distinct: true,
        is_by_bytes: true,
    };
    let table = Table {
        quoted_name: "user_events".to_owned(),
        is_one_heap: true,
        columns: COLUMNS.iter().map(column).collect(),
        generated: Vec::new(),
        provenance: Vec::new(),
        keys: vec![key],
        event_time: Some("event_time".to_owned()),
    };
    let settings = Settings::shipped(Overrides::default()).expect("the shipped settings are valid");
    let stream = settings.streams.iter().find(|stream| stream.name == "user_events");
    let header = COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect();
    Layout::new(header, &table, &stream.expect("it is shipped").fitting).expect("the header fits")
}

/// The records as CSV, without the header.
fn records() -> Vec<u8> {
    let settings =
        generator::Settings { rows: RECORDS, seed: Some(7), ..generator::Settings::default() };
    let mut csv = Vec::new();
    let mut generator = generator::Generator::new(settings).expect("the settings are valid");
    generator
        .write_events(&mut csv, &mut |_| ControlFlow::Continue(()))
        .expect("memory can be written to");
    let header_end = csv.iter().position(|&byte| byte == b'\n').expect("there is a header");
    csv.split_off(header_end + 1)
}

fn counted<'a, 'b>(bencher: Bencher<'a, 'b>, records: &[u8]) -> Bencher<'a, 'b> {
    bencher.counter(BytesCount::of_slice(records)).counter(ItemsCount::new(RECORDS))
}

/// Calls `take` with each record.
fn each_record(records: &[u8], mut take: impl FnMut(Record<'_>)) {
    let mut reader = Reader::new(Format::Csv, 1 << 20);
    let mut at = 0;
    while let Next::Record(place) = reader.next(records, &mut at, true) {
        take(reader.record(place, records));
    }
    assert_eq!(at, records.len());
}
