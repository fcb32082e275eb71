//! `boolean`, whole numbers and floating point. Exact decimals are in `numeric`.

use std::num::{IntErrorKind, ParseIntError};

use super::Refusal;

/// One byte, 0 or 1. Origin: src/backend/utils/adt/bool.c, `boolrecv`.
///
/// PostgreSQL also takes any unambiguous beginning of true, false, yes, no, on and off.
pub(super) fn encode_bool(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") || is("t") || text == "1" {
        out.push(1);
        Ok(())
    } else if is("false") || is("f") || text == "0" {
        out.push(0);
        Ok(())
    } else {
        Err(Refusal::malformed("not a boolean: true, false, t, f, 1 or 0"))
    }
}

/// Two bytes, big-endian. Origin: src/backend/utils/adt/int.c, `int2recv`.
pub(super) fn encode_int2(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let number: i16 =
        text.parse().map_err(|error| not_whole(&error, "out of range for smallint"))?;
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

/// Four bytes, big-endian. Origin: src/backend/utils/adt/int.c, `int4recv`.
pub(super) fn encode_int4(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let number: i32 =
        text.parse().map_err(|error| not_whole(&error, "out of range for integer"))?;
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

/// Eight bytes, big-endian. Origin: src/backend/utils/adt/int8.c, `int8recv`.
pub(super) fn encode_int8(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let number: i64 = text.parse().map_err(|error| not_whole(&error, "out of range for bigint"))?;
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

/// Four bytes, unsigned. Origin: src/backend/utils/adt/oid.c, `oidrecv`.
///
/// PostgreSQL wraps negative numbers round; here they are refused.
pub(super) fn encode_oid(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let number: u32 = text.parse().map_err(|error| not_whole(&error, "out of range for oid"))?;
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

/// Rust's grammar for whole numbers is PostgreSQL's: an optional sign, then decimal digits only.
fn not_whole(error: &ParseIntError, range: &'static str) -> Refusal {
    match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Refusal::out_of_range(range),
        _ => Refusal::malformed("not a whole number"),
    }
}

/// Four bytes, IEEE 754. Origin: src/backend/libpq/pqformat.c, `pq_getmsgfloat4`.
///
/// Both `strtof` and Rust round the decimal to the nearest value once, ties to even.
pub(super) fn encode_float4(text: &str, takes_nan: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if let Some(special) = special(text, takes_nan)? {
        out.extend_from_slice(&special.float4().to_be_bytes());
        return Ok(());
    }
    check_decimal_form(text)?;
    let number: f32 = text.parse().map_err(|_| not_a_number())?;
    if number.is_infinite() || (number == 0.0 && has_nonzero_digit(text)) {
        return Err(Refusal::out_of_range("out of range for real"));
    }
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

/// Eight bytes, IEEE 754. Origin: src/backend/libpq/pqformat.c, `pq_getmsgfloat8`.
pub(super) fn encode_float8(text: &str, takes_nan: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if let Some(special) = special(text, takes_nan)? {
        out.extend_from_slice(&special.float8().to_be_bytes());
        return Ok(());
    }
    check_decimal_form(text)?;
    let number: f64 = text.parse().map_err(|_| not_a_number())?;
    if number.is_infinite() || (number == 0.0 && has_nonzero_digit(text)) {
        return Err(Refusal::out_of_range("out of range for double precision"));
    }
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

/// A number that has no digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    Nan,
    Infinity,
    MinusInfinity,
}

impl Special {
    fn float4(self) -> f32 {
        match self {
            Special::Nan => f32::NAN,
            Special::Infinity => f32::INFINITY,
            Special::MinusInfinity => f32::NEG_INFINITY,
        }
    }

    fn float8(self) -> f64 {
        self.float4().into()
    }
}

/// The number without digits that `text` is, in the words that PostgreSQL writes, in any case.
pub(super) fn special(text: &str, takes_nan: bool) -> Result<Option<Special>, Refusal> {
    // Most numbers begin with none of these.
    if !matches!(text.as_bytes().first(), Some(b'N' | b'n' | b'I' | b'i' | b'-')) {
        return Ok(None);
    }
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("NaN") {
        let reason = "NaN; set nan = \"accept\" for this stream to take it";
        return if takes_nan { Ok(Some(Special::Nan)) } else { Err(Refusal::malformed(reason)) };
    }
    Ok(is("Infinity")
        .then_some(Special::Infinity)
        .or(is("-Infinity").then_some(Special::MinusInfinity)))
}

/// Keeps `inf` and hexadecimal away from the parser.
fn check_decimal_form(text: &str) -> Result<(), Refusal> {
    let allowed = |byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    if text.bytes().all(allowed) { Ok(()) } else { Err(not_a_number()) }
}

fn not_a_number() -> Refusal {
    Refusal::malformed("not a decimal number")
}

/// Whether the digits before the exponent are not all 0: then a result of 0 is an underflow, which
/// PostgreSQL refuses too (src/backend/utils/adt/float.c, `float8in_internal`).
fn has_nonzero_digit(text: &str) -> bool {
    text.bytes()
        .take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'))
        .any(|b| matches!(b, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Encode = fn(&str, &mut Vec<u8>) -> Result<(), Refusal>;

    const FLOAT4: Encode = |text, out| encode_float4(text, false, out);
    const FLOAT8: Encode = |text, out| encode_float8(text, false, out);

    fn bytes(encode: Encode, text: &str) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        encode(text, &mut out).map_err(|refusal| refusal.sqlstate)?;
        Ok(out)
    }

    #[test]
    fn booleans_are_true_false_t_f_1_0_in_any_case() {
        for text in ["true", "TRUE", "t", "T", "1"] {
            assert_eq!(bytes(encode_bool, text), Ok(vec![1]), "{text}");
        }
        for text in ["false", "False", "f", "0"] {
            assert_eq!(bytes(encode_bool, text), Ok(vec![0]), "{text}");
        }
        for text in ["", "yes", "of", "on", "tr", "2", "01"] {
            assert_eq!(bytes(encode_bool, text), Err("22P02"), "{text}");
        }
    }

    #[test]
    fn whole_numbers_keep_to_their_range() {
        assert_eq!(bytes(encode_int2, "-32768"), Ok(vec![0x80, 0]));
        assert_eq!(bytes(encode_int2, "32768"), Err("22003"));
        assert_eq!(bytes(encode_int4, "+0012"), Ok(vec![0, 0, 0, 12]));
        assert_eq!(bytes(encode_int4, "2147483648"), Err("22003"));
        assert_eq!(bytes(encode_int8, "-1"), Ok(vec![0xff; 8]));
        assert_eq!(bytes(encode_int8, "9223372036854775808"), Err("22003"));
        assert_eq!(bytes(encode_oid, "4294967295"), Ok(vec![0xff; 4]));
        for text in ["", "-", "1.0", "1e3", "0x10", "1_000", "1,7", "١", "- 1"] {
            assert_eq!(bytes(encode_int8, text), Err("22P02"), "{text}");
        }
        assert_eq!(bytes(encode_oid, "-1"), Err("22P02"));
    }

    #[test]
    fn floats_never_underflow() {
        assert_eq!(bytes(FLOAT8, "1.5"), Ok(1.5f64.to_be_bytes().to_vec()));
        assert_eq!(bytes(FLOAT8, "-0"), Ok((-0.0f64).to_be_bytes().to_vec()));
        assert_eq!(bytes(FLOAT8, "0e5"), Ok(0.0f64.to_be_bytes().to_vec()));
        assert_eq!(bytes(FLOAT8, "5e-324"), Ok(vec![0, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(bytes(FLOAT4, "16777217"), Ok(16_777_216f32.to_be_bytes().to_vec()));
        for text in ["1e309", "-1e309", "1e-400"] {
            assert_eq!(bytes(FLOAT8, text), Err("22003"), "{text}");
        }
        assert_eq!(bytes(FLOAT4, "1e39"), Err("22003"));
        for text in ["NaN", "inf", "0x1p3", "", ".", "1e", "e", "1,5"] {
            assert_eq!(bytes(FLOAT8, text), Err("22P02"), "{text}");
        }
    }
    #[test]
    fn infinity_is_a_float_and_nan_is_one_where_it_is_accepted() {
        assert_eq!(bytes(FLOAT8, "Infinity"), Ok(f64::INFINITY.to_be_bytes().to_vec()));
        assert_eq!(bytes(FLOAT4, "-infinity"), Ok(f32::NEG_INFINITY.to_be_bytes().to_vec()));
        let accepting: Encode = |text, out| encode_float8(text, true, out);
        assert_eq!(bytes(accepting, "nan"), Ok(f64::NAN.to_be_bytes().to_vec()));
    }
}
