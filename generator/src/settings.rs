//! What a run is to make, and the checks of it.

use crate::dataset::Dataset;
use chrono::{DateTime, Utc};
use std::path::PathBuf;
use std::time::Duration;

/// The last microsecond of the year 9999, since 1970: RFC 3339 can name no later one.
pub(crate) const LAST_MICROSECOND: u64 = 253_402_300_799_999_999;

/// What a run is to make. The names are those of the flags of the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What kind of records.
    pub dataset: Dataset,
    /// Records in each file; duplicates and broken ones count too.
    pub rows: u64,
    /// Files in a set. The files of a set share its span: each goes on where the one before ended.
    pub files: u32,
    /// Length of the time in which the events of a set happen.
    pub span: Duration,
    /// When the first set begins; each later one begins where the one before ended. Without a
    /// start and without a seed each set ends now.
    pub start: Option<DateTime<Utc>>,
    /// Makes the bytes repeatable. A seed without a start stands for a start of
    /// 2026-01-01T00:00:00Z, because the clock cannot be repeated.
    pub seed: Option<u64>,
    /// Share, from 0 to 1, of the records that repeat an earlier record of the run.
    pub duplicates: f64,
    /// Share, from 0 to 1, of the records that are broken.
    pub bad: f64,
    /// The folder for the files; made if missing.
    pub out: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dataset: Dataset::default(),
            rows: 30_000,
            files: 1,
            span: Duration::from_secs(60 * 60),
            start: None,
            seed: None,
            duplicates: 0.0,
            bad: 0.0,
            out: PathBuf::from("data"),
        }
    }
}

/// A setting that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid value for --{name}: {problem}")]
pub struct InvalidSetting {
    /// The field of [`Settings`], which is also the name of the flag.
    pub name: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Settings {
    /// # Errors
    /// The first setting found that cannot be followed.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let refuse = |name, problem| Err(InvalidSetting { name, problem });
        if self.files == 0 {
            return refuse("files", "at least one file is needed");
        }
        if self.rows.checked_mul(u64::from(self.files)).is_none() {
            return refuse("rows", "rows times files is more than can be counted");
        }
        if !is_share(self.duplicates) {
            return refuse("duplicates", "a share lies between 0 and 1");
        }
        if !is_share(self.bad) {
            return refuse("bad", "a share lies between 0 and 1");
        }
        // Written in decimals, shares that make up 1 may add up to a little more.
        if self.duplicates + self.bad > 1.0 + f64::EPSILON {
            return refuse("duplicates", "together with --bad it is more than 1");
        }
        if self.out.as_os_str().is_empty() {
            return refuse("out", "a folder is needed (`.` is the present one)");
        }
        if let Dataset::AdEvents(advertising) = &self.dataset
            && advertising.window < WINDOW_MIN
        {
            return refuse("window", "it must be at least 1ms");
        }
        if let Dataset::Transfers(banking) = &self.dataset
            && !banking.regions.iter().any(|(_, weight)| *weight > 0.0)
        {
            return refuse("region", "at least one region must have a weight above zero");
        }
        if let Dataset::Transfers(banking) = &self.dataset
            && !banking
                .regions
                .iter()
                .all(|(name, weight)| !name.is_empty() && (0.0..=f64::MAX).contains(weight))
        {
            return refuse("region", "a region has a name, and a weight of zero or more");
        }
        self.check_times()
    }

    fn check_times(&self) -> Result<(), InvalidSetting> {
        let refuse = |name, problem| Err(InvalidSetting { name, problem });
        if self.span.as_micros() == 0 {
            return refuse("span", "it must be longer than zero");
        }
        let Some(start) = self.fixed_start() else {
            let before_now = now_microseconds();
            return match span_microseconds(self.span) <= before_now {
                true => Ok(()),
                false => refuse("span", "it reaches back past the year 1970"),
            };
        };
        let Ok(start) = u64::try_from(start.timestamp_micros()) else {
            return refuse("start", "it must not be before 1970");
        };
        if start.saturating_add(span_microseconds(self.span)) > LAST_MICROSECOND {
            return refuse("span", "it reaches past the year 9999");
        }
        Ok(())
    }

    /// Where the first set begins if not the clock decides it.
    pub(crate) fn fixed_start(&self) -> Option<DateTime<Utc>> {
        let seeded = || self.seed.map(|_| DateTime::from_timestamp_secs(SEEDED_START_SECONDS));
        self.start.or_else(|| seeded().flatten())
    }
}

/// The shortest window of ad events.
const WINDOW_MIN: Duration = Duration::from_millis(1);

/// 2026-01-01T00:00:00Z.
const SEEDED_START_SECONDS: i64 = 1_767_225_600;

/// False for NaN too.
fn is_share(share: f64) -> bool {
    (0.0..=1.0).contains(&share)
}

/// Saturates, which [`Settings::check`] then refuses.
pub(crate) fn span_microseconds(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds since 1970; 0 for a clock set before that.
pub(crate) fn now_microseconds() -> u64 {
    u64::try_from(Utc::now().timestamp_micros()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ad_events::Advertising;
    use crate::transfers::Banking;

    fn refused(settings: Settings) -> &'static str {
        settings.check().unwrap_err().name
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        let all = Settings::default;
        assert_eq!(refused(Settings { files: 0, ..all() }), "files");
        assert_eq!(refused(Settings { rows: u64::MAX, files: 2, ..all() }), "rows");
        assert_eq!(refused(Settings { bad: 1.5, ..all() }), "bad");
        assert_eq!(refused(Settings { bad: f64::NAN, ..all() }), "bad");
        assert_eq!(refused(Settings { duplicates: -0.1, ..all() }), "duplicates");
        assert_eq!(refused(Settings { duplicates: 0.6, bad: 0.6, ..all() }), "duplicates");
        assert_eq!(refused(Settings { out: PathBuf::new(), ..all() }), "out");
        let window = Duration::from_micros(999);
        let dataset = Dataset::AdEvents(Advertising { window });
        assert_eq!(refused(Settings { dataset, ..all() }), "window");
        let regions = |regions: &[(&str, f64)]| {
            let regions = regions.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect();
            Settings {
                dataset: Dataset::Transfers(Banking { regions, people: false }),
                ..Settings::default()
            }
        };
        assert_eq!(refused(regions(&[])), "region");
        assert_eq!(refused(regions(&[("North", 0.0)])), "region");
        assert_eq!(refused(regions(&[("North", 0.5), ("South", -0.5)])), "region");
        assert_eq!(refused(regions(&[("North", 0.5), ("South", f64::NAN)])), "region");
        assert_eq!(refused(regions(&[("North", 0.5), ("", 0.5)])), "region");
    }

    #[test]
    fn times_outside_1970_to_9999_are_refused() {
        let all = Settings::default;
        let century = Duration::from_secs(100 * 365 * 86_400);
        let before_1970 = DateTime::from_timestamp_secs(-1);
        let in_9990 = DateTime::from_timestamp_secs(253_086_000_000);
        assert_eq!(refused(Settings { span: Duration::ZERO, ..all() }), "span");
        assert_eq!(refused(Settings { span: century, ..all() }), "span");
        assert_eq!(refused(Settings { start: before_1970, ..all() }), "start");
        assert_eq!(refused(Settings { start: in_9990, span: century, ..all() }), "span");
        assert_eq!(refused(Settings { seed: Some(1), span: Duration::MAX, ..all() }), "span");
    }

    #[test]
    fn a_seed_fixes_the_start_unless_one_is_given() {
        let seeded = Settings { seed: Some(1), ..Settings::default() };
        assert_eq!(seeded.fixed_start().unwrap().to_rfc3339(), "2026-01-01T00:00:00+00:00");
        let start = DateTime::from_timestamp_secs(1);
        assert_eq!(Settings { start, ..seeded }.fixed_start(), start);
        assert_eq!(Settings::default().fixed_start(), None);
    }
}
