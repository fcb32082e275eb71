//! Hostile names and contents: of columns, tables and files, on the command line and in fields.
//! They stay names and contents, whatever is in them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::support::{Ended, TestDb, folder, streamer};

/// Names that would do harm where they became SQL, a shell command, a line of the log, or something
/// that a terminal obeys.
const NAMES: [&str; 8] = [
    "a\"; drop table t;--",
    "Robert'); DROP TABLE t;--",
    "$(touch pwned)`touch pwned`",
    "two\r\nERROR lines",
    "\u{1b}[2J\u{9b}31m",
    "%s%n{} $1 :name",
    "-rf",
    "\\x27 E'\\'' $$;",
];

/// Everything that is in the database beside the streamer's own rows.
const SCHEMA: &str = "
    select n.nspname, c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod)
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1, 2, 3, 4";

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[tokio::test]
async fn hostile_names_of_tables_columns_and_files_stay_names() {
    let (db, folder) = (TestDb::create().await, folder());
    let table = quote(NAMES[0]);
    let columns: Vec<String> = NAMES.iter().map(|name| format!("{} text", quote(name))).collect();
    db.execute(&format!(
        "create table t (a integer);
         create table {table} (id integer primary key, {}, check ({} <> 'bad'))",
        columns.join(", "),
        quote(NAMES[1])
    ))
    .await;
    let toml = format!("[stream.s]\nfiles = '*'\nsettle = '0s'\ntable = '''{table}'''\n");
    let config = folder.path().join(".streams.toml");
    fs::write(&config, toml).unwrap();
    let before = db.rows(SCHEMA).await;
    let header = NAMES.map(quote).join(",");
    let files = NAMES.map(str::as_bytes).into_iter().chain([&b"not UTF-8 \xff\xfe"[..]]);
    let files: Vec<&OsStr> = files.map(OsStr::from_bytes).collect();
    for (at, file) in files.iter().enumerate() {
        let values = NAMES.map(quote).join(",");
        let bad = values.replace(&quote(NAMES[1]), "bad");
        let text = format!("id,{header}\n{at}0,{values}\n{at}1,{bad}\nx,{values}\n");
        fs::write(folder.path().join(file), text).unwrap();
    }
    fs::write(folder.path().join("other"), format!("id,{header},\"x\u{1b}[2J\"\n")).unwrap();

    let run = |args: &[&str]| {
        let mut command = streamer(folder.path(), args);
        command.env("STREAMER_CONFIG", &config).env("DATABASE_URL", db.url());
        let ended = Ended::of(command.env("RUST_LOG", "debug"));
        for text in [&ended.stdout, &ended.stderr] {
            let is_obeyed = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(is_obeyed) || args.contains(&"export"), "{args:?}: {text:?}");
        }
        ended
    };
    run(&["check"]).expect(1);
    let ended = run(&["run", "--available-now"]).expect(1);
    for line in ended.stderr.lines() {
        assert!(line.starts_with("20"), "a name made a line of its own: {line:?}");
    }
    assert!(
        ended.stdout.contains(r"not loaded: other: line 1 names x\u{1b}[2J, which"),
        "{}",
        ended.stdout
    );
    let kept = db.rows(&format!("select * from {table} order by id")).await;
    assert_eq!(kept.len(), files.len());
    assert!(kept.iter().all(|row| row.ends_with(&NAMES.join("|"))), "{kept:#?}");
    for (args, code) in [
        (&["status", "--all"][..], 0),
        (&["dead-letters", "list"], 0),
        (&["dead-letters", "show", "1"], 0),
        (&["dead-letters", "export", "--csv"], 0),
        (&["dead-letters", "retry", "--all"], 3),
    ] {
        run(args).expect(code);
    }
    for name in NAMES {
        let stream = format!("--stream={name}");
        let file = format!("--file={name}");
        run(&["dead-letters", "list", &stream]).expect(1);
        run(&["dead-letters", "discard", &file, &stream]).expect(1);
        run(&["retry-file", &stream, "--", name]).expect(1);
        run(&["retry-file", "--", name]).expect(0);
    }
    run(&["dead-letters", "discard", "--all"]).expect(0);
    assert_eq!(db.rows(SCHEMA).await, before, "the schema is as it was");
    assert_eq!(db.number("select count(*) from t").await, 0);
    assert!(!folder.path().join("pwned").exists());
}

#[tokio::test]
async fn what_a_spreadsheet_would_obey_is_stored_as_it_is() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table cells (id integer primary key, cell text)").await;
    fs::write(folder.path().join("streams.toml"), "[stream.cells]\nfiles = '*.csv'\n").unwrap();
    let cells = [
        "=cmd|' /C calc'!A0",
        "=HYPERLINK(\"http://example.com\",\"x\")",
        "+1+1",
        "-2+3",
        "@SUM(A1:A9)",
        "\t=1",
        "\r=1",
        "＝1+1",
        "'=1",
        "\\.",
    ];
    let text: String =
        cells.iter().enumerate().map(|(at, cell)| format!("{at},{}\n", quote(cell))).collect();
    fs::write(folder.path().join("c.csv"), format!("id,cell\n{text}")).unwrap();
    Ended::of(streamer(folder.path(), &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(0);
    assert_eq!(db.rows("select cell from cells order by id").await, cells);
}
