//! Which dead letters a page means, as it stands in an address or a body.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use crate::ledger::dead_letter::{Alike, Which};

/// Which open dead letters of a stream are meant.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    pub(super) stream: String,
    /// As `alike` of a group: JSON, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    alike: Option<String>,
    /// Those up to this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_id: Option<i64>,
    /// Only of an export: those that have the same header as this one, which is the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_id: Option<i64>,
}

impl Chosen {
    /// What the reasons of those that are meant have in common.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn alike(&self) -> Result<Option<Alike>, Refusal> {
        let parsed = self.alike.as_deref().map(serde_json::from_str).transpose();
        let message = "alike is not that of a group of dead letters";
        parsed.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, message))
    }

    pub(super) fn which<'w>(&'w self, alike: Option<&'w Alike>) -> Which<'w> {
        let (stream, last_id) = (Some(self.stream.as_str()), self.last_id);
        Which { stream, alike, last_id, ..Which::default() }
    }

    /// Where those of them are exported that have the header of the letter `first_id`.
    pub(super) fn href(&self, first_id: i64) -> String {
        let Chosen { stream, alike, last_id, .. } = self;
        let mut href = format!("/api/dead-letters/export?stream={}", encoded(stream));
        if let Some(alike) = alike {
            href += &format!("&alike={}", encoded(alike));
        }
        if let Some(last_id) = last_id {
            href += &format!("&last_id={last_id}");
        }
        href + &format!("&first_id={first_id}")
    }
}

/// A text as it stands in an address.
fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-~".contains(&byte);
    let letters = text.bytes().map(|byte| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_back_to_what_was_chosen() {
        let alike = Some(r#"{"column":null,"sqlstate":"22P04","reason":"a&b"}"#.to_owned());
        let chosen = Chosen { stream: "a b&é".into(), alike, last_id: Some(9), first_id: None };
        let href = chosen.href(7);
        assert!(href.contains("?stream=a%20b%26%C3%A9&alike=%7B%22column%22%3Anull"), "{href}");
        assert!(href.ends_with("&last_id=9&first_id=7"), "{href}");
        assert_eq!(chosen.alike().unwrap().unwrap().reason, "a&b");
        let wrong = Chosen { alike: Some("{}".into()), ..chosen };
        assert!(wrong.alike().is_err());
    }
}
