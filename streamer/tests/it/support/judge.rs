//! An independent reading of files of user events: what the table must hold, by nothing of our own
//! code.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a set of files comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The distinct valid records by event_id: the other fields joined by `|`, as PostgreSQL shows
    /// them.
    pub(crate) rows: BTreeMap<String, String>,
    pub(crate) records: i64,
    pub(crate) duplicates: i64,
    /// Refused lines as (file name, line from 1).
    pub(crate) bad: Vec<(String, i64)>,
}

/// The query whose rows are `event_id|other fields` as [`judge`] has them.
pub(crate) const TABLE_QUERY: &str = "select event_id, user_id, product_id, event_type,
        to_char(event_time at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), price, category,
        user_device, user_location
   from user_events order by event_id";

impl Verdict {
    /// The table's rows as [`TABLE_QUERY`] must give them.
    pub(crate) fn table(&self) -> Vec<String> {
        self.rows.iter().map(|(id, rest)| format!("{id}|{rest}")).collect()
    }
}

/// Reads files whose records take one line each, in the order of the generator's columns.
pub(crate) fn judge(files: &[PathBuf]) -> Verdict {
    let mut verdict = Verdict::default();
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
        for (line, row) in records(&std::fs::read(path).expect("read the file")) {
            verdict.records += 1;
            match row {
                None => verdict.bad.push((name.to_owned(), line)),
                Some((id, _)) if verdict.rows.contains_key(&id) => verdict.duplicates += 1,
                Some((id, rest)) => drop(verdict.rows.insert(id, rest)),
            }
        }
    }
    verdict.bad.sort();
    verdict
}

/// The records of a file, each with its line from 1 and, if it is valid, its event_id and other
/// fields.
pub(crate) fn records(file: &[u8]) -> impl Iterator<Item = (i64, Option<(String, String)>)> {
    let lines = (1..).zip(file.split(|&b| b == b'\n')).skip(1);
    lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| (at, row(line)))
}

/// The record's event_id and its other fields, if it is valid.
fn row(line: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(line).ok().filter(|text| !text.contains('\0'))?;
    let fields = split(text)?;
    let [id, user, product, kind, time, price, rest @ ..] = fields.as_slice() else { return None };
    let [category, device, location] = rest else { return None };
    let id = uuid::Uuid::parse_str(id).ok()?.to_string();
    let user: i64 = user.parse().ok()?;
    let product: i64 = product.parse().ok()?;
    if kind.is_empty() {
        return None;
    }
    let time = chrono::DateTime::parse_from_rfc3339(time).ok()?.to_utc();
    let price = if price.is_empty() { "∅".to_owned() } else { price_text(price)? };
    let texts = [category, device, location].map(|t| if t.is_empty() { "∅" } else { t });
    let time = time.format("%Y-%m-%d %H:%M:%S%.6f");
    Some((id, format!("{user}|{product}|{kind}|{time}|{price}|{}", texts.join("|"))))
}

/// A price with at most 8 digits before and 2 behind the point, as numeric(10,2) shows it.
fn price_text(price: &str) -> Option<String> {
    let (sign, digits) = price.strip_prefix('-').map_or(("", price), |digits| ("-", digits));
    let (whole, cents) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let fits = (1..=8).contains(&whole.len()) && cents.len() <= 2;
    (fits && is_number(whole) && is_number(cents)).then(|| format!("{sign}{whole}.{cents:0<2}"))
}

/// Splits a line by RFC 4180; `None` if its quotes are wrong.
fn split(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            None => {
                let (field, behind) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (field.to_owned(), behind)
            }
            Some(quoted) => unquote(quoted)?,
        };
        fields.push(field);
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// What stands before the closing quote, each doubled one taken for one, and what stands behind it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let (part, behind) = rest.split_once('"')?;
        field += part;
        match behind.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, behind)),
        }
    }
}
