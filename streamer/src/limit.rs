//! How many dead letters a file may have before it stops its stream.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// Records that a share is of at least: at the beginning of a file, and in a short one, a few bad
/// records are a large share and mean nothing.
const SHARE_RECORDS_MIN: u64 = 1000;

/// Parts per million in one percent.
const PERCENT: u64 = 10_000;

/// The setting `max_dead_letters`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterLimit {
    /// So many in a file.
    Count(u64),
    /// So many of a million records of a file, and of a thousand records while there are fewer.
    Share {
        /// At most 1,000,000.
        per_million: u64,
    },
}

impl DeadLetterLimit {
    /// Whether `dead_letters` among `records` are more than the limit.
    pub fn is_passed(self, records: u64, dead_letters: u64) -> bool {
        match self {
            DeadLetterLimit::Count(count) => dead_letters > count,
            DeadLetterLimit::Share { per_million } => {
                let whole = u128::from(records.max(SHARE_RECORDS_MIN));
                u128::from(dead_letters) * 1_000_000 > whole * u128::from(per_million)
            }
        }
    }
}

impl fmt::Display for DeadLetterLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            DeadLetterLimit::Count(count) => write!(f, "{count}"),
            DeadLetterLimit::Share { per_million } => {
                let decimals = format!("{:04}", per_million % PERCENT);
                let decimals = decimals.trim_end_matches('0');
                let point = if decimals.is_empty() { "" } else { "." };
                write!(f, "\"{}{point}{decimals}%\"", per_million / PERCENT)
            }
        }
    }
}

impl FromStr for DeadLetterLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<DeadLetterLimit, String> {
        let wrong = || {
            "max_dead_letters must be a number, or a share of a file's records from \"0%\" to \"100%\" \
             with at most four decimals"
                .to_owned()
        };
        let Some(percent) = text.trim().strip_suffix('%') else {
            return text.trim().parse().map(DeadLetterLimit::Count).map_err(|_| wrong());
        };
        let (whole, decimals) =
            percent.trim_end().split_once('.').unwrap_or((percent.trim_end(), ""));
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 3 || decimals.len() > 4 {
            return Err(wrong());
        }
        if !is_number(whole) || !is_number(decimals) {
            return Err(wrong());
        }
        let per_million: u64 = format!("{whole}{decimals:0<4}").parse().map_err(|_| wrong())?;
        if per_million > 100 * PERCENT {
            return Err(wrong());
        }
        Ok(DeadLetterLimit::Share { per_million })
    }
}

impl<'de> Deserialize<'de> for DeadLetterLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DeadLetterLimit, D::Error> {
        struct NumberOrShare;
        impl Visitor<'_> for NumberOrShare {
            type Value = DeadLetterLimit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a share such as \"1%\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<DeadLetterLimit, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<DeadLetterLimit, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NumberOrShare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_share_is_read_and_shown() {
        for (text, shown) in [
            ("0", "0"),
            ("100", "100"),
            ("1%", "\"1%\""),
            ("0.50 %", "\"0.5%\""),
            ("12.3456%", "\"12.3456%\""),
            ("100%", "\"100%\""),
        ] {
            assert_eq!(text.parse::<DeadLetterLimit>().unwrap().to_string(), shown, "{text}");
        }
        for text in ["", "%", "-1", "1.5", "101%", "100.0001%", "1e1%", ".5%", "0.00001%", "many"] {
            assert!(text.parse::<DeadLetterLimit>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_of_a_thousand_records_at_least() {
        let limit: DeadLetterLimit = "1%".parse().unwrap();
        assert!(!limit.is_passed(10, 10) && limit.is_passed(11, 11));
        assert!(!limit.is_passed(1000, 10) && limit.is_passed(1000, 11));
        assert!(!limit.is_passed(100_000, 1000) && limit.is_passed(100_000, 1001));
        let limit = DeadLetterLimit::Count(5);
        assert!(!limit.is_passed(5, 5) && limit.is_passed(1_000_000, 6));
        let none: DeadLetterLimit = "0%".parse().unwrap();
        assert!(!none.is_passed(5, 0) && none.is_passed(5, 1));
    }
}
