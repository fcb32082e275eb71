//! What sends made-up events, and what tells committed rows.

use serde_json::{Map, Value, json};

use super::{MISDIRECTED, later, refused};
use crate::http::load_test::{BATCHES_PER_SECOND, DURATION_S};

/// The paths of the simulator, the load test, and the followed rows.
pub(super) fn paths() -> Map<String, Value> {
    let paths = [
        ("/send_emoji", json!({"post": send_emoji()})),
        ("/load_test", json!({"post": begin()})),
        ("/api/load_test", json!({"get": state(), "delete": end()})),
        ("/streams/{stream}/live", json!({"get": follow()})),
    ];
    paths.into_iter().map(|(path, what)| (path.to_owned(), what)).collect()
}

fn send_emoji() -> Value {
    // What is no value of its column is a dead letter, as in any other event.
    let value = json!({"not": {"type": "null"}});
    let reaction = json!({
        "type": "object",
        "required": ["user_id", "emoji_type", "timestamp"],
        "additionalProperties": false,
        "properties": {"user_id": value, "emoji_type": value, "timestamp": value}
    });
    let mut operation =
        operation("Takes one reaction", "200", "It is synced to disk, or committed");
    operation["parameters"] =
        json!([{"name": "wait", "in": "query", "schema": {"type": "string", "enum": ["commit"]}}]);
    operation["requestBody"] = body(&reaction);
    with(
        operation,
        &[
            ("400", refused("No reaction, or one that lacks something")),
            ("404", refused(NONE)),
            ("408", refused("The body came too slowly")),
            ("413", refused("The body is too large")),
            ("415", refused("Another Content-Encoding")),
            ("503", later("Too much waits to be committed, or the table is not known yet")),
        ],
    )
}

const NONE: &str = "There is no simulator";

fn begin() -> Value {
    let within =
        |(least, most): (u64, u64)| json!({"type": "integer", "minimum": least, "maximum": most});
    let load = json!({
        "type": "object",
        "required": ["duration", "batches_per_second"],
        "additionalProperties": false,
        "properties": {"duration": within(DURATION_S), "batches_per_second": within(BATCHES_PER_SECOND)}
    });
    let summary = "Begins a load test: batches of 10 to 100 reactions, for a duration in seconds";
    let mut operation = operation(summary, "202", "It has begun");
    operation["responses"]["202"]["headers"] = json!({"Location": {"schema": {"type": "string"}}});
    operation["requestBody"] = body(&load);
    with(
        operation,
        &[
            ("400", refused("What is asked for is not within the bounds")),
            ("404", refused(NONE)),
            ("408", refused("The body came too slowly")),
            ("409", refused("Another one runs, which is named")),
            ("413", refused("The body is too large")),
            ("415", refused("Another Content-Encoding")),
            ("503", later("There is no memory for the body now")),
        ],
    )
}

fn state() -> Value {
    let summary = "The load test that runs, or the last one, with what it has counted";
    with(operation(summary, "200", "`test` is null before the first"), &[("404", refused(NONE))])
}

fn end() -> Value {
    let mut end = operation("Ends the sending of a load test", "204", "It sends no more");
    end["responses"]["204"] = json!({"description": "It sends no more"});
    with(end, &[("404", refused("None runs"))])
}

fn follow() -> Value {
    let text = json!({"type": "string"});
    let summary = "The rows that this streamer commits from now on, as server-sent events";
    let mut follow =
        operation(summary, "200", "An event for each row, its `id` of micro-batch and number");
    follow["description"] = json!(
        "Each row at most once. Parameters where.COLUMN=VALUE, at most 8, leave only rows whose columns have \
         these values. What is not told, as after Last-Event-ID, is told by an event `gap`."
    );
    follow["responses"]["200"]["content"] = json!({"text/event-stream": {"schema": text}});
    follow["parameters"] = json!([
        {"name": "stream", "in": "path", "required": true, "schema": text},
        {"name": "Last-Event-ID", "in": "header", "schema": text}
    ]);
    with(
        follow,
        &[
            ("400", refused("A parameter that names no column")),
            ("404", refused("No such stream")),
            ("409", refused("The table has no index on batch_id")),
            ("503", later("Too many event streams are open, or the database does not answer")),
        ],
    )
}

fn body(schema: &Value) -> Value {
    json!({"required": true, "content": {"application/json": {"schema": schema}}})
}

/// What whoever may can ask.
fn operation(summary: &str, status: &str, description: &str) -> Value {
    json!({
        "summary": summary,
        "security": [{}, {"token": []}],
        "responses": {
            status: {
                "description": description,
                "content": {"application/json": {"schema": {"type": "object"}}}
            },
            "401": refused("No token, no login, or a wrong one"),
            "403": refused("A web page that is not listed"),
            "421": refused(MISDIRECTED)
        }
    })
}

fn with(mut operation: Value, more: &[(&str, Value)]) -> Value {
    for (status, response) in more {
        operation["responses"][*status] = response.clone();
    }
    operation
}
