//! Arrays in PostgreSQL's text form: `{1,2,NULL,"a,b"}`, `{{1,2},{3,4}}`.
//!
//! Origin: src/backend/utils/adt/arrayfuncs.c, `array_in` and `array_recv`. Indexes begin with 1,
//! unless bounds stand in front, as in `[2:3]={7,8}`. Empty arrays inside an array and backslashes
//! outside quotes are refused.

use super::quoted::read_quoted;
use super::{Refusal, Type};

/// An array's element type and what its text form needs to know of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) element: Type,
    pub(super) element_oid: u32,
    /// `,` for every built-in type but one.
    pub(super) delimiter: u8,
}

/// Origin: `MAXDIM`.
pub(super) const DIMENSIONS_MAX: usize = 6;

/// Size of the header's fixed part: number of dimensions, whether there are NULLs, element type.
const HEADER_BYTES: usize = 12;
/// Size of a dimension in the header: its length and its lower bound.
const DIMENSION_BYTES: usize = 8;

/// Dimensions, flag, element type, each dimension's length and lower bound, then each element's
/// length and bytes, -1 for NULL.
pub(super) fn encode(text: &str, array: &Array, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let text = text.trim_matches(is_space);
    let start = out.len();
    if is_empty_array(text) {
        put_header(array, 0, out);
        return Ok(());
    }
    let (bounds, text) = read_bounds(text)?;
    let dimensions = text.chars().filter(|c| !is_space(*c)).take_while(|c| *c == '{').count();
    if dimensions == 0 || dimensions > DIMENSIONS_MAX {
        return Err(malformed());
    }
    put_header(array, dimensions, out);
    let shape = Shape::new(dimensions);
    let mut reader = Reader { array, rest: text, shape, out };
    reader.read_level(0)?;
    if !reader.rest.is_empty() {
        return Err(malformed());
    }
    let shape = reader.shape;
    shape.fill_in(&mut out[start..]);
    place_bounds(&bounds, &mut out[start..])
}

/// The lower and the upper bound of each dimension.
type Bounds = Vec<(i32, i32)>;

/// Reads `[2:3][-1:0]=`, if it is there: the bounds of each dimension, and what stands behind.
fn read_bounds(text: &str) -> Result<(Bounds, &str), Refusal> {
    let (mut bounds, mut rest) = (Bounds::new(), text);
    while let Some(inner) = rest.strip_prefix('[') {
        let (bound, after) = inner.split_once(']').ok_or_else(malformed)?;
        let (lower, upper) = bound.split_once(':').ok_or_else(malformed)?;
        let number = |text: &str| text.parse::<i32>().map_err(|_| malformed());
        bounds.push((number(lower)?, number(upper)?));
        rest = after;
    }
    if bounds.is_empty() {
        return Ok((bounds, text));
    }
    Ok((bounds, rest.strip_prefix('=').ok_or_else(malformed)?))
}

/// Puts the lower bounds into a complete header, whose lengths they must fit.
fn place_bounds(bounds: &[(i32, i32)], header: &mut [u8]) -> Result<(), Refusal> {
    let misfit = || Refusal::malformed("an array whose bounds do not fit its elements");
    let dimensions = i32::from_be_bytes(header[..4].try_into().expect("four bytes"));
    if bounds.is_empty() {
        return Ok(());
    }
    if i32::try_from(bounds.len()) != Ok(dimensions) {
        return Err(misfit());
    }
    for (at, &(lower, upper)) in bounds.iter().enumerate() {
        let dimension = &mut header[HEADER_BYTES + at * DIMENSION_BYTES..][..DIMENSION_BYTES];
        let length = i32::from_be_bytes(dimension[..4].try_into().expect("four bytes"));
        // PostgreSQL counts to the index behind the last one.
        let is_countable = upper < i32::MAX;
        if !is_countable || i64::from(upper) - i64::from(lower) + 1 != i64::from(length) {
            return Err(misfit());
        }
        dimension[4..].copy_from_slice(&lower.to_be_bytes());
    }
    Ok(())
}

/// Appends the header's fixed part, and room for the dimensions.
pub(super) fn put_header(array: &Array, dimensions: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + HEADER_BYTES + dimensions * DIMENSION_BYTES, 0);
    out[start + 8..start + 12].copy_from_slice(&array.element_oid.to_be_bytes());
}

/// What is known of an array once its elements are read.
pub(super) struct Shape {
    /// How many items an array has at each level; None until the first has ended.
    pub(super) lengths: Vec<Option<i32>>,
    pub(super) has_null: bool,
}

impl Shape {
    pub(super) fn new(dimensions: usize) -> Shape {
        Shape { lengths: vec![None; dimensions], has_null: false }
    }

    /// An array at `level` has ended.
    pub(super) fn note(&mut self, level: usize, length: i32) -> Result<(), Refusal> {
        match self.lengths[level].replace(length) {
            Some(other) if other != length => {
                Err(Refusal::malformed("an array whose inner arrays differ in length"))
            }
            _ => Ok(()),
        }
    }

    /// Completes the header that [`put_header`] began.
    pub(super) fn fill_in(self, header: &mut [u8]) {
        let count = i32::try_from(self.lengths.len()).expect("at most six");
        header[..4].copy_from_slice(&count.to_be_bytes());
        header[4..8].copy_from_slice(&i32::from(self.has_null).to_be_bytes());
        for (at, length) in self.lengths.into_iter().enumerate() {
            let length = length.expect("every level was read to its end");
            let at = HEADER_BYTES + at * DIMENSION_BYTES;
            header[at..at + 4].copy_from_slice(&length.to_be_bytes());
            header[at + 4..at + 8].copy_from_slice(&1i32.to_be_bytes());
        }
    }
}

struct Reader<'a> {
    array: &'a Array,
    rest: &'a str,
    shape: Shape,
    out: &'a mut Vec<u8>,
}

impl Reader<'_> {
    /// Reads `{item,item,...}`. Goes no deeper than there are dimensions.
    fn read_level(&mut self, level: usize) -> Result<(), Refusal> {
        if !self.eat(b'{') {
            return Err(malformed());
        }
        let mut length: i32 = 0;
        loop {
            if level + 1 < self.shape.lengths.len() {
                self.read_level(level + 1)?;
            } else {
                self.read_element()?;
            }
            length = length.checked_add(1).ok_or_else(malformed)?;
            if self.eat(b'}') {
                break;
            }
            if !self.eat(self.array.delimiter) {
                return Err(malformed());
            }
        }
        self.shape.note(level, length)
    }

    /// Steps over `byte` and the blanks around it, if it is next.
    fn eat(&mut self, byte: u8) -> bool {
        let rest = self.rest.trim_start_matches(is_space);
        let found = rest.as_bytes().first() == Some(&byte);
        if found {
            self.rest = rest[1..].trim_start_matches(is_space);
        }
        found
    }

    fn read_element(&mut self) -> Result<(), Refusal> {
        if self.rest.starts_with('"') {
            let (element, rest) = read_quoted(self.rest, false).ok_or_else(malformed)?;
            self.rest = rest;
            return self.write(&element);
        }
        let delimiter = char::from(self.array.delimiter);
        let end = self.rest.find([delimiter, '{', '}', '"', '\\']).ok_or_else(malformed)?;
        let (element, rest) = self.rest.split_at(end);
        self.rest = rest;
        let element = element.trim_end_matches(is_space);
        if element.is_empty() {
            Err(malformed())
        } else if element.eq_ignore_ascii_case("null") {
            self.shape.has_null = true;
            self.out.extend_from_slice(&(-1i32).to_be_bytes());
            Ok(())
        } else {
            self.write(element)
        }
    }

    fn write(&mut self, element: &str) -> Result<(), Refusal> {
        self.array.element.encode_with_length(element, self.out)
    }
}

fn is_empty_array(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| inner.chars().all(is_space))
}

/// Origin: `array_isspace`, which does not depend on the locale.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

pub(super) fn malformed() -> Refusal {
    Refusal::malformed("not an array like {1,2,NULL}")
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn array(kind: Kind, text: &str) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        let array = Array { element: Type(kind), element_oid: 25, delimiter: b',' };
        encode(text, &array, &mut out).map_err(|refusal| refusal.sqlstate)?;
        Ok(out)
    }

    fn ints(numbers: &[i32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    #[test]
    fn elements_follow_dimensions() {
        assert_eq!(array(Kind::Int4, " { } "), Ok(ints(&[0, 0, 25])));
        assert_eq!(array(Kind::Int4, "{7, 8 }"), Ok(ints(&[1, 0, 25, 2, 1, 4, 7, 4, 8])));
        assert_eq!(array(Kind::Int4, "{null,NULL}"), Ok(ints(&[1, 1, 25, 2, 1, -1, -1])));
        assert_eq!(array(Kind::Int4, "{{1},{2}} "), Ok(ints(&[2, 0, 25, 2, 1, 1, 1, 4, 1, 4, 2])));
    }

    #[test]
    fn bounds_may_stand_in_front() {
        assert_eq!(array(Kind::Int4, "[2:3]={7,8}"), Ok(ints(&[1, 0, 25, 2, 2, 4, 7, 4, 8])));
        let squares = array(Kind::Int4, "[-1:0][5:5]={{1},{2}}");
        assert_eq!(squares, Ok(ints(&[2, 0, 25, 2, -1, 1, 5, 4, 1, 4, 2])));
    }

    #[test]
    fn quoted_elements_may_hold_anything() {
        let mut expected = ints(&[1, 0, 25, 4, 1]);
        for element in ["a,b", "NULL", "", "\\\"é"] {
            expected.extend_from_slice(&i32::try_from(element.len()).unwrap().to_be_bytes());
            expected.extend_from_slice(element.as_bytes());
        }
        assert_eq!(array(Kind::Text(None), r#"{"a,b","NULL","","\\\"é"}"#), Ok(expected));
    }

    #[test]
    fn unquoted_elements_keep_inner_blanks() {
        let mut expected = ints(&[1, 0, 25, 1, 1, 3]);
        expected.extend_from_slice(b"a b");
        assert_eq!(array(Kind::Text(None), "{\ta b\n}"), Ok(expected));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "1,2",
            "{",
            "}",
            "{1",
            "{1,}",
            "{,1}",
            "{1,,2}",
            "{1}}",
            "{{1}",
            "{{1},2}",
            "{1,{2}}",
            "{{1,2},{3}}",
            "{{}}",
            "{{},{}}",
            "[2:3]={1}",
            "[2:3]{1,2}",
            "[3]={1,2,3}",
            "[2:3][1:1]={1,2}",
            "[2147483646:2147483647]={1,2}",
            "{a\\b}",
            "{\"a\"b}",
            "{a\"b\"}",
            "{\"a}",
            "{{{{{{{1}}}}}}}",
            "{1}{2}",
            "{1} x",
        ] {
            assert_eq!(array(Kind::Text(None), text), Err("22P02"), "{text}");
        }
        assert_eq!(array(Kind::Int4, "{1,x}"), Err("22P02"));
        assert_eq!(array(Kind::Int4, "{99999999999}"), Err("22003"));
    }
}
