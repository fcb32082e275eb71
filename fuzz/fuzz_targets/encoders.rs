//! Any text for each type of column: no encoder panics, and what it accepts is a value that
//! PostgreSQL's function for the binary form would read to its end.
//!
//! That the value is the right one is asked of PostgreSQL itself in
//! `streamer/tests/it/encode_oracle`.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use streamer::encode::{Rules, Type, TypeCatalog, TypeEntry, Zone};

/// A type by the functions of its text and binary forms.
struct Known {
    functions: (&'static str, &'static str),
    typmod: i32,
    form: Form,
}

/// What the binary form must look like.
#[derive(Clone, Copy)]
enum Form {
    /// So many bytes.
    Bytes(usize),
    /// As many bytes as the text, or one more.
    AsText(usize),
    Any,
    Numeric,
    Bits,
    Network,
    /// The place of the elements' type in [`KNOWN`].
    Array(usize),
    /// The place of the bounds' type in [`KNOWN`].
    Range(usize),
}

const fn known(input: &'static str, receive: &'static str, typmod: i32, form: Form) -> Known {
    Known { functions: (input, receive), typmod, form }
}

const fn array_of(element: usize) -> Known {
    known("array_in", "array_recv", -1, Form::Array(element))
}

const fn range_of(bound: usize) -> Known {
    known("range_in", "range_recv", -1, Form::Range(bound))
}

/// `numeric(10,2)`.
const NUMERIC_10_2: i32 = ((10 << 16) | 2) + 4;

const KNOWN: [Known; 40] = [
    known("boolin", "boolrecv", -1, Form::Bytes(1)),
    known("int2in", "int2recv", -1, Form::Bytes(2)),
    known("int4in", "int4recv", -1, Form::Bytes(4)),
    known("int8in", "int8recv", -1, Form::Bytes(8)),
    known("oidin", "oidrecv", -1, Form::Bytes(4)),
    known("float4in", "float4recv", -1, Form::Bytes(4)),
    known("float8in", "float8recv", -1, Form::Bytes(8)),
    known("numeric_in", "numeric_recv", -1, Form::Numeric),
    known("numeric_in", "numeric_recv", NUMERIC_10_2, Form::Numeric),
    known("textin", "textrecv", -1, Form::AsText(0)),
    known("varcharin", "varcharrecv", 3 + 4, Form::AsText(0)),
    known("bpcharin", "bpcharrecv", 4 + 4, Form::AsText(0)),
    known("namein", "namerecv", -1, Form::AsText(0)),
    known("xml_in", "xml_recv", -1, Form::AsText(0)),
    known("enum_in", "enum_recv", -1, Form::AsText(0)),
    known("json_in", "json_recv", -1, Form::AsText(0)),
    known("jsonb_in", "jsonb_recv", -1, Form::AsText(1)),
    known("uuid_in", "uuid_recv", -1, Form::Bytes(16)),
    known("byteain", "bytearecv", -1, Form::Any),
    known("bit_in", "bit_recv", 3, Form::Bits),
    known("varbit_in", "varbit_recv", 12, Form::Bits),
    known("varbit_in", "varbit_recv", -1, Form::Bits),
    known("date_in", "date_recv", -1, Form::Bytes(4)),
    known("time_in", "time_recv", 3, Form::Bytes(8)),
    known("timetz_in", "timetz_recv", -1, Form::Bytes(12)),
    known("timestamp_in", "timestamp_recv", -1, Form::Bytes(8)),
    known("timestamptz_in", "timestamptz_recv", -1, Form::Bytes(8)),
    known("timestamptz_in", "timestamptz_recv", 0, Form::Bytes(8)),
    known("interval_in", "interval_recv", -1, Form::Bytes(16)),
    known("inet_in", "inet_recv", -1, Form::Network),
    known("cidr_in", "cidr_recv", -1, Form::Network),
    known("macaddr_in", "macaddr_recv", -1, Form::Bytes(6)),
    known("macaddr8_in", "macaddr8_recv", -1, Form::Bytes(8)),
    array_of(2),
    array_of(9),
    array_of(26),
    range_of(2),
    range_of(7),
    range_of(26),
    array_of(36),
];

static TYPES: LazyLock<Vec<Type>> = LazyLock::new(|| {
    let entry = |known: &Known| TypeEntry {
        input: known.functions.0.to_owned(),
        receive: known.functions.1.to_owned(),
        part: match known.form {
            Form::Array(part) | Form::Range(part) => oid(part),
            _ => 0,
        },
        part_typmod: -1,
        delimiter: ",".to_owned(),
        labels: vec!["sad".to_owned(), "so, so".to_owned()],
        ..TypeEntry::default()
    };
    let catalog: TypeCatalog =
        KNOWN.iter().enumerate().map(|(at, k)| (oid(at), entry(k))).collect();
    let rules = Rules { zone: &Zone::Utc, takes_nan: true };
    let resolve =
        |(at, known): (usize, &Known)| Type::resolve(&catalog, oid(at), known.typmod, rules);
    KNOWN.iter().enumerate().map(resolve).collect()
});

// The first byte chooses the type, the rest is the text.
fuzz_target!(|input: &[u8]| {
    let Some((which, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let which = usize::from(*which) % KNOWN.len();
    let mut out = vec![0xaa; 3];
    match TYPES[which].encode(text, &mut out) {
        Ok(()) => {
            assert_eq!(out[..3], [0xaa; 3], "what was there before is changed");
            assert!(!text.contains('\0'), "NUL is accepted");
            let rest = value(&out[3..], KNOWN[which].form, out.len() - 3, Some(text));
            assert_eq!(rest, Some(&[][..]), "{text:?} as {out:?}");
        }
        Err(refusal) => assert_eq!(refusal.sqlstate.len(), 5),
    }
});

/// Reads a value of `len` bytes: what follows it, or `None` if it is malformed.
fn value<'a>(bytes: &'a [u8], form: Form, len: usize, text: Option<&str>) -> Option<&'a [u8]> {
    let (value, rest) = bytes.split_at_checked(len)?;
    let is_good = match form {
        Form::Bytes(count) => len == count,
        Form::AsText(more) => text.is_none_or(|text| len == text.len() + more),
        Form::Any => true,
        Form::Numeric => is_numeric(value),
        Form::Bits => {
            let bits = usize::try_from(u32::from_be_bytes(*value.first_chunk()?)).ok()?;
            len == 4 + bits.div_ceil(8)
        }
        Form::Network => {
            matches!(
                value,
                [2, 0..=32, 0 | 1, 4, address @ ..] if address.len() == 4
            ) || matches!(
                value,
                [3, 0..=128, 0 | 1, 16, address @ ..] if address.len() == 16
            )
        }
        Form::Array(element) => is_array(value, element)?,
        Form::Range(bound) => is_range(value, bound)?,
    };
    is_good.then_some(rest)
}

/// Origin: src/backend/utils/adt/numeric.c, `numeric_recv`.
fn is_numeric(value: &[u8]) -> bool {
    let words: Vec<u16> =
        value.as_chunks().0.iter().map(|word| u16::from_be_bytes(*word)).collect();
    let [count, _weight, sign, scale, digits @ ..] = words.as_slice() else { return false };
    value.len() == 8 + 2 * usize::from(*count)
        && digits.len() == usize::from(*count)
        // Positive, negative; NaN and the infinities, which have no digits.
        && ([0, 0x4000].contains(sign)
            || (*count == 0 && [0xc000, 0xd000, 0xf000].contains(sign)))
        && *scale <= 0x3fff
        && digits.iter().all(|digit| *digit < 10_000)
}

/// Origin: src/backend/utils/adt/arrayfuncs.c, `array_recv`.
fn is_array(value: &[u8], element: usize) -> Option<bool> {
    let (dimensions, rest) = number(value)?;
    let (has_nulls, rest) = number(rest)?;
    let (element_oid, mut rest) = number(rest)?;
    let mut count = i32::from(dimensions > 0);
    for _ in 0..dimensions {
        let (length, more) = number(rest)?;
        let (lower_bound, more) = number(more)?;
        if length < 1 || lower_bound.checked_add(length).is_none() {
            return None;
        }
        (count, rest) = (count.checked_mul(length)?, more);
    }
    let mut nulls = 0;
    for _ in 0..count {
        let (len, more) = number(rest)?;
        rest = if len == -1 {
            nulls += 1;
            more
        } else {
            value_of(more, element, len)?
        };
    }
    let expected = i32::from(nulls > 0);
    Some(
        (0..=6).contains(&dimensions)
            && has_nulls == expected
            && element_oid.cast_unsigned() == oid(element)
            && rest.is_empty(),
    )
}

/// Origin: src/backend/utils/adt/rangetypes.c, `range_recv`.
fn is_range(value: &[u8], bound: usize) -> Option<bool> {
    let (flags, mut rest) = value.split_first()?;
    let bounds = match flags {
        0x01 => 0,
        _ => [0x08, 0x10].iter().filter(|infinite| *flags & **infinite == 0).count(),
    };
    for _ in 0..bounds {
        let (len, more) = number(rest)?;
        rest = value_of(more, bound, len)?;
    }
    Some(flags & !0x1f == 0 && rest.is_empty())
}

fn value_of(bytes: &[u8], which: usize, len: i32) -> Option<&[u8]> {
    value(bytes, KNOWN[which].form, usize::try_from(len).ok()?, None)
}

fn number(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((i32::from_be_bytes(*number), rest))
}

/// The number that a type has in the catalog made here.
fn oid(at: usize) -> u32 {
    u32::try_from(at + 1).expect("there are few types")
}
