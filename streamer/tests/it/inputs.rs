//! The files of the real world: line ends, encodings, sizes, names, copies; each with its right
//! outcome.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Ended, Running, TestDb, folder, streamer};

/// A database with a table `t (id, word)`, and a folder with a stream of it.
async fn db_and_folder(more: &str) -> (TestDb, tempfile::TempDir) {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table t (id int primary key, word text)").await;
    let settings = format!("[stream.t]\nfiles = '**/*.csv'\nsettle = '200ms'\n{more}\n");
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    (db, folder)
}

fn run(folder: &Path, db: &TestDb) -> Ended {
    Ended::of(streamer(folder, &["run", "--available-now"]).env("DATABASE_URL", db.url()))
}

#[tokio::test]
async fn every_kind_of_line_end_is_taken_and_lines_are_counted_by_it() {
    let (db, folder) = db_and_folder("").await;
    let kinds = [
        ("lf", "\n", "\n"),
        ("crlf", "\r\n", "\r\n"),
        ("cr", "\r", "\r"),
        ("blank", "\n\n", "\r\n\n"),
        ("mixed", "\r\n", "\r"),
        ("none", "\n", ""),
    ];
    for (at, (name, between, last)) in kinds.iter().enumerate() {
        let records = ["id,word", "0,a", "1,\"b\nc\r\nd\re\"", "x,f"];
        let text = records.join(between).replace("0,", &format!("{at}0,"));
        let text = text.replace("1,\"", &format!("{at}1,\"")) + last;
        fs::write(folder.path().join(format!("{name}.csv")), text).unwrap();
    }
    run(folder.path(), &db).expect(3);
    let words = "select count(*), string_agg(distinct replace(replace(word, e'\\n', 'n'), e'\\r', 'r'), '|')
                   from t";
    assert_eq!(db.rows(words).await, ["12|a|bncrndre"]);
    let lines = "select partition, line from streamer.dead_letter order by 1";
    assert_eq!(
        db.rows(lines).await,
        ["blank.csv|10", "cr.csv|7", "crlf.csv|7", "lf.csv|7", "mixed.csv|7", "none.csv|7"]
    );
}

#[tokio::test]
async fn what_is_no_csv_with_a_header_is_refused_as_a_whole_with_the_reason() {
    let (db, folder) = db_and_folder("extra = 'ignore'").await;
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| {
        text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
    };
    let text = "id,word\n1,a\n";
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("le", utf16(&format!("\u{feff}{text}"), u16::to_le_bytes), "the file is UTF-16; convert"),
        ("be", utf16(&format!("\u{feff}{text}"), u16::to_be_bytes), "the file is UTF-16; convert"),
        ("unmarked", utf16(text, u16::to_le_bytes), "the file is UTF-16; convert"),
        ("utf32", b"\xff\xfe\0\0i\0\0\0".to_vec(), "the file is UTF-32; convert"),
        ("latin1", b"id,w\xf6rd\n1,a\n".to_vec(), "line 1 is no CSV header: it is not valid UTF-8"),
        ("nul", b"id,wo\0rd\n1,a\n".to_vec(), "line 1 is no CSV header: it holds a NUL"),
        ("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), "line 1 is no CSV header: it is not"),
        ("headless", b"1,secret\n2,b\n".to_vec(), "line 1 names none of the table's columns"),
        ("preamble", format!("Report\n{text}").into_bytes(), "line 1 names none of the table's"),
    ];
    for (name, bytes, _) in &cases {
        fs::write(folder.path().join(format!("{name}.csv")), bytes).unwrap();
    }
    let ended = run(folder.path(), &db).expect(1);
    for (name, _, reason) in &cases {
        let expected = format!("{name}.csv: {reason}");
        assert!(ended.stdout.contains(&expected), "{expected} is not in\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("secret") && !ended.stderr.contains("secret"));
    let refused = "select count(*) from streamer.checkpoint where state = 'refused'";
    assert_eq!(db.rows(&format!("{refused} and records = 0")).await, ["9"]);
    assert_eq!(db.number("select count(*) from t").await, 0);
}

#[tokio::test]
async fn ragged_rows_nul_and_bytes_that_are_no_text_cost_their_record_only() {
    let (db, folder) = db_and_folder("").await;
    let bytes =
        b"id,word\n1\n2,a,b\n3,a\0b\n4,\xff\xfe\n5,\xc3\n6,\xc3\xa9\n\n7,\"a\n8,b\n9,x\"y\n,c\n";
    fs::write(folder.path().join("1.csv"), bytes).unwrap();
    run(folder.path(), &db).expect(3);
    assert_eq!(db.rows("select * from t order by id").await, ["6|é", "8|b", "9|x\"y"]);
    let letters = "select line, reasons->0->>'sqlstate', reasons->0->>'reason'
                     from streamer.dead_letter order by line";
    assert_eq!(
        db.rows(letters).await,
        [
            "2|22P04|1 fields where the header has 2",
            "3|22P04|3 fields where the header has 2",
            "4|22021|holds a NUL character",
            "5|22021|not valid UTF-8",
            "6|22021|not valid UTF-8",
            "9|22P04|text behind a closing quote; a quote inside a quoted field is written twice",
            "12|23502|empty, but the column must have a value"
        ]
    );
}

#[tokio::test]
async fn a_record_of_100_mb_is_a_dead_letter_by_default_and_a_row_where_that_is_allowed() {
    let (db, folder) = db_and_folder("").await;
    let mut text = b"id,word\n1,a\n2,".to_vec();
    text.resize(text.len() + 100_000_000, b'x');
    text.extend_from_slice(b"\n3,b\n");
    fs::write(folder.path().join("1.csv"), &text).unwrap();
    let running = Running::start(streamer(folder.path(), &["run"]).env("DATABASE_URL", db.url()));
    db.wait_for("select count(*) from t", 2).await;
    let peak_kb = running.peak_kb();
    assert!(peak_kb < 100_000, "{peak_kb} kB");
    assert_eq!(running.terminate().0, Some(0));
    let letter = "select line, end_offset - start_offset, length(raw), reasons->0->>'reason'
                    from streamer.dead_letter";
    let expected = "3|100000002|65536|the record is longer than 1048576 bytes";
    assert_eq!(db.rows(letter).await, [expected]);
    // What is reserved for each connection depends on it.
    let settings = "[server]\nmemory = '2GiB'\n[database]\nconnections = 2\n\
                    [stream.t]\nfiles = '*.csv'\nmax_record_bytes = '110MB'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    fs::rename(folder.path().join("1.csv"), folder.path().join("2.csv")).unwrap();
    run(folder.path(), &db).expect(0);
    assert_eq!(db.rows("select id, length(word) from t").await, ["1|1", "3|1", "2|100000000"]);
}

#[tokio::test]
async fn an_unclosed_quote_near_the_end_of_a_big_file_costs_one_line_and_bounded_memory() {
    let (db, folder) = db_and_folder("max_rows = 100000").await;
    let mut file = std::io::BufWriter::new(fs::File::create(folder.path().join("1.csv")).unwrap());
    writeln!(file, "id,word").unwrap();
    (0..1000).for_each(|id| writeln!(file, "{id},{}", "x".repeat(100_000)).unwrap());
    writeln!(file, "1000,\"open").unwrap();
    (1001..1011).for_each(|id| writeln!(file, "{id},{}", "y".repeat(100_000)).unwrap());
    file.flush().unwrap();
    let mut command = streamer(folder.path(), &["run", "--every", "0s"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    db.wait_for("select count(*) from t", 1010).await;
    let peak_kb = running.peak_kb();
    assert!(peak_kb < 120_000, "{peak_kb} kB");
    assert_eq!(running.terminate().0, Some(0));
    let letters = "select line, convert_from(raw, 'UTF8') from streamer.dead_letter";
    assert_eq!(db.rows(letters).await, ["1002|1000,\"open"]);
}

#[tokio::test]
async fn a_table_of_1600_columns_is_loaded_and_more_are_refused() {
    let (db, folder) = db_and_folder("table = 'wide'").await;
    let columns: Vec<String> = (0..1600).map(|n| format!("c{n}")).collect();
    db.execute(&format!("create table wide ({} smallint)", columns.join(" smallint, "))).await;
    let row = (0..1600).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let mut text = format!("{}\n", columns.join(","));
    (0..100).for_each(|_| writeln!(text, "{row}").unwrap());
    fs::write(folder.path().join("1.csv"), text).unwrap();
    let more: Vec<String> = (0..1600).map(|n| format!("d{n}")).collect();
    fs::write(folder.path().join("2.csv"), format!("c1,{}\n", more.join(","))).unwrap();
    let ended = run(folder.path(), &db).expect(1);
    assert_eq!(db.rows("select sum(c0), sum(c7), sum(c1599) from wide").await, ["0|700|159900"]);
    let reason = "2.csv: line 1 names d0, d1, d2, d3, d4, 1595 more, which the table does not have";
    assert!(ended.stdout.contains(reason), "{}", ended.stdout);
}

#[tokio::test]
async fn names_may_hold_anything_and_links_lead_nowhere() {
    let (db, folder) = db_and_folder("").await;
    let outside = crate::support::folder();
    fs::write(outside.path().join("secret.csv"), "id,word\n100,a\n").unwrap();
    let long = [vec![b'x'; 251], b".csv".to_vec()].concat();
    let names: [&[u8]; 6] =
        [b"a b.csv", b"a\nb.csv", b"\xff\xfe.csv", b"-rf;'\".csv", b"$(x)#2.csv", &long];
    for (at, name) in names.iter().enumerate() {
        let path = folder.path().join(OsStr::from_bytes(name));
        fs::write(path, format!("id,word\n{at},a\n")).unwrap();
    }
    symlink(outside.path().join("secret.csv"), folder.path().join("link.csv")).unwrap();
    symlink(outside.path(), folder.path().join("linked")).unwrap();
    symlink("a b.csv", folder.path().join("inside.csv")).unwrap();
    symlink("loop.csv", folder.path().join("loop.csv")).unwrap();
    let ended = run(folder.path(), &db).expect(0);
    let expected = ["0|a", "1|a", "2|a", "3|a", "4|a", "5|a"];
    assert_eq!(db.rows("select * from t order by id").await, expected);
    let partitions = "select partition from streamer.checkpoint
                       where length(partition) < 200 order by partition collate \"C\"";
    assert_eq!(
        db.rows(partitions).await,
        ["$(x)\\x232.csv", "-rf;'\".csv", "\\xff\\xfe.csv", "a b.csv", "a\\x0ab.csv"]
    );
    assert!(!ended.stdout.contains("a\nb.csv") && !ended.stderr.contains("a\nb.csv"));
}

#[tokio::test]
async fn copies_are_duplicates_and_a_file_of_a_header_alone_is_done() {
    let (db, folder) = db_and_folder("").await;
    let path = |name: &str| folder.path().join(name);
    fs::write(path("1.csv"), "id,word\n1,a\n2,b\n").unwrap();
    fs::write(path("header.csv"), "id,word\n").unwrap();
    fs::write(path("empty.csv"), "").unwrap();
    run(folder.path(), &db).expect(0);
    let state = "select partition, state, records from streamer.checkpoint order by 1";
    assert_eq!(db.rows(state).await, ["1.csv|done|2", "header.csv|done|0"]);
    // The same file again, a copy of it, itself under another name; and the header gets a record.
    fs::copy(path("1.csv"), path("2.csv")).unwrap();
    fs::copy(path("1.csv"), path("3.csv")).unwrap();
    fs::remove_file(path("1.csv")).unwrap();
    fs::rename(path("3.csv"), path("1.csv")).unwrap();
    fs::rename(path("2.csv"), path("4.csv")).unwrap();
    fs::write(path("header.csv"), "id,word\n3,c\n").unwrap();
    run(folder.path(), &db).expect(0);
    assert_eq!(db.rows("select * from t order by id").await, ["1|a", "2|b", "3|c"]);
    let counts = "select partition, sum(rows), sum(duplicates) from streamer.micro_batch
                   group by 1 order by 1";
    assert_eq!(db.rows(counts).await, ["1.csv|2|0", "4.csv|0|2", "header.csv|1|0"]);
    assert_eq!(run(folder.path(), &db).expect(0).stdout, "nothing new to load\n");
}
