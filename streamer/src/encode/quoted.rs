//! The quotes of arrays and ranges: `"a \"b\", c"`.

use std::borrow::Cow;

/// Reads a text in double quotes; a backslash takes the next character as it is. Where
/// `doubled`, two quotes inside stand for one. Returns the text and what follows the quotes, or
/// None if they are never closed.
pub(super) fn read_quoted(text: &str, doubled: bool) -> Option<(Cow<'_, str>, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut unquoted = Cow::Borrowed("");
    loop {
        let (plain, after) = rest.split_at(rest.find(['"', '\\'])?);
        unquoted += plain;
        let mut next = after.chars();
        let (first, second) = (next.next()?, next.next());
        match (first, second) {
            ('\\', Some(escaped)) => unquoted.to_mut().push(escaped),
            ('"', Some('"')) if doubled => unquoted.to_mut().push('"'),
            ('"', _) => return Some((unquoted, &after[1..])),
            _ => return None,
        }
        rest = next.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_taken_off() {
        assert_eq!(read_quoted(r#""a,b"x"#, false), Some(("a,b".into(), "x")));
        assert_eq!(read_quoted(r#""\"\é\\""#, false), Some((r#""é\"#.into(), "")));
        assert_eq!(read_quoted(r#""a""b","#, true), Some((r#"a"b"#.into(), ",")));
        assert_eq!(read_quoted(r#""a""b""#, false), Some(("a".into(), r#""b""#)));
    }

    #[test]
    fn quotes_must_be_closed() {
        for text in ["", "a", "\"", "\"a", "\"a\\", "\"a\\\""] {
            assert_eq!(read_quoted(text, true), None, "{text}");
        }
    }
}
