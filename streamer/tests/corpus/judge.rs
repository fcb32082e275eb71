//! A reader of CSV of its own: RFC 4180 and nothing else, one byte at a time.

/// A field's bytes, and whether it was quoted.
pub(crate) type Field = (Vec<u8>, bool);

/// The names of the first record; `None` where its quotes are bad.
pub(crate) fn header(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = without_mark(bytes);
    Some(record(&mut rest)?.into_iter().map(|(name, _)| name).collect())
}

/// All records, blank lines left out; `None` where the quotes of any are bad.
pub(crate) fn records(bytes: &[u8]) -> Option<Vec<Vec<Field>>> {
    let mut rest = without_mark(bytes);
    let mut records = Vec::new();
    loop {
        rest = &rest[rest.iter().take_while(|byte| b"\r\n".contains(byte)).count()..];
        if rest.is_empty() {
            return Some(records);
        }
        records.push(record(&mut rest)?);
    }
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    let rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    &rest[rest.iter().take_while(|byte| b"\r\n".contains(byte)).count()..]
}

/// Takes a record off the front of `rest`, with its line end.
fn record(rest: &mut &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    loop {
        fields.push(if rest.first() == Some(&b'"') { quoted(rest)? } else { bare(rest) });
        match rest.split_first() {
            Some((b',', more)) => *rest = more,
            Some((b'\r' | b'\n', more)) => {
                *rest = more;
                return Some(fields);
            }
            Some(_) => return None,
            None => return Some(fields),
        }
    }
}

fn bare(rest: &mut &[u8]) -> Field {
    let end = rest.iter().position(|byte| b",\r\n".contains(byte)).unwrap_or(rest.len());
    let (field, more) = rest.split_at(end);
    *rest = more;
    (field.to_vec(), false)
}

/// `None` where the quote is not closed.
fn quoted(rest: &mut &[u8]) -> Option<Field> {
    let mut field = Vec::new();
    let mut at = 1;
    loop {
        match (rest.get(at)?, rest.get(at + 1)) {
            (b'"', Some(b'"')) => {
                field.push(b'"');
                at += 2;
            }
            (b'"', _) => {
                *rest = &rest[at + 1..];
                return Some((field, true));
            }
            (byte, _) => {
                field.push(*byte);
                at += 1;
            }
        }
    }
}
