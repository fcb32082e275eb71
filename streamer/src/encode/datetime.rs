//! `date`, `time`, `timetz`, `timestamp` and `timestamptz`, by ISO 8601 and as PostgreSQL writes
//! them: also `infinity`, years BC, and `24:00:00` as a time of day.
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

/// The first day of dates and timestamps, Julian day 0. Origin: `MIN_TIMESTAMP`.
const DAY_FIRST: i64 = days_since_2000(-4713, 11, 24);

/// Four bytes, days since 2000-01-01. Origin: src/backend/utils/adt/date.c, `date_recv`.
pub(super) fn encode_date(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if let Some(end) = end_of_time(text) {
        let days = if end.is_negative() { i32::MIN } else { i32::MAX };
        out.extend_from_slice(&days.to_be_bytes());
        return Ok(());
    }
    let (text, is_bc) = split_era(text);
    let mut cursor = Cursor::new(text);
    let days = read_date(&mut cursor, is_bc).ok_or_else(not_a_date)??;
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
    let time_us = read_time(&mut cursor, precision, DAY_US).ok_or_else(not_a_clock_time)??;
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
    let time_us = read_time(&mut cursor, precision, DAY_US).ok_or_else(not_a_clock_time)??;
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
    if let Some(end) = end_of_time(text) {
        out.extend_from_slice(&end.to_be_bytes());
        return Ok(());
    }
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
    if let Some(end) = end_of_time(text) {
        out.extend_from_slice(&end.to_be_bytes());
        return Ok(());
    }
    let (local_us, written) = read_timestamp(text, precision)?;
    let utc_us = match written {
        Some(east_s) => local_us - east_s * SECOND_US,
        None => zone.utc_us(local_us)?,
    };
    if !(DAY_FIRST * DAY_US..TIMESTAMP_END_DAY * DAY_US).contains(&utc_us) {
        return Err(Refusal::no_such_time("out of range for timestamp"));
    }
    out.extend_from_slice(&utc_us.to_be_bytes());
    Ok(())
}

/// Microseconds since 2000-01-01 on the local clock, and the zone if one is written.
/// A date alone is its midnight.
fn read_timestamp(text: &str, precision: Precision) -> Result<(i64, Option<i64>), Refusal> {
    let (text, is_bc) = split_era(text);
    let mut cursor = Cursor::new(text);
    let days = read_date(&mut cursor, is_bc).ok_or_else(not_a_timestamp)??;
    if days >= TIMESTAMP_END_DAY {
        return Err(Refusal::no_such_time("out of range for timestamp"));
    }
    if cursor.is_at_end() {
        return Ok((days * DAY_US, None));
    }
    if !cursor.eat_any(b"T t") {
        return Err(not_a_timestamp());
    }
    let latest_us = DAY_US - 1;
    let time_us = read_time(&mut cursor, precision, latest_us).ok_or_else(not_a_timestamp)??;
    let zone = read_zone(&mut cursor).ok_or_else(not_a_timestamp)?;
    Ok((days * DAY_US + time_us, zone))
}

/// What stands for a time before or after all others: `infinity`, `-infinity`.
///
/// Origin: src/include/datatype/timestamp.h, `DT_NOBEGIN` and `DT_NOEND`.
pub(super) fn end_of_time(text: &str) -> Option<i64> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("infinity") { Some(i64::MAX) } else { is("-infinity").then_some(i64::MIN) }
}

/// A date or timestamp without ` BC` behind it, and whether that was there.
fn split_era(text: &str) -> (&str, bool) {
    text.strip_suffix(" BC").map_or((text, false), |rest| (rest, true))
}

/// `YYYY-MM-DD`, in days since 2000-01-01. None: not of this form; an error: no such day.
///
/// Years have four digits, or up to seven without a leading 0.
fn read_date(cursor: &mut Cursor<'_>, is_bc: bool) -> Option<Result<i64, Refusal>> {
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
    let is_written = year >= 1 && (1..=12).contains(&month);
    let year = if is_bc { 1 - year } else { year };
    if !is_written || !(1..=days_in_month(year, month)).contains(&day) {
        return Some(Err(Refusal::no_such_time("no such day")));
    }
    let days = days_since_2000(year, month, day);
    let is_early = days < DAY_FIRST;
    Some(if is_early { Err(Refusal::no_such_time("before 4714-11-24 BC")) } else { Ok(days) })
}

/// `hh:mm` or `hh:mm:ss` or `hh:mm:ss.ffffff`, in microseconds, at most `latest_us`. None: not of
/// this form.
fn read_time(
    cursor: &mut Cursor<'_>,
    precision: Precision,
    latest_us: i64,
) -> Option<Result<i64, Refusal>> {
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
    let time_us = ((hour * 60 + minute) * 60 + second) * SECOND_US + fraction_us;
    if minute > 59 || second > 59 || time_us > latest_us {
        return Some(Err(Refusal::no_such_time("no such time of day")));
    }
    Some(Ok(time_us))
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

/// `Z`, `+hh`, `+hhmm`, `+hh:mm` or `+hh:mm:ss`, a blank before it or not, or ` UTC`, in seconds
/// east; the inner None if there is nothing left. The outer None: not of this form.
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
        // PostgreSQL writes those of times before there were time zones.
        let seconds = if cursor.eat(b':') { cursor.two_digits()? } else { 0 };
        // 15 hours is the most that PostgreSQL takes (MAX_TZDISP_HOUR).
        if hours > 15 || minutes > 59 || seconds > 59 {
            return None;
        }
        sign * ((hours * 60 + minutes) * 60 + seconds)
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
#[path = "datetime_tests.rs"]
mod tests;
