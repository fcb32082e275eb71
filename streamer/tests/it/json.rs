//! JSON lines: objects by their keys, what they lack, what is refused of them, files of every form.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use rand::{RngExt, SeedableRng};

use crate::support::{Ended, Running, TestDb, folder, streamer};

const ORDERS: &str = "create table orders (
    id       integer primary key,
    amount   numeric,
    status   text not null default 'new',
    tags     text[],
    document jsonb,
    is_paid  boolean default false,
    paid_at  timestamptz,
    batch_id bigint)";

const COUNTS: &str = "select coalesce(sum(records), 0), coalesce(sum(rows), 0),
                             coalesce(sum(duplicates), 0), coalesce(sum(dead_letters), 0)
                        from streamer.micro_batch where records > 0";

fn run(db: &TestDb, folder: &Path, args: &[&str]) -> Ended {
    Ended::of(streamer(folder, args).env("DATABASE_URL", db.url()))
}

/// Loads all there is; the exit code is `code`.
fn load(db: &TestDb, folder: &Path, code: i32) -> Ended {
    run(db, folder, &["run", "--available-now"]).expect(code)
}

fn settings(folder: &Path, more: &str) {
    let text = format!(
        "[stream.orders]\nfiles = '*.{{csv,ndjson,jsonl,ndjson.gz,jsonl.zst,txt}}'\nsettle = '200ms'\nscan_every = '50ms'\n{more}"
    );
    fs::write(folder.join("streams.toml"), text).unwrap();
}

async fn orders(more: &str) -> (TestDb, tempfile::TempDir) {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(ORDERS).await;
    settings(folder.path(), &format!("provenance = ['batch_id']\n{more}"));
    (db, folder)
}

/// The bytes that an export writes.
fn exported(db: &TestDb, folder: &Path) -> String {
    let mut command = streamer(folder, &["dead-letters", "export", "--csv"]);
    let output = command.env("DATABASE_URL", db.url()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn objects_become_rows_by_their_keys_and_what_they_lack_is_the_default() {
    let (db, folder) = orders("").await;
    let lines = [
        r#"{"id": 1, "amount": 12345678901234567890.123456789000, "status": "paid", "is_paid": true}"#,
        r#"{"AMOUNT":1e-3,"Id":"2","tags":["a,b","NULL",null],"document":{"a": [1.50,"x"]}}"#,
        r#"{"id":3,"status":"","is_paid":null,"document":"text","paid_at":"2026-01-02T03:04:05Z"}"#,
        r#"{"id":4,"amount":null,"document":null,"tags":[],"batch_id":77}"#,
        r#" { "id" : 5 , "document" : 1.50 , "status" : "caf\u00e9 \"x\"\n" } "#,
    ];
    fs::write(folder.path().join("1.ndjson"), lines.join("\n") + "\n").unwrap();
    load(&db, folder.path(), 0);
    let rows = db
        .rows("select id, amount, status, tags, document, is_paid, paid_at at time zone 'UTC' from orders order by id")
        .await;
    assert_eq!(
        rows,
        [
            "1|12345678901234567890.123456789000|paid|∅|∅|t|∅",
            "2|0.001|new|{\"a,b\",\"NULL\",NULL}|{\"a\": [1.50, \"x\"]}|f|∅",
            "3|∅||∅|\"text\"|∅|2026-01-02 03:04:05",
            "4|∅|new|{}|∅|f|∅",
            "5|∅|café \"x\"\n|∅|1.50|f|∅",
        ]
    );
    // Different sets of keys do not take a micro-batch each, and each row leads to its own.
    assert_eq!(
        db.rows("select records, rows, path from streamer.micro_batch").await,
        ["5|5|direct"]
    );
    let told = "select count(*) from orders join streamer.micro_batch using (batch_id)";
    assert_eq!(db.number(told).await, 5);
}

/// Records that are refused, and the first reason: column, value, SQLSTATE and words.
const MISFITS: [(&str, &str); 19] = [
    (
        r#"{"id":10,"amount":{"a":1}}"#,
        "amount|{\"a\":1}|22P02|a JSON object, which the column can't take",
    ),
    (r#"{"id":"x\u0022"}"#, "id|x\"|22P02|not a whole number"),
    (r#"{"id":1.0}"#, "id|1.0|22P02|not a whole number"),
    (r#"{"amount":1}"#, "id|∅|23502|missing, but the column must have a value"),
    (r#"{"id":null}"#, "id|null|23502|null, but the column must have a value"),
    (r#"{"id":11,"status":null}"#, "status|null|23502|null, but the column must have a value"),
    (r#"{"id":12,"is_paid":""}"#, "is_paid||22P02|not a boolean"),
    (r#"{"id":13,"colour":"red"}"#, "colour|red|42703|the table has no such column"),
    (r#"{"id":14,"id":15}"#, "∅|∅|42701|key id comes twice"),
    (r#"{"id":14,"ID":15}"#, "∅|∅|42701|key ID comes twice"),
    (
        r#"{"id":16,"document":{"a":1,"a":2}}"#,
        "document|{\"a\":1,\"a\":2}|22P02|not accepted as JSON",
    ),
    (r#"{"id":17,"tags":["a",{}]}"#, "tags|[\"a\",{}]|22P02|a JSON object"),
    (r#"{"id":18,"status":"a\u0000"}"#, "status|a\\u{0}|22021|holds a NUL"),
    (r#"{"id":19,"status":"\ud800"}"#, "status|\"\\ud800\"|22P02|not accepted as a JSON string"),
    ("[1]", "∅|∅|22P02|not a JSON object"),
    ("{}", "∅|∅|42703|has none of the table's columns (id, amount"),
    (r#"{"id":20"#, "∅|∅|22P02|not valid JSON: EOF"),
    (r#"{"id":20}{"id":21}"#, "∅|∅|22P02|not valid JSON: trailing characters at byte 10"),
    ("id,amount", "∅|∅|22P02|not a JSON object"),
];

#[tokio::test]
async fn what_does_not_fit_costs_the_record_and_is_kept_as_a_line() {
    let (db, folder) = orders("").await;
    let deep = format!("{{\"id\":22,\"document\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let lines: Vec<String> =
        MISFITS.iter().map(|(line, _)| (*line).to_owned()).chain([deep]).collect();
    let mut file = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        writeln!(file, "{line}\n{{\"id\":{}}}", 100 + at).unwrap();
    }
    file.extend_from_slice(b"{\"id\":1,\"status\":\"\xff\"}\n");
    fs::write(folder.path().join("1.jsonl"), &file).unwrap();
    let check = run(&db, folder.path(), &["check"]).expect(3);
    assert!(
        check.stdout.contains("1.jsonl:1 amount \"{\"a\":1}\": a JSON object"),
        "{}",
        check.stdout
    );
    load(&db, folder.path(), 3);
    assert_eq!(db.number("select count(*) from orders where id >= 100").await, 20);
    assert_eq!(db.rows(COUNTS).await, ["41|20|0|21"]);
    let reasons = db
        .rows(
            "select r->>'column', r->>'value', r->>'sqlstate', r->>'reason'
               from streamer.dead_letter, jsonb_array_elements(reasons) r order by line",
        )
        .await;
    assert_eq!(reasons.len(), 21, "{reasons:#?}");
    for ((line, expected), reason) in MISFITS.iter().zip(&reasons) {
        assert!(reason.starts_with(expected), "{line}: {reason}");
    }
    assert!(reasons[19].contains("|22P02|not accepted as JSON: recursion"), "{}", reasons[19]);
    assert!(reasons[20].contains("22021|not valid UTF-8"), "{}", reasons[20]);

    // The letters go out as they came in, and are tried again when the table has changed.
    db.execute("delete from streamer.dead_letter where line > 37").await;
    assert_eq!(exported(&db, folder.path()), lines[..19].join("\n") + "\n");
    let shown = run(&db, folder.path(), &["dead-letters", "show", "8"]).expect(0).stdout;
    assert!(shown.contains("record: {\"id\":13") && !shown.contains("header"), "{shown}");
    db.execute(
        "alter table orders add column colour text; alter table orders alter status drop not null",
    )
    .await;
    let retried = run(&db, folder.path(), &["dead-letters", "retry", "--all"]).expect(3);
    assert_eq!(retried.stdout, "2 rows loaded, 0 duplicates, 17 still refused\n");
    let rows = db.rows("select id, status, colour from orders where id < 100 order by id").await;
    assert_eq!(rows, ["11|∅|∅", "13|new|red"]);
    // Into a folder, under the file's own ending.
    run(&db, folder.path(), &["dead-letters", "export", "--out", "mend/"]).expect(0);
    let made = fs::read_to_string(folder.path().join("mend/1.dead-letters.jsonl")).unwrap();
    assert_eq!(made.lines().count(), 17);
}

#[tokio::test]
async fn unknown_keys_are_ignored_or_kept_as_they_stand() {
    let (db, folder) = orders("extra = 'ignore'").await;
    let line = r#"{"id":1,"b":{"c":[1.50,null]},"a":"x","n":12345678901234567890.10}"#;
    fs::write(folder.path().join("1.ndjson"), format!("{line}\n{{\"b\":1}}\n")).unwrap();
    load(&db, folder.path(), 3);
    settings(folder.path(), "extra = 'keep'\nextra_column = 'more'");
    db.execute("alter table orders add column more jsonb").await;
    let lines = [
        line.replace("\"id\":1", "\"id\":2"),
        r#"{"id":3}"#.to_owned(),
        r#"{"id":4,"a":{"b":1,"b":2}}"#.to_owned(),
        r#"{"id":5,"a":1,"a":2}"#.to_owned(),
        r#"{"id":6,"more":{}}"#.to_owned(),
        r#"{"id":7,"a":"\u0000"}"#.to_owned(),
    ];
    fs::write(folder.path().join("2.ndjson"), lines.join("\n") + "\n").unwrap();
    load(&db, folder.path(), 3);
    let kept = r#"{"a": "x", "b": {"c": [1.50, null]}, "n": 12345678901234567890.10}"#;
    assert_eq!(
        db.rows("select id, more from orders order by id").await,
        ["1|∅".to_owned(), format!("2|{kept}"), "3|{}".to_owned()]
    );
    let reasons = "select line, r->>'column', left(r->>'reason', 20) from streamer.dead_letter,
                   jsonb_array_elements(reasons) r where partition = '2.ndjson' order by line";
    assert_eq!(
        db.rows(reasons).await,
        [
            "3|a|not accepted as JSON",
            "4|∅|key a comes twice",
            "5|more|the column that keep",
            "6|a|not accepted as JSON"
        ]
    );
}

#[tokio::test]
async fn paths_lead_into_objects() {
    let paths = "extra = 'keep'\n[stream.orders.paths]\nid = 'order.id'\namount = 'order.sum.net'\nstatus = 'state'\n";
    let (db, folder) = orders(paths).await;
    db.execute("alter table orders add column extra jsonb").await;
    let lines = [
        r#"{"order":{"id":1,"sum":{"net":1.10,"gross":1.30}},"state":"x","status":"y"}"#,
        r#"{"order":{"id":2,"sum":null}}"#,
        r#"{"order":{"id":3,"sum":7}}"#,
        r#"{"order":{"id":4},"order":{}}"#,
        r#"{"id":5}"#,
    ];
    fs::write(folder.path().join("1.ndjson"), lines.join("\n")).unwrap();
    load(&db, folder.path(), 3);
    assert_eq!(
        db.rows("select id, amount, status, extra from orders order by id").await,
        [r#"1|1.10|x|{"status": "y", "order.sum.gross": 1.30}"#, "2|∅|new|{}"]
    );
    let reasons = "select line, r->>'column', r->>'value', left(r->>'reason', 13)
                     from streamer.dead_letter, jsonb_array_elements(reasons) r order by line";
    let reasons = db.rows(reasons).await;
    assert_eq!(reasons[..2], ["3|order.sum|7|not an object", "4|∅|∅|key order com"]);
    assert!(reasons[2].starts_with("5|∅|∅|has none of"), "{reasons:?}");
    // What a path names is no other column, whatever it is called.
    settings(folder.path(), "paths = { id = 'status', status = 'document' }");
    fs::write(folder.path().join("2.ndjson"), "{\"status\":10,\"document\":\"y\"}\n").unwrap();
    load(&db, folder.path(), 0);
    assert_eq!(db.rows("select status, document from orders where id = 10").await, ["y|∅"]);
    settings(folder.path(), "paths = { nosuch = 'a.b' }");
    let refused = load(&db, folder.path(), 1).stderr;
    assert!(refused.contains("has no column nosuch to be filled by paths.nosuch"), "{refused}");
}

#[tokio::test]
async fn files_come_packed_marked_growing_and_under_any_name() {
    let (db, folder) = orders("format = 'ndjson'\nmax_record_bytes = '60B'").await;
    let objects = |from: u32, to: u32| -> String {
        (from..to).map(|id| format!("{{\"id\":{id},\"amount\":{id}.50}}\n")).collect()
    };
    let path = |name: &str| folder.path().join(name);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(objects(0, 3000).as_bytes()).unwrap();
    fs::write(path("1.ndjson.gz"), gzip.finish().unwrap()).unwrap();
    fs::write(path("2.jsonl.zst"), zstd::encode_all(objects(3000, 6000).as_bytes(), 1).unwrap())
        .unwrap();
    let odd =
        format!("\u{feff}\r\n{}\n \t\n{{\"id\":6010}}", objects(6000, 6010).replace('\n', "\r\n"));
    fs::write(path("3.txt"), odd).unwrap();
    fs::write(path("4.csv"), "").unwrap();
    fs::write(
        path("5.csv"),
        format!("{{\"id\":1,\"status\":\"{}\"}}\n{{\"id\":6011}}\n", "x".repeat(99)),
    )
    .unwrap();
    load(&db, folder.path(), 3);
    assert_eq!(
        db.rows("select count(*), sum(id) from orders").await,
        [format!("6012|{}", 6011 * 6012 / 2)]
    );
    let letters = "select partition, line, octet_length(raw), reasons->0->>'reason' from streamer.dead_letter";
    assert_eq!(db.rows(letters).await, ["5.csv|1|119|the record is longer than 60 bytes"]);
    // Grown, twice, to a last line without a line end.
    for (more, rows) in [("{\"id\":7000}\n{\"id\":7001}", 6014), ("\n{\"id\":7002}", 6015)] {
        let mut file = fs::OpenOptions::new().append(true).open(path("5.csv")).unwrap();
        file.write_all(more.as_bytes()).unwrap();
        load(&db, folder.path(), 0);
        assert_eq!(db.number("select count(*) from orders").await, rows, "{more}");
    }
    assert_eq!(load(&db, folder.path(), 0).stdout, "nothing new to load\n");
    assert_eq!(db.rows(COUNTS).await, ["6016|6015|0|1"]);
}

#[tokio::test]
async fn csv_and_json_lines_share_a_stream() {
    let (db, folder) = orders("writers = 1").await; // Several keep no order between files.
    fs::write(folder.path().join("1.csv"), "id,amount\n1,1.5\nx,1\n").unwrap();
    fs::write(folder.path().join("2.ndjson"), "{\"id\":2}\n{\"id\":1}\n{\"id\":\"x\"}\n").unwrap();
    fs::write(folder.path().join("3.csv"), "amount,id\n3.5,3\n").unwrap();
    load(&db, folder.path(), 3);
    assert_eq!(
        db.rows("select id, amount from orders order by id").await,
        ["1|1.5", "2|∅", "3|3.5"]
    );
    assert_eq!(db.rows(COUNTS).await, ["6|3|1|2"]);
    let refused = run(&db, folder.path(), &["dead-letters", "export", "--csv"]).expect(1).stderr;
    assert!(refused.contains("different headers, formats or streams"), "{refused}");
}

#[tokio::test]
async fn duplicates_and_refusals_are_found_across_sets_of_keys() {
    let (db, folder) = (TestDb::create().await, folder());
    settings(folder.path(), "max_rows = 1000");
    db.execute(
        "create table orders (
            id     integer primary key default 1000,
            code   integer unique,
            status text default 'new' check (status <> 'bad'),
            amount integer default 7 check (amount < 100))",
    )
    .await;
    db.execute("insert into orders (id, code) values (50, 50)").await;
    let lines = [
        // The first of a key wins, whatever it lacks.
        r#"{"id":1,"status":"a"}"#,
        r#"{"id":1}"#,
        r#"{"id":1,"amount":8}"#,
        r#"{"id":2,"amount":5,"status":"b"}"#,
        r#"{"id":2,"status":"c"}"#,
        // A refused record leaves its key to the next.
        r#"{"id":3,"status":"bad"}"#,
        r#"{"id":3,"amount":3}"#,
        r#"{"id":4,"amount":100}"#,
        r#"{"id":4,"status":"d"}"#,
        // In the table already.
        r#"{"id":50,"amount":1}"#,
        // Keyed by another column: equal numbers are not equal keys.
        r#"{"code":2}"#,
        r#"{"code":50}"#,
    ];
    fs::write(folder.path().join("1.ndjson"), lines.join("\n") + "\n").unwrap();
    let check = run(&db, folder.path(), &["check"]).expect(3);
    assert!(check.stdout.contains("_amount_check"), "{}", check.stdout);
    load(&db, folder.path(), 3);
    assert_eq!(
        db.rows("select id, code, status, amount from orders order by id").await,
        ["1|∅|a|7", "2|∅|b|5", "3|∅|new|3", "4|∅|d|7", "50|50|new|7", "1000|2|new|7"]
    );
    assert_eq!(db.rows(COUNTS).await, ["12|5|5|2"]);
    let letters = "select line, reasons->0->>'sqlstate' from streamer.dead_letter order by line";
    assert_eq!(db.rows(letters).await, ["6|23514", "8|23514"]);
    assert_eq!(db.rows("select path from streamer.micro_batch").await, ["careful"]);
    // Once more under another name: nothing but duplicates and the same refusals.
    fs::copy(folder.path().join("1.ndjson"), folder.path().join("2.ndjson")).unwrap();
    load(&db, folder.path(), 0);
    assert_eq!(db.rows(COUNTS).await, ["24|5|17|2"]);
}

#[tokio::test]
async fn any_mix_of_keys_is_loaded_as_one_by_one_across_kills() {
    let (db, folder) = (TestDb::create().await, folder());
    settings(folder.path(), "");
    db.execute(
        "create table orders (
            id integer primary key, a integer default 1 check (a <> 9), b text default 'x', c integer)",
    )
    .await;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(6);
    let (mut expected, mut bad) = (BTreeMap::new(), 0);
    let mut lines = String::new();
    for _ in 0..6000 {
        let id: u32 = rng.random_range(0..4000);
        let value = |rng: &mut rand_chacha::ChaCha8Rng| match rng.random_range(0..5) {
            0 | 1 => None,
            2 => Some("null".to_owned()),
            _ => Some(rng.random_range(0..10).to_string()),
        };
        let (a, b, c) = (value(&mut rng), value(&mut rng), value(&mut rng));
        let mut members = vec![format!("\"id\":{id}")];
        for (key, value) in [("a", &a), ("b", &b), ("c", &c)] {
            members.extend(value.as_ref().map(|value| format!("\"{key}\":{value}")));
        }
        let turn = rng.random_range(0..members.len());
        members.rotate_left(turn);
        lines += &format!("{{{}}}\n", members.join(","));
        let shown = |value: Option<String>, default: &str| match value.as_deref() {
            None => default.to_owned(),
            Some("null") => "∅".to_owned(),
            Some(value) => value.to_owned(),
        };
        let is_bad = a.as_deref() == Some("9");
        let row = [id.to_string(), shown(a, "1"), shown(b, "x"), shown(c, "∅")].join("|");
        match expected.entry(id) {
            Entry::Vacant(_) if is_bad => bad += 1,
            Entry::Vacant(entry) => drop(entry.insert(row)),
            Entry::Occupied(_) => {}
        }
    }
    fs::write(folder.path().join("1.ndjson"), lines).unwrap();
    for _ in 0..3 {
        let args = ["run", "--every", "0s", "--max-rows", "200"];
        let running = Running::start(streamer(folder.path(), &args).env("DATABASE_URL", db.url()));
        running.wait_for_log("committed");
        running.kill();
    }
    load(&db, folder.path(), 3);
    let rows = db.rows("select id, a, b, c from orders order by id").await;
    assert_eq!(rows, expected.values().cloned().collect::<Vec<_>>());
    let duplicates = 6000 - rows.len() - bad;
    assert_eq!(db.rows(COUNTS).await, [format!("6000|{}|{duplicates}|{bad}", rows.len())]);
}
