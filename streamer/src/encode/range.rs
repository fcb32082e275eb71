//! Ranges in PostgreSQL's text form: `[1,5)`, `(,2026-01-01]`, `empty`.
//!
//! Origin: src/backend/utils/adt/rangetypes.c, `range_in` and `range_recv`. That the lower bound is
//! not above the upper is for PostgreSQL to say, which also brings both into their usual form.

use std::borrow::Cow;

use super::quoted::read_quoted;
use super::{Refusal, Type};

/// Origin: src/include/utils/rangetypes.h, `RANGE_EMPTY` and so on.
const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;

/// A byte of flags, then length and bytes of each bound that there is.
pub(super) fn encode(text: &str, bound: &Type, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if text.eq_ignore_ascii_case("empty") {
        out.push(EMPTY);
        return Ok(());
    }
    let (lower_inclusive, rest) = match text.split_at_checked(1) {
        Some(("[", rest)) => (LOWER_INCLUSIVE, rest),
        Some(("(", rest)) => (0, rest),
        _ => return Err(malformed()),
    };
    let (lower, rest) = read_bound(rest)?;
    let rest = rest.strip_prefix(',').ok_or_else(malformed)?;
    let (upper, rest) = read_bound(rest)?;
    let upper_inclusive = match rest {
        "]" => UPPER_INCLUSIVE,
        ")" => 0,
        _ => return Err(malformed()),
    };
    let lower_flag = if lower.is_some() { lower_inclusive } else { LOWER_INFINITE };
    let upper_flag = if upper.is_some() { upper_inclusive } else { UPPER_INFINITE };
    out.push(lower_flag | upper_flag);
    for text in [lower, upper].into_iter().flatten() {
        bound.encode_with_length(&text, out)?;
    }
    Ok(())
}

/// The next bound, None if it is infinite, and what follows it.
fn read_bound(text: &str) -> Result<(Option<Cow<'_, str>>, &str), Refusal> {
    if text.starts_with('"') {
        let (bound, rest) = read_quoted(text, true).ok_or_else(malformed)?;
        return Ok((Some(bound), rest));
    }
    let end = text.find([',', ')', ']', '"', '\\']).ok_or_else(malformed)?;
    let (bound, rest) = text.split_at(end);
    Ok(((!bound.is_empty()).then_some(Cow::Borrowed(bound)), rest))
}

fn malformed() -> Refusal {
    Refusal::malformed("not a range like [1,5)")
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn range(text: &str) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        encode(text, &Type(Kind::Int4), &mut out).map_err(|refusal| refusal.sqlstate)?;
        Ok(out)
    }

    #[test]
    fn flags_tell_the_kinds_of_bounds() {
        assert_eq!(range("empty"), Ok(vec![1]));
        assert_eq!(range("[1,5)"), Ok(vec![2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 5]));
        assert_eq!(range("(\"1\",]"), Ok(vec![0x10, 0, 0, 0, 4, 0, 0, 0, 1]));
        assert_eq!(range("[,5]"), Ok(vec![0x0c, 0, 0, 0, 4, 0, 0, 0, 5]));
        assert_eq!(range("(,)"), Ok(vec![0x18]));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "", "é", "1,5", "[1,5", "[1;5]", "[1,2,3]", "[1,5)x", "[\"1,5]", "[1\\,5]", "[\"\",5]",
            "[x,5]",
        ] {
            assert_eq!(range(text), Err("22P02"), "{text}");
        }
    }
}
