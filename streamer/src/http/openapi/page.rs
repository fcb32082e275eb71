//! What pages ask for.

use serde_json::{Map, Value, json};

use super::{MISDIRECTED, later, refused};

/// The paths of the page's data.
pub(super) fn paths() -> Map<String, Value> {
    let stream = in_path("stream", "string");
    let rollup = in_path("rollup", "string");
    let id = in_path("id", "integer");
    let mut windows = in_query("windows", "integer");
    (windows["schema"]["minimum"], windows["schema"]["maximum"]) = (json!(1), json!(240));
    let mut by = in_query("by", "string");
    by["description"] = json!("The aggregate by which keys are the largest");
    let of_stream = in_query("stream", "string");
    let mut needed = in_query("stream", "string");
    needed["required"] = json!(true);
    let alike = in_query("alike", "string");
    let (last_id, first_id) = (in_query("last_id", "integer"), in_query("first_id", "integer"));
    let missing = ("404", refused("No such thing, or none that may be seen"));
    let away = ("503", later("The database does not answer"));
    let wrong = ("400", refused("A parameter that is none"));
    let mut live = get(
        "What the page shows, as it happens: `history`, then a `frame` each second",
        &[],
        &[("503", later("Too many event streams are open"))],
    );
    live["get"]["responses"]["200"]["content"] =
        json!({"text/event-stream": {"schema": {"type": "string"}}});
    let paths = [
        ("/api/live", live),
        ("/api/overview", get("What the page shows now", &[], &[])),
        ("/api/session", session()),
        (
            "/api/streams/{stream}",
            get(
                "Files, totals and newest rows of a stream, and its rollups",
                &[&stream],
                &[missing.clone(), away.clone()],
            ),
        ),
        (
            "/api/streams/{stream}/rollups/{rollup}",
            get(
                "The last windows of a rollup by key; of one without windows, its largest keys",
                &[&stream, &rollup, &windows, &by],
                &[wrong.clone(), missing.clone(), away.clone()],
            ),
        ),
        (
            "/api/dead-letters",
            get(
                "Refused records, by column and reason",
                &[&of_stream],
                &[wrong, missing.clone(), away.clone()],
            ),
        ),
        (
            "/api/dead-letters/exports",
            get(
                "The files that refused records can be exported to, one for each header",
                &[&needed, &alike, &last_id, &first_id],
                &[("400", refused("A parameter that is none")), missing.clone(), away.clone()],
            ),
        ),
        (
            "/api/dead-letters/export",
            export(&[&needed, &alike, &last_id, &first_id], &missing, &away),
        ),
        ("/api/dead-letters/{id}", get("A refused record", &[&id], &[missing, away.clone()])),
        ("/api/dictionary", get("Tables, rollups and views with their comments", &[], &[away])),
    ];
    paths.into_iter().map(|(path, what)| (path.to_owned(), what)).collect()
}

fn in_path(name: &str, kind: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": kind}})
}

fn in_query(name: &str, kind: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": kind}})
}

/// Refused records as a file.
fn export(parameters: &[&Value], missing: &(&str, Value), away: &(&str, Value)) -> Value {
    let many = ("409", refused("They have different headers: name the first of them"));
    let wrong = ("400", refused("A parameter that is none"));
    let summary = "Refused records as they stood, under their header";
    let mut export = get(summary, parameters, &[wrong, many, missing.clone(), away.clone()]);
    export["get"]["responses"]["200"]["content"] =
        json!({"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}});
    export
}

/// A question that whoever may see the page may ask.
fn get(summary: &str, parameters: &[&Value], more: &[(&str, Value)]) -> Value {
    let mut responses = json!({
        "200": {"description": "As it is", "content": {"application/json": {"schema": {"type": "object"}}}},
        "401": refused("No token, no login, or a wrong one"),
        "403": refused("A web page of another server"),
        "421": refused(MISDIRECTED)
    });
    for (status, response) in more {
        responses[*status] = response.clone();
    }
    json!({"get": {
        "summary": summary,
        "security": [{}, {"token": []}],
        "parameters": parameters,
        "responses": responses
    }})
}

/// What everybody may ask.
fn session() -> Value {
    let mut session = get("What whoever asks may do", &[], &[]);
    if let Some(responses) = session["get"]["responses"].as_object_mut() {
        responses.remove("401");
    }
    session
}
