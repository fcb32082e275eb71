//! Passwords and the content of records: never in a log, an error text, `--help` or a command line.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::{Ended, Running, TestDb, folder, streamer};

const PASSWORD: &str = "canary-pa55word";
/// What stands in the records.
const VALUE: &str = "canaryvalue";

/// Everything that a program said.
fn said(ended: &Ended) -> String {
    format!("{}{}", ended.stdout, ended.stderr)
}

#[test]
fn a_password_shows_nowhere_whatever_goes_wrong() {
    let folder = folder();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refusing = refusing_server();
    fs::write(folder.path().join("pgpass"), format!("{PASSWORD}\n*:*:*:{PASSWORD}\n")).unwrap();
    let urls = [
        format!("postgres://me:{PASSWORD}@127.0.0.1:{closed}/db"),
        format!("postgres://me:{PASSWORD}@127.0.0.1:{refusing}/db?sslmode=disable"),
        format!("postgres://127.0.0.1:{refusing}/db?sslmode=disable&user=me&password={PASSWORD}"),
        format!("postgres://me:{PASSWORD}@127.0.0.1:{refusing}/db?sslmode=verify-full"),
        format!("postgres://me:{PASSWORD}@no-such-host.invalid/db"),
        format!("postgres://me:{PASSWORD}@[oops/db"),
        format!("postgres://me:{PASSWORD}@h:port/db"),
        format!("postgres://me:x@h/db?pasword={PASSWORD}"),
        format!("postgres://me:x?{PASSWORD}@h/db"),
        format!("postgres://me@127.0.0.1:{refusing}/db?sslmode=disable"),
        PASSWORD.to_owned(),
    ];
    for url in &urls {
        for args in [&["status"][..], &["check"], &["status", "--log-format", "json"]] {
            let mut command = streamer(folder.path(), args);
            command.env("DATABASE_URL", url).env("RUST_LOG", "trace");
            command.env("PGPASSFILE", folder.path().join("pgpass"));
            let ended = Ended::of(&mut command).expect(1);
            assert!(!said(&ended).contains(PASSWORD), "{args:?} {url}: {}", said(&ended));
        }
    }
    for toml in [
        format!("[database]\nurl = 'postgres://me:{PASSWORD}@127.0.0.1:{closed}/db'\n"),
        format!("[database]\nurl = 'postgres://me:{PASSWORD}@h/db' oops\n"),
        format!("[database]\nurl = ['postgres://me:{PASSWORD}@h/db']\n"),
        format!("database = 'postgres://me:{PASSWORD}@h/db'\n"),
    ] {
        let toml = format!("{toml}[stream.user_events]\nfiles = '*.csv'\n");
        fs::write(folder.path().join("streams.toml"), toml).unwrap();
        let mut command = streamer(folder.path(), &["status"]);
        let ended = Ended::of(command.env("RUST_LOG", "debug")).expect(1);
        assert!(!said(&ended).contains(PASSWORD), "{}", said(&ended));
    }
    let url = &urls[0];
    for help in [&["--help"][..], &["run", "--help"], &["dead-letters", "export", "--help"]] {
        let ended = Ended::of(streamer(folder.path(), help).env("DATABASE_URL", url)).expect(0);
        assert!(!said(&ended).contains(PASSWORD), "{}", said(&ended));
    }
    // On the command line it can't be hidden from others; that is told.
    let open =
        Ended::of(&mut streamer(folder.path(), &["status", "--database-url", url])).expect(1);
    assert!(open.stderr.contains("can read the password on the command line"), "{}", open.stderr);
    assert!(!said(&open).contains(PASSWORD), "{}", said(&open));
}

/// A server that asks for the password and refuses it, as PostgreSQL does: its port.
fn refusing_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = listener.local_addr().expect("it has an address").port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut bytes = [0; 1024];
            // The start-up message; AuthenticationCleartextPassword; the password; the refusal.
            let refusal = b"SFATAL\0C28P01\0Mpassword authentication failed for user \"me\"\0\0";
            let len = u32::try_from(refusal.len() + 4).expect("it is short");
            let _ = client.read(&mut bytes);
            let _ = client.write_all(b"R\0\0\0\x08\0\0\0\x03");
            let _ = client.read(&mut bytes);
            let _ = client.write_all(&[&b"E"[..], &len.to_be_bytes(), refusal].concat());
        }
    });
    port
}

/// A table that tells of values wherever it can.
const TELLTALE: &str = "
    create table others (name text primary key);
    create table t (
        id integer primary key, checked text check (checked is null), reference text references others,
        single text, raised text, exclude using hash (single with =));
    create function tell() returns trigger language plpgsql as $$ begin
        raise notice 'notice %', new;
        raise warning 'warning %', new;
        if new.raised like 'own%' then
            raise exception using errcode = 'UE001', message = new.raised, detail = new::text;
        elsif new.raised is not null then
            raise exception 'raised % %', new.raised, new;
        end if;
        return new; end $$;
    create trigger tell before insert on t for each row execute function tell();
";

#[tokio::test]
async fn the_content_of_records_shows_only_where_it_is_asked_for() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(TELLTALE).await;
    let toml = "[stream.t]\nfiles = 't*.csv'\nmax_dead_letters = 3\nmax_record_bytes = '4KiB'\n";
    fs::write(folder.path().join("streams.toml"), toml).unwrap();
    let long = VALUE.repeat(1000);
    let text = [
        "id,checked,reference,single,raised",
        &format!("{VALUE},,,,"),
        &format!("1,{VALUE},,,"),
        &format!("2,,{VALUE},,"),
        &format!("3,,,{VALUE},"),
        &format!("4,,,{VALUE},"),
        &format!("5,,,,{VALUE}"),
        &format!("6,,,,own {VALUE}"),
        &format!("7,,,,{long}"),
        &format!("{VALUE},{VALUE}"),
        &format!("8,\"{VALUE}\"x,,,"),
        &format!("9,,,,\"{VALUE}"),
    ];
    fs::write(folder.path().join("t1.csv"), text.join("\n")).unwrap();
    fs::write(folder.path().join("t2.csv"), format!("{VALUE} 1,{VALUE}@example.com\n1,2\n"))
        .unwrap();
    fs::write(folder.path().join("t3.csv"), format!("id,\"{VALUE}\n1,2\n")).unwrap();
    let run = |args: &[&str]| {
        let mut command = streamer(folder.path(), args);
        Ended::of(command.env("DATABASE_URL", db.url()).env("RUST_LOG", "trace"))
    };
    let mut all = String::new();
    for (args, code) in [
        (&["run", "--available-now"][..], 1),
        (&["run", "--available-now", "--log-format", "json"], 1),
        (&["status", "--all"], 0),
        (&["retry-file", "t1.csv"], 0),
        (&["run", "--available-now"], 1),
        (&["dead-letters", "retry", "--all"], 3),
        (&["dead-letters", "discard", "1"], 0),
        (&["migrate"], 0),
        (&["--help"], 0),
    ] {
        all += &said(&run(args).expect(code));
    }
    let state = "select state from streamer.checkpoint where partition = 't1.csv'";
    assert_eq!(db.rows(state).await, ["done"]);
    let letters = "select count(*) from streamer.dead_letter where convert_from(raw, 'UTF8') like '%canaryvalue%'";
    assert!(db.number(letters).await >= 9, "the records were refused");
    assert!(!all.contains(VALUE), "{all}");
    let shown = run(&["dead-letters", "show", "2"]).expect(0).stdout;
    assert!(shown.contains(VALUE), "{shown}");

    let mut command = streamer(folder.path(), &["run"]);
    let url = db.url().replace("//streamer@", &format!("//streamer:{PASSWORD}@"));
    let running = Running::start(command.env("DATABASE_URL", url).env("RUST_LOG", "debug"));
    running.wait_for_log("not loaded");
    let line = running.command_line();
    assert!(line.contains("streamer") && !line.contains(PASSWORD), "{line}");
    assert_eq!(running.terminate().0, Some(0));
}

#[tokio::test]
async fn what_a_trigger_raises_to_be_tried_again_is_told_without_its_words() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute(
        "create table t (note text);
         create function later() returns trigger language plpgsql as $$ begin
             raise serialization_failure using message = new.note; end $$;
         create trigger later before insert on t for each row execute function later();",
    )
    .await;
    fs::write(folder.path().join("streams.toml"), "[stream.t]\nfiles = 't*.csv'\n").unwrap();
    fs::write(folder.path().join("t.csv"), format!("note\n{VALUE}\n")).unwrap();
    let mut command = streamer(folder.path(), &["run"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    let told = running.wait_for_log("raises SQLSTATE 40001");
    assert!(!told.contains(VALUE), "{told}");
    db.execute("drop trigger later on t").await;
    db.wait_for("select count(*) from t", 1).await;
    assert_eq!(running.terminate().0, Some(0));
}
