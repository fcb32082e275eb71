//! Reading one file.

use std::io::Write;

use super::*;
use crate::memory::Memory;

/// Reads all of `bytes` in a file: each record or refused line with its offset and line.
fn read(bytes: &[u8], record_bytes_max: usize, still: bool) -> Vec<(String, u64, u64)> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let stat = Stat::of(&file.metadata().unwrap());
    let mut open = OpenFile::from_start(
        Kind::File,
        Content::new(file, "", &Memory::new(0)),
        stat,
        Format::Csv,
        record_bytes_max,
    );
    let mut read = Vec::new();
    loop {
        match open.step(still).unwrap() {
            Step::Record(Record { raw, range, line, .. }) => {
                read.push((String::from_utf8_lossy(raw).into_owned(), range.start, line.unwrap()));
            }
            Step::Refused(Refused { range, line, .. }) => {
                read.push((
                    format!("refused {}", range.end - range.start),
                    range.start,
                    line.unwrap(),
                ));
            }
            Step::End | Step::Wait | Step::Between => return read,
        }
    }
}

fn place(text: &str, offset: u64, line: u64) -> (String, u64, u64) {
    (text.to_owned(), offset, line)
}

#[test]
fn records_know_their_offset_and_physical_line() {
    let read = read(b"a\n\n\"b\r\nb\"\r\nc\nd", 100, true);
    let expected =
        [place("a", 0, 1), place("\"b\r\nb\"", 3, 3), place("c", 11, 5), place("d", 13, 6)];
    assert_eq!(read, expected);
}

#[test]
fn a_last_line_without_a_line_end_waits_until_the_file_is_still() {
    assert_eq!(read(b"a\nb", 100, false), [place("a", 0, 1)]);
    assert_eq!(read(b"a\nb", 100, true), [place("a", 0, 1), place("b", 2, 2)]);
}

#[test]
fn a_file_that_grew_since_it_was_judged_still_is_waited_for() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"a\n").unwrap();
    let stat = Stat::of(&file.metadata().unwrap());
    let mut open = {
        let content = Content::new(file.try_clone().unwrap(), "", &Memory::new(0));
        OpenFile::from_start(Kind::File, content, stat, Format::Csv, 100)
    };
    file.write_all(b"12.9").unwrap();
    assert!(matches!(open.step(true).unwrap(), Step::Record(_)));
    assert!(matches!(open.step(true).unwrap(), Step::Wait));
}

#[test]
fn a_line_end_across_two_reads_counts_once() {
    let mut bytes = vec![b'x'; CHUNK_BYTES - 1];
    bytes.extend(b"\r\n\r\nb\r\n");
    let read = read(&bytes, 1 << 20, false);
    assert_eq!(read[1], place("b", u64::try_from(CHUNK_BYTES).unwrap() + 3, 3));
}

#[test]
fn a_line_of_megabytes_is_passed_over_in_bounded_memory() {
    let mut bytes = b"a\n".to_vec();
    bytes.extend(vec![b'x'; 3_000_000]);
    assert_eq!(read(&bytes, 1000, false), [place("a", 0, 1)], "its end is not written yet");
    bytes.extend(b"\nb\n");
    let expected = [place("a", 0, 1), place("refused 3000000", 2, 2), place("b", 3_000_003, 3)];
    assert_eq!(read(&bytes, 1000, false), expected);
}

#[test]
fn records_longer_than_a_chunk_are_read() {
    let long = "y".repeat(CHUNK_BYTES * 3);
    let read = read(format!("a\n{long}\nb\n").as_bytes(), 1 << 20, false);
    assert_eq!(read.iter().map(|r| r.0.len()).collect::<Vec<_>>(), [1, long.len(), 1]);
}
