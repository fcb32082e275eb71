//! `interval`: ISO 8601 durations (`P1Y2M3DT4H5M6.5S`) and what PostgreSQL itself prints
//! (`1 year 2 mons 3 days 04:05:06.5`), from PostgreSQL 17 on also `infinity` and `-infinity`.
//!
//! Months, days and microseconds are kept apart and never converted into each other.

use super::Refusal;
use super::cursor::Cursor;
use super::datetime::{Precision, end_of_time, read_fraction};

/// Digits of any number in an interval: no sum can overflow then, and PostgreSQL's own arithmetic,
/// which is partly in floating point, is exact.
const DIGITS_MAX: usize = 9;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;

#[derive(Debug, Default, PartialEq, Eq)]
struct Interval {
    months: i64,
    days: i64,
    microseconds: i64,
}

/// Why parsing stopped: not an interval at all, or a refusal with its own words.
enum Stop {
    Malformed,
    Refused(Refusal),
}

/// Microseconds in eight bytes, days in four, months in four; an infinite one has the greatest or
/// the least of each, where the server `takes_infinite` ones.
/// Origin: src/backend/utils/adt/timestamp.c, `interval_recv`; src/include/datatype/timestamp.h,
/// `INTERVAL_NOBEGIN`.
pub(super) fn encode(
    text: &str,
    precision: Precision,
    takes_infinite: bool,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if let Some(end) = end_of_time(text.trim_matches(' ')) {
        if !takes_infinite {
            return Err(Refusal::not_a_time("infinite intervals take PostgreSQL 17 or newer"));
        }
        let part = if end > 0 { i32::MAX } else { i32::MIN };
        out.extend_from_slice(&end.to_be_bytes());
        out.extend_from_slice(&part.to_be_bytes());
        out.extend_from_slice(&part.to_be_bytes());
        return Ok(());
    }
    let parsed = match text.strip_prefix('P') {
        // PostgreSQL takes blanks around the other form only.
        Some(parts) => parse_iso(&mut Cursor::new(parts), precision),
        None => parse_printed(&mut Cursor::new(text.trim_matches(' ')), precision),
    };
    let interval = parsed.map_err(|stop| match stop {
        Stop::Malformed => Refusal::not_a_time("not an interval like P1DT2H30M or 1 day 02:30:00"),
        Stop::Refused(refusal) => refusal,
    })?;
    let overflow = |_| Refusal::no_such_time("out of range for interval");
    let days = i32::try_from(interval.days).map_err(overflow)?;
    let months = i32::try_from(interval.months).map_err(overflow)?;
    out.extend_from_slice(&interval.microseconds.to_be_bytes());
    out.extend_from_slice(&days.to_be_bytes());
    out.extend_from_slice(&months.to_be_bytes());
    Ok(())
}

/// After the `P`: each part at most once, in this order, and at least one; only seconds may have a
/// fraction, because PostgreSQL spreads other fractions over smaller units.
fn parse_iso(cursor: &mut Cursor<'_>, precision: Precision) -> Result<Interval, Stop> {
    const PARTS: [u8; 7] = *b"YMWDHMS";
    let mut interval = Interval::default();
    let mut next_part = 0;
    let mut in_time = false;
    loop {
        if !in_time && cursor.eat(b'T') {
            in_time = true;
            next_part = 4;
        }
        let sign = if cursor.eat(b'-') { -1 } else { 1 };
        let (number, _) = cursor.number(DIGITS_MAX).ok_or(Stop::Malformed)?;
        let has_fraction = cursor.peek() == Some(b'.');
        let fraction_us = fraction(cursor, precision)?;
        let parts = if in_time { next_part..7 } else { next_part..4 };
        let part =
            parts.into_iter().find(|part| cursor.eat(PARTS[*part])).ok_or(Stop::Malformed)?;
        if has_fraction && part != 6 {
            return Err(Stop::Malformed);
        }
        let number = sign * number;
        match part {
            0 => interval.months += number * 12,
            1 => interval.months += number,
            2 => interval.days += number * 7,
            3 => interval.days += number,
            4 => interval.microseconds += number * HOUR_US,
            5 => interval.microseconds += number * MINUTE_US,
            _ => interval.microseconds += number * SECOND_US + sign * fraction_us,
        }
        next_part = part + 1;
        if cursor.is_at_end() {
            return Ok(interval);
        }
    }
}

/// Parts with one blank between them, each at most once, in this order, and at least one.
fn parse_printed(cursor: &mut Cursor<'_>, precision: Precision) -> Result<Interval, Stop> {
    const UNITS: [(&str, &str); 3] = [("years", "year"), ("mons", "mon"), ("days", "day")];
    let mut interval = Interval::default();
    let mut next_unit = 0;
    loop {
        let sign = cursor.sign().unwrap_or(1);
        let (number, digits) = cursor.number(DIGITS_MAX).ok_or(Stop::Malformed)?;
        if cursor.eat(b':') {
            if digits < 2 {
                return Err(Stop::Malformed);
            }
            interval.microseconds = sign * read_clock(cursor, number, precision)?;
            return if cursor.is_at_end() { Ok(interval) } else { Err(Stop::Malformed) };
        }
        if !cursor.eat(b' ') {
            return Err(Stop::Malformed);
        }
        let unit = (next_unit..UNITS.len())
            .find(|unit| cursor.eat_word(UNITS[*unit].0) || cursor.eat_word(UNITS[*unit].1))
            .ok_or(Stop::Malformed)?;
        match unit {
            0 => interval.months += sign * number * 12,
            1 => interval.months += sign * number,
            _ => interval.days += sign * number,
        }
        next_unit = unit + 1;
        if cursor.is_at_end() {
            return Ok(interval);
        }
        if !cursor.eat(b' ') {
            return Err(Stop::Malformed);
        }
    }
}

/// `mm:ss` and a fraction, after the hours and their colon.
fn read_clock(cursor: &mut Cursor<'_>, hours: i64, precision: Precision) -> Result<i64, Stop> {
    let minutes = cursor.two_digits().ok_or(Stop::Malformed)?;
    if !cursor.eat(b':') {
        return Err(Stop::Malformed);
    }
    let seconds = cursor.two_digits().ok_or(Stop::Malformed)?;
    let fraction_us = fraction(cursor, precision)?;
    if minutes > 59 || seconds > 59 {
        return Err(Stop::Refused(Refusal::no_such_time("no such time of day")));
    }
    Ok(hours * HOUR_US + minutes * MINUTE_US + seconds * SECOND_US + fraction_us)
}

fn fraction(cursor: &mut Cursor<'_>, precision: Precision) -> Result<i64, Stop> {
    read_fraction(cursor, precision).ok_or(Stop::Malformed)?.map_err(Stop::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (months, days, microseconds)
    fn interval(text: &str) -> Result<(i32, i32, i64), &'static str> {
        read(text, false)
    }

    fn read(text: &str, takes_infinite: bool) -> Result<(i32, i32, i64), &'static str> {
        let (precision, mut out) = (Precision::from_typmod(-1), Vec::new());
        encode(text, precision, takes_infinite, &mut out).map_err(|refusal| refusal.sqlstate)?;
        let (microseconds, rest) = out.split_first_chunk::<8>().unwrap();
        let (days, months) = rest.split_first_chunk::<4>().unwrap();
        let months = i32::from_be_bytes(months.try_into().unwrap());
        Ok((months, i32::from_be_bytes(*days), i64::from_be_bytes(*microseconds)))
    }

    #[test]
    fn iso_durations_are_read() {
        assert_eq!(
            interval("P1Y2M3DT4H5M6.5S"),
            Ok((14, 3, 4 * HOUR_US + 5 * MINUTE_US + 6_500_000))
        );
        assert_eq!(interval("P2W"), Ok((0, 14, 0)));
        assert_eq!(interval("PT-0.5S"), Ok((0, 0, -500_000)));
        assert_eq!(interval("P-1M"), Ok((-1, 0, 0)));
        assert_eq!(interval("PT36H"), Ok((0, 0, 36 * HOUR_US)));
    }

    #[test]
    fn what_postgresql_prints_is_read() {
        assert_eq!(interval("1 year 2 mons 3 days 04:05:06.5"), interval("P1Y2M3DT4H5M6.5S"));
        assert_eq!(interval("-1 years -2 mons +3 days -04:05:06"), Ok((-14, 3, -14_706_000_000)));
        assert_eq!(interval("00:00:00"), Ok((0, 0, 0)));
        assert_eq!(interval("100:00:00"), Ok((0, 0, 100 * HOUR_US)));
        assert_eq!(interval("1 mon"), Ok((1, 0, 0)));
    }

    #[test]
    fn infinite_ones_are_read_where_the_server_has_them() {
        let (least, greatest) = ((i32::MIN, i32::MIN, i64::MIN), (i32::MAX, i32::MAX, i64::MAX));
        for (text, value) in [("infinity", greatest), ("-Infinity ", least)] {
            assert_eq!(read(text, true), Ok(value));
            assert_eq!(read(text, false), Err("22007"));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "1",
            "1 hour",
            "1.5 days",
            "1 day ago",
            "@ 1 day",
            "P",
            "PT",
            "P1DT",
            "P1S",
            "P0.5Y",
            "P1D1Y",
            "P1Y1Y",
            "PT1H1H",
            "1 day 1 year",
            "1 day  01:00:00",
            "1:00:00",
            "01:00",
            "P1DT1H ",
            " P1D",
            "P+1D",
            "p1d",
            "P-Y",
            "1234567890 days",
            "infinity",
        ] {
            assert_eq!(interval(text), Err("22007"), "{text}");
        }
        for text in ["00:60:00", "00:00:60", "P999999999Y", "P999999999W", "PT0.0000001S"] {
            assert_eq!(interval(text), Err("22008"), "{text}");
        }
    }
}
