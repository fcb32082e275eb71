//! `date`, `time`, `timetz`, `timestamp` and `timestamptz`, by ISO 8601 only.
//!
//! Counted from 2000-01-01, dates in days and times in microseconds.

use super::Refusal;
use super::calendar::{days_in_month, days_since_2000};
use super::cursor::Cursor;
use super::zone::Zone;

/// Digits after the second's point that a column keeps, 0 to 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Precision(usize);

impl Precision {
    pub(super) const FULL: Precision = Precision(6);

    /// Full for a negative typmod, which means that none was given.
    pub(super) fn from_typmod(typmod: i32) -> Precision {
        usize::try_from(typmod).map_or(Precision::FULL, |digits| Precision(digits.min(6)))
    }
}

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// Days from 2000-01-01 to the first day that no `date` can be. Origin: `DATE_END_JULIAN`.
const DATE_END: i64 = days_since_2000(5_874_898, 1, 1);
/// The same for timestamps. Origin: `TIMESTAMP_END_JULIAN`.
const TIMESTAMP_END_DAY: i64 = days_since_2000(294_277, 1, 1);

/// Four bytes, days since 2000-01-01. Origin: src/backend/utils/adt/date.c, `date_recv`.
pub(super) fn encode_date(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut cursor = Cursor::new(text);
    let days = read_date(&mut cursor).ok_or_else(not_a_date)??;
    if !cursor.is_at_end() {
        return Err(not_a_date());
    }
    let days = i32::try_from(days).ok().filter(|days| i64::from(*days) < DATE_END);
    let days = days.ok_or_else(|| Refusal::no_such_time("out of range for date"))?;
    out.extend_from_slice(&days.to_be_bytes());
    Ok(())
}

/// Eight bytes, microseconds since midnight. Origin: src/backend/utils/adt/date.c, `time_recv`.
pub(super) fn encode_time(
    text: &str,
    precision: Precision,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut cursor = Cursor::new(text);
    let time_us = read_time(&mut cursor, precision).ok_or_else(not_a_clock_time)??;
    if !cursor.is_at_end() {
        return Err(not_a_clock_time());
    }
    out.extend_from_slice(&time_us.to_be_bytes());
    Ok(())
}

/// Microseconds since midnight and then, in four bytes, seconds *west* of Greenwich.
/// Origin: src/backend/utils/adt/date.c, `timetz_recv`.
pub(super) fn encode_timetz(
    text: &str,
    precision: Precision,
    zone: &Zone,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut cursor = Cursor::new(text);
    let time_us = read_time(&mut cursor, precision).ok_or_else(not_a_clock_time)??;
    let written = read_zone(&mut cursor).ok_or_else(not_a_clock_time)?;
    let east_s = written.map_or_else(|| zone.offset_without_day_s(), Ok)?;
    let west_s = i32::try_from(-east_s).expect("at most 15:59 hours");
    out.extend_from_slice(&time_us.to_be_bytes());
    out.extend_from_slice(&west_s.to_be_bytes());
    Ok(())
}

/// Eight bytes, microseconds since 2000-01-01 00:00.
/// Origin: src/backend/utils/adt/timestamp.c, `timestamp_recv`.
///
/// `Z` is taken, since it changes nothing; PostgreSQL also drops other zones, silently.
pub(super) fn encode_timestamp(
    text: &str,
    precision: Precision,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let (local_us, written) = read_timestamp(text, precision)?;
    if written.is_some_and(|offset_s| offset_s != 0) {
        return Err(Refusal::not_a_time("has a time zone, which the column does not keep"));
    }
    out.extend_from_slice(&local_us.to_be_bytes());
    Ok(())
}

/// Eight bytes, microseconds since 2000-01-01 00:00 UTC.
/// Origin: src/backend/utils/adt/timestamp.c, `timestamptz_recv`.
pub(super) fn encode_timestamptz(
    text: &str,
    precision: Precision,
    zone: &Zone,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let (local_us, written) = read_timestamp(text, precision)?;
    let utc_us = match written {
        Some(east_s) => local_us - east_s * SECOND_US,
        None => zone.utc_us(local_us)?,
    };
    if utc_us >= TIMESTAMP_END_DAY * DAY_US {
        return Err(Refusal::no_such_time("out of range for timestamp"));
    }
    out.extend_from_slice(&utc_us.to_be_bytes());
    Ok(())
}

/// Microseconds since 2000-01-01 on the local clock, and the zone if one is written.
/// A date alone is its midnight.
fn read_timestamp(text: &str, precision: Precision) -> Result<(i64, Option<i64>), Refusal> {
    let mut cursor = Cursor::new(text);
    let days = read_date(&mut cursor).ok_or_else(not_a_timestamp)??;
    if days >= TIMESTAMP_END_DAY {
        return Err(Refusal::no_such_time("out of range for timestamp"));
    }
    if cursor.is_at_end() {
        return Ok((days * DAY_US, None));
    }
    if !cursor.eat_any(b"T t") {
        return Err(not_a_timestamp());
    }
    let time_us = read_time(&mut cursor, precision).ok_or_else(not_a_timestamp)??;
    let zone = read_zone(&mut cursor).ok_or_else(not_a_timestamp)?;
    Ok((days * DAY_US + time_us, zone))
}

/// `YYYY-MM-DD`, in days since 2000-01-01. None: not of this form; an error: no such day.
///
/// Years have four digits, or up to seven without a leading 0.
fn read_date(cursor: &mut Cursor<'_>) -> Option<Result<i64, Refusal>> {
    let leading_zero = cursor.peek() == Some(b'0');
    let (year, digits) = cursor.number(7)?;
    if digits < 4 || (digits > 4 && leading_zero) || !cursor.eat(b'-') {
        return None;
    }
    let month = cursor.two_digits()?;
    if !cursor.eat(b'-') {
        return None;
    }
    let day = cursor.two_digits()?;
    if year < 1 || !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return Some(Err(Refusal::no_such_time("no such day")));
    }
    Some(Ok(days_since_2000(year, month, day)))
}

/// `hh:mm` or `hh:mm:ss` or `hh:mm:ss.ffffff`, in microseconds. None: not of this form.
fn read_time(cursor: &mut Cursor<'_>, precision: Precision) -> Option<Result<i64, Refusal>> {
    let hour = cursor.two_digits()?;
    if !cursor.eat(b':') {
        return None;
    }
    let minute = cursor.two_digits()?;
    let (mut second, mut fraction_us) = (0, 0);
    if cursor.eat(b':') {
        second = cursor.two_digits()?;
        match read_fraction(cursor, precision)? {
            Ok(us) => fraction_us = us,
            Err(refusal) => return Some(Err(refusal)),
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Some(Err(Refusal::no_such_time("no such time of day")));
    }
    Some(Ok(((hour * 60 + minute) * 60 + second) * SECOND_US + fraction_us))
}

/// A point and up to nine digits, in microseconds; 0 if there is no point. Digits past the
/// precision must be 0, since PostgreSQL would round. None: not of this form.
pub(super) fn read_fraction(
    cursor: &mut Cursor<'_>,
    precision: Precision,
) -> Option<Result<i64, Refusal>> {
    if !cursor.eat(b'.') {
        return Some(Ok(0));
    }
    let (mut nanoseconds, digits) = cursor.number(9)?;
    for _ in digits..9 {
        nanoseconds *= 10;
    }
    let unit = [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000];
    if nanoseconds % unit[precision.0] != 0 {
        let reason = format!("more than {} decimals of a second", precision.0);
        return Some(Err(Refusal::no_such_time(reason)));
    }
    Some(Ok(nanoseconds / 1_000))
}

/// `Z`, `+hh`, `+hhmm` or `+hh:mm`, a blank before it or not, or ` UTC`, in seconds east; the
/// inner None if there is nothing left. The outer None: not of this form.
fn read_zone(cursor: &mut Cursor<'_>) -> Option<Option<i64>> {
    if cursor.is_at_end() {
        return Some(None);
    }
    let spaced = cursor.eat(b' ');
    let offset_s = if cursor.eat_any(b"Zz") || (spaced && cursor.eat_word("UTC")) {
        0
    } else {
        let sign = cursor.sign()?;
        let hours = cursor.two_digits()?;
        let minutes =
            if cursor.eat(b':') || !cursor.is_at_end() { cursor.two_digits()? } else { 0 };
        // 15 hours is the most that PostgreSQL takes (MAX_TZDISP_HOUR).
        if hours > 15 || minutes > 59 {
            return None;
        }
        sign * (hours * 60 + minutes) * 60
    };
    cursor.is_at_end().then_some(Some(offset_s))
}

fn not_a_date() -> Refusal {
    Refusal::not_a_time("not a date like 2026-01-31")
}

fn not_a_clock_time() -> Refusal {
    Refusal::not_a_time("not a time like 13:05:00")
}

fn not_a_timestamp() -> Refusal {
    Refusal::not_a_time("not a timestamp like 2026-01-31T13:05:00Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Result<i32, &'static str> {
        let mut out = Vec::new();
        encode_date(text, &mut out).map_err(|refusal| refusal.sqlstate)?;
        Ok(i32::from_be_bytes(out.try_into().unwrap()))
    }

    fn time(text: &str, typmod: i32) -> Result<i64, &'static str> {
        let mut out = Vec::new();
        encode_time(text, Precision::from_typmod(typmod), &mut out)
            .map_err(|refusal| refusal.sqlstate)?;
        Ok(i64::from_be_bytes(out.try_into().unwrap()))
    }

    fn timestamptz(text: &str, zone: &Zone) -> Result<i64, &'static str> {
        let mut out = Vec::new();
        encode_timestamptz(text, Precision::FULL, zone, &mut out)
            .map_err(|refusal| refusal.sqlstate)?;
        Ok(i64::from_be_bytes(out.try_into().unwrap()))
    }

    #[test]
    fn dates_are_counted_from_2000() {
        assert_eq!(date("2000-01-01"), Ok(0));
        assert_eq!(date("1999-12-31"), Ok(-1));
        assert_eq!(date("2000-03-01"), Ok(60));
        assert_eq!(date("2026-11-21"), Ok(9821));
        assert_eq!(date("0001-01-01"), Ok(-730_119));
        assert_eq!(date("5874897-12-31"), Ok(2_145_031_948));
        for text in
            ["2026-02-29", "1900-02-29", "2026-13-01", "2026-04-31", "0000-01-01", "5874898-01-01"]
        {
            assert_eq!(date(text), Err("22008"), "{text}");
        }
        for text in [
            "",
            "today",
            "infinity",
            "01/02/2024",
            "20240102",
            "2026-1-2",
            "02026-01-02",
            "2026-01-02T00:00",
        ] {
            assert_eq!(date(text), Err("22007"), "{text}");
        }
    }

    #[test]
    fn times_have_minutes_and_may_have_seconds() {
        assert_eq!(time("00:00", -1), Ok(0));
        assert_eq!(time("23:59:59.999999", -1), Ok(DAY_US - 1));
        assert_eq!(time("01:02:03.4", -1), Ok(3_723_400_000));
        for text in ["24:00", "23:60:00", "23:59:60"] {
            assert_eq!(time(text, -1), Err("22008"), "{text}");
        }
        for text in ["", "1:02", "12", "12:00:", "12:00:00.", "12:00Z", "12:00 AM", "allballs"] {
            assert_eq!(time(text, -1), Err("22007"), "{text}");
        }
    }

    #[test]
    fn fractions_past_the_precision_must_be_zeros() {
        assert_eq!(time("00:00:00.123000", 3), Ok(123_000));
        assert_eq!(time("00:00:00.123456000", -1), Ok(123_456));
        assert_eq!(time("00:00:00.000", 0), Ok(0));
        assert_eq!(time("00:00:00.1234", 3), Err("22008"));
        assert_eq!(time("00:00:00.1234567", -1), Err("22008"));
        assert_eq!(time("00:00:00.1234560000", -1), Err("22007"));
    }

    #[test]
    fn zones_shift_to_utc() {
        let noon = Ok(12 * 3600 * SECOND_US);
        for text in [
            "2000-01-01T12:00:00Z",
            "2000-01-01 12:00",
            "2000-01-01t12:00:00.000z",
            "2000-01-01 12:00:00 UTC",
            "2000-01-01T14:00:00+02",
            "2000-01-01T14:30:00+0230",
            "2000-01-01 06:30:00 -05:30",
        ] {
            assert_eq!(timestamptz(text, &Zone::Utc), noon, "{text}");
        }
        assert_eq!(timestamptz("2000-01-02", &Zone::Utc), Ok(DAY_US));
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(timestamptz("2000-01-01T12:00:00Z", &berlin), noon);
        assert_eq!(timestamptz("2000-01-01T13:00:00", &berlin), noon);
    }

    #[test]
    fn timestamps_end_with_the_year_294276() {
        let last = TIMESTAMP_END_DAY * DAY_US - 1;
        assert_eq!(timestamptz("294276-12-31T23:59:59.999999Z", &Zone::Utc), Ok(last));
        assert_eq!(timestamptz("294276-12-31T23:59:59-01", &Zone::Utc), Err("22008"));
        assert_eq!(timestamptz("294277-01-01T00:00:00Z", &Zone::Utc), Err("22008"));
    }

    #[test]
    fn other_timestamp_forms_are_refused() {
        for text in [
            "now",
            "2000-01-01T",
            "2000-01-01T12",
            "2000-01-01T12:00:00+2",
            "2000-01-01T12:00:00+16",
            "2000-01-01T12:00:00+020",
            "2000-01-01T12:00:00+02:",
            "2000-01-01T12:00:00 Europe/Berlin",
            "2000-01-01T12:00:00 BC",
            "2000-01-01T12:00:00  Z",
        ] {
            assert_eq!(timestamptz(text, &Zone::Utc), Err("22007"), "{text}");
        }
    }

    #[test]
    fn a_column_without_zone_takes_only_utc() {
        let mut out = Vec::new();
        encode_timestamp("2000-01-01T00:00:01Z", Precision::FULL, &mut out).unwrap();
        assert_eq!(out, SECOND_US.to_be_bytes());
        let refusal = encode_timestamp("2000-01-01T00:00:01+01", Precision::FULL, &mut out);
        assert_eq!(refusal.unwrap_err().sqlstate, "22007");
    }

    #[test]
    fn timetz_counts_its_zone_westwards() {
        let mut out = Vec::new();
        encode_timetz("00:00:01+01:30", Precision::FULL, &Zone::Utc, &mut out).unwrap();
        assert_eq!(
            (&out[..8], &out[8..]),
            (&SECOND_US.to_be_bytes()[..], &(-5400i32).to_be_bytes()[..])
        );
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let refusal = encode_timetz("00:00:01", Precision::FULL, &berlin, &mut out).unwrap_err();
        assert_eq!(refusal.reason, "has no zone, and that of Europe/Berlin depends on the day");
    }
}
