use std::fs;
use std::os::unix::fs::FileExt;

use super::*;
use crate::batch::{MicroBatch, Part};
use crate::config::{Overrides, Settings};
use crate::format::Format;
use crate::framing::{self, FRAME_BYTES, Head};
use crate::memory::Held;
use crate::partition::{Partition, Position};
use crate::schema::Table;

const HEADER: &[u8] = b"a,b";

fn append(text: &str) -> Append {
    Append {
        content: Content { format: Format::Csv, header: Some(HEADER.into()) },
        bytes: Arc::new(Held::new(text.as_bytes().to_vec(), None)),
        records: text.lines().count() as u64,
        key: None,
        waits: false,
    }
}

fn keyed(text: &str, key: &str) -> Append {
    Append { key: Some(Key::new(key.as_bytes(), text.as_bytes())), ..append(text) }
}

/// The records in the segments: in front of those of each segment its header.
fn text(data: &Path) -> String {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(data.join("spool/s")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut text = String::new();
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        let framing::Start::Head(head) = Head::read(&bytes) else { panic!("no head in {path:?}") };
        text += head.header.as_deref().map_or("", |header| std::str::from_utf8(header).unwrap());
        let mut at = usize::try_from(head.len).unwrap();
        while at < bytes.len() {
            let frame = head.read_frame(&bytes[at..]).unwrap();
            let start = at + FRAME_BYTES;
            at = start + usize::try_from(frame.len).unwrap();
            if !frame.is_void {
                text += &format!("[{}]", std::str::from_utf8(&bytes[start..at]).unwrap());
            }
        }
    }
    text
}

const LIMITS: Limits =
    Limits { record_bytes_max: 1000, backlog_bytes_max: 1000, keep: Duration::from_secs(60) };

/// Both handles on a spool.
fn spool(data: &Path) -> (SpoolWriter, SpoolReader) {
    let inner = Arc::new(Inner::new(&data.join("spool"), "s", LIMITS, Health::default()));
    (SpoolWriter(inner.clone()), SpoolReader(inner))
}

#[tokio::test]
async fn requests_share_a_segment_and_another_header_begins_another() {
    let data = tempfile::tempdir().unwrap();
    let (spool, reader) = spool(data.path());
    assert!(reader.survey().is_empty() && !data.path().join("spool").exists());
    let both = tokio::join!(spool.append(append("1,2\n")), spool.append(append("3,4\n5,6\n")));
    assert_eq!((both.0.unwrap().records, both.1.unwrap().records), (1, 2));
    assert_eq!(text(data.path()), "a,b[1,2\n][3,4\n5,6\n]");
    let json = Content { format: Format::Ndjson, header: None };
    spool.append(Append { content: json, ..append("{}\n") }).await.unwrap();
    spool.append(append("7,8\n")).await.unwrap();
    assert_eq!(text(data.path()), "a,b[1,2\n][3,4\n5,6\n][7,8\n][{}\n]");
    assert_eq!(reader.survey().len(), 2);
    // Another process has no part in them, but takes up what is left behind.
    let (_, other) = self::spool(data.path());
    assert!(other.survey().is_empty());
}

#[tokio::test]
async fn what_is_committed_makes_room_and_is_deleted_once_sealed() {
    let data = tempfile::tempdir().unwrap();
    let (spool, reader) = spool(data.path());
    spool.append(append(&"1,2\n".repeat(300))).await.unwrap();
    assert!(matches!(spool.check_room(), Err(SpoolError::Full)));
    let offered = reader.offer(|_| false);
    assert!(offered.len() == 1 && reader.offer(|_| false).is_empty(), "it is offered once");
    let name = &offered[0].name;
    let len = reader.limit(name).unwrap().load(Ordering::Acquire);
    assert_eq!((spool.backlog_bytes(), offered[0].stat.size), (len, len));
    reader.note_committed(name, len);
    assert!(spool.check_room().is_ok() && !reader.has_finished());
    spool.seal().await;
    assert!(reader.has_finished());
    reader.tidy();
    assert!(reader.survey().is_empty() && text(data.path()).is_empty());
}

#[tokio::test]
async fn a_key_is_stored_once_and_known_as_long_as_its_records_are_not_committed() {
    let data = tempfile::tempdir().unwrap();
    let (one, reader) = spool(data.path());
    let (first, again) =
        tokio::join!(one.append(keyed("1,2\n", "k")), one.append(keyed("1,2\n", "k")));
    assert_eq!((first.unwrap().is_repeated, again.unwrap().is_repeated), (false, true));
    let other = one.append(keyed("3,4\n", "k")).await;
    assert!(matches!(other, Err(SpoolError::KeyReused)));
    one.append(keyed("3,4\n", "l")).await.unwrap();
    assert_eq!(text(data.path()), "a,b[1,2\n][3,4\n]");
    // Without a database, what it has committed itself is all that it knows.
    let name = reader.offer(|_| false).remove(0).name;
    reader.note_committed(&name, u64::MAX);
    assert!(one.append(keyed("3,4\n", "l")).await.unwrap().is_repeated);
    drop((one, reader));
}

/// A micro-batch of all that is synced of a segment, as it is before anybody asks who waits.
fn batch_of(reader: &SpoolReader, name: &Name) -> MicroBatch {
    let table = Table::empty();
    let stream = Settings::shipped(Overrides::default()).unwrap().streams.remove(0);
    let mut batch = MicroBatch::new(Fits::new(Arc::new(table), &stream.fitting).of_objects());
    let offset = reader.limit(name).unwrap().load(Ordering::Acquire);
    batch.parts.push(Part {
        partition: Partition::new(name.clone(), 1),
        is_new: true,
        header: None,
        start_offset: 0,
        end: Position { offset, ..Position::default() },
        bytes: offset,
        records: 1,
        dead_letters: Vec::new(),
    });
    batch
}

#[tokio::test]
async fn who_repeats_a_request_while_it_is_being_committed_is_told() {
    let data = tempfile::tempdir().unwrap();
    let (spool, reader) = spool(data.path());
    spool.append(keyed("1,2\n", "k")).await.unwrap();
    let name = reader.offer(|_| false).remove(0).name;
    let mut batch = batch_of(&reader, &name);
    batch.watched = reader.watched(&batch.parts);
    let again = spool.append(Append { waits: true, ..keyed("1,2\n", "k") }).await.unwrap();
    let mut outcome = again.outcome.unwrap();
    assert!(outcome.try_recv().is_err(), "it is not committed yet");
    reader.committed(&batch, &[], std::iter::empty());
    assert!(outcome.try_recv().is_ok());
}

/// A segment with these requests, left behind by its process.
fn left_behind(data: &Path, requests: &[(&str, &str)]) -> PathBuf {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (spool, _) = spool(data);
        for (key, text) in requests {
            spool.append(keyed(text, key)).await.unwrap();
        }
    });
    // Its lock goes with the task that writes.
    drop(runtime);
    fs::read_dir(data.join("spool/s")).unwrap().next().unwrap().unwrap().path()
}

/// What can be read of a segment, and whether something was put aside of it, when it is taken up.
fn taken_up(data: &Path, path: &Path) -> (String, bool) {
    let (_, reader) = spool(data);
    reader.survey();
    let aside = PathBuf::from(format!("{}.damaged", path.display()));
    let is_aside = fs::remove_file(aside).is_ok();
    (text(data), is_aside)
}

#[test]
fn an_end_that_was_not_written_is_cut_off_and_damage_is_put_aside() {
    let requests = [("k", "1,2\n"), ("l", "3,4\n"), ("m", "5,6\n")];
    let all = "a,b[1,2\n][3,4\n][5,6\n]";
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let path = left_behind(data, &requests);
    let bytes = fs::read(&path).unwrap();
    let frame = FRAME_BYTES + 4;
    let ends: Vec<usize> = (0..3).rev().map(|n| bytes.len() - n * frame).collect();
    for len in 0..=bytes.len() {
        // The process was killed while it wrote.
        fs::write(&path, &bytes[..len]).unwrap();
        let whole = ends.iter().filter(|end| **end <= len).count();
        let expected = if whole == 0 { "" } else { &all[..3 + 6 * whole] };
        assert_eq!(taken_up(data, &path), (expected.to_owned(), false), "torn at {len}");
        // The power went, and the file system has the size but not the bytes.
        let mut zeros = bytes[..len].to_vec();
        zeros.resize(bytes.len(), 0);
        fs::write(&path, zeros).unwrap();
        assert_eq!(taken_up(data, &path), (expected.to_owned(), false), "zeros from {len}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        fs::write(&path, &damaged).unwrap();
        let hit = ends.iter().position(|end| at < *end).unwrap();
        let (text, is_aside) = taken_up(data, &path);
        // Half of them are in the head, which stands there twice.
        let is_head = at < ends[0] - frame;
        let lost = if is_head { 3 } else { hit };
        let left = requests.iter().enumerate().filter(|(n, _)| *n != lost);
        let left: String = left.map(|(_, (_, text))| format!("[{text}]")).collect();
        assert_eq!((text, is_aside), (format!("a,b{left}"), !is_head), "a flipped bit at {at}");
    }
}

#[test]
fn a_segment_of_a_later_version_stays_and_is_told() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let path = left_behind(data, &[("k", "1,2\n")]);
    let later = b"\x89streamer segment 3\nsomething else";
    fs::write(&path, later).unwrap();
    let health = Health::default();
    let inner = Arc::new(Inner::new(&data.join("spool"), "s", LIMITS, health.clone()));
    let reader = SpoolReader(inner);
    assert!(reader.survey().is_empty());
    assert!(!health.is_well());
    assert_eq!(fs::read(&path).unwrap(), later);
}

#[tokio::test]
async fn a_segment_that_is_removed_is_still_read_and_told() {
    let data = tempfile::tempdir().unwrap();
    let health = Health::default();
    let inner = Arc::new(Inner::new(&data.path().join("spool"), "s", LIMITS, health.clone()));
    let (spool, reader) = (SpoolWriter(inner.clone()), SpoolReader(inner));
    spool.append(append("1,2\n")).await.unwrap();
    let name = reader.survey().remove(0).name;
    fs::remove_dir_all(data.path().join("spool")).unwrap();
    assert_eq!(reader.survey().len(), 1);
    assert!(!health.is_well());
    let (file, stat) = reader.open_segment(&name).unwrap();
    let mut bytes = vec![0; usize::try_from(stat.size).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes.ends_with(b"1,2\n"));
    spool.append(append("3,4\n")).await.unwrap();
    assert_eq!(text(data.path()), "a,b[3,4\n]", "what comes now goes into a new one");
    reader.note_committed(&name, stat.size);
    reader.tidy();
    reader.survey();
    assert!(health.is_well());
}

#[tokio::test]
async fn a_spool_that_can_not_be_written_ails_until_it_can_though_nobody_asks() {
    let data = tempfile::tempdir().unwrap();
    let health = Health::default();
    let inner = Arc::new(Inner::new(&data.path().join("spool"), "s", LIMITS, health.clone()));
    let spool = SpoolWriter(inner);
    fs::write(data.path().join("spool"), "in the way").unwrap();
    assert!(matches!(spool.append(append("1,2\n")).await, Err(SpoolError::Io(_))));
    assert!(!health.is_well());
    fs::remove_file(data.path().join("spool")).unwrap();
    let healed = async {
        while !health.is_well() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), healed).await.unwrap();
    spool.append(append("1,2\n")).await.unwrap();
    assert_eq!(text(data.path()), "a,b[1,2\n]");
}
