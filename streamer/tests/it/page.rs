//! Who may see the page, and who may post by it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Answer, Http, Running, TestDb, folder, streamer};

const TOKEN: &str = "canary-0123456789abcdef0123456789abcdef";
const OTHER: &str = "another-0123456789abcdef0123456789abcdef";
const OF_PAGE: (&str, &str) = ("X-Streamer-Page", "1");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const EMOJI: &str = r#"{"user_id": 1, "emoji_type": "fire", "timestamp": "2026-11-30T12:00:00Z"}"#;

/// A streamer with a token for all, one for `own` alone, and these settings of the server.
fn start(folder: &Path, db: &TestDb, listen: &str, settings: &str) -> Running {
    fs::write(folder.join("token"), OTHER).unwrap();
    let text = format!(
        "[server]\n{settings}\n[stream.emoji_reactions]\nfiles = 'e*.csv'\n\
         dataset = 'emoji_reactions'\n[stream.own]\nfiles = 'o*.csv'\ntoken_file = 'token'\n"
    );
    fs::write(folder.join("streams.toml"), text).unwrap();
    let mut command = streamer(folder, &["run", "--listen", listen, "--every", "0s"]);
    Running::start(command.env("DATABASE_URL", db.url()).env("STREAMER_TOKEN", TOKEN))
}

async fn db() -> TestDb {
    let db = TestDb::create().await;
    db.execute("create table own (n int)").await;
    db
}

fn post(http: Http, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    http.post_with(path, &[headers, &[JSON]].concat(), body.as_bytes())
}

fn get(http: Http, path: &str, headers: &[(&str, &str)]) -> Answer {
    http.ask("GET", path, headers, b"").unwrap()
}

fn streams(answer: Answer) -> Vec<String> {
    let json = answer.expect(200).json();
    let streams = json["streams"].as_array().unwrap();
    streams.iter().map(|one| one["stream"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_page_is_there_and_its_policy_lets_it_load_nothing_from_elsewhere() {
    let (db, folder) = (db().await, folder());
    let running = start(folder.path(), &db, "127.0.0.1:0", "");
    let http = Http::ready(&running);
    let page = http.get("/").expect(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "trusted-types lit-html"] {
        assert!(policy.contains(part), "{policy}");
    }
    // All that it names is there, of the type that it needs.
    let named = page
        .body
        .split(['"', '\''])
        .filter(|name| [".js", ".css", ".svg"].iter().any(|ending| name.ends_with(ending)));
    let named: Vec<&str> = named.collect();
    assert!(named.len() >= 3, "{named:?}");
    for name in named {
        let file = http.get(name).expect(200);
        let kind = file.header("content-type").unwrap();
        let ending = name.rsplit('.').next().unwrap();
        let expected = [("js", "text/javascript"), ("css", "text/css"), ("svg", "image/svg+xml")];
        assert!(expected.iter().any(|(of, is)| *of == ending && kind.starts_with(is)), "{kind}");
        let tag = file.header("etag").unwrap().to_owned();
        let again = get(http, name, &[("If-None-Match", &tag)]);
        assert_eq!((again.status, again.body.as_str()), (304, ""));
    }
    // What is no page keeps the policy that allows nothing.
    let api = http.get("/api/overview").expect(200);
    let policy = api.header("content-security-policy").unwrap();
    assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
}

#[tokio::test]
async fn beyond_loopback_it_takes_a_token_which_opens_its_streams_only() {
    let (db, folder) = (db().await, folder());
    let running = start(folder.path(), &db, "0.0.0.0:0", "");
    let http = Http::ready(&running);
    http.get("/").expect(200);
    for path in ["/api/live", "/api/overview"] {
        http.get(path).expect(401);
    }
    let session = http.get("/api/session").expect(200).json();
    assert_eq!((&session["open"], &session["logged_in"]), (&false.into(), &false.into()));
    let bearer = format!("Bearer {OTHER}");
    let own = [("Authorization", bearer.as_str())];
    assert_eq!(streams(get(http, "/api/overview", &own)), ["own"]);
    // A login needs the page's header, and the right token.
    let login = |headers: &[(&str, &str)], with: &str| post(http, "/api/login", headers, with);
    let good = format!(r#"{{"token": "{TOKEN}"}}"#);
    login(&[], &good).expect(403);
    login(&[OF_PAGE, ("Sec-Fetch-Site", "cross-site")], &good).expect(403);
    login(&[OF_PAGE], r#"{"token": "wrong"}"#).expect(401);
    let answer = login(&[OF_PAGE], &good).expect(204);
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", &format!("streamer_{}=", http.port)] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(TOKEN));
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let with = [("Cookie", cookie.as_str())];
    assert_eq!(streams(get(http, "/api/overview", &with)), ["emoji_reactions", "own"]);
    // It may post to what it sees, as a page.
    let events = "/streams/own/events?wait=commit";
    post(http, events, &with, r#"{"n": 1}"#).expect(401);
    post(http, events, &[with[0], OF_PAGE], r#"{"n": 1}"#).expect(200);
    // The stream's token opens that stream.
    let answer = login(&[OF_PAGE], &format!(r#"{{"token": "{OTHER}"}}"#)).expect(204);
    let narrow = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(streams(get(http, "/api/overview", &[("Cookie", &narrow)])), ["own"]);
    let events = "/streams/emoji_reactions/events";
    post(http, events, &[("Cookie", &narrow), OF_PAGE], EMOJI).expect(401);
    // After the logout it is as before.
    post(http, "/api/logout", &[with[0], OF_PAGE], "").expect(204);
    get(http, "/api/overview", &with).expect(401);
    let log = running.log().join("\n");
    assert!(!log.contains(TOKEN) && !log.contains(OTHER), "{log}");
}

#[tokio::test]
async fn the_code_in_the_log_opens_the_page_once() {
    let (db, folder) = (db().await, folder());
    let running = start(folder.path(), &db, "127.0.0.1:0", "open_page = false");
    let line = running.wait_for_log("/#/login/");
    let code = line.rsplit('/').next().unwrap().trim().to_owned();
    let port = line.split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap();
    let http = Http { port: port.parse().unwrap() };
    http.get("/api/overview").expect(401);
    let body = format!(r#"{{"code": "{code}"}}"#);
    let answer = post(http, "/api/login", &[OF_PAGE], &body).expect(204);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    get(http, "/api/overview", &[("Cookie", &cookie)]).expect(200);
    post(http, "/api/login", &[OF_PAGE], &body).expect(401);
}

#[tokio::test]
async fn an_open_page_may_send_events_of_datasets_and_nothing_else() {
    let (db, folder) = (db().await, folder());
    let settings = "simulator = true\nopen_page = true";
    let running = start(folder.path(), &db, "0.0.0.0:0", settings);
    let http = Http::ready(&running);
    let session: Value = http.get("/api/session").expect(200).json();
    assert_eq!((&session["open"], &session["may_post"]), (&true.into(), &true.into()));
    let events = "/streams/emoji_reactions/events?wait=commit";
    let own = format!("http://127.0.0.1:{}", http.port);
    post(http, events, &[OF_PAGE, ("Origin", &own)], EMOJI).expect(200);
    db.wait_for("select count(*) from emoji_reactions", 1).await;
    post(http, events, &[], EMOJI).expect(401);
    post(http, events, &[OF_PAGE, ("Origin", "http://evil.example")], EMOJI).expect(403);
    post(http, events, &[OF_PAGE, ("Sec-Fetch-Site", "cross-site")], EMOJI).expect(401);
    post(http, "/streams/own/events", &[OF_PAGE], r#"{"n": 1}"#).expect(401);
    // A name of somebody else's may lead here, too.
    for host in ["evil.example", "streamer:8080"] {
        get(http, "/api/overview", &[("Host", host)]).expect(401);
        post(http, events, &[OF_PAGE, ("Host", host)], EMOJI).expect(401);
    }
    get(http, "/api/overview", &[("Origin", "http://evil.example")]).expect(403);
    assert_eq!(db.number("select count(*) from own").await, 0);
}

#[tokio::test]
async fn an_emoji_is_sent_and_what_is_missing_is_named() {
    let (db, folder) = (db().await, folder());
    let running = start(folder.path(), &db, "127.0.0.1:0", "simulator = true");
    let http = Http::ready(&running);
    let sent = post(http, "/send_emoji?wait=commit", &[], EMOJI).expect(200).json();
    assert_eq!((&sent["status"], &sent["rows"]), (&"committed".into(), &1.into()));
    let again = post(http, "/send_emoji?wait=commit", &[OF_PAGE], EMOJI).expect(200).json();
    assert_eq!(again["duplicates"], 1);
    let other = EMOJI.replace("fire", "joy");
    assert_eq!(post(http, "/send_emoji", &[], &other).expect(200).json()["status"], "queued");
    db.wait_for("select count(*) from emoji_reactions", 2).await;
    let lacking =
        post(http, "/send_emoji", &[], r#"{"user_id": 1, "timestamp": null}"#).expect(400);
    assert_eq!(lacking.json()["error"], "it lacks emoji_type, timestamp");
    post(http, "/send_emoji", &[], "[]").expect(400);
    post(http, "/send_emoji", &[("Origin", "http://evil.example")], EMOJI).expect(403);
    post(http, "/send_emoji", &[("Sec-Fetch-Site", "cross-site")], EMOJI).expect(401);
    // Without the setting there is none.
    let folder = crate::support::folder();
    let running = start(folder.path(), &db, "127.0.0.1:0", "");
    let http = Http::ready(&running);
    post(http, "/send_emoji", &[], EMOJI).expect(404);
}
