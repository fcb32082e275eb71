//! What public collections of odd CSV files taught, each as a small file of our own.

use std::fs;

use crate::support::{Ended, TestDb, folder, streamer};

/// A file, its rows as `a|it's`, its dead letters' reasons, and why it is refused.
struct Oddity {
    name: &'static str,
    bytes: &'static [u8],
    rows: &'static [&'static str],
    letters: &'static [&'static str],
    refusal: Option<&'static str>,
}

const NONE: Oddity = Oddity { name: "", bytes: b"", rows: &[], letters: &[], refusal: None };

const ODDITIES: &[Oddity] = &[
    Oddity {
        name: "blank lines in front of the header and an apostrophe in it",
        bytes: b"\n\r\n\na,it's\n1,2\n",
        rows: &["1|2"],
        ..NONE
    },
    Oddity {
        name: "a quote behind a blank is text, as is one inside",
        bytes: b"a,it's\n1, \"x\"\"\n2,37\"N [\"a\"]\n",
        rows: &["1| \"x\"\"", "2|37\"N [\"a\"]"],
        ..NONE
    },
    Oddity {
        name: "nothing and an empty text, zeros and signs",
        bytes: b"a,it's\n,\"\"\n007,+0.10\n\"\",\\N\n",
        rows: &["007|+0.10", "|\\N", "\u{2205}|"],
        ..NONE
    },
    Oddity { name: "a header alone without a line end", bytes: b"a,it's", ..NONE },
    Oddity { name: "thousands of blank lines", bytes: &[b'\n'; 20_000], ..NONE },
    Oddity {
        name: "a wrong number of fields that are no text",
        bytes: b"a,it's\n1,2,\xff\n3,4\n",
        rows: &["3|4"],
        letters: &["3 fields where the header has 2", "not valid UTF-8"],
        ..NONE
    },
    Oddity {
        name: "nothing but delimiters",
        bytes: b"a,it's\n,\n,,\n",
        rows: &["\u{2205}|\u{2205}"],
        letters: &["3 fields where the header has 2"],
        ..NONE
    },
    Oddity {
        name: "backslashes in front of quotes",
        bytes: b"a,it's\n1,\"x \\\"y\\\"\"\n2,z\n",
        rows: &["2|z"],
        letters: &["text behind a closing quote; a quote inside a quoted field is written twice"],
        ..NONE
    },
    Oddity {
        name: "a name that is blank",
        bytes: b"a,,it's\n1,2,3\n",
        refusal: Some("line 1 names column 2 (which has no name), which the table does not have"),
        ..NONE
    },
    Oddity {
        name: "a name that stands twice",
        bytes: b"a,it's,a\n1,2,3\n",
        refusal: Some("line 1 names column a twice"),
        ..NONE
    },
    Oddity {
        name: "a title above the header",
        bytes: b"Report,\na,it's\n1,2\n",
        refusal: Some("line 1 names none of the table's columns"),
        ..NONE
    },
];

#[tokio::test]
async fn odd_files_have_their_right_outcome() {
    let (db, folder) = (TestDb::create().await, folder());
    let mut settings = String::new();
    for (at, oddity) in ODDITIES.iter().enumerate() {
        db.execute(&format!("create table odd_{at} (a text, \"it's\" text)")).await;
        settings += &format!("[stream.odd_{at}]\nfiles = '{at}.csv'\nsettle = '100ms'\n");
        fs::write(folder.path().join(format!("{at}.csv")), oddity.bytes).unwrap();
    }
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let mut run = streamer(folder.path(), &["run", "--available-now"]);
    Ended::of(run.env("DATABASE_URL", db.url())).expect(1);
    for (at, oddity) in ODDITIES.iter().enumerate() {
        let name = oddity.name;
        let rows = db.rows(&format!("select * from odd_{at}")).await;
        let mut expected = oddity.rows.to_vec();
        expected.sort_unstable();
        assert_eq!(sorted(rows), expected, "{name}");
        let letters = format!(
            "select reason->>'reason' from streamer.dead_letter, jsonb_array_elements(reasons) reason
              where stream = 'odd_{at}'"
        );
        assert_eq!(db.rows(&letters).await, oddity.letters, "{name}");
        let refusal = format!("select refusal from streamer.checkpoint where stream = 'odd_{at}'");
        let refusal = db.rows(&refusal).await.pop().filter(|refusal| refusal != "\u{2205}");
        let is_right = match (&refusal, oddity.refusal) {
            (Some(refusal), Some(expected)) => refusal.starts_with(expected),
            (refusal, expected) => refusal.is_none() && expected.is_none(),
        };
        assert!(is_right, "{name}: {refusal:?}");
    }
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort_unstable();
    rows
}
