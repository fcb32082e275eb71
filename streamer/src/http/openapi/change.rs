//! What changes something by the page.

use serde_json::{Map, Value, json};

use super::{MISDIRECTED, later, refused};

/// The paths.
pub(super) fn paths() -> Map<String, Value> {
    let text = json!({"type": "string"});
    let chosen = json!({
        "type": "object",
        "required": ["stream"],
        "additionalProperties": false,
        "properties": {
            "stream": text,
            "alike": {"type": "string", "description": "As of a group of /api/dead-letters; else all of the stream"},
            "last_id": {"type": "integer", "description": "Only those up to this number"}
        }
    });
    let login = json!({"oneOf": [one_text("token"), one_text("code")]});
    let missing = ("404", refused("No such stream, or none that may be changed"));
    let busy = ("409", refused("Dead letters are being retried or discarded already"));
    let away = ("503", later("The database does not answer, or refuses it; with what to do"));
    let change = [missing, busy, away];
    let by_token = json!([{"token": []}]);
    let retry = "Tries dead letters again, with the table and the settings as they are now";
    let discard = "Gives dead letters up";
    let logout = "Ends the session of whoever asks";
    let paths = [
        ("/api/dead-letters/retry", post(retry, "200", Some(&chosen), &by_token, &change)),
        ("/api/dead-letters/discard", post(discard, "200", Some(&chosen), &by_token, &change)),
        (
            "/api/login",
            post(
                "Makes a token, or the code in the log, a session",
                "204",
                Some(&login),
                &json!([]),
                &[],
            ),
        ),
        ("/api/logout", post(logout, "204", None, &json!([]), &[])),
    ];
    paths.into_iter().map(|(path, what)| (path.to_owned(), what)).collect()
}

/// A request by a page, or by a token.
fn post(
    summary: &str,
    done: &str,
    body: Option<&Value>,
    security: &Value,
    more: &[(&str, Value)],
) -> Value {
    let mut responses = json!({
        "401": refused("No token and no login, or a wrong one"),
        "403": refused("Not by a page of this server: it lacks the header X-Streamer-Page"),
        "421": refused(MISDIRECTED)
    });
    responses[done] = match done {
        "204" => json!({"description": "It is done"}),
        _ => json!({
            "description": "What became of them",
            "content": {"application/json": {"schema": {"type": "object"}}}
        }),
    };
    for (status, response) in more {
        responses[*status] = response.clone();
    }
    let mut post = json!({
        "summary": summary,
        "security": security,
        "parameters": [{
            "name": "X-Streamer-Page", "in": "header",
            "description": "By a page: 1. Not needed with a token",
            "schema": {"type": "string"}
        }],
        "responses": responses
    });
    match body {
        Some(body) => {
            post["requestBody"] =
                json!({"required": true, "content": {"application/json": {"schema": body}}});
            post["responses"]["400"] = refused("Not the object that is needed");
        }
        // It needs no login to have none.
        None => drop(post["responses"].as_object_mut().and_then(|all| all.remove("401"))),
    }
    json!({"post": post})
}

fn one_text(name: &str) -> Value {
    json!({
        "type": "object",
        "required": [name],
        "additionalProperties": false,
        "properties": {name: {"type": "string"}}
    })
}
