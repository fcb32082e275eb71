//! `encode` against a real server: whatever is accepted must be stored as the server's own input
//! function stores the same text. The texts are listed by hand, generated from the forms that are
//! promised to be taken, and made from both by small changes.

mod binary;
mod listed;
mod nested;
mod numbers;
mod strings;
mod times;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use sqlx::postgres::types::Oid;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use streamer::encode::{Rules, Type, TypeCatalog, Zone};

use crate::support::TestDb;

/// Texts generated from each form.
const GENERATED: usize = 150;
/// Changed texts for each type.
const CHANGED: usize = 1500;

/// What is expected of one type of column. Lists of texts have `|` between them.
struct Case {
    column_type: &'static str,
    accepted: &'static str,
    /// Taken by the server, but changed or guessed at.
    refused_alone: &'static str,
    /// Refused by the server too.
    refused_by_both: &'static str,
    /// Regular expressions of forms; whatever the server takes of these must be accepted.
    forms: &'static [&'static str],
    /// SQLSTATEs by which the server may refuse what was accepted.
    left_to_server: &'static [&'static str],
}

const NONE: Case = Case {
    column_type: "",
    accepted: "",
    refused_alone: "",
    refused_by_both: "",
    forms: &[],
    left_to_server: &[],
};

/// The server's answer to a text: how it is shown and sent, or the SQLSTATE of its refusal.
type Stored = Result<(String, Vec<u8>), String>;

const SETUP: &str = r"
set timezone = 'UTC';
set intervalstyle = 'postgres';
create type mood as enum ('sad', 'ok', 'so, so');
create type priced as range (subtype = float8);
create domain positive as int check (value > 0);
create domain code as varchar(3);
create domain codes as code;
create function stored(value text, out refusal text, out shown text, out sent bytea) as $$
begin
    execute format('insert into probe values (%L) returning v::text, record_send(row(v))', value)
       into shown, sent;
exception when others then
    get stacked diagnostics refusal = returned_sqlstate;
end
$$ language plpgsql;
";

#[tokio::test]
async fn numbers_are_stored_as_the_server_stores_them() {
    check_all(numbers::CASES).await;
}

#[tokio::test]
async fn strings_are_stored_as_the_server_stores_them() {
    check_all(strings::CASES).await;
}

#[tokio::test]
async fn times_are_stored_as_the_server_stores_them() {
    check_all(times::CASES).await;
}

#[tokio::test]
async fn times_without_a_zone_are_stored_as_in_a_session_of_the_streams_zone() {
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"] {
        check_all_in(zone, times::WITHOUT_ZONE).await;
    }
    check_all_in("Europe/Berlin", times::IN_BERLIN).await;
}

#[tokio::test]
async fn bits_bytes_and_addresses_are_stored_as_the_server_stores_them() {
    check_all(binary::CASES).await;
}

#[tokio::test]
async fn documents_arrays_and_ranges_are_stored_as_the_server_stores_them() {
    check_all(nested::CASES).await;
}

#[tokio::test]
async fn other_types_are_left_to_the_server() {
    let db = TestDb::create().await;
    let mut conn: PgConnection = db.connect().await;
    conn.execute(SETUP).await.unwrap();
    for column_type in ["money", "point", "int4multirange", "interval year", "tsvector[]", "box[]"]
    {
        let resolved = column(&mut conn, column_type, &Zone::Utc).await;
        assert!(resolved.is_opaque(), "{column_type}");
    }
}

#[tokio::test]
async fn infinite_intervals_are_taken_where_the_server_has_them() {
    let db = TestDb::create().await;
    let mut conn: PgConnection = db.connect().await;
    conn.execute(SETUP).await.unwrap();
    let has_them =
        db.number("select (current_setting('server_version_num')::int >= 170000)::int::bigint");
    let has_them = has_them.await == 1;
    let resolved = column(&mut conn, "interval", &Zone::Utc).await;
    for text in ["infinity", "-infinity", " Infinity"] {
        conn.execute("truncate copied").await.unwrap();
        let mut value = Vec::new();
        let encoded = resolved.encode(text, &mut value);
        let stored = store(&mut conn, &[text.to_owned()]).await.remove(0);
        assert_eq!((encoded.is_ok(), stored.is_ok()), (has_them, has_them), "{text}");
        match stored {
            Ok(stored) => {
                let copied = copy(&mut conn, [value.as_slice()].into_iter()).await;
                assert_eq!(copied, [stored], "{text}");
            }
            Err(_) => assert!(encoded.unwrap_err().reason.contains("PostgreSQL 17"), "{text}"),
        }
    }
}

#[tokio::test]
async fn types_that_have_an_empty_value_take_the_empty_field() {
    let db = TestDb::create().await;
    let mut conn: PgConnection = db.connect().await;
    conn.execute(SETUP).await.unwrap();
    for (column_type, expected) in [
        ("text", true),
        ("codes", true),
        ("name", true),
        ("mood", false),
        ("bytea", true),
        ("varbit", true),
        ("bit(1)", false),
        ("xml", true),
        ("text[]", false),
    ] {
        let resolved = column(&mut conn, column_type, &Zone::Utc).await;
        assert_eq!(resolved.takes_empty(), expected, "{column_type}");
        assert_eq!(resolved.encode("", &mut Vec::new()).is_ok(), expected, "{column_type}");
    }
}

async fn check_all(cases: &[Case]) {
    check_all_in("UTC", cases).await;
}

/// Checks a stream in this zone against a session in this zone.
async fn check_all_in(zone: &str, cases: &[Case]) {
    let db = TestDb::create().await;
    let mut conn: PgConnection = db.connect().await;
    conn.execute(SETUP).await.unwrap();
    conn.execute(AssertSqlSafe(format!("set timezone = '{zone}'"))).await.unwrap();
    let zone = Zone::named(zone).unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let complaints = check(&mut conn, case, &zone).await;
        wrong.extend(complaints.into_iter().map(|text| format!("{}: {text}", case.column_type)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Makes the tables for a column of this type and resolves the type.
async fn column(conn: &mut PgConnection, column_type: &str, zone: &Zone) -> Type {
    let tables = format!(
        "drop table if exists probe, copied;
         create temp table probe (v {column_type});
         create temp table copied (number int, v {column_type})"
    );
    conn.execute(AssertSqlSafe(tables)).await.unwrap();
    let query = "select atttypid, atttypmod from pg_attribute
                  where attrelid = 'probe'::regclass and attname = 'v'";
    let row = sqlx::query(query).persistent(false).fetch_one(&mut *conn).await.unwrap();
    let oid = row.get::<Oid, _>(0).0;
    let catalog = TypeCatalog::load(conn, &[oid]).await.unwrap();
    Type::resolve(&catalog, oid, row.get(1), Rules { zone, takes_nan: false })
}

/// What is wrong with how texts of this type are encoded.
async fn check(conn: &mut PgConnection, case: &Case, zone: &Zone) -> Vec<String> {
    let column = column(conn, case.column_type, zone).await;
    let mut texts = expected_texts(case);
    let seeds: Vec<String> = texts.iter().map(|(text, _)| text.clone()).collect();
    texts.extend(generate_changed(&seeds).into_iter().map(|text| (text, Expected::Same)));
    let (texts, expected): (Vec<String>, Vec<Expected>) = texts.into_iter().unzip();

    let mut wrong = Vec::new();
    let mut to_copy = Vec::new();
    let (mut both, mut alone) = (0, 0);
    let stored = store(conn, &texts).await;
    for (text, (stored, expected)) in texts.iter().zip(stored.iter().zip(expected)) {
        let mut value = Vec::new();
        let encoded = column.encode(text, &mut value);
        if !expected.allows(encoded.is_ok(), stored.is_ok()) {
            wrong.push(format!("{text:?} is {encoded:?} here and {stored:?} there: {expected:?}"));
        }
        match (encoded, stored) {
            (Ok(()), Ok(stored)) => to_copy.push((text, value, stored)),
            (Ok(()), Err(sqlstate)) if !case.left_to_server.contains(&sqlstate.as_str()) => {
                wrong.push(format!("{text:?} is accepted, but the server answers {sqlstate}"));
            }
            (Err(refusal), Ok(_)) => {
                alone += 1;
                // The text alone does not tell which times the zone leaves out.
                let is_left_out = refusal.reason.contains("left out by the clocks");
                if !is_left_out && !listed::is_listed(case.column_type, text) {
                    wrong.push(format!("{text:?} is refused ({refusal:?}), and no list says so"));
                }
            }
            (_, Err(_)) => both += 1,
        }
    }
    let same = to_copy.len();
    println!("{}: {same} accepted, {alone} refused alone, {both} by both", case.column_type);

    let copied = copy(conn, to_copy.iter().map(|(_, value, _)| value.as_slice())).await;
    assert_eq!(copied.len(), to_copy.len(), "{}", case.column_type);
    for ((text, value, stored), copied) in to_copy.iter().zip(&copied) {
        if *stored != copied {
            wrong.push(format!("{text:?} as {value:?} is {copied:?}, not {stored:?}"));
        }
    }
    wrong
}

/// What becomes of a text, here and at the server.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Accepted,
    RefusedAlone,
    RefusedByBoth,
    /// Accepted whenever the server takes it.
    AsServer,
    /// Anything, as long as what is accepted is stored the same.
    Same,
}

impl Expected {
    fn allows(self, ours: bool, theirs: bool) -> bool {
        match self {
            Expected::Accepted => ours && theirs,
            Expected::RefusedAlone => !ours && theirs,
            Expected::RefusedByBoth => !ours && !theirs,
            Expected::AsServer => ours || !theirs,
            Expected::Same => true,
        }
    }
}

fn expected_texts(case: &Case) -> Vec<(String, Expected)> {
    let mut texts = Vec::new();
    for (list, expected) in [
        (case.accepted, Expected::Accepted),
        (case.refused_alone, Expected::RefusedAlone),
        (case.refused_by_both, Expected::RefusedByBoth),
    ] {
        let listed = list.split('|').filter(|_| !list.is_empty());
        texts.extend(listed.map(|text| (text.to_owned(), expected)));
    }
    let formed = generate_from_forms(case.forms);
    texts.extend(formed.into_iter().map(|text| (text, Expected::AsServer)));
    texts
}

fn generate_from_forms(forms: &[&str]) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let mut texts = Vec::new();
    for form in forms {
        let form = string_regex(form).unwrap();
        for _ in 0..GENERATED {
            texts.push(form.new_tree(&mut runner).unwrap().current().replace('\0', "0"));
        }
    }
    texts
}

/// Takes a character out, puts one in or changes one, once or twice.
fn generate_changed(seeds: &[String]) -> Vec<String> {
    let characters: Vec<char> =
        "0123456789+-.:,;/eETZPYDx '\"\\{}[]()_tnaN\t\u{a0}é".chars().collect();
    let change = (any::<Index>(), 0..3usize, select(characters));
    let changed = (select(seeds.to_vec()), proptest::collection::vec(change, 1..3)).prop_map(
        |(text, changes)| {
            let mut text: Vec<char> = text.chars().collect();
            for (index, kind, character) in changes {
                let at = index.index(text.len() + 1);
                let removed = if kind == 0 { at..at } else { at..(at + 1).min(text.len()) };
                text.splice(removed, (kind != 1).then_some(character));
            }
            text.into_iter().collect::<String>()
        },
    );
    let mut runner = TestRunner::deterministic();
    (0..CHANGED).map(|_| changed.new_tree(&mut runner).unwrap().current()).collect()
}

/// What the server's own input functions make of the texts.
async fn store(conn: &mut PgConnection, texts: &[String]) -> Vec<Stored> {
    let query = "select s.* from unnest($1::text[]) with ordinality t (value, number)
                  cross join lateral stored(t.value) s order by t.number";
    let rows = sqlx::query(query).bind(texts).persistent(false).fetch_all(conn).await.unwrap();
    rows.iter()
        .map(|row| match row.get("refusal") {
            Some(sqlstate) => Err(sqlstate),
            None => Ok((row.get("shown"), row.get("sent"))),
        })
        .collect()
}

/// Copies the values in binary and reads them back in the same order.
async fn copy(
    conn: &mut PgConnection,
    values: impl Iterator<Item = &[u8]>,
) -> Vec<(String, Vec<u8>)> {
    let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for (number, value) in (0i32..).zip(values) {
        data.extend_from_slice(&[0, 2, 0, 0, 0, 4]);
        data.extend_from_slice(&number.to_be_bytes());
        data.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
        data.extend_from_slice(value);
    }
    data.extend_from_slice(&(-1i16).to_be_bytes());
    let mut copy = conn.copy_in_raw("copy copied from stdin (format binary)").await.unwrap();
    copy.send(data).await.unwrap();
    copy.finish().await.unwrap();
    let query = "select v::text, record_send(row(v)) from copied order by number";
    let rows = sqlx::query(query).persistent(false).fetch_all(conn).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
