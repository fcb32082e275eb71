//! Arrays from JSON: `[1, null]` means what `{1,NULL}` does.

use serde_json::value::RawValue;

use super::array::{Array, DIMENSIONS_MAX, Shape, malformed, put_header};
use super::{Refusal, with_length};

/// Appends a JSON array as [`super::array::encode`] does its text form. Where the elements are JSON
/// themselves, it has one dimension, else as many as arrays stand in each other at its beginning.
pub(super) fn encode_json(text: &str, array: &Array, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let start = out.len();
    let dimensions = dimensions(text, array);
    if dimensions > DIMENSIONS_MAX {
        return Err(Refusal::malformed("an array of more than six dimensions"));
    }
    if json_items(text)?.is_empty() {
        put_header(array, 0, out);
        return Ok(());
    }
    put_header(array, dimensions, out);
    let mut shape = Shape::new(dimensions);
    put_json_level(text, array, 0, &mut shape, out)?;
    shape.fill_in(&mut out[start..]);
    Ok(())
}

/// Appends the elements of a JSON array at `level`. Goes no deeper than there are dimensions.
fn put_json_level(
    text: &str,
    array: &Array,
    level: usize,
    shape: &mut Shape,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let items = json_items(text)?;
    for item in &items {
        let item = item.get();
        if level + 1 < shape.lengths.len() {
            if !item.starts_with('[') {
                return Err(Refusal::malformed("an array with both arrays and other values in it"));
            }
            put_json_level(item, array, level + 1, shape, out)?;
        } else if item == "null" {
            shape.has_null = true;
            out.extend_from_slice(&(-1i32).to_be_bytes());
        } else {
            let value = |out: &mut Vec<u8>| array.element.encode_json_value(item, out);
            with_length(out, value)?;
        }
    }
    let length = i32::try_from(items.len()).map_err(|_| malformed())?;
    if length == 0 {
        return Err(Refusal::malformed("an array with an empty array in it"));
    }
    shape.note(level, length)
}

fn json_items(text: &str) -> Result<Vec<&RawValue>, Refusal> {
    serde_json::from_str(text)
        .map_err(|error| Refusal::malformed(format!("not accepted as a JSON array: {error}")))
}

/// The text form of a JSON array that [`encode_json`] takes.
pub(super) fn text_of_json(text: &str, array: &Array) -> Result<String, Refusal> {
    let mut out = String::new();
    put_text_level(text, array, dimensions(text, array), &mut out)?;
    Ok(out)
}

/// Appends the array of so many dimensions that `text` is.
fn put_text_level(
    text: &str,
    array: &Array,
    dimensions: usize,
    out: &mut String,
) -> Result<(), Refusal> {
    out.push('{');
    for (at, item) in json_items(text)?.into_iter().map(RawValue::get).enumerate() {
        if at > 0 {
            out.push(char::from(array.delimiter));
        }
        if dimensions > 1 {
            put_text_level(item, array, dimensions - 1, out)?;
        } else if item == "null" {
            out.push_str("NULL");
        } else {
            out.push('"');
            for c in array.element.text_of_json(item)?.chars() {
                if c == '"' || c == '\\' {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        }
    }
    out.push('}');
    Ok(())
}

fn dimensions(text: &str, array: &Array) -> usize {
    let opened = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let opened = opened.take_while(|byte| *byte == b'[').count();
    if array.element.is_json() { 1 } else { opened }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Type};
    use super::*;

    fn array_of(kind: Kind) -> Array {
        Array { element: Type(kind), element_oid: 25, delimiter: b',' }
    }

    fn array(kind: Kind, text: &str) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        super::super::array::encode(text, &array_of(kind), &mut out)
            .map_err(|refusal| refusal.sqlstate)?;
        Ok(out)
    }

    #[test]
    fn a_json_array_means_the_same_as_its_text_form() {
        let json = |kind: Kind, text: &str| {
            let mut out = Vec::new();
            let array = array_of(kind);
            encode_json(text, &array, &mut out).map_err(|refusal| refusal.sqlstate)?;
            let same = text_of_json(text, &array).unwrap();
            assert_eq!(self::array(array.element.0, &same).unwrap(), out, "{same}");
            Ok(out)
        };
        for (text, same) in [
            ("[ ]", "{}"),
            ("[7, 8]", "{7,8}"),
            ("[null, \"7\"]", "{NULL,7}"),
            ("[[1, 2],[3,null]]", "{{1,2},{3,NULL}}"),
            (" [[[1]]]", "{{{1}}}"),
        ] {
            assert_eq!(json(Kind::Int4, text), array(Kind::Int4, same), "{text}");
        }
        let texts = r#"["a,b", "NULL", "", "\\\"\u00e9", true, 1.50]"#;
        let same = r#"{"a,b","NULL","","\\\"é",true,1.50}"#;
        assert_eq!(json(Kind::Text(None), texts), array(Kind::Text(None), same));
        let documents = json(Kind::Json, r#"[[1], {"a": "b"}, "c"]"#).unwrap();
        assert_eq!(documents[..12], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25]);
        assert_eq!(documents[24..27], *b"[1]");
        for text in
            ["[[]]", "[1,[2]]", "[[1],2]", "[[1],[2,3]]", "[[[[[[[1]]]]]]]", "[{}]", "[1.5]"]
        {
            assert_eq!(json(Kind::Int4, text), Err("22P02"), "{text}");
        }
    }
}
