//! Bits and bytes written out: `uuid`, `bytea`, `bit` and `varbit`.

use uuid::Uuid;

use super::Refusal;

/// Sixteen bytes. Origin: src/backend/utils/adt/uuid.c, `uuid_recv`.
///
/// 32 hexadecimal digits in any case, either without hyphens or with the usual four, in braces or
/// not. PostgreSQL also takes hyphens after any other group of four digits.
pub(super) fn encode_uuid(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let digits = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}'),
        None => Some(text),
    };
    // The lengths keep out the other forms that the parser knows.
    let uuid = digits
        .filter(|digits| matches!(digits.len(), 32 | 36))
        .and_then(|digits| Uuid::try_parse(digits).ok())
        .ok_or_else(|| Refusal::malformed("not a uuid"))?;
    out.extend_from_slice(uuid.as_bytes());
    Ok(())
}

/// The bytes themselves. Origin: src/backend/utils/adt/varlena.c, `bytearecv`.
///
/// Only the form `\x0a1b`. PostgreSQL takes any other text in its escape form, where a forgotten
/// `\x` goes unnoticed.
pub(super) fn encode_bytea(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let malformed = || Refusal::malformed(r"not bytes like \x0a1b");
    if text.is_empty() {
        return Ok(());
    }
    let digits = text.strip_prefix(r"\x").ok_or_else(malformed)?.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(malformed());
    }
    for pair in pairs {
        out.push(hex_byte(*pair).ok_or_else(malformed)?);
    }
    Ok(())
}

/// The byte that two hexadecimal digits stand for.
pub(super) fn hex_byte(digits: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    Some(digit(digits[0])? << 4 | digit(digits[1])?)
}

/// How many bits a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BitLength {
    Any,
    /// `bit(n)`
    Exactly(usize),
    /// `varbit(n)`
    AtMost(usize),
}

/// The number of bits in four bytes, then the bits, filled up with 0 to whole bytes.
/// Origin: src/backend/utils/adt/varbit.c, `bit_recv` and `varbit_recv`.
pub(super) fn encode_bits(text: &str, length: BitLength, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if !text.bytes().all(|byte| matches!(byte, b'0' | b'1')) {
        return Err(Refusal::malformed("not bits like 0101"));
    }
    match length {
        BitLength::Exactly(bits) if text.len() != bits => return Err(Refusal::wrong_length(bits)),
        BitLength::AtMost(bits) if text.len() > bits => {
            return Err(Refusal::too_long(bits, "bits"));
        }
        _ => {}
    }
    let bits = i32::try_from(text.len()).map_err(|_| Refusal::malformed("too many bits"))?;
    out.extend_from_slice(&bits.to_be_bytes());
    for eight in text.as_bytes().chunks(8) {
        let byte = eight.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        out.push(byte << (8 - eight.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_come_with_hyphens_or_braces_or_neither() {
        let expected = Uuid::from_u128(0x0190_a1b2_c3d4_7e5f_8a9b_0c1d_2e3f_4a5b);
        for text in [
            "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
            "0190A1B2C3D47E5F8A9B0C1D2E3F4A5B",
            "{0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}",
            "{0190a1b2c3d47e5f8a9b0c1d2e3f4a5b}",
        ] {
            let mut out = Vec::new();
            encode_uuid(text, &mut out).unwrap();
            assert_eq!(out, expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn other_uuid_forms_are_refused() {
        for text in [
            "",
            "urn:uuid:0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
            "{0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
            "{{90a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a}}",
            "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5g",
            "0190a1b2c3d4-7e5f-8a9b-0c1d-2e3f4a5b",
            " 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
        ] {
            assert_eq!(encode_uuid(text, &mut Vec::new()).unwrap_err().sqlstate, "22P02", "{text}");
        }
    }

    #[test]
    fn bytes_are_hexadecimal_after_the_prefix() {
        let mut out = Vec::new();
        encode_bytea(r"\x00fFa0", &mut out).unwrap();
        assert_eq!(out, [0, 0xff, 0xa0]);
        for text in ["", r"\x"] {
            encode_bytea(text, &mut Vec::new()).unwrap();
        }
        for text in ["00", r"\x0", r"\x0g", r"\x 00", r"\000", r"\X00"] {
            assert_eq!(
                encode_bytea(text, &mut Vec::new()).unwrap_err().sqlstate,
                "22P02",
                "{text}"
            );
        }
    }

    #[test]
    fn bits_are_counted_and_filled_up_on_the_right() {
        let mut out = Vec::new();
        encode_bits("1000000101", BitLength::AtMost(10), &mut out).unwrap();
        assert_eq!(out, [0, 0, 0, 10, 0x81, 0x40]);
        let sqlstate =
            |text, length| encode_bits(text, length, &mut Vec::new()).unwrap_err().sqlstate;
        assert_eq!(sqlstate("10", BitLength::Exactly(3)), "22026");
        assert_eq!(sqlstate("1010", BitLength::AtMost(3)), "22001");
        assert_eq!(sqlstate("b10", BitLength::Any), "22P02");
    }
}
