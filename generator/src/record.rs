//! An event as a line of CSV.

use crate::shop::{Product, User};
use crate::time_text::TimeText;
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
    time: TimeText,
}

impl EventText {
    pub(crate) fn new() -> Self {
        Self { id: [0; 36], time: TimeText::new() }
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
        [
            id.hyphenated().encode_lower(&mut self.id).as_bytes(),
            user.id.as_bytes(),
            product.id.as_bytes(),
            event_type.as_bytes(),
            self.time.of(moment),
            product.price.as_bytes(),
            product.category.as_bytes(),
            user.device.as_bytes(),
            user.location.as_bytes(),
        ]
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
}
