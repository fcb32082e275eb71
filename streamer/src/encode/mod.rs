//! Text of a field -> one value in PostgreSQL's binary COPY format.
//!
//! The rule: what is accepted is stored exactly as PostgreSQL's own input function stores the same
//! text (`$1::type`, in a session with the stream's time zone); what PostgreSQL would take but
//! change, cut or guess at is refused. Only the loading of the catalog talks to the server.
//!
//! Refused though PostgreSQL takes it:
//!
//! | type | refused |
//! |---|---|
//! | all but strings and json | white space around the value, except spaces around numbers, |
//! | | booleans and times, and any between the elements of an array |
//! | boolean | yes, no, on, off and beginnings of words but t and f |
//! | oid | negative numbers, which wrap |
//! | real, double precision | NaN (unless the stream accepts it), `inf`, hexadecimal |
//! | numeric | NaN (unless the stream accepts it), `inf`, a digit that the scale would round |
//! | | away (zeros may go) |
//! | | exponents of seven digits, a blank behind the `e` |
//! | numbers, in newer versions | `0x10`, `1_000` |
//! | varchar(n), char(n) | blanks past the length, which would be cut |
//! | name | more than 63 bytes, which would be cut |
//! | bytea | the escape form, blanks between the digits |
//! | bit, varbit | `B` and `X` in front |
//! | uuid | hyphens elsewhere than in the usual four places |
//! | date, times | everything but ISO 8601 with hyphens and colons, ` BC` behind it, and |
//! | | `infinity`: |
//! | | other words, `:60`, am and pm, other orders, one-digit fields, `T` without |
//! | | minutes, zeros in front of a year of more than four digits |
//! | timestamps | `24:00` |
//! | date, time | a time of day behind a date; a zone or a date with a time |
//! | timestamp | a zone other than UTC, which would be dropped |
//! | times | digits of a second past the precision (zeros may go, up to nine digits in all) |
//! | | zones by name but ` UTC` |
//! | timestamptz | without a zone, a time that the clocks of the stream's time zone leave out |
//! | timetz | without a zone, where the stream's time zone is not UTC |
//! | interval | all but `P1Y2M3W4DT5H6M7.8S`, `1 year 2 mons 4 days 05:06:07.8` and `infinity` |
//! | json, jsonb | `\u0000`, lone surrogates, numbers beyond double precision |
//! | | more than 128 levels |
//! | jsonb | a key twice in one object |
//! | xml | an encoding other than UTF-8 declared |
//! | inet, cidr | shortened networks, a point in front of the `/`, leading zeros |
//! | macaddr, macaddr8 | other groups than pairs, fours between points, or none |
//! | | six bytes for eight, blanks and signs between the digits |
//! | arrays | bounds in front other than `[2:3]=`, empty arrays inside, |
//! | | backslashes outside quotes |
//! | ranges | quotes or backslashes within a bound |
//!
//! Types that are not known here are opaque: their text is the server's to read, as by `\copy`.
//!
//! Left to the server, which can refuse the row: domains' constraints, whether xml is well-formed,
//! and the order of a range's bounds.

mod array;
mod array_json;
mod binary;
mod calendar;
mod catalog;
mod cursor;
mod datetime;
mod interval;
mod json;
mod json_value;
mod network;
mod number;
mod numeric;
mod quoted;
mod range;
mod refusal;
mod resolve;
mod text;
mod zone;

pub use catalog::{TypeCatalog, TypeEntry};
pub use json_value::{check_document, json_string};
pub use refusal::Refusal;
pub use resolve::Rules;
pub use zone::Zone;

use array::Array;
use binary::BitLength;
use datetime::Precision;
use numeric::Limits;

/// How text becomes one column's value.
#[derive(Debug, Clone, PartialEq)]
pub struct Type(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4 {
        takes_nan: bool,
    },
    Float8 {
        takes_nan: bool,
    },
    Numeric {
        limits: Option<Limits>,
        takes_nan: bool,
    },
    /// With the most characters that the column takes.
    Text(Option<usize>),
    Name,
    Xml,
    Enum(Vec<String>),
    Json,
    Jsonb,
    Uuid,
    Bytea,
    Bits(BitLength),
    Date,
    Time(Precision),
    Timetz(Precision, Zone),
    Timestamp(Precision),
    Timestamptz(Precision, Zone),
    Interval {
        precision: Precision,
        takes_infinite: bool,
    },
    Network {
        is_cidr: bool,
    },
    Mac {
        bytes: usize,
    },
    Array(Box<Array>),
    Range(Box<Type>),
    /// A type whose binary form is not known here: its text is PostgreSQL's to read.
    Opaque {
        /// Whether the empty text is a value of it.
        takes_empty: bool,
    },
}

impl Type {
    /// Whether there is no binary form of its values here, or of values in them: they are sent as
    /// text.
    pub fn is_opaque(&self) -> bool {
        match &self.0 {
            Kind::Opaque { .. } => true,
            Kind::Array(array) => array.element.is_opaque(),
            Kind::Range(bound) => bound.is_opaque(),
            _ => false,
        }
    }

    /// The type, if it is opaque itself, with a word on whether the empty text is a value of it.
    #[must_use]
    pub fn with_empty(self, takes_empty: bool) -> Type {
        match self.0 {
            Kind::Opaque { .. } => Type(Kind::Opaque { takes_empty }),
            kind => Type(kind),
        }
    }

    /// Appends the value's bytes, without the length in front. On an error there may be anything
    /// behind the old end of `out`: the caller cuts it off.
    ///
    /// # Errors
    /// The text is not a value of the type, see the module's table.
    pub fn encode(&self, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.encode_kind(text, out)
            .map_err(|refusal| if text.as_bytes().contains(&0) { Refusal::nul() } else { refusal })
    }

    fn encode_kind(&self, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        // Spaces may stand around these values, for PostgreSQL as for us.
        let has_space = text.starts_with(' ') || text.ends_with(' ');
        let trimmed = if has_space { text.trim_matches(' ') } else { text };
        match &self.0 {
            Kind::Bool => number::encode_bool(trimmed, out),
            Kind::Int2 => number::encode_int2(trimmed, out),
            Kind::Int4 => number::encode_int4(trimmed, out),
            Kind::Int8 => number::encode_int8(trimmed, out),
            Kind::Oid => number::encode_oid(trimmed, out),
            Kind::Float4 { takes_nan } => number::encode_float4(trimmed, *takes_nan, out),
            Kind::Float8 { takes_nan } => number::encode_float8(trimmed, *takes_nan, out),
            Kind::Numeric { limits, takes_nan } => {
                numeric::encode(trimmed, *limits, *takes_nan, out)
            }
            Kind::Date => datetime::encode_date(trimmed, out),
            Kind::Time(precision) => datetime::encode_time(trimmed, *precision, out),
            Kind::Timetz(precision, zone) => {
                datetime::encode_timetz(trimmed, *precision, zone, out)
            }
            Kind::Timestamp(precision) => datetime::encode_timestamp(trimmed, *precision, out),
            Kind::Timestamptz(precision, zone) => {
                datetime::encode_timestamptz(trimmed, *precision, zone, out)
            }

            Kind::Interval { precision, takes_infinite } => {
                interval::encode(text, *precision, *takes_infinite, out)
            }
            Kind::Text(length_max) => text::encode_text(text, *length_max, out),
            Kind::Name => text::encode_name(text, out),
            Kind::Xml => text::encode_xml(text, out),
            Kind::Enum(labels) => text::encode_enum(text, labels, out),
            Kind::Json => json::encode_json(text, out),
            Kind::Jsonb => json::encode_jsonb(text, out),
            Kind::Uuid => binary::encode_uuid(text, out),
            Kind::Bytea => binary::encode_bytea(text, out),
            Kind::Bits(length) => binary::encode_bits(text, *length, out),
            Kind::Network { is_cidr } => network::encode_network(text, *is_cidr, out),
            Kind::Mac { bytes } => network::encode_mac(text, *bytes, out),
            Kind::Array(array) => array::encode(text, array, out),
            Kind::Range(bound) => range::encode(text, bound, out),
            Kind::Opaque { .. } => text::encode_text(text, None, out),
        }
    }

    /// Appends the value's length in four bytes and then the value, as inside arrays and ranges.
    fn encode_with_length(&self, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        with_length(out, |out| self.encode_kind(text, out))
    }

    /// Whether a field that is empty but quoted (`""`) is a value of this type; of all others it
    /// means NULL.
    pub fn takes_empty(&self) -> bool {
        match &self.0 {
            Kind::Text(_) | Kind::Name | Kind::Xml | Kind::Bytea => true,
            Kind::Bits(length) => !matches!(length, BitLength::Exactly(_)),
            Kind::Enum(labels) => labels.iter().any(String::is_empty),
            Kind::Opaque { takes_empty } => *takes_empty,
            _ => false,
        }
    }
}

/// Appends the length in four bytes of what `encode` appends behind it.
fn with_length(
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    encode(out)?;
    let length = i32::try_from(out.len() - start - 4)
        .map_err(|_| Refusal::malformed("longer than 2 GiB"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(kind: Kind, text: &str) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        Type(kind).encode(text, &mut out).map_err(|refusal| refusal.sqlstate)?;
        Ok(out)
    }

    #[test]
    fn a_nul_has_its_own_sqlstate_in_every_type() {
        for kind in [Kind::Int8, Kind::Text(None), Kind::Uuid, Kind::Jsonb, Kind::Date] {
            assert_eq!(encode(kind.clone(), "1\0"), Err("22021"), "{kind:?}");
        }
        let element = Type(Kind::Text(None));
        let array = Array { element, element_oid: 25, delimiter: b',' };
        assert_eq!(encode(Kind::Array(Box::new(array)), "{\0}"), Err("22021"));
    }

    #[test]
    fn spaces_may_stand_around_numbers_and_times_only() {
        assert_eq!(encode(Kind::Int2, " 7  "), Ok(vec![0, 7]));
        assert_eq!(encode(Kind::Date, " 2000-01-02 "), Ok(vec![0, 0, 0, 1]));
        assert_eq!(encode(Kind::Text(None), " 7 "), Ok(b" 7 ".to_vec()));
        assert_eq!(encode(Kind::Int2, "7\t"), Err("22P02"));
        assert_eq!(encode(Kind::Bytea, " \\x00"), Err("22P02"));
    }

    #[test]
    fn values_are_appended() {
        let mut out = vec![1];
        Type(Kind::Bool).encode("t", &mut out).unwrap();
        assert_eq!(out, [1, 1]);
    }

    #[test]
    fn types_that_have_an_empty_value_take_the_empty_field() {
        assert!(Type(Kind::Text(Some(3))).takes_empty());
        assert!(Type(Kind::Enum(vec![String::new()])).takes_empty());
        assert!(!Type(Kind::Enum(vec!["a".to_owned()])).takes_empty());
        assert!(!Type(Kind::Int8).takes_empty());
        let opaque =
            |takes_empty| Type(Kind::Opaque { takes_empty: false }).with_empty(takes_empty);
        assert!(opaque(true).takes_empty() && !opaque(false).takes_empty());
    }
}
