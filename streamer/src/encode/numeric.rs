//! `numeric`: exact decimals, digit by digit, never through floating point.
//!
//! The binary form is four 16-bit fields (number of digits, weight, sign, display scale) and then
//! the digits in base 10,000; the first digit counts 10,000 to the power of weight.
//! Origin: src/backend/utils/adt/numeric.c, `numeric_recv`.

use super::Refusal;
use super::number::{Special, special};

/// Precision and scale of `numeric(precision, scale)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    precision: i32,
    /// Negative when digits before the point are rounded away.
    scale: i32,
}

/// Digits after the point that the format can show. Origin: `NUMERIC_DSCALE_MASK`.
const SCALE_MAX: i64 = 0x3fff;

const SIGN_POSITIVE: u16 = 0x0000;
const SIGN_NEGATIVE: u16 = 0x4000;
/// Since PostgreSQL 14 there are infinite numerics.
const SIGN_NAN: u16 = 0xC000;
const SIGN_INFINITY: u16 = 0xD000;
const SIGN_MINUS_INFINITY: u16 = 0xF000;

impl Limits {
    /// None when the column takes any numeric. Origin: `make_numeric_typmod` since version 15;
    /// scales of older versions, 0 to 1000, read the same.
    pub(super) fn from_typmod(typmod: i32) -> Option<Limits> {
        let packed = typmod.checked_sub(4).filter(|packed| *packed >= 0)?;
        Some(Limits { precision: packed >> 16, scale: ((packed & 0x7ff) ^ 0x400) - 0x400 })
    }
}

/// Appends the binary form. Refuses what the limits would round or overflow; zeros past the scale
/// are no loss and PostgreSQL drops them.
pub(super) fn encode(
    text: &str,
    limits: Option<Limits>,
    takes_nan: bool,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if let Some(special) = special(text, takes_nan)? {
        if limits.is_some() && special != Special::Nan {
            return Err(Refusal::out_of_range("infinite, which the column's precision excludes"));
        }
        let sign = match special {
            Special::Nan => SIGN_NAN,
            Special::Infinity => SIGN_INFINITY,
            Special::MinusInfinity => SIGN_MINUS_INFINITY,
        };
        [0, 0, sign, 0].iter().for_each(|field: &u16| out.extend_from_slice(&field.to_be_bytes()));
        return Ok(());
    }
    let decimal = Decimal::parse(text.as_bytes())?;
    if let Some(limits) = limits {
        decimal.check(limits)?;
    }
    decimal.write(out)
}

/// A decimal as it was written: powers of ten instead of a value.
struct Decimal<'a> {
    negative: bool,
    /// ASCII digits and at most one point, from the first to the last digit that is not 0.
    digits: &'a [u8],
    /// Power of ten that the first of `digits` counts; 0 when there are none.
    highest: i64,
    /// Power of ten that the last of `digits` counts; 0 when there are none.
    lowest: i64,
    /// Digits after the point, zeros at the end included.
    scale: i64,
}

impl Decimal<'_> {
    fn parse(text: &[u8]) -> Result<Decimal<'_>, Refusal> {
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let mantissa_len = unsigned.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = match mantissa_len {
            Some(len) => (&unsigned[..len], parse_exponent(&unsigned[len + 1..])?),
            None => (unsigned, 0),
        };

        let mut point = None;
        let (mut first, mut last) = (None, 0);
        for (at, byte) in mantissa.iter().enumerate() {
            match byte {
                b'0' => {}
                b'1'..=b'9' => {
                    first = first.or(Some(at));
                    last = at;
                }
                b'.' if point.is_none() => point = Some(at),
                _ => return Err(not_decimal()),
            }
        }
        if mantissa.len() == usize::from(point.is_some()) {
            return Err(not_decimal());
        }

        let point_at = point.unwrap_or(mantissa.len());
        let power = |at: usize| -> i64 {
            let distance =
                if at < point_at { length(point_at - at - 1) } else { -length(at - point_at) };
            distance + exponent
        };
        let decimals = length(mantissa.len().saturating_sub(point_at + 1));
        let scale = (decimals - exponent).max(0);
        Ok(match first {
            None => Decimal { negative: false, digits: &[], highest: 0, lowest: 0, scale },
            Some(first) => Decimal {
                negative,
                digits: &mantissa[first..=last],
                highest: power(first),
                lowest: power(last),
                scale,
            },
        })
    }

    fn check(&self, limits: Limits) -> Result<(), Refusal> {
        let Limits { precision, scale } = limits;
        if self.digits.is_empty() {
            return Ok(());
        }
        if self.lowest < -i64::from(scale) {
            return Err(Refusal::out_of_range(match scale {
                0 => "has decimals, the column keeps none".to_owned(),
                1.. => format!("more than {scale} decimals"),
                _ => format!("not a multiple of 10 to the power of {}", -i64::from(scale)),
            }));
        }
        if self.highest >= i64::from(precision) - i64::from(scale) {
            return Err(Refusal::out_of_range(format!(
                "out of range for numeric({precision},{scale})"
            )));
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let overflow = || Refusal::out_of_range("out of range for numeric");
        if self.scale > SCALE_MAX {
            return Err(overflow());
        }
        let weight = self.highest.div_euclid(4);
        let groups =
            if self.digits.is_empty() { 0 } else { weight - self.lowest.div_euclid(4) + 1 };
        let sign = if self.negative { SIGN_NEGATIVE } else { SIGN_POSITIVE };
        out.extend_from_slice(&u16::try_from(groups).map_err(|_| overflow())?.to_be_bytes());
        out.extend_from_slice(&i16::try_from(weight).map_err(|_| overflow())?.to_be_bytes());
        out.extend_from_slice(&sign.to_be_bytes());
        out.extend_from_slice(&u16::try_from(self.scale).map_err(|_| overflow())?.to_be_bytes());

        let mut power = self.highest;
        let mut group: u16 = 0;
        for digit in self.digits.iter().filter(|byte| **byte != b'.') {
            group = group * 10 + u16::from(digit - b'0');
            if power.rem_euclid(4) == 0 {
                out.extend_from_slice(&group.to_be_bytes());
                group = 0;
            }
            power -= 1;
        }
        match self.lowest.rem_euclid(4) {
            1 => out.extend_from_slice(&(group * 10).to_be_bytes()),
            2 => out.extend_from_slice(&(group * 100).to_be_bytes()),
            3 => out.extend_from_slice(&(group * 1000).to_be_bytes()),
            _ => {} // the last group was whole and is written
        }
        Ok(())
    }
}

/// Exponents of more than six digits are out of range for every digit but 0.
fn parse_exponent(text: &[u8]) -> Result<i64, Refusal> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(not_decimal());
    }
    if digits.len() > 6 {
        return Err(Refusal::out_of_range("exponent out of range for numeric"));
    }
    let exponent = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Ok(if negative { -exponent } else { exponent })
}

fn not_decimal() -> Refusal {
    Refusal::malformed("not a decimal number")
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("a slice is never longer than isize::MAX")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typmod(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7ff)) + 4
    }

    /// (weight, negative, scale, digits)
    type Value = (i16, bool, u16, Vec<u16>);

    fn value(text: &str, typmod: i32) -> Result<Value, &'static str> {
        let mut out = Vec::new();
        encode(text, Limits::from_typmod(typmod), false, &mut out)
            .map_err(|refusal| refusal.sqlstate)?;
        let fields: Vec<u16> =
            out.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        assert_eq!(usize::from(fields[0]), fields.len() - 4, "{text}");
        let weight = i16::from_be_bytes([out[2], out[3]]);
        Ok((weight, fields[2] == SIGN_NEGATIVE, fields[3], fields[4..].to_vec()))
    }

    #[test]
    fn digits_are_grouped_by_four_around_the_point() {
        assert_eq!(value("12345.678", -1), Ok((1, false, 3, vec![1, 2345, 6780])));
        assert_eq!(value("-0.00012", -1), Ok((-1, true, 5, vec![1, 2000])));
        assert_eq!(value("10000", -1), Ok((1, false, 0, vec![1])));
        assert_eq!(value("100020003", -1), Ok((2, false, 0, vec![1, 2, 3])));
        assert_eq!(value("100000000.00000001", -1), Ok((2, false, 8, vec![1, 0, 0, 0, 1])));
        assert_eq!(value(".5", -1), Ok((-1, false, 1, vec![5000])));
        assert_eq!(value("+5.", -1), Ok((0, false, 0, vec![5])));
    }

    #[test]
    fn zero_has_no_sign_and_keeps_its_scale() {
        assert_eq!(value("-0.00", -1), Ok((0, false, 2, vec![])));
        assert_eq!(value("000", -1), Ok((0, false, 0, vec![])));
    }

    #[test]
    fn exponents_move_the_point() {
        assert_eq!(value("1.50e1", -1), Ok((0, false, 1, vec![15])));
        assert_eq!(value("1E-5", -1), Ok((-2, false, 5, vec![1000])));
        assert_eq!(value("12e+6", -1), Ok((1, false, 0, vec![1200])));
        assert_eq!(value("1e131072", -1), Err("22003"));
        assert_eq!(value("1e-16384", -1), Err("22003"));
        assert_eq!(value("1e9999999", -1), Err("22003"));
    }

    #[test]
    fn nothing_is_rounded() {
        let money = typmod(10, 2);
        assert_eq!(value("1.005", money), Err("22003"));
        assert_eq!(value("1.500", money), Ok((0, false, 3, vec![1, 5000])));
        assert_eq!(value("99999999.99", money), Ok((1, false, 2, vec![9999, 9999, 9900])));
        assert_eq!(value("100000000", money), Err("22003"));
        assert_eq!(value("1234", typmod(3, -2)), Err("22003"));
        assert_eq!(value("1200", typmod(3, -2)), Ok((0, false, 0, vec![1200])));
        assert_eq!(value("100000", typmod(3, -2)), Err("22003"));
        assert_eq!(value("0.001", typmod(2, 4)), Ok((-1, false, 3, vec![10])));
        assert_eq!(value("0.01", typmod(2, 4)), Err("22003"));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", ".", "-", "e5", "1e", "1e+", "1.2.3", "1_000", "0x10", "NaN", "inf", "1 2"]
        {
            assert_eq!(value(text, -1), Err("22P02"), "{text}");
        }
    }
}
