//! Dead letters by the page: only who has logged in may retry or discard them, those of its
//! streams, and what came meanwhile is left alone; an export is the header and the records as they
//! stood.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Answer, Http, Running, TestDb, folder, streamer};

const TOKEN: &str = "canary-0123456789abcdef0123456789abcdef";
const OTHER: &str = "another-0123456789abcdef0123456789abcdef";
const OF_PAGE: (&str, &str) = ("X-Streamer-Page", "1");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn start(folder: &Path, db: &TestDb) -> Running {
    fs::write(folder.join("token"), OTHER).unwrap();
    let settings = "[server]\nopen_page = true\n[stream.a]\nfiles = 'a*.csv'\ntable = 'pairs'\n\
                    [stream.b]\nfiles = 'b*.csv'\ntable = 'pairs'\ntoken_file = 'token'\n";
    fs::write(folder.join("streams.toml"), settings).unwrap();
    let mut command = streamer(folder, &["run", "--listen", "127.0.0.1:0", "--every", "0s"]);
    Running::start(command.env("DATABASE_URL", db.url()).env("STREAMER_TOKEN", TOKEN))
}

/// The cookie of a session that the token opens.
fn cookie(http: Http, token: &str) -> String {
    let body = format!(r#"{{"token": "{token}"}}"#);
    let answer = http.post_with("/api/login", &[OF_PAGE, JSON], body.as_bytes()).expect(204);
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn post(http: Http, what: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let path = format!("/api/dead-letters/{what}");
    http.post_with(&path, &[headers, &[JSON]].concat(), body.to_string().as_bytes())
}

/// The groups of a stream, those of a column only.
fn group(http: Http, stream: &str, column: &Value) -> Value {
    let view = http.get(&format!("/api/dead-letters?stream={stream}")).expect(200).json();
    let groups = view["groups"].as_array().unwrap();
    groups.iter().find(|group| group["column"] == *column).cloned().expect("there is such a group")
}

#[tokio::test]
async fn letters_are_retried_and_discarded_by_who_has_logged_in_and_only_what_was_seen() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table pairs (id integer primary key, note text check (note <> 'bad'))")
        .await;
    // Two for the check, of which one has a wrong number, too; one of the other stream.
    fs::write(folder.path().join("a.csv"), "id,note\n1,bad\n2,bad\nx,fine\n").unwrap();
    fs::write(folder.path().join("b.csv"), "note,id\nbad,3\n").unwrap();
    let running = start(folder.path(), &db);
    let http = Http::ready(&running);
    let open = "select count(*) from streamer.dead_letter where resolved_at is null";
    db.wait_for(open, 4).await;
    let seen = group(http, "a", &Value::Null);
    assert_eq!((&seen["count"], &seen["sqlstate"]), (&2.into(), &"23514".into()));
    let body = json!({"stream": "a", "alike": seen["alike"], "last_id": seen["last_id"]});
    // That the page is open is not enough, nor is a login without the page's header.
    let session = cookie(http, TOKEN);
    let with = [("Cookie", session.as_str()), OF_PAGE];
    for what in ["retry", "discard"] {
        post(http, what, &[OF_PAGE], &body).expect(401);
        post(http, what, &with[..1], &body).expect(403);
        post(http, what, &[with[0], OF_PAGE, ("Sec-Fetch-Site", "cross-site")], &body).expect(403);
        let narrow = cookie(http, OTHER);
        post(http, what, &[("Cookie", &narrow), OF_PAGE], &body).expect(404);
        post(http, what, &with, &json!({"stream": "no"})).expect(404);
        post(http, what, &with, &json!({"stream": "a", "alike": "{}"})).expect(400);
        post(http, what, &with, &json!({"stream": "a", "first_id": 1})).expect(400);
    }
    assert_eq!(db.number(open).await, 4, "nothing was done");
    // What came since the page was read is left alone.
    fs::write(folder.path().join("a2.csv"), "id,note\n9,bad\n").unwrap();
    db.wait_for(open, 5).await;
    let none = post(http, "retry", &with, &body).expect(200).json();
    assert_eq!(none, json!({"rows": 0, "duplicates": 0, "dead_letters": 2}));
    db.execute("alter table pairs drop constraint pairs_note_check").await;
    let rows = post(http, "retry", &with, &body).expect(200).json();
    assert_eq!(rows, json!({"rows": 2, "duplicates": 0, "dead_letters": 0}));
    assert_eq!(db.rows("select id from pairs order by id").await, ["1", "2"]);
    let again = post(http, "retry", &with, &body).expect(200).json();
    assert_eq!(again, json!({"rows": 0, "duplicates": 0, "dead_letters": 0}));
    let of = |column: &str| {
        let group = group(http, "a", &column.into());
        json!({"stream": "a", "alike": group["alike"], "last_id": group["last_id"]})
    };
    // What is told afterwards is of afterwards; a token in the header does, too.
    let bearer = format!("Bearer {TOKEN}");
    let discarded = post(http, "discard", &[("Authorization", &bearer)], &of("id")).expect(200);
    assert_eq!(discarded.json(), json!({"discarded": 1}));
    let left = "select stream || ' ' || start_offset from streamer.dead_letter
                 where resolved_at is null order by 1";
    assert_eq!(db.rows(left).await, ["a 8", "b 8"]);
    let view = http.get("/api/dead-letters").expect(200).json();
    assert_eq!([&view["open"], &view["retried"], &view["discarded"]], [2, 2, 1]);
    // A retry that the database refuses says what to do, and leaves all as it is.
    db.execute("alter table pairs rename to former").await;
    let refused = post(http, "retry", &with, &json!({"stream": "b"})).expect(503).json();
    assert!(refused["error"].as_str().unwrap().contains("there is no table pairs"), "{refused}");
    assert_eq!(db.number(open).await, 2);
}

#[tokio::test]
async fn an_export_is_streamed_as_the_command_writes_it() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("create table pairs (id integer primary key, note text)").await;
    let long = "y".repeat(30_000);
    let bad = |n: u32| format!("x{n},\"{n},\n{long}\"\n");
    let records: String = (0..200).map(bad).collect();
    fs::write(folder.path().join("a \"1\".csv"), format!(" id,note\n{records}")).unwrap();
    fs::write(folder.path().join("a2.csv"), "note,id\nn,z\n").unwrap();
    let running = start(folder.path(), &db);
    let http = Http::ready(&running);
    db.wait_for("select count(*) from streamer.dead_letter", 201).await;
    let view = http.get("/api/dead-letters/exports?stream=a").expect(200).json();
    let files = view["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a \"1\".dead-letters.csv", "a2.dead-letters.csv"]);
    assert_eq!((&files[0]["records"], &files[0]["cut"]), (&200.into(), &0.into()));
    let href = |at: usize| files[at]["href"].as_str().unwrap().to_owned();
    // By HTTP/1.0 the body comes as it is, and its end is that of the connection.
    let whole = |href: &str| {
        let port = http.port;
        let head = format!("GET {href} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        http.raw(head.as_bytes()).unwrap().expect(200)
    };
    let answer = whole(&href(0));
    assert_eq!(answer.header("content-length"), None, "it is not held as a whole");
    let disposition = answer.header("content-disposition").unwrap();
    assert_eq!(disposition, "attachment; filename=\"a__1_.dead-letters.csv\"");
    assert!(answer.body == format!(" id,note\n{records}"), "{} bytes", answer.body.len());
    assert_eq!(whole(&href(1)).body, "note,id\nn,z\n");
    // One file has one header; a group is part of a file.
    http.get("/api/dead-letters/export?stream=a").expect(409);
    http.get("/api/dead-letters/export?stream=b").expect(404);
    http.get("/api/dead-letters/export?stream=no").expect(404);
    http.get("/api/dead-letters/export?stream=a&more=1").expect(400);
    http.get("/api/dead-letters/exports?stream=a&alike=no").expect(400);
}
