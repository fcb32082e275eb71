//! Types that have no binary form here: they are sent as text, beside columns that have one.

use std::fs;

use crate::support::{Ended, TestDb, folder, streamer};

/// A type, and a text of it that a CSV field may have.
const TYPES: [(&str, &str); 13] = [
    ("money", "$1,234.50"),
    ("point", "(1,2)"),
    ("box[]", "{(3,4),(1,2);(5,6),(3,4)}"),
    ("tsvector", "'a':1 'b'"),
    ("int4multirange", "{[1,3),[5,7)}"),
    ("tstzmultirange", "{}"),
    ("\"char\"", "x"),
    ("pg_lsn", "0/16B3748"),
    ("regclass", "pg_class"),
    ("jsonpath", "$.a[*] ? (@ > 1)"),
    ("interval year to month", "1 year 2 mons"),
    ("shop.address", "(\"Main St\\\\1\",,\"a\"\"b\")"),
    ("shop.place", "(1,2)"),
];

/// What has an encoder goes beside them as it does without them.
const BESIDE: &str = "id int primary key, a_text text, a_time timestamptz, an_array text[],
     a_number numeric(9, 3), a_document jsonb, bytes bytea, a_bool boolean, an_interval interval,
     noted timestamptz default '2001-01-01Z', produce_time timestamptz";

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[tokio::test]
async fn what_copy_takes_as_text_is_taken_beside_what_is_judged_here() {
    let (db, folder) = (TestDb::create().await, folder());
    let columns: Vec<String> =
        TYPES.iter().enumerate().map(|(at, (name, _))| format!("c{at} {name}")).collect();
    db.execute(&format!(
        "create schema shop; create type shop.address as (street text, zip int, city text);
         create domain shop.place as point check (value[0] > 0);
         create table t ({BESIDE}, {});
         create table plain ({BESIDE});
         create table expected (like t including all)",
        columns.join(", ")
    ))
    .await;
    let settings = "[stream.t]\nfiles = 't.*'\ntimezone = 'Europe/Berlin'\nnull = ['NA']\n\
                    [stream.plain]\nfiles = 'plain.csv'\ntimezone = 'Europe/Berlin'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    let beside =
        "id,a_text,a_time,an_array,a_number,a_document,bytes,a_bool,an_interval,produce_time";
    let names: Vec<String> = (0..TYPES.len()).map(|at| format!("c{at}")).collect();
    let good = "1,\"tab\tline\nback\\slash \\N \\.\",2026-07-02 12:00,\"{a,\"\"b\\\\\"\",NULL}\",1.500,\
                \"{\"\"a\"\": [1.50]}\",\\x00ff,t,P1Y2M3DT4H,2026-01-02 12:00";
    let values: Vec<String> = TYPES.iter().map(|(_, text)| quoted(text)).collect();
    let empty = ",".repeat(TYPES.len());
    let mut lines = format!("{beside},{}\n{good},{}\n", names.join(","), values.join(","));
    lines += &format!("2,,NA,,,,,,,{empty}\n");
    // Judged here, though PostgreSQL would round it, take it as it is, or not know which it is.
    lines += &format!(
        "3,,,,1.5005,,,,,{empty}\n4,,,,,,,yes,,{empty}\n5,,2026-03-29 02:30,,,,,,,{empty}\n"
    );
    // And what only PostgreSQL knows.
    lines += &format!("6,,,,,,,,,,much{}\n", ",".repeat(TYPES.len() - 1));
    lines += &format!("8,,,,,,,,,{}nosuch{}\n", ",".repeat(9), ",".repeat(TYPES.len() - 9));
    lines += &format!("7,,,,,,,,,{}\"(-1,2)\"\n", ",".repeat(TYPES.len()));
    lines += &format!("1,again,,,,,,,,{empty}\n");
    fs::write(folder.path().join("t.csv"), lines).unwrap();
    fs::write(folder.path().join("plain.csv"), format!("{beside}\n{good}\n")).unwrap();
    let run = |code| {
        let mut command = streamer(folder.path(), &["run", "--available-now"]);
        Ended::of(command.env("DATABASE_URL", db.url())).expect(code)
    };
    run(3);
    let texts: Vec<String> = TYPES
        .iter()
        .enumerate()
        .map(|(at, (name, text))| format!("c{at} = '{}'::{name}", text.replace('\'', "\'\'")))
        .collect();
    db.execute(&format!(
        "insert into expected select * from plain; update expected set {}; insert into expected (id) values (2)",
        texts.join(", ")
    ))
    .await;
    let all = |table: &str| format!("select * from {table} order by id");
    assert_eq!(db.rows(&all("t")).await, db.rows(&all("expected")).await);
    let letters = "select line - 2, reasons->0->>'column', reasons->0->>'sqlstate'
                     from streamer.dead_letter order by line";
    assert_eq!(
        db.rows(letters).await,
        [
            "3|a_number|22003",
            "4|a_bool|22P02",
            "5|a_time|22008",
            "6|∅|22P02",
            "7|∅|42P01",
            "8|∅|23514"
        ]
    );
    let counts = "select records, rows, duplicates from streamer.micro_batch where stream = 't'";
    assert_eq!(db.rows(counts).await, ["9|2|1"]);
    let check = Ended::of(streamer(folder.path(), &["check"]).env("DATABASE_URL", db.url()));
    assert!(check.stdout.contains("records with c0 (money), c1 (point)"), "{}", check.stdout);
}

#[tokio::test]
async fn objects_become_texts_of_the_columns_types() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(
        "create table t (id int primary key, place point, price money, tags text[], grid int[],
                         document jsonb, path jsonpath, extra jsonb, produce_time bigint)",
    )
    .await;
    fs::write(
        folder.path().join("streams.toml"),
        "[stream.t]\nfiles = 't.jsonl'\nextra = 'keep'\n",
    )
    .unwrap();
    let lines = r#"{"id": 1, "place": "(1,2)", "price": 1.5, "tags": ["a\"b", null, "NULL", ""], "grid": [[1,2],[3,4]], "document": {"a": [1]}, "path": "$.a", "more": [1, "x\ty"], "produce_time": 1700000000000}
{"id": 2, "place": null, "document": "x", "tags": []}
{"id": 3, "place": {"x": 1}}
"#;
    fs::write(folder.path().join("t.jsonl"), lines).unwrap();
    let mut command = streamer(folder.path(), &["run", "--available-now"]);
    Ended::of(command.env("DATABASE_URL", db.url())).expect(3);
    db.execute(
        r#"create table expected (like t);
           insert into expected values (1, '(1,2)', '1.5', array['a"b', null, 'NULL', ''],
               '{{1,2},{3,4}}', '{"a": [1]}', '$.a', '{"more": [1, "x\ty"]}', 1700000000000),
               (2, null, null, '{}', null, '"x"', null, '{}', null)"#,
    )
    .await;
    assert_eq!(
        db.rows("select t::text from t order by id").await,
        db.rows("select e::text from expected e order by id").await
    );
    let letters = "select line, reasons->0->>'sqlstate' from streamer.dead_letter";
    assert_eq!(db.rows(letters).await, ["3|22P02"]);
}

#[tokio::test]
async fn an_empty_text_in_quotes_is_an_empty_value_where_the_type_has_one() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table t (id int, words tsvector, place point, bytes bytea, bits varbit)")
        .await;
    fs::write(folder.path().join("streams.toml"), "[stream.t]\nfiles = 't.csv'\n").unwrap();
    let lines = "id,words,place,bytes,bits\n1,\"\",\"\",\"\",\"\"\n2,,,,\n";
    fs::write(folder.path().join("t.csv"), lines).unwrap();
    let mut command = streamer(folder.path(), &["run", "--available-now"]);
    Ended::of(command.env("DATABASE_URL", db.url())).expect(0);
    assert_eq!(db.rows("select * from t order by id").await, ["1||∅|\\x|", "2|∅|∅|∅|∅"]);
}

#[tokio::test]
async fn nan_is_a_number_where_the_stream_accepts_it() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table t (d double precision, n numeric, r real); create table u (like t)")
        .await;
    let settings = "[stream.t]\nfiles = '*.csv'\nnan = 'accept'\n[stream.u]\nfiles = '*.csv'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    fs::write(folder.path().join("a.csv"), "d,n,r\nNaN,NaN,NaN\n-Infinity,1,Infinity\n").unwrap();
    let mut command = streamer(folder.path(), &["run", "--available-now"]);
    Ended::of(command.env("DATABASE_URL", db.url())).expect(3);
    assert_eq!(
        db.rows("select * from t order by n").await,
        ["-Infinity|1|Infinity", "NaN|NaN|NaN"]
    );
    assert_eq!(db.rows("select * from u").await, ["-Infinity|1|Infinity"]);
    let reason = "select reasons->0->>'reason' from streamer.dead_letter";
    assert_eq!(db.rows(reason).await, ["NaN; set nan = \"accept\" for this stream to take it"]);
}
