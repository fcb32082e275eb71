//! Dead letters: found by name, exported as they were, and every command twice with the same end.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use crate::support::{Ended, TestDb, folder, streamer};

/// A table of two columns and its stream.
async fn pairs(db: &TestDb, folder: &Path, more: &str) {
    db.execute("create table pairs (id integer primary key, note text check (note <> 'bad'))")
        .await;
    let stream = format!("[stream.pairs]\nfiles = '*.csv'\n{more}");
    fs::write(folder.join("streams.toml"), stream).unwrap();
}

fn run(db: &TestDb, folder: &Path, args: &[&str]) -> Ended {
    Ended::of(streamer(folder, args).env("DATABASE_URL", db.url()))
}

/// The bytes that a command writes to stdout.
fn bytes(db: &TestDb, folder: &Path, args: &[&str]) -> Vec<u8> {
    let mut command = streamer(folder, args);
    let output = command.env("DATABASE_URL", db.url()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && output.status.signal().is_none(), "{output:?}");
    output.stdout
}

const EXPORT: [&str; 3] = ["dead-letters", "export", "--csv"];

#[tokio::test]
async fn an_export_is_the_original_header_and_records_and_loads_once_mended() {
    let (db, folder) = (TestDb::create().await, folder());
    pairs(&db, folder.path(), "").await;
    let header = b"\"ID\", note ";
    let bad: [&[u8]; 5] = [
        b"x,=cmd|' /C calc'!A0",
        b"y,\"two\r\nlines, \"\"quoted\"\"\"",
        b"z,\xff\0\x1b[2J",
        b"7,\"bad\"",
        b"8,a,b",
    ];
    let file = [b"\xef\xbb\xbf", &header[..], b"\r\n", &bad.join(&b"\r\n1,good\r\n"[..]), b"\r\n"];
    fs::write(folder.path().join("p.csv"), file.concat()).unwrap();
    run(&db, folder.path(), &["run", "--available-now"]).expect(3);
    assert_eq!(db.number("select count(*) from pairs").await, 1);
    let expected = [&header[..], b"\n", &bad.join(&b"\n"[..]), b"\n"].concat();
    for _ in 0..2 {
        assert_eq!(bytes(&db, folder.path(), &EXPORT), expected);
    }
    let one = bytes(&db, folder.path(), &[&EXPORT[..], &["1"]].concat());
    assert_eq!(one, [&header[..], b"\n", bad[0], b"\n"].concat());

    // Mended and dropped back; the letters are discarded, twice.
    let mended = String::from_utf8_lossy(&expected).replace(['\0', '\u{1b}'], "");
    let mended = ["x,", "y,", "z,"].iter().enumerate().fold(mended, |text, (at, wrong)| {
        text.replace(&format!("\n{wrong}"), &format!("\n{},", at + 2))
    });
    let mended = mended.replace("\"bad\"", "fine").replace("8,a,b", "8,\"a,b\"");
    fs::write(folder.path().join("p.mended.csv"), mended).unwrap();
    run(&db, folder.path(), &["run", "--available-now"]).expect(0);
    assert_eq!(
        db.rows("select id, note from pairs order by id").await[1..4],
        ["2|=cmd|' /C calc'!A0", "3|two\r\nlines, \"quoted\"", "4|\u{fffd}[2J"]
    );
    for discarded in ["5 discarded\n", "0 discarded\n"] {
        let discard = ["dead-letters", "discard", "--file", "p.csv"];
        assert_eq!(run(&db, folder.path(), &discard).expect(0).stdout, discarded);
    }
    let none = run(&db, folder.path(), &EXPORT).expect(0);
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "no dead letters\n"));
}

#[tokio::test]
async fn different_headers_are_exported_each_to_a_file_of_its_own() {
    let (db, folder) = (TestDb::create().await, folder());
    pairs(&db, folder.path(), "").await;
    fs::write(folder.path().join("a.csv"), "id,note\nx,1\n").unwrap();
    fs::write(folder.path().join("b.csv"), "note,id\n2,x\n").unwrap();
    fs::write(folder.path().join("c.csv"), "id,note\ny,3\n").unwrap();
    run(&db, folder.path(), &["run", "--available-now"]).expect(3);
    let refused = run(&db, folder.path(), &EXPORT).expect(1);
    assert_eq!(refused.stdout, "");
    for told in ["different headers", "--out", "file a.csv and 1 more: 2 records", "file b.csv: 1"]
    {
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    let one = bytes(&db, folder.path(), &[&EXPORT[..], &["--file", "b.csv"]].concat());
    assert_eq!(one, b"note,id\n2,x\n");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    for _ in 0..2 {
        let out = run(&db, folder.path(), &[&EXPORT[..], &["--out", "out/"]].concat()).expect(0);
        assert_eq!(
            out.stdout,
            "out/a.dead-letters.csv: 2 records\nout/b.dead-letters.csv: 1 record\n"
        );
        assert_eq!(read("out/a.dead-letters.csv"), "id,note\nx,1\ny,3\n");
        assert_eq!(read("out/b.dead-letters.csv"), "note,id\n2,x\n");
    }
    // What somebody has begun to mend is never written over.
    fs::write(folder.path().join("out/b.dead-letters.csv"), "note,id\n2,2\n").unwrap();
    let kept = run(&db, folder.path(), &[&EXPORT[..], &["--out", "out"]].concat()).expect(1);
    assert!(kept.stderr.contains("is there already, with other content"), "{}", kept.stderr);
    assert_eq!(read("out/b.dead-letters.csv"), "note,id\n2,2\n");
    assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 2, "nothing is left over");
    let single = ["--out", "one.txt", "--file", "a.csv"];
    run(&db, folder.path(), &[&EXPORT[..], &single].concat()).expect(0);
    assert_eq!(read("one.txt"), "id,note\nx,1\n");
}

#[tokio::test]
async fn what_is_kept_only_in_part_is_left_out_of_an_export_and_told() {
    let (db, folder) = (TestDb::create().await, folder());
    pairs(&db, folder.path(), "").await;
    let long = "x".repeat(70_000);
    fs::write(folder.path().join("a.csv"), format!("id,note\nx,{long}\ny,short\n")).unwrap();
    run(&db, folder.path(), &["run", "--available-now"]).expect(3);
    let ended = run(&db, folder.path(), &EXPORT).expect(1);
    assert_eq!(ended.stdout, "id,note\ny,short\n");
    assert!(ended.stderr.starts_with("left out: 1 record longer than 64 KiB"), "{}", ended.stderr);
    // A letter that is older than the column for its header.
    db.execute("update streamer.dead_letter set header = null").await;
    let ended = run(&db, folder.path(), &EXPORT).expect(1);
    assert_eq!(ended.stdout, "\"id\",\"note\"\ny,short\n");
    let shown = run(&db, folder.path(), &["dead-letters", "show", "1"]).expect(0).stdout;
    assert!(shown.contains("first 64 KiB are kept"), "{}", &shown[..200]);
    let retried = run(&db, folder.path(), &["dead-letters", "retry", "1"]).expect(3).stdout;
    assert_eq!(retried, "0 rows loaded, 0 duplicates, 1 still refused\n");
}

#[tokio::test]
async fn unknown_streams_files_and_numbers_are_complained_of() {
    let (db, folder) = (TestDb::create().await, folder());
    pairs(&db, folder.path(), "").await;
    fs::write(folder.path().join("a.csv"), "id,note\nx,1\n").unwrap();
    run(&db, folder.path(), &["run", "--available-now"]).expect(3);
    let cases: [(&[&str], &str); 9] = [
        (&["list", "--stream", "nosuch"], "there is no stream \"nosuch\"; there is pairs"),
        (&["export", "--csv", "--stream", "nosuch"], "there is no stream \"nosuch\""),
        (&["retry", "--stream", "nosuch"], "there is no stream \"nosuch\""),
        (&["discard", "--stream", "nosuch"], "there is no stream \"nosuch\""),
        (&["show", "99"], "there is no dead letter 99"),
        (&["retry", "1", "98", "99"], "there is no dead letter 98, 99"),
        (&["discard", "99"], "there is no dead letter 99"),
        (&["export", "--csv", "99"], "there is no dead letter 99"),
        (&["discard", "--file", "b.csv"], "there are no dead letters of file \"b.csv\""),
    ];
    for (args, complaint) in cases {
        let ended = run(&db, folder.path(), &[&["dead-letters"], args].concat()).expect(1);
        assert!(ended.stderr.contains(complaint), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
    let open = "select count(*) from streamer.dead_letter where resolved_at is null";
    assert_eq!(db.number(open).await, 1);
    run(&db, folder.path(), &["dead-letters", "discard"]).expect(2);
}

#[tokio::test]
async fn letters_of_a_stream_that_is_no_longer_in_the_settings_are_named() {
    let (db, folder) = (TestDb::create().await, folder());
    pairs(&db, folder.path(), "").await;
    fs::write(folder.path().join("a.csv"), "id,note\nx,1\ny,1\n").unwrap();
    run(&db, folder.path(), &["run", "--available-now"]).expect(3);
    fs::write(
        folder.path().join("streams.toml"),
        "[stream.other]\nfiles = 'none'\ntable = 'pairs'\n",
    )
    .unwrap();
    let named =
        "2 dead letters of stream \"pairs\" left as they are: streams.toml no longer has it";
    for which in [&["--all"][..], &["--stream", "pairs"], &["1", "2"]] {
        let retry = [&["dead-letters", "retry"], which].concat();
        let ended = run(&db, folder.path(), &retry).expect(1);
        assert!(ended.stdout.contains(named), "{which:?}: {}", ended.stdout);
    }
    let list = run(&db, folder.path(), &["dead-letters", "list", "--stream", "pairs"]).expect(0);
    assert!(list.stdout.contains("no digit") || list.stdout.contains("pairs"), "{}", list.stdout);
    let discard = ["dead-letters", "discard", "--stream", "pairs"];
    assert_eq!(run(&db, folder.path(), &discard).expect(0).stdout, "2 discarded\n");
}

#[tokio::test]
async fn list_groups_by_reason_whatever_the_values_and_every_command_can_be_repeated() {
    let (db, folder) = (TestDb::create().await, folder());
    pairs(&db, folder.path(), "").await;
    let text = "id,note\n1,bad\n2,bad\n3,bad\n4,good\n";
    fs::write(folder.path().join("a.csv"), text).unwrap();
    run(&db, folder.path(), &["run", "--available-now"]).expect(3);
    let list = || run(&db, folder.path(), &["dead-letters", "list", "--json"]).expect(0).stdout;
    let groups: serde_json::Value = serde_json::from_str(&list()).unwrap();
    assert_eq!(groups.as_array().unwrap().len(), 1, "{groups}");
    assert_eq!((&groups[0]["count"], &groups[0]["sqlstate"]), (&3.into(), &"23514".into()));
    assert_eq!(
        (&groups[0]["example_file"], &groups[0]["example_line"]),
        (&"a.csv".into(), &2.into())
    );
    let shown = run(&db, folder.path(), &["dead-letters", "show", "2"]).expect(0).stdout;
    assert!(shown.contains("pairs_note_check") && shown.contains(" (2, bad)"), "{shown}");
    assert_eq!(list(), list());

    db.execute("alter table pairs drop constraint pairs_note_check").await;
    for said in ["1 rows loaded", "0 rows loaded"] {
        let ended = run(&db, folder.path(), &["dead-letters", "retry", "1"]).expect(0);
        assert!(ended.stdout.starts_with(said), "{}", ended.stdout);
    }
    for said in ["1 discarded\n", "0 discarded\n"] {
        let ended = run(&db, folder.path(), &["dead-letters", "discard", "1", "2"]).expect(0);
        assert_eq!(ended.stdout, said, "what was retried is not discarded");
    }
    for said in ["1 rows loaded", "0 rows loaded"] {
        let ended =
            run(&db, folder.path(), &["dead-letters", "retry", "--file", "a.csv"]).expect(0);
        assert!(ended.stdout.starts_with(said), "{}", ended.stdout);
    }
    let resolutions = "select dead_letter_id, resolution from streamer.dead_letter order by 1";
    assert_eq!(db.rows(resolutions).await, ["1|retried", "2|discarded", "3|retried"]);
    assert_eq!(db.rows("select id from pairs order by id").await, ["1", "3", "4"]);
    // The file once more, under another name: its letters come anew, its rows do not.
    fs::copy(folder.path().join("a.csv"), folder.path().join("b.csv")).unwrap();
    run(&db, folder.path(), &["run", "--available-now"]).expect(0);
    assert_eq!(db.rows("select id from pairs order by id").await, ["1", "2", "3", "4"]);
}
