//! Broken records: each is refused by a strict loader, each stays on its line, and none has a
//! quote left open, so that the records beside it are read as if it were not there.

use crate::record::{Fields, put_line};
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    TooFewFields,
    TooManyFields,
    EventIdMissing,
    EventIdCutShort,
    UserIdMissing,
    LettersInNumber,
    NumberTooLarge,
    ImpossibleDate,
    ImpossibleHour,
    ThirdDecimal,
    PriceTooLarge,
    LettersInPrice,
    InvalidUtf8,
    NulByte,
    TextAfterQuote,
}

const FAULTS: [Fault; 15] = [
    Fault::TooFewFields,
    Fault::TooManyFields,
    Fault::EventIdMissing,
    Fault::EventIdCutShort,
    Fault::UserIdMissing,
    Fault::LettersInNumber,
    Fault::NumberTooLarge,
    Fault::ImpossibleDate,
    Fault::ImpossibleHour,
    Fault::ThirdDecimal,
    Fault::PriceTooLarge,
    Fault::LettersInPrice,
    Fault::InvalidUtf8,
    Fault::NulByte,
    Fault::TextAfterQuote,
];

/// Adds `fields` to `out` as one line with a random fault.
pub(crate) fn put_broken_line(fields: &Fields, rng: &mut ChaCha8Rng, out: &mut Vec<u8>) {
    let fault = FAULTS.choose(rng).expect("there are faults");
    let fields = broken(*fault, fields);
    put_line(fields.iter().map(Vec::as_slice), out);
}

fn broken(fault: Fault, fields: &Fields) -> Vec<Vec<u8>> {
    let mut fields: Vec<Vec<u8>> = fields.iter().map(|field| field.to_vec()).collect();
    let [event_id, user_id, product_id, _, event_time, price, category, _, location] =
        fields.as_mut_slice()
    else {
        unreachable!("an event has nine fields");
    };
    match fault {
        Fault::TooFewFields => fields.truncate(8),
        Fault::TooManyFields => fields.push(b"1".to_vec()),
        Fault::EventIdMissing => event_id.clear(),
        Fault::EventIdCutShort => event_id.truncate(35),
        Fault::UserIdMissing => user_id.clear(),
        Fault::LettersInNumber => user_id.extend_from_slice(b"abc"),
        Fault::NumberTooLarge => *product_id = b"9223372036854775808".to_vec(),
        Fault::ImpossibleDate => event_time.splice(5..10, *b"02-30").for_each(drop),
        Fault::ImpossibleHour => event_time.splice(11..13, *b"25").for_each(drop),
        Fault::ThirdDecimal => price.push(b'5'),
        Fault::PriceTooLarge => *price = b"100000000.00".to_vec(),
        Fault::LettersInPrice => price.extend_from_slice(b" EUR"),
        Fault::InvalidUtf8 => *category = b"Caf\xe9".to_vec(),
        Fault::NulByte => *location = b"Os\0lo".to_vec(),
        Fault::TextAfterQuote => *location = b"\"Oslo, Norway\" north".to_vec(),
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const GOOD: Fields<'static> = [
        b"0199aaaa-0000-7000-8000-000000000001",
        b"7",
        b"9",
        b"view",
        b"2026-01-01T00:00:00.000000Z",
        b"1.50",
        b"Books",
        b"Mac",
        b"\"Oslo, NO\"",
    ];

    fn text(fault: Fault) -> String {
        let mut line = Vec::new();
        put_line(broken(fault, &GOOD).iter().map(Vec::as_slice), &mut line);
        String::from_utf8_lossy(&line).into_owned()
    }

    #[test]
    fn faults_are_where_they_belong() {
        assert!(text(Fault::EventIdMissing).starts_with(",7,9,view,"));
        assert!(text(Fault::EventIdCutShort).starts_with("0199aaaa-0000-7000-8000-00000000000,"));
        assert!(text(Fault::UserIdMissing).contains("0001,,9,"));
        assert!(text(Fault::LettersInNumber).contains(",7abc,9,"));
        assert!(text(Fault::NumberTooLarge).contains(",7,9223372036854775808,view,"));
        assert!(text(Fault::ImpossibleDate).contains(",2026-02-30T00:00:00.000000Z,"));
        assert!(text(Fault::ImpossibleHour).contains(",2026-01-01T25:00:00.000000Z,"));
        assert!(text(Fault::ThirdDecimal).contains(",1.505,"));
        assert!(text(Fault::PriceTooLarge).contains(",100000000.00,"));
        assert!(text(Fault::LettersInPrice).contains(",1.50 EUR,"));
        assert!(text(Fault::InvalidUtf8).contains('\u{fffd}'));
        assert!(text(Fault::NulByte).contains('\0'));
        assert!(text(Fault::TextAfterQuote).ends_with("\"Oslo, Norway\" north\n"));
        assert!(text(Fault::TooFewFields).ends_with(",Mac\n"));
        assert!(text(Fault::TooManyFields).ends_with("\"Oslo, NO\",1\n"));
    }

    #[test]
    fn every_fault_stays_on_its_line_with_its_quotes_closed() {
        for fault in FAULTS {
            let line = text(fault);
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{fault:?}");
            assert_eq!(line.matches('"').count() % 2, 0, "{fault:?}");
        }
    }

    #[test]
    fn neighbours_are_read_as_if_it_were_not_there() {
        for fault in FAULTS {
            let mut lines = Vec::new();
            put_line(GOOD, &mut lines);
            put_line(broken(fault, &GOOD).iter().map(Vec::as_slice), &mut lines);
            put_line(GOOD, &mut lines);
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .from_reader(lines.as_slice());
            let records: Vec<csv::ByteRecord> = reader.byte_records().map(Result::unwrap).collect();
            assert_eq!(records.len(), 3, "{fault:?}");
            assert_eq!(records[0], records[2], "{fault:?}");
        }
    }

    #[test]
    fn every_fault_is_drawn() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let lines = |rng: &mut ChaCha8Rng| {
            let mut line = Vec::new();
            put_broken_line(&GOOD, rng, &mut line);
            line
        };
        let drawn: std::collections::HashSet<Vec<u8>> =
            (0..1_000).map(|_| lines(&mut rng)).collect();
        assert_eq!(drawn.len(), FAULTS.len());
    }
}
