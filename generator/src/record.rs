//! An event as a line of CSV.

use crate::shop::{Product, User};
use chrono::DateTime;
use std::io::Write;
use uuid::Uuid;

/// The columns, in the order of the header.
pub const COLUMNS: [&str; 9] = [
    "event_id",
    "user_id",
    "product_id",
    "event_type",
    "event_time",
    "price",
    "category",
    "user_device",
    "user_location",
];

/// The fields of one event in the order of [`COLUMNS`], quoted where needed.
pub(crate) type Fields<'a> = [&'a [u8]; COLUMNS.len()];

/// Adds `fields` to `out` as one line.
pub(crate) fn put_line<'a>(fields: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for (place, field) in fields.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(field);
    }
    out.push(b'\n');
}

/// Holds the texts of one event that are not the shop's; reused from event to event.
#[derive(Debug)]
pub(crate) struct EventText {
    id: [u8; 36],
    time: Vec<u8>,
    /// The second that `time` begins with. Many events share one, and dates are slow to format.
    second: Option<u64>,
}

/// Length of `2026-01-01T00:00:00`.
const SECOND_LENGTH: usize = 19;

impl EventText {
    pub(crate) fn new() -> Self {
        Self { id: [0; 36], time: Vec::new(), second: None }
    }

    /// The fields of an event at `moment`, microseconds since 1970 and before the year 10000.
    pub(crate) fn fields<'a>(
        &'a mut self,
        id: Uuid,
        moment: u64,
        event_type: &'static str,
        user: &'a User,
        product: &'a Product,
    ) -> Fields<'a> {
        self.set_time(moment);
        [
            id.hyphenated().encode_lower(&mut self.id).as_bytes(),
            user.id.as_bytes(),
            product.id.as_bytes(),
            event_type.as_bytes(),
            &self.time,
            product.price.as_bytes(),
            product.category.as_bytes(),
            user.device.as_bytes(),
            user.location.as_bytes(),
        ]
    }

    fn set_time(&mut self, moment: u64) {
        let second = moment / 1_000_000;
        if self.second != Some(second) {
            let time = i64::try_from(second)
                .ok()
                .and_then(DateTime::from_timestamp_secs)
                .expect("moments lie before the year 10000");
            self.time.clear();
            write!(self.time, "{}", time.format("%Y-%m-%dT%H:%M:%S"))
                .expect("memory can be written to");
            self.second = Some(second);
        }
        self.time.truncate(SECOND_LENGTH);
        write!(self.time, ".{:06}Z", moment % 1_000_000).expect("memory can be written to");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_in_the_order_of_the_columns() {
        let user = User { id: "7".into(), device: "Mac".into(), location: "\"Oslo, NO\"".into() };
        let product = Product { id: "9".into(), price: "1.50".into(), category: "Books".into() };
        let mut text = EventText::new();
        let mut line = Vec::new();
        put_line(text.fields(Uuid::nil(), 1_000_007, "view", &user, &product), &mut line);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "00000000-0000-0000-0000-000000000000,7,9,view,1970-01-01T00:00:01.000007Z,\
             1.50,Books,Mac,\"Oslo, NO\"\n"
        );
    }

    #[test]
    fn times_follow_the_moment_across_seconds() {
        let mut text = EventText::new();
        let mut time_of = |moment| {
            text.set_time(moment);
            String::from_utf8(text.time.clone()).unwrap()
        };
        assert_eq!(time_of(1_767_225_599_999_999), "2025-12-31T23:59:59.999999Z");
        assert_eq!(time_of(1_767_225_600_000_000), "2026-01-01T00:00:00.000000Z");
        assert_eq!(time_of(1_767_225_600_000_010), "2026-01-01T00:00:00.000010Z");
        assert_eq!(time_of(253_402_300_799_999_999), "9999-12-31T23:59:59.999999Z");
    }
}
