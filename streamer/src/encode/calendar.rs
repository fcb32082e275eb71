//! Days of the proleptic Gregorian calendar. The year before 1 is 0, 1 BC.
//!
//! Done here because PostgreSQL's years go further than those of most libraries.

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month from 1 to 12.
pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 2000-01-01 to this day, negative before.
///
/// Years are begun in March, so that the leap day is their last and the months before it follow
/// one rule: 153 days in every five.
pub(super) const fn days_since_2000(year: i64, month: i64, day: i64) -> i64 {
    /// Days from 0000-03-01 to 2000-01-01.
    const UNTIL_2000: i64 = 730_425;
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + day_of_year - UNTIL_2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_follows_the_one_before() {
        let mut days = days_since_2000(-4713, 1, 1);
        for year in -4713..=2400 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days_since_2000(year, month, day), days);
                    days += 1;
                }
            }
        }
        assert_eq!(days, days_since_2000(2401, 1, 1));
    }

    #[test]
    fn the_first_day_of_2000_is_zero() {
        assert_eq!(days_since_2000(2000, 1, 1), 0);
        assert_eq!((days_in_month(2000, 2), days_in_month(1900, 2)), (29, 28));
    }
}
