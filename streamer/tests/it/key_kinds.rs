//! Keys of every kind: which records repeat another, PostgreSQL says, and the first one read stays.

use std::fs;
use std::path::Path;

use crate::support::{Ended, TestDb, folder, streamer};

/// A key, and texts of which the second is equal to the first but spelt otherwise, the third not.
struct Kind {
    /// What makes the type, in the schema `public` or another.
    prepare: &'static str,
    /// The key's column, and its constraint or index: `{t}` is the table.
    column: &'static str,
    key: &'static str,
    same: [&'static str; 2],
    other: &'static str,
}

const PRIMARY: &str = "alter table {t} add primary key (k)";

const KINDS: &[Kind] = &[
    Kind { prepare: "", column: "numeric", key: PRIMARY, same: ["1.0", "1.00"], other: "2" },
    Kind { prepare: "", column: "double precision", key: PRIMARY, same: ["0", "-0"], other: "1" },
    Kind { prepare: "", column: "interval", key: PRIMARY, same: ["P1M", "P30D"], other: "P2M" },
    Kind { prepare: "", column: "char(5)", key: PRIMARY, same: ["ab", "ab  "], other: "b" },
    Kind {
        prepare: "",
        column: "numeric[]",
        key: PRIMARY,
        same: ["{1.0}", "{1.00}"],
        other: "{2}",
    },
    Kind { prepare: "", column: "jsonb", key: PRIMARY, same: ["[1.0]", "[1.00]"], other: "[2]" },
    Kind {
        prepare: "",
        column: "numrange",
        key: PRIMARY,
        same: ["\"[1.0,2)\"", "\"[1.00,2)\""],
        other: "empty",
    },
    Kind { prepare: "", column: "money", key: PRIMARY, same: ["1", "1.00"], other: "2" },
    Kind {
        prepare: "create type {s}.mood as enum ('sad', 'ok')",
        column: "{s}.mood",
        key: PRIMARY,
        same: ["sad", "sad"],
        other: "ok",
    },
    Kind {
        prepare: "create domain {s}.price as numeric(9, 2) check (value > 0)",
        column: "{s}.price",
        key: PRIMARY,
        same: ["1.5", "1.50"],
        other: "2",
    },
    Kind {
        prepare: "create type {s}.pair as (a int, b text)",
        column: "{s}.pair",
        key: PRIMARY,
        same: ["\"(1,x)\"", "\"( 1,x)\""],
        other: "\"(2,x)\"",
    },
    Kind {
        prepare: "",
        column: "text",
        key: "create unique index on {t} (lower(k))",
        same: ["Ann", "ANN"],
        other: "Bob",
    },
    Kind {
        prepare: "",
        column: "int",
        key: "alter table {t} add unique (k) deferrable initially deferred",
        same: ["1", "01"],
        other: "2",
    },
];

fn settings(folder: &Path, tables: usize) {
    let stream = |at| format!("[stream.t{at}]\nfiles = 't{at}_*.csv'\ntable = 'elsewhere.t{at}'\n");
    let text: String = (0..tables).map(stream).collect();
    fs::write(folder.join("streams.toml"), text).unwrap();
}

fn load(db: &TestDb, folder: &Path) {
    Ended::of(streamer(folder, &["run", "--available-now"]).env("DATABASE_URL", db.url()))
        .expect(0);
}

/// What came of each table's records, and the rows in the order of their records.
async fn outcome(db: &TestDb, at: usize) -> (Vec<String>, Vec<String>) {
    let counts = format!(
        "select sum(records), sum(rows), sum(duplicates) from streamer.micro_batch where stream = 't{at}'"
    );
    let rows = format!("select n from elsewhere.t{at} order by n");
    (db.rows(&counts).await, db.rows(&rows).await)
}

/// The same in `public` and in another schema, which is not on the search path.
#[tokio::test]
async fn equal_keys_are_duplicates_whatever_their_type_and_spelling() {
    for schema in ["public", "other"] {
        let (db, folder) = (TestDb::create().await, folder());
        db.execute("create schema other; create schema elsewhere").await;
        for (at, kind) in KINDS.iter().enumerate() {
            let table = format!("elsewhere.t{at}");
            let column = kind.column.replace("{s}", schema);
            let key = kind.key.replace("{t}", &table);
            let prepare = kind.prepare.replace("{s}", schema);
            db.execute(&format!("{prepare}; create table {table} (k {column}, n int); {key}"))
                .await;
            let ([first, again], other) = (kind.same, kind.other);
            let text = format!("k,n\n{again},1\n{first},2\n{other},3\n{first},4\n{again},5\n");
            fs::write(folder.path().join(format!("t{at}_1.csv")), text).unwrap();
        }
        settings(folder.path(), KINDS.len());
        load(&db, folder.path());
        for (at, kind) in KINDS.iter().enumerate() {
            let expected = (vec!["5|2|3".to_owned()], vec!["1".to_owned(), "3".to_owned()]);
            assert_eq!(outcome(&db, at).await, expected, "{schema}: {} {}", kind.column, kind.key);
            let text = format!("k,n\n{},6\n{},7\n", kind.same[0], kind.other);
            fs::write(folder.path().join(format!("t{at}_2.csv")), text).unwrap();
        }
        load(&db, folder.path());
        for (at, kind) in KINDS.iter().enumerate() {
            let expected = (vec!["7|2|5".to_owned()], vec!["1".to_owned(), "3".to_owned()]);
            assert_eq!(outcome(&db, at).await, expected, "{schema}: {} {}", kind.column, kind.key);
        }
        let letters = "select count(*) from streamer.dead_letter";
        assert_eq!(db.number(letters).await, 0);
    }
}

/// Which columns are NULL decides which statement finds the keys.
#[tokio::test]
async fn nulls_that_are_not_distinct_are_equal() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(
        "create schema elsewhere;
         create table elsewhere.t0 (a int, b text, n int, unique nulls not distinct (a, b));
         create table elsewhere.t1 (a text, n int);
         create unique index on elsewhere.t1 (nullif(a, '-')) nulls not distinct;
         create table elsewhere.t2 (a text, n int);
         create unique index on elsewhere.t2 (nullif(a, '-'));",
    )
    .await;
    settings(folder.path(), 3);
    for number in 1..=2 {
        let write = |at: usize, text: &str| {
            fs::write(folder.path().join(format!("t{at}_{number}.csv")), text).unwrap();
        };
        write(0, "a,b,n\n1,,1\n1,,2\n,x,3\n,,4\n,x,5\n,,6\n1,x,7\n1,x,8\n");
        write(1, "a,n\n-,1\n-,2\n,3\nx,4\nx,5\n");
        write(2, "a,n\n-,1\n-,2\n,3\nx,4\nx,5\n");
        load(&db, folder.path());
    }
    let of = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(outcome(&db, 0).await, (of("16|4|12"), of("1 3 4 7")));
    assert_eq!(outcome(&db, 1).await, (of("10|2|8"), of("1 4")));
    // What an expression makes NULL is like no other.
    assert_eq!(outcome(&db, 2).await, (of("10|7|3"), of("1 1 2 2 3 3 4")));
}

#[tokio::test]
async fn the_key_is_the_first_whose_columns_a_record_has_and_other_conflicts_are_dead_letters() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(
        "create schema elsewhere;
         create table elsewhere.t0 (id int primary key, code int unique, name text, n int);
         create unique index t0_name on elsewhere.t0 (lower(name)) where n > 0;",
    )
    .await;
    settings(folder.path(), 1);
    let text = "id,code,name,n\n1,1,a,1\n1,2,b,2\n2,1,c,3\n3,3,A,4\n4,4,A,-5\n";
    fs::write(folder.path().join("t0_1.csv"), text).unwrap();
    let run = |code| {
        let mut command = streamer(folder.path(), &["run", "--available-now"]);
        Ended::of(command.env("DATABASE_URL", db.url())).expect(code)
    };
    run(3);
    let letters =
        "select line, reasons->0->>'sqlstate', substring(reasons->0->>'reason' from 't0_[a-z_]+')
                     from streamer.dead_letter order by line";
    assert_eq!(db.rows(letters).await, ["4|23505|t0_code_key", "5|23505|t0_name"]);
    let expected = (vec!["5|2|1".to_owned()], vec!["-5".to_owned(), "1".to_owned()]);
    assert_eq!(outcome(&db, 0).await, expected);
    let check = Ended::of(streamer(folder.path(), &["check"]).env("DATABASE_URL", db.url()));
    assert!(check.stdout.contains("t0_pkey (id), t0_code_key (code)"), "{}", check.stdout);
}

/// A value that is none of the key's type costs its own record only.
#[tokio::test]
async fn a_key_that_only_postgresql_can_read_may_be_no_value() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create schema elsewhere; create table elsewhere.t0 (k money primary key, n int)")
        .await;
    settings(folder.path(), 1);
    let text = "k,n\n1,1\nmuch,2\n1.00,3\n2,4\n2,5\n";
    fs::write(folder.path().join("t0_1.csv"), text).unwrap();
    let mut command = streamer(folder.path(), &["run", "--available-now"]);
    Ended::of(command.env("DATABASE_URL", db.url())).expect(3);
    let letters = "select line, reasons->0->>'sqlstate' from streamer.dead_letter";
    assert_eq!(db.rows(letters).await, ["3|22P02"]);
    let rows = "select n from elsewhere.t0 order by n";
    assert_eq!(db.rows(rows).await, ["1", "4"]);
}
