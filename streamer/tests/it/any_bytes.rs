//! Any bytes as a file, through the reader that the program has: nothing panics, every byte and
//! every record is accounted for, and the outcome is the same however the file comes and is cut up.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use streamer::config::{Overrides, Settings, Stream};
use streamer::encode::{Rules, Type, TypeCatalog, TypeEntry, Zone};
use streamer::feed::files::Files;
use streamer::feed::lanes::FILES;
use streamer::feed::places::Places;
use streamer::feed::{Feed, Work};
use streamer::layout::{Fits, Reason};
use streamer::memory::Memory;
use streamer::partition::standing::Standing;
use streamer::partition::{Checkpoint, Partition};
use streamer::schema::{Column, Table};

use crate::support::folder;

const CSV: &str = "1.csv";
const JSON: &str = "1.ndjson";

const HEADER: &[u8] = b"a,b\n";

/// Bytes that a record may have.
const RECORD_BYTES_MAX: usize = 40;

/// What a record became: its bytes with the row, or with the reasons against it.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    offset: u64,
    end: u64,
    line: u64,
    raw: Vec<u8>,
    row: Option<Vec<u8>>,
    reasons: Vec<Reason>,
}

/// What a file became, and where reading stands.
#[derive(Debug, Default)]
struct Read {
    outcomes: Vec<Outcome>,
    refusals: Vec<String>,
    checkpoint: Option<Checkpoint>,
}

/// Few kinds of bytes that mean something in CSV, and now and then any byte.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let meant = select(b"ab,,\"\"\n\n\r\0\xff\xc3\xa9 \\".to_vec());
    prop::collection::vec(prop_oneof![9 => meant, 1 => any::<u8>()], 0..160)
}

proptest! {
    #[test]
    fn every_byte_and_record_of_a_file_is_accounted_for(bytes in bytes()) {
        let file = [HEADER, &bytes].concat();
        let read = read_whole(CSV, &file, 1000);
        prop_assert!(read.refusals.is_empty());
        let end = read.checkpoint.expect("the header was read");
        prop_assert!(end.is_done && end.next_offset == offset(file.len()));
        let mut at = HEADER.len();
        for outcome in &read.outcomes {
            let (start, end) = (place(outcome.offset), place(outcome.end));
            prop_assert!(at <= start && start < end, "{outcome:?} overlaps or is empty");
            prop_assert_eq!(outcome.raw.as_slice(), &file[start..end]);
            prop_assert!(is_blank(&file[at..start]), "bytes lost before {outcome:?}");
            prop_assert_eq!(outcome.line, 1 + line_ends(&file[..start]));
            prop_assert!(outcome.row.is_some() == outcome.reasons.is_empty());
            at = end;
        }
        prop_assert!(is_blank(&file[at..]), "bytes lost at the end");
    }

    #[test]
    fn the_outcome_is_the_same_whatever_the_size_of_micro_batches(
        bytes in bytes(), max_rows in 1..5u64,
    ) {
        let file = [HEADER, &bytes].concat();
        prop_assert_eq!(read_whole(CSV, &file, max_rows).outcomes, read_whole(CSV, &file, 1000).outcomes);
    }

    #[test]
    fn the_outcome_is_the_same_when_the_file_grows_in_pieces(
        bytes in bytes(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let file = [HEADER, &bytes].concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(file.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(read_growing(CSV, &file, &cuts).outcomes, read_whole(CSV, &file, 1000).outcomes);
    }

    #[test]
    fn any_bytes_in_place_of_the_header_are_read_or_refused(bytes in bytes()) {
        let read = read_whole(CSV, &bytes, 1000);
        match read.checkpoint {
            Some(end) => prop_assert!(end.is_done && end.next_offset == offset(bytes.len())),
            None => {
                prop_assert!(read.outcomes.is_empty());
                let without_mark = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
                prop_assert_eq!(read.refusals.len(), usize::from(!is_blank(without_mark)));
            }
        }
    }
}

/// Pieces of JSON and of lines, and now and then any byte.
fn json_bytes() -> impl Strategy<Value = Vec<u8>> {
    let meant = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"a\":",
        "\"b\":",
        "\"c\":",
        "\"d\":",
        "1.50",
        "null",
        "\"x\"",
        "\\",
        "\"\\ud800\"",
        "\n",
        "\n",
        "\r\n",
        "\r",
        " ",
        "{\"a\":1}",
        "{\"b\":\"y\",\"c\":2}\n",
        "{\"c\":null}\n",
        "{\"a\":[]}\n",
        "{\"a\":1,\"A\":2}\n",
    ];
    let meant = select(meant.to_vec()).prop_map(|piece| piece.as_bytes().to_vec());
    let any = any::<u8>().prop_map(|byte| vec![byte]);
    prop::collection::vec(prop_oneof![12 => meant, 1 => any], 0..60).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn every_byte_and_record_of_json_lines_is_accounted_for(file in json_bytes()) {
        let read = read_whole(JSON, &file, 1000);
        if let [reason] = read.refusals.as_slice() {
            prop_assert!(reason.contains("UTF-") || reason.contains("packed"), "{reason}");
            return Ok(());
        }
        let Some(end) = read.checkpoint else {
            prop_assert!(file.is_empty() || file == b"\xef\xbb\xbf");
            return Ok(());
        };
        prop_assert!(end.is_done && end.next_offset == offset(file.len()));
        let mut at = if file.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let is_space = |bytes: &[u8]| bytes.iter().all(|byte| b" \t\r\n".contains(byte));
        for outcome in &read.outcomes {
            let (start, end) = (place(outcome.offset), place(outcome.end));
            prop_assert!(at <= start && start < end, "{outcome:?} overlaps or is empty");
            prop_assert_eq!(outcome.raw.as_slice(), &file[start..end]);
            prop_assert!(is_space(&file[at..start]), "bytes lost before {outcome:?}");
            prop_assert_eq!(outcome.line, 1 + line_ends(&file[..start]));
            prop_assert!(outcome.row.is_some() == outcome.reasons.is_empty());
            if outcome.row.is_some() {
                let object: Result<serde_json::Value, _> = serde_json::from_slice(&outcome.raw);
                prop_assert!(object.is_ok_and(|object| object.is_object()), "{outcome:?}");
            }
            at = end;
        }
        prop_assert!(is_space(&file[at..]), "bytes lost at the end");
    }

    #[test]
    fn json_lines_have_the_same_outcome_however_they_come(
        file in json_bytes(),
        max_rows in 1..5u64,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let whole = read_whole(JSON, &file, 1000);
        prop_assert_eq!(&read_whole(JSON, &file, max_rows).outcomes, &whole.outcomes);
        // What the first bytes say of a file is said before it has grown.
        if whole.refusals.is_empty() && !file.is_empty() && !file.starts_with(b"\xef") {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(file.len())).collect();
            cuts.sort_unstable();
            prop_assert_eq!(read_growing(JSON, &file, &cuts).outcomes, whole.outcomes);
        }
    }
}

/// Reads a file that nobody writes any more.
fn read_whole(name: &str, bytes: &[u8], max_rows: u64) -> Read {
    let folder = folder();
    fs::write(folder.path().join(name), bytes).unwrap();
    let mut read = Read::default();
    drain(folder.path(), &stream(Duration::ZERO, max_rows), &mut read);
    read
}

/// Reads a file each time it has grown to a cut, by a reader that knows the checkpoint alone, and
/// at last when it is still.
fn read_growing(name: &str, bytes: &[u8], cuts: &[usize]) -> Read {
    let folder = folder();
    let path = folder.path().join(name);
    File::create(&path).unwrap();
    let mut read = Read::default();
    let mut from = 0;
    for &cut in cuts.iter().chain([&bytes.len()]) {
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&bytes[from..cut]).unwrap();
        from = cut;
        drain(folder.path(), &stream(Duration::from_secs(3600), 1000), &mut read);
    }
    drain(folder.path(), &stream(Duration::ZERO, 1000), &mut read);
    read
}

/// Reads what there is from the checkpoint on, as the engine does.
fn drain(folder: &Path, stream: &Stream, read: &mut Read) {
    let is_patient = stream.reading.settle > Duration::ZERO;
    let places = Places::new(folder.to_owned(), &stream.reading, None);
    let files = Files::new(&stream.reading, Standing::default());
    let fits = Fits::new(table(), &stream.fitting);
    let (reading, pace, memory) = (&stream.reading, &stream.pace, &Memory::unlimited());
    let mut feed = Feed::new(reading, pace, places.clone(), fits, files.clone(), FILES, memory);
    loop {
        files.list(&places, usize::MAX).unwrap();
        let checkpoints = [CSV, JSON]
            .iter()
            .filter_map(|&name| Some((Partition::parse(name), read.checkpoint.clone()?)));
        let checkpoints = checkpoints.collect();
        feed.take_all(&checkpoints);
        while let Some(work) = feed.next_work(u64::MAX, feed.room()) {
            read.take(work);
        }
        if is_patient || !files.is_waiting() {
            return;
        }
    }
}

impl Read {
    fn take(&mut self, work: Work) {
        let batch = match work {
            Work::Batch(batch) => batch,
            Work::Refused { reason, .. } => return self.refusals.push(reason),
            Work::Unreadable { error, .. } => panic!("{error}"),
        };
        for (number, part) in batch.parts.iter().enumerate() {
            let stood = self.checkpoint.as_ref().map_or(0, |at| at.next_offset);
            assert_eq!(part.start_offset, stood, "the checkpoint's compare-and-set would fail");
            let rows = batch.rows.iter().filter(|row| row.part == number).map(|row| {
                let letter = batch.dead_letter(row, Reason::of_record("00000", "a row"));
                let (offset, end) = (letter.offsets.start, letter.offsets.end);
                let row = Some(batch.row_bytes(row).to_vec());
                Outcome {
                    offset,
                    end,
                    line: letter.line.unwrap(),
                    raw: letter.raw,
                    row,
                    reasons: vec![],
                }
            });
            let letters = part.dead_letters.iter().map(|letter| Outcome {
                offset: letter.offsets.start,
                end: letter.offsets.end,
                line: letter.line.unwrap(),
                raw: letter.raw.clone(),
                row: None,
                reasons: letter.reasons.clone(),
            });
            let mut outcomes: Vec<Outcome> = rows.chain(letters).collect();
            assert_eq!(part.records, offset(outcomes.len()), "records are rows and dead letters");
            outcomes.sort_by_key(|outcome| outcome.offset);
            self.outcomes.append(&mut outcomes);
            self.checkpoint = Some(Checkpoint {
                next_offset: part.end.offset,
                next_line: part.end.line,
                fingerprint: Some(part.end.fingerprint.clone()),
                is_done: part.end.is_end,
            });
        }
    }
}

static STREAM: LazyLock<Stream> = LazyLock::new(|| {
    let folder = folder();
    let path = folder.path().join("streams.toml");
    let text = format!("[stream.t]\nfiles = '1.*'\nmax_record_bytes = '{RECORD_BYTES_MAX}B'\n");
    fs::write(&path, text).unwrap();
    let overrides = Overrides { file: Some(path), ..Overrides::default() };
    Settings::load(overrides).unwrap().streams.remove(0)
});

fn stream(settle: Duration, max_rows: u64) -> Stream {
    let mut stream = STREAM.clone();
    (stream.reading.settle, stream.pace.max_rows) = (settle, Some(max_rows));
    stream
}

/// A table of three columns of text, of which the last has a default.
fn table() -> Arc<Table> {
    const TEXT: u32 = 25;
    let entry = TypeEntry {
        input: "textin".to_owned(),
        receive: "textrecv".to_owned(),
        ..TypeEntry::default()
    };
    let catalog = TypeCatalog::from_iter([(TEXT, entry)]);
    let rules = Rules { zone: &Zone::Utc, takes_nan: false };
    let column = |name: &str, has_default: bool| Column {
        name: name.to_owned(),
        type_name: "text".to_owned(),
        cast: "text".to_owned(),
        type_oid: TEXT,
        array_oid: 0,
        encoding: Type::resolve(&catalog, TEXT, -1, rules),
        not_null: false,
        has_default,
    };
    let columns = vec![column("a", false), column("b", false), column("c", true)];
    Arc::new(Table {
        quoted_name: "t".to_owned(),
        is_one_heap: true,
        columns,
        generated: Vec::new(),
        provenance: Vec::new(),
        keys: Vec::new(),
        event_time: None,
    })
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| b"\r\n".contains(byte))
}

/// How many lines end in `bytes`: LF, CRLF and lone CR each count once.
fn line_ends(bytes: &[u8]) -> u64 {
    let ends = |at: &usize| {
        bytes[*at] == b'\n' || bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n')
    };
    offset((0..bytes.len()).filter(ends).count())
}

fn offset(len: usize) -> u64 {
    u64::try_from(len).unwrap()
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}
