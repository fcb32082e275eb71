//! Strings that PostgreSQL keeps as they are: `text` and its relatives, enums and `xml`.

use memchr::memchr;

use super::Refusal;

/// The bytes of the text, at most `length_max` characters of it.
///
/// Origin: src/backend/utils/adt/varlena.c, `textrecv`; varchar.c, `varchar_input` and
/// `bpchar_input`, which pads `char(n)`. Both cut blanks past the length silently; here they are
/// refused like any other character.
pub(super) fn encode_text(
    text: &str,
    length_max: Option<usize>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if memchr(0, text.as_bytes()).is_some() {
        return Err(Refusal::nul());
    }
    if let Some(length_max) = length_max {
        // A text has never more characters than bytes, so most need no counting.
        if text.len() > length_max && text.chars().count() > length_max {
            return Err(Refusal::too_long(length_max, "characters"));
        }
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Bytes of a `name`, as every server is built. Origin: `NAMEDATALEN` - 1.
const NAME_BYTES_MAX: usize = 63;

/// The bytes of the text. Origin: src/backend/utils/adt/name.c, `namerecv`; `namein` cuts longer
/// names silently.
pub(super) fn encode_name(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if text.len() > NAME_BYTES_MAX {
        return Err(Refusal::too_long(NAME_BYTES_MAX, "bytes"));
    }
    encode_text(text, None, out)
}

/// Labels that a refusal lists.
const LABELS_LISTED_MAX: usize = 20;

/// The bytes of the label. Origin: src/backend/utils/adt/enum.c, `enum_recv`.
pub(super) fn encode_enum(text: &str, labels: &[String], out: &mut Vec<u8>) -> Result<(), Refusal> {
    if labels.iter().any(|label| label == text) {
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    let mut listed = labels[..labels.len().min(LABELS_LISTED_MAX)].join(", ");
    if labels.len() > LABELS_LISTED_MAX {
        listed.push_str(", ...");
    }
    Err(Refusal::malformed(format!("no such label; one of: {listed}")))
}

/// The document's bytes; whether it is well-formed is for PostgreSQL to say.
///
/// Origin: src/backend/utils/adt/xml.c. `xml_recv` obeys an encoding declaration, `xml_in` does
/// not, so only the encoding that the text really has may be declared.
pub(super) fn encode_xml(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    if let Some(declaration) = text.strip_prefix("<?xml") {
        let declaration = declaration.split_once("?>").map_or(declaration, |(head, _)| head);
        let encoding = declaration.split_once("encoding").map(|(_, value)| {
            value.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '=')
        });
        let is_utf8 = |value: &str| {
            let value = value.get(..7).unwrap_or_default();
            value.eq_ignore_ascii_case("'utf-8'") || value.eq_ignore_ascii_case("\"utf-8\"")
        };
        if encoding.is_some_and(|value| !is_utf8(value)) {
            return Err(Refusal::malformed("declares an encoding other than UTF-8"));
        }
    }
    encode_text(text, None, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_byte_for_byte() {
        for text in ["", " a ", "NULL", "\\.", "=cmd()", "\u{feff}é\u{202e}\n\t"] {
            let mut out = Vec::new();
            encode_text(text, None, &mut out).unwrap();
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn nul_is_refused_with_its_own_sqlstate() {
        assert_eq!(encode_text("a\0b", None, &mut Vec::new()), Err(Refusal::nul()));
    }

    #[test]
    fn length_counts_characters_and_blanks_too() {
        encode_text("äöü", Some(3), &mut Vec::new()).unwrap();
        let refusal = encode_text("abc ", Some(3), &mut Vec::new()).unwrap_err();
        assert_eq!((refusal.sqlstate, &*refusal.reason), ("22001", "longer than 3 characters"));
        let refusal = encode_name(&"ä".repeat(32), &mut Vec::new()).unwrap_err();
        assert_eq!((refusal.sqlstate, &*refusal.reason), ("22001", "longer than 63 bytes"));
    }

    #[test]
    fn an_unknown_label_names_the_known_ones() {
        let labels = ["view".to_owned(), "buy".to_owned()];
        encode_enum("buy", &labels, &mut Vec::new()).unwrap();
        let refusal = encode_enum("Buy", &labels, &mut Vec::new()).unwrap_err();
        assert_eq!(refusal.reason, "no such label; one of: view, buy");
        let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
        assert!(encode_enum("x", &many, &mut Vec::new()).unwrap_err().reason.ends_with("19, ..."));
    }

    #[test]
    fn xml_may_declare_only_utf8() {
        for text in
            ["<a/>", "<?xml version='1.0' encoding = \"utf-8\"?><a/>", "<?xml version='1.0'?>"]
        {
            encode_xml(text, &mut Vec::new()).unwrap();
        }
        let refusal = encode_xml("<?xml version='1.0' encoding='latin1'?><a/>", &mut Vec::new());
        assert_eq!(refusal.unwrap_err().sqlstate, "22P02");
    }
}
