//! The description of the server, for programs. A test sees to it that each status in it does
//! occur.

mod change;
mod page;
mod simulator;

use serde_json::{Value, json};

/// The description, with the names of the streams there are, as far as they are told. `is_open`
/// says that some stream asks for no token, `is_locked` that some does, `has_page` that pages are
/// served.
pub(super) fn description(
    streams: &[&str],
    is_open: bool,
    is_locked: bool,
    has_page: bool,
) -> Value {
    let mut description = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Streamer",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Takes events into PostgreSQL, each exactly once.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"}
        },
        "paths": {
            "/streams/{stream}/events": {"post": post(streams, is_open, is_locked)},
            "/healthz": {"get": plain("Whether the process is there", "It is")},
            "/readyz": {"get": ready()},
            "/metrics": {"get": {
                "summary": "What was counted, for Prometheus",
                "responses": {"200": {
                    "description": "By the conventions of OpenMetrics",
                    "content": {"application/openmetrics-text": {"schema": {"type": "string"}}}
                }, "401": refused("Another machine asks without a token"),
                "403": refused("A web page that is not listed"), "421": refused(MISDIRECTED)}
            }},
            "/openapi.json": {"get": plain("This description", "It")}
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Refusal": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {"type": "string"}}
            }}
        }
    });
    if let Some(paths) = description["paths"].as_object_mut()
        && has_page
    {
        paths.extend(page::paths());
        paths.extend(simulator::paths());
        paths.extend(change::paths());
    }
    description
}

const MISDIRECTED: &str =
    "Asked for under a name that is not this machine's, which alone is served";

fn post(streams: &[&str], is_open: bool, is_locked: bool) -> Value {
    let ways = [(is_open, json!({})), (is_locked, json!({"token": []}))];
    let security: Vec<Value> = ways.into_iter().filter_map(|(is, way)| is.then_some(way)).collect();
    let count = json!({"type": "integer", "minimum": 0});
    let stream_name = match streams {
        [] => json!({"type": "string"}),
        names => json!({"type": "string", "enum": names}),
    };
    json!({
        "summary": "Takes events",
        "description": "Takes all of them or none. What is repeated under the same Idempotency-Key within a day \
                        is stored once. A body may be packed, which the header Content-Encoding: gzip then says.",
        "security": security,
        "parameters": [
            {
                "name": "stream", "in": "path", "required": true,
                "schema": stream_name
            },
            {
                "name": "wait", "in": "query",
                "description": "Answer once the events are in the table, or after 60 s",
                "schema": {"type": "string", "enum": ["commit"]}
            },
            {
                "name": "Idempotency-Key", "in": "header",
                "description": "Events sent again under it are stored once, whichever streamer takes them",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255}
            }
        ],
        "requestBody": {"required": true, "content": content()},
        "responses": {
            "200": {
                "description": "They are in the table, were there before, or are dead letters",
                "content": {"application/json": {"schema": {
                    "type": "object",
                    "required": ["accepted"],
                    "properties": {
                        "accepted": count, "rows": count, "duplicates": count, "dead_letters": count,
                        "repeated": {"type": "boolean"}
                    }
                }}}
            },
            "202": {
                "description": "They are synced to disk",
                "content": {"application/json": {"schema": {
                    "type": "object",
                    "required": ["accepted"],
                    "properties": {"accepted": count, "repeated": {"type": "boolean"}}
                }}}
            },
            "400": refused("A record that is none, a header that does not fit the table, or a wrong parameter"),
            "401": refused("No token, or a wrong one"),
            "403": refused("A web page that is not listed"),
            "404": refused("No such stream"),
            "408": refused("The body came too slowly"),
            "413": refused("The body is too large"),
            "415": refused("Another Content-Type or Content-Encoding"),
            "421": refused(MISDIRECTED),
            "422": refused("The Idempotency-Key was used for other events"),
            "429": later("Too much waits to be committed"),
            "503": later("The table is not known yet, or the disk is full")
        }
    })
}

fn content() -> Value {
    let event = json!({"type": "object", "description": "Keys are the columns' names"});
    json!({
        "application/json": {"schema": {"oneOf": [event, {"type": "array", "items": event}]}},
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "A JSON object on each line"}
        },
        "text/csv": {
            "schema": {"type": "string", "description": "CSV (RFC 4180) with a header line"}
        }
    })
}

fn plain(summary: &str, description: &str) -> Value {
    json!({
        "summary": summary,
        "responses": {"200": {
            "description": description,
            "content": {"application/json": {"schema": {"type": "object"}}}
        }, "403": refused("A web page that is not listed"), "421": refused(MISDIRECTED)}
    })
}

fn ready() -> Value {
    let does = "They do, of some stream at least; `ailments` names what keeps others from it, to \
                whoever may know the streams";
    let mut ready = plain("Whether events are taken and go into their tables", does);
    ready["responses"]["503"] = later("Not now");
    ready
}

fn refused(description: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    })
}

fn later(description: &str) -> Value {
    let mut refused = refused(description);
    refused["headers"] = json!({"Retry-After": {"schema": {"type": "integer"}}});
    refused
}
