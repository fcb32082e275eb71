//! The list at the head of `encode/mod.rs`: what is refused though the server takes it. Told by the
//! text alone, so that a refusal for which the list has no line shows.

/// Types that spaces may stand around, with those made of them.
const SPACED: [&str; 14] = [
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "oid",
    "real",
    "double precision",
    "numeric",
    "positive",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
];

/// Types whose blanks are part of the value, or allowed around it.
const BLANKS_KEPT: [&str; 9] =
    ["text", "varchar", "char", "name", "mood", "codes", "xml", "json", "jsonb"];

/// Whether the list has a line that keeps `text` out of a column of the type.
pub(super) fn is_listed(column_type: &str, text: &str) -> bool {
    if let Some(element) = column_type.strip_suffix("[]") {
        let is_bound = text.trim_start().starts_with('[');
        return is_bound
            || text.contains("{}")
            || text.contains('\\')
            || any_element(element, text);
    }
    if let Some(bound) = bound(column_type) {
        return text != text.trim() || text.contains(['"', '\\']) || any_bound(bound, text);
    }
    let (name, limits) = column_type.split_once('(').unwrap_or((column_type, ""));
    let limits: Vec<i64> =
        limits.trim_end_matches(')').split(',').filter_map(|limit| limit.parse().ok()).collect();
    let inner = if SPACED.contains(&name) { text.trim_matches(' ') } else { text };
    if !BLANKS_KEPT.contains(&name) && inner != inner.trim_matches(is_blank) {
        return true;
    }
    let lower = inner.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    match name {
        "smallint" | "integer" | "int" | "int4" | "bigint" | "positive" => {
            has(&["0x", "0o", "0b", "_"])
        }
        "oid" => has(&["-", "0x", "0o", "0b", "_"]),
        "real" | "double precision" => has(&["nan", "inf", "0x"]),
        "numeric" => {
            let exponent = lower.split_once('e').map_or("", |(_, exponent)| exponent);
            let digits = exponent.trim_start_matches(['+', '-']).len();
            has(&["nan", "inf", "0x", "0o", "0b", "_"])
                || digits >= 7
                || has(&["e "])
                || !limits.is_empty()
        }
        "varchar" | "char" | "codes" => {
            let length_max = limits.first().copied().unwrap_or(3);
            i64::try_from(text.chars().count()).unwrap() > length_max && text.ends_with(' ')
        }
        "name" => text.len() > 63,
        "bytea" => !text.starts_with("\\x") || text.contains(is_blank),
        "bit" | "varbit" => lower.starts_with(['b', 'x']),
        "uuid" => !has_usual_hyphens(inner),
        "date" => !is_date(inner),
        "time" | "timetz" | "timestamp" | "timestamptz" => !is_moment(name, &limits, inner),
        "json" => is_odd_document(text),
        "jsonb" => is_odd_document(text) || text.matches("\":").count() > 1,
        "xml" => has(&["encoding"]),
        "inet" | "cidr" => {
            let is_zero_led = |part: &str| part.len() > 1 && part.starts_with('0');
            let is_short = !inner.contains(':') && inner.matches('.').count() < 3;
            is_short || has(&["./"]) || inner.split(['.', '/']).any(is_zero_led)
        }
        "macaddr" => has(&["+", " ", "\t"]) || !is_grouped(inner, 6),
        "macaddr8" => has(&["+", " ", "\t"]) || !is_grouped(inner, 8),
        // Words and forms of these are many; that ours are all taken is tested by forms.
        "boolean" | "interval" => true,
        _ => false,
    }
}

fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

fn bound(column_type: &str) -> Option<&'static str> {
    Some(match column_type {
        "int4range" => "integer",
        "numrange" => "numeric",
        "tstzrange" => "timestamptz",
        "daterange" => "date",
        "priced" => "double precision",
        _ => return None,
    })
}

/// Whether an element of an array is on the list. Blanks around it are not part of it, but where it
/// is quoted, as ranges are for their commas.
fn any_element(element: &str, text: &str) -> bool {
    if bound(element).is_some() {
        return text.split('"').any(|text| is_listed(element, text));
    }
    let elements = text.split(['{', '}', ',']).map(|text| text.trim_matches(is_blank));
    elements
        .map(|text| text.trim_matches('"'))
        .any(|text| !text.is_empty() && is_listed(element, text))
}

/// Whether a bound of a range is on the list. Blanks around it are its own.
fn any_bound(bound: &str, text: &str) -> bool {
    let inner = text.strip_prefix(['[', '(']).and_then(|text| text.strip_suffix([']', ')']));
    inner.is_some_and(|inner| {
        inner.split(',').any(|text| !text.is_empty() && is_listed(bound, text))
    })
}

fn has_usual_hyphens(text: &str) -> bool {
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let places: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
    places.is_empty() || places == [8, 13, 18, 23]
}

/// `2026-01-31`, with a year of four to seven digits, no zero in front of the fifth.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    (4..=7).contains(&year.len())
        && (year.len() == 4 || !year.starts_with('0'))
        && [month, day].iter().all(|part| part.len() == 2)
        && parts.iter().all(|part| all_digits(part))
}

/// A time of day, with a date and a zone where the type has them, in the forms that are taken.
fn is_moment(name: &str, limits: &[i64], text: &str) -> bool {
    let text = if name.starts_with("timestamp") {
        let Some((date, time)) = text.split_once(['T', 't', ' ']) else { return is_date(text) };
        if !is_date(date) {
            return false;
        }
        time
    } else {
        text
    };
    let time_len = text.find(|c: char| !(c.is_ascii_digit() || ":.".contains(c)));
    let (time, zone) = text.split_at(time_len.unwrap_or(text.len()));
    let is_utc = ["Z", "z", " UTC", " utc"].contains(&zone);
    let offset = zone.strip_prefix(' ').unwrap_or(zone);
    let has_good_zone = match name {
        "time" => zone.is_empty(),
        "timestamp" => zone.is_empty() || is_utc,
        // Without a zone it hangs on the stream's.
        "timetz" => is_utc || is_offset(offset),
        _ => zone.is_empty() || is_utc || is_offset(offset),
    };
    has_good_zone && is_time(time, limits.first().copied().unwrap_or(6))
}

/// `+02`, `-0330`, `+05:45`.
fn is_offset(zone: &str) -> bool {
    let Some(digits) = zone.strip_prefix(['+', '-']) else { return false };
    let (hours, minutes) = digits.split_at(digits.len().min(2));
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    all_digits(hours) && all_digits(minutes) && hours.len() == 2 && [0, 2].contains(&minutes.len())
}

/// `23:59`, `23:59:59`, `23:59:59.5`, with no more digits than the precision keeps.
fn is_time(time: &str, precision: i64) -> bool {
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let parts: Vec<&str> = clock.split(':').collect();
    let kept = i64::try_from(fraction.trim_end_matches('0').len()).unwrap();
    parts.iter().all(|part| part.len() == 2 && all_digits(part))
        && (parts.len() == 3 || parts.len() == 2 && !time.contains('.'))
        && parts[0] < "24"
        && parts.last().is_some_and(|last| *last < "60")
        && (kept <= precision && (1..=9).contains(&fraction.len()))
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Surrogates and NUL, and numbers that may be beyond double precision.
fn is_odd_document(text: &str) -> bool {
    let is_big = |part: &str| part.trim_start_matches(['+', '-']).len() > 2;
    let lower = text.to_ascii_lowercase();
    let numbers = lower.split(|c: char| !(c.is_ascii_digit() || "+-e".contains(c)));
    let exponents = numbers.filter_map(|number| number.split_once('e'));
    lower.contains("\\u0000") || lower.contains("\\ud") || exponents.map(|e| e.1).any(is_big)
}

/// Pairs between equal colons or hyphens, fours between points, or nothing between.
fn is_grouped(text: &str, bytes: usize) -> bool {
    let separator = text.chars().find(|c| ":-.".contains(*c));
    let len = match separator {
        None => 2 * bytes,
        Some('.') => 4,
        Some(_) => 2,
    };
    let mut groups = text.split(|c| Some(c) == separator);
    groups.clone().count() == 2 * bytes / len && groups.all(|group| group.len() == len)
}
