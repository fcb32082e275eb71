//! A time as text: RFC 3339 in UTC with microseconds.

use chrono::DateTime;
use std::io::Write;

/// Length of `2026-01-01T00:00:00`.
const SECOND_LENGTH: usize = 19;

/// The text of the last time asked for: the next one often lies in the same second, and dates are
/// slow to format.
#[derive(Debug)]
pub(crate) struct TimeText {
    /// `2026-01-01T00:00:00.000000Z`.
    text: [u8; SECOND_LENGTH + 8],
    /// The second that `text` begins with.
    second: Option<u64>,
}

impl TimeText {
    pub(crate) fn new() -> Self {
        let mut text = [0; SECOND_LENGTH + 8];
        text[SECOND_LENGTH] = b'.';
        text[SECOND_LENGTH + 7] = b'Z';
        Self { text, second: None }
    }

    /// The text of `moment`, microseconds since 1970 and before the year 10000.
    pub(crate) fn of(&mut self, moment: u64) -> &[u8] {
        let second = moment / 1_000_000;
        if self.second != Some(second) {
            let time = i64::try_from(second)
                .ok()
                .and_then(DateTime::from_timestamp_secs)
                .expect("moments lie before the year 10000");
            write!(&mut self.text[..SECOND_LENGTH], "{}", time.format("%Y-%m-%dT%H:%M:%S"))
                .expect("it has this length until the year 10000");
            self.second = Some(second);
        }
        let mut left = moment % 1_000_000;
        for digit in self.text[SECOND_LENGTH + 1..SECOND_LENGTH + 7].iter_mut().rev() {
            *digit = b'0' + u8::try_from(left % 10).expect("a digit is below ten");
            left /= 10;
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_moment_across_seconds() {
        let mut text = TimeText::new();
        let mut text_of = |moment| String::from_utf8(text.of(moment).to_vec()).unwrap();
        assert_eq!(text_of(1_767_225_599_999_999), "2025-12-31T23:59:59.999999Z");
        assert_eq!(text_of(1_767_225_600_000_000), "2026-01-01T00:00:00.000000Z");
        assert_eq!(text_of(1_767_225_600_000_010), "2026-01-01T00:00:00.000010Z");
        assert_eq!(text_of(253_402_300_799_999_999), "9999-12-31T23:59:59.999999Z");
    }
}
