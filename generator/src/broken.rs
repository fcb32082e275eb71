//! Broken records: each is refused by a strict loader, each stays on its line, and none has a
//! quote left open, so that the records beside it are read as if it were not there.

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// What is wrong with a record. Columns are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    TooFewFields,
    TooManyFields,
    /// In a column, something else.
    Instead(usize, &'static [u8]),
    /// In a column, something behind the value.
    Behind(usize, &'static [u8]),
    /// In a column, from a byte of the value on, something else of the same length.
    Within(usize, usize, &'static [u8]),
    /// A column's value without its last byte.
    CutShort(usize),
}

/// Adds `line`, a record without its line end, to `out` as one line with one of the `faults`.
pub(crate) fn put_broken_line(
    line: &[u8],
    faults: &[Fault],
    rng: &mut ChaCha8Rng,
    out: &mut Vec<u8>,
) {
    let fault = faults.choose(rng).expect("there are faults");
    out.extend_from_slice(&broken(*fault, line).join(&b','));
    out.push(b'\n');
}

fn broken(fault: Fault, line: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = fields(line);
    match fault {
        Fault::TooFewFields => drop(fields.pop()),
        Fault::TooManyFields => fields.push(b"1".to_vec()),
        Fault::Instead(column, bytes) => fields[column] = bytes.to_vec(),
        Fault::Behind(column, bytes) => fields[column].extend_from_slice(bytes),
        Fault::Within(column, from, bytes) => {
            fields[column][from..from + bytes.len()].copy_from_slice(bytes);
        }
        Fault::CutShort(column) => drop(fields[column].pop()),
    }
    fields
}

/// The fields of a good line, with their quotes: commas between quotes do not count.
fn fields(line: &[u8]) -> Vec<Vec<u8>> {
    let mut is_quoted = false;
    let mut is_between = |byte: &u8| {
        is_quoted ^= *byte == b'"';
        *byte == b',' && !is_quoted
    };
    line.split(&mut is_between).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ad_events::Advertising;
    use crate::dataset::Dataset;
    use crate::lines::Lines;
    use crate::transfers::Banking;
    use crate::user_events;
    use rand::SeedableRng;

    const GOOD: &[u8] = b"0199aaaa-0000-7000-8000-000000000001,7,9,view,\
        2026-01-01T00:00:00.000000Z,1.50,Books,Mac,\"Oslo, NO\"";

    fn datasets() -> [Dataset; 8] {
        let with_people = Banking { people: true, ..Banking::default() };
        [
            Dataset::UserEvents,
            Dataset::AdEvents(Advertising::default()),
            Dataset::Transfers(Banking::default()),
            Dataset::Transfers(with_people),
            Dataset::Gps,
            Dataset::Pos,
            Dataset::Emoji,
            Dataset::Simulator,
        ]
    }

    /// A good line of `dataset`, and its faults.
    fn example(dataset: &Dataset) -> (Vec<u8>, &'static [Fault]) {
        let mut records = dataset.open(1);
        let mut line = Lines::new();
        records.next(1_767_225_600_000_000, &mut ChaCha8Rng::seed_from_u64(1), &mut line);
        (line.bytes, records.faults())
    }

    #[test]
    fn faults_are_where_they_belong() {
        let ends = |fault, end: &str| {
            let line = broken(fault, GOOD).join(&b',');
            assert!(String::from_utf8_lossy(&line).ends_with(end), "{fault:?}");
        };
        ends(Fault::TooFewFields, ",Books,Mac");
        ends(Fault::TooManyFields, ",Mac,\"Oslo, NO\",1");
        ends(Fault::Instead(8, b"Os\0lo"), ",Books,Mac,Os\0lo");
        ends(Fault::Behind(5, b" EUR"), ",1.50 EUR,Books,Mac,\"Oslo, NO\"");
        ends(
            Fault::Within(4, 11, b"25"),
            ",2026-01-01T25:00:00.000000Z,1.50,Books,Mac,\"Oslo, NO\"",
        );
        ends(Fault::CutShort(7), ",Books,Ma,\"Oslo, NO\"");
    }

    #[test]
    fn every_fault_of_every_dataset_changes_the_line_and_closes_its_quotes() {
        for dataset in datasets() {
            let (good, faults) = example(&dataset);
            for fault in faults {
                let line = broken(*fault, &good).join(&b',');
                assert_ne!(line, good, "{dataset:?} {fault:?}");
                assert!(!line.contains(&b'\n'), "{dataset:?} {fault:?}");
                let quotes = line.iter().filter(|byte| **byte == b'"').count();
                assert_eq!(quotes % 2, 0, "{dataset:?} {fault:?}");
            }
        }
    }

    #[test]
    fn neighbours_are_read_as_if_it_were_not_there() {
        for dataset in datasets() {
            let (good, faults) = example(&dataset);
            for fault in faults {
                let lines = [&good, &broken(*fault, &good).join(&b','), &good, &Vec::new()];
                let lines = lines.map(Vec::as_slice).join(&b'\n');
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .flexible(true)
                    .from_reader(lines.as_slice());
                let records: Vec<csv::ByteRecord> =
                    reader.byte_records().map(Result::unwrap).collect();
                assert_eq!(records.len(), 3, "{fault:?}");
                assert_eq!(records[0], records[2], "{fault:?}");
            }
        }
    }

    #[test]
    fn every_fault_is_drawn() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut lines = || {
            let mut line = Vec::new();
            put_broken_line(GOOD, &user_events::FAULTS, &mut rng, &mut line);
            line
        };
        let drawn: std::collections::HashSet<Vec<u8>> = (0..1_000).map(|_| lines()).collect();
        assert_eq!(drawn.len(), user_events::FAULTS.len());
    }
}
