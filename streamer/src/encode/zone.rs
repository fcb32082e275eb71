//! What a time without a zone means.

use jiff::tz::{AmbiguousOffset, TimeZone};

use super::Refusal;
use super::calendar::days_since_2000;

/// What a time without a zone means in a column that keeps one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Zone {
    /// It is in UTC.
    #[default]
    Utc,
    /// It is what the clocks of this place showed.
    Of(TimeZone),
}

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// Microseconds from 1970 to 2000.
const EPOCH_2000_US: i64 = 946_684_800 * SECOND_US;

/// The calendar, and with it every rule of a zone, repeats after so many days: 400 years.
const CYCLE_US: i64 = 146_097 * DAY_US;
/// From here on times are looked up a whole number of cycles earlier: jiff ends with the year 9999.
const LOOKED_UP_END_US: i64 = days_since_2000(9600, 1, 1) * DAY_US;

impl Zone {
    /// The zone of that name in the time zone database: that of the system, else a built-in one.
    pub fn named(name: &str) -> Option<Zone> {
        if name.eq_ignore_ascii_case("utc") {
            return Some(Zone::Utc);
        }
        TimeZone::get(name).ok().map(Zone::Of)
    }

    /// The instant at which the local clock shows `local_us`; both in microseconds since 2000-01-01
    /// 00:00.
    ///
    /// Of a time that comes twice the second is meant, as PostgreSQL takes it. One that never comes
    /// is refused; PostgreSQL moves it. Origin: src/backend/utils/adt/datetime.c,
    /// `DetermineTimeZoneOffset`.
    pub(super) fn utc_us(&self, local_us: i64) -> Result<i64, Refusal> {
        let Zone::Of(zone) = self else { return Ok(local_us) };
        let cycles = match local_us - LOOKED_UP_END_US {
            behind if behind >= 0 => behind / CYCLE_US + 1,
            _ => 0,
        };
        let looked_up_us = local_us - cycles * CYCLE_US + EPOCH_2000_US;
        let timestamp =
            jiff::Timestamp::from_microsecond(looked_up_us).expect("from year 1 to 9600");
        let local = TimeZone::UTC.to_datetime(timestamp);
        let offset = match zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { after, .. } => after,
            AmbiguousOffset::Gap { .. } => {
                let reason = format!("is left out by the clocks of {}", self.name());
                return Err(Refusal::no_such_time(reason));
            }
        };
        Ok(local_us - i64::from(offset.seconds()) * SECOND_US)
    }

    /// Seconds east of Greenwich of a clock time without a day, if that is enough to tell.
    pub(super) fn offset_without_day_s(&self) -> Result<i64, Refusal> {
        match self {
            Zone::Utc => Ok(0),
            Zone::Of(_) => {
                let reason = format!("has no zone, and that of {} depends on the day", self.name());
                Err(Refusal::not_a_time(reason))
            }
        }
    }

    /// Its name in the time zone database.
    pub fn name(&self) -> &str {
        match self {
            Zone::Utc => "UTC",
            Zone::Of(zone) => zone.iana_name().unwrap_or("the stream's timezone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of local time ahead of UTC at a local time, in Berlin.
    fn ahead_s(year: i64, month: i64, day: i64, hour: i64) -> Result<i64, &'static str> {
        let local_us = days_since_2000(year, month, day) * DAY_US + hour * 3600 * SECOND_US;
        let utc_us = Zone::named("Europe/Berlin").unwrap().utc_us(local_us);
        utc_us.map(|utc_us| (local_us - utc_us) / SECOND_US).map_err(|refusal| refusal.sqlstate)
    }

    #[test]
    fn summer_time_is_known_for_every_year() {
        for year in [2026, 9599, 9600, 9999, 10_000, 294_276] {
            assert_eq!(ahead_s(year, 1, 1, 0), Ok(3600), "{year}");
            assert_eq!(ahead_s(year, 7, 1, 0), Ok(7200), "{year}");
        }
        assert_eq!(ahead_s(1, 1, 1, 0), Ok(53 * 60 + 28), "local mean time");
    }

    #[test]
    fn an_hour_that_comes_twice_is_the_second_and_one_that_never_comes_is_refused() {
        assert_eq!(ahead_s(2026, 10, 25, 2), Ok(3600));
        assert_eq!(ahead_s(2026, 3, 29, 2), Err("22008"));
        assert_eq!(ahead_s(10_026, 3, 29, 3), Ok(7200));
    }

    #[test]
    fn only_names_of_zones_are_zones() {
        assert_eq!(Zone::named("utc"), Some(Zone::Utc));
        assert!(Zone::named("Asia/Kolkata").is_some());
        assert_eq!(Zone::named("Middle/Earth"), None);
    }
}
