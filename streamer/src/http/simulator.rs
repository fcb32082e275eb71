//! `POST /send_emoji`: one reaction, as the page's simulator and scripts send it. It is there only
//! where the settings have `simulator = true`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::{App, Entry, auth, body, events, origin};
use crate::batch::Counts;
use crate::config::Dataset;
use crate::memory::{Held, Share};
use crate::receiver::records;
use crate::spool::{Append, Receipt, SpoolError};

/// What a reaction must have.
const FIELDS: [&str; 3] = ["user_id", "emoji_type", "timestamp"];

/// The routes of the simulator.
pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router.route("/send_emoji", post(send_emoji).options(origin::preflight))
}

async fn send_emoji(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let entry = checked_entry(&app, &headers)?;
    let waits = events::waits(query.as_deref())?;
    let taken = body::take(&app, &headers, body, 1).await?;
    let reaction = reaction(&taken.bytes)?;
    let wrong =
        |error: records::RecordsError| Refusal::new(StatusCode::BAD_REQUEST, error.to_string());
    let made = records::json(reaction.to_string().as_bytes()).map_err(wrong)?;
    let receipt = hand_in(&app, entry, made, taken.share, waits).await?;
    if let Some(outcome) = receipt.outcome
        && let Some(Counts { rows, duplicates, dead_letters, .. }) =
            events::committed(&app, outcome).await
    {
        return Ok(Json(json!({
            "status": "committed", "accepted": 1,
            "rows": rows, "duplicates": duplicates, "dead_letters": dead_letters,
        }))
        .into_response());
    }
    Ok(Json(json!({"status": "queued", "accepted": 1})).into_response())
}

/// The stream that the simulator sends to.
///
/// # Errors
/// There is no simulator.
pub(super) fn entry(app: &App) -> Result<&Entry, Refusal> {
    let of_emoji = |entry: &&Entry| entry.stream.dataset == Some(Dataset::EmojiReactions);
    let entry = app.entries.values().find(of_emoji).filter(|_| app.settings.simulator);
    let missing = "there is no simulator: it needs simulator = true, and a stream of the dataset \
                   emoji_reactions";
    entry.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, missing))
}

/// The same, for one who may send.
///
/// # Errors
/// There is no simulator, or whoever asks may not send.
pub(super) fn checked_entry<'a>(app: &'a App, headers: &HeaderMap) -> Result<&'a Entry, Refusal> {
    let entry = entry(app)?;
    check_sender(app, headers, entry)?;
    Ok(entry)
}

/// Hands records in, in the memory of `share`, if there is room for them.
///
/// # Errors
/// There is none, or the stream's table is not known yet.
pub(super) async fn hand_in(
    app: &App,
    entry: &Entry,
    made: records::Records,
    share: Share,
    waits: bool,
) -> Result<Receipt, Refusal> {
    if !entry.spool.is_open() {
        let message = "the stream's table is not known yet";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).later());
    }
    entry.spool.check_room().map_err(full)?;
    let records::Records { content, bytes, count, .. } = made;
    let bytes = Arc::new(Held::new(bytes, Some(share)));
    let append = Append { content, bytes, records: count, key: None, waits };
    let receipt = entry.spool.append(append).await.map_err(full)?;
    app.metrics.note_accepted(&entry.stream.name, receipt.records);
    Ok(receipt)
}

/// Whether whoever sends may: with a token or a login, or, where the page is open, as a page of this
/// server or as no page at all.
fn check_sender(app: &App, headers: &HeaderMap, entry: &Entry) -> Result<(), Refusal> {
    let by_token = auth::shows_one(headers, &entry.tokens);
    let is_no_page = !headers.contains_key("sec-fetch-site") && !headers.contains_key("origin");
    let is_open = app.is_open_to(headers) && is_no_page && origin::is_own_or_none(headers);
    if by_token || is_open || app.page_may_post(headers, entry) {
        return Ok(());
    }
    app.metrics.note_unauthorized();
    Err(auth::refusal())
}

/// The reaction that a body holds.
fn reaction(bytes: &[u8]) -> Result<Value, Refusal> {
    let wrong = |message: String| Refusal::new(StatusCode::BAD_REQUEST, message);
    let Ok(Value::Object(given)) = serde_json::from_slice(bytes) else {
        return Err(wrong(format!("one JSON object is needed, with {}", FIELDS.join(", "))));
    };
    let is_missing = |name: &&&str| given.get(**name).is_none_or(Value::is_null);
    let missing: Vec<&str> = FIELDS.iter().filter(is_missing).copied().collect();
    if !missing.is_empty() {
        return Err(wrong(format!("it lacks {}", missing.join(", "))));
    }
    let unknown = given.keys().find(|name| !FIELDS.contains(&name.as_str()));
    if unknown.is_some() {
        return Err(wrong(format!("it has more than {}", FIELDS.join(", "))));
    }
    Ok(Value::Object(given))
}

fn full(error: SpoolError) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).later()
}
