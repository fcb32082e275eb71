//! Dates and times as texts.

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
    assert_eq!(date("0001-12-31 BC"), Ok(-730_120));
    assert_eq!(date("4714-11-24 BC"), Ok(-2_451_545));
    assert_eq!((date("infinity"), date("-Infinity")), (Ok(i32::MAX), Ok(i32::MIN)));
    for text in [
        "2026-02-29",
        "1900-02-29",
        "2026-13-01",
        "2026-04-31",
        "0000-01-01",
        "5874898-01-01",
        "0000-01-01 BC",
        "4714-11-23 BC",
        "0002-02-29 BC",
    ] {
        assert_eq!(date(text), Err("22008"), "{text}");
    }
    for text in [
        "",
        "today",
        "inf",
        "2024-01-02 bc",
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
    assert_eq!((time("24:00", -1), time("24:00:00", 0)), (Ok(DAY_US), Ok(DAY_US)));
    for text in ["24:00:00.1", "24:01", "23:60:00", "23:59:60"] {
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
        "2000-01-01 12:53:28+00:53:28",
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
    let first = DAY_FIRST * DAY_US;
    assert_eq!(timestamptz("4714-11-24 00:00:00+00 BC", &Zone::Utc), Ok(first));
    assert_eq!(timestamptz("4714-11-24 00:00:00+01 BC", &Zone::Utc), Err("22008"));
    assert_eq!(timestamptz("2000-01-01T24:00:00Z", &Zone::Utc), Err("22008"));
    assert_eq!(timestamptz("-infinity", &Zone::Utc), Ok(i64::MIN));
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
        "2000-01-01T12:00:00BC",
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
