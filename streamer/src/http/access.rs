//! Who may see what pages see, and who may post by them.
//!
//! With `open_page` whoever reaches the server under a name of this machine may read; else it takes
//! a token, in the header or by a login. A login makes a session: its cookie holds a random number,
//! never the token, and ends with the process. What a page posts must come from a page of this
//! server: a header of ours, which no other page can send without being asked for, and the
//! browser's own word.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::answer::Refusal;
use super::auth::{self, Token};
use super::origin;
use super::{App, Entry};
use crate::config::Stream;

/// For how long a session is good.
const SESSION: Duration = Duration::from_secs(12 * 3600);

/// How many sessions there are at most: the oldest goes.
const SESSIONS_MAX: usize = 1000;

/// For how long the code is good that is told at the start.
const CODE: Duration = Duration::from_secs(600);

/// The header that a page sends with what it posts.
const OF_PAGE: HeaderName = HeaderName::from_static("x-streamer-page");

/// What somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sees {
    /// Everything.
    All,
    /// These streams.
    Only(Arc<[String]>),
}

/// The sessions of those who have logged in.
#[derive(Debug)]
pub(super) struct Sessions {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sessions: HashMap<String, (Sees, Instant)>,
    /// The code that opens one session, and until when.
    code: Option<(String, Instant)>,
}

impl Sees {
    /// The streams, where it is not all.
    pub(super) fn only(&self) -> Option<Arc<[String]>> {
        match self {
            Sees::All => None,
            Sees::Only(streams) => Some(streams.clone()),
        }
    }

    /// Whether the stream is among them.
    pub(super) fn has(&self, stream: &str) -> bool {
        match self {
            Sees::All => true,
            Sees::Only(streams) => streams.iter().any(|one| one == stream),
        }
    }
}

impl Sessions {
    /// None yet, and a code that opens one.
    pub(super) fn new() -> Sessions {
        let code = (random(), Instant::now() + CODE);
        let state = State { sessions: HashMap::new(), code: Some(code) };
        Sessions { state: Mutex::new(state) }
    }

    /// The code that opens a session, until it is used.
    pub(super) fn code(&self) -> Option<String> {
        self.lock().code.as_ref().map(|(code, _)| code.clone())
    }

    /// Opens a session with the code. It can't be used again.
    pub(super) fn open_by_code(&self, code: &str) -> Option<String> {
        let mut state = self.lock();
        let is_good = state.code.as_ref().is_some_and(|(good, until)| {
            good.as_bytes().ct_eq(code.as_bytes()).unwrap_u8() == 1 && Instant::now() < *until
        });
        if !is_good {
            return None;
        }
        state.code = None;
        drop(state);
        Some(self.open(Sees::All))
    }

    /// Opens a session; returns what its cookie holds.
    pub(super) fn open(&self, sees: Sees) -> String {
        let (id, now, mut state) = (random(), Instant::now(), self.lock());
        state.sessions.retain(|_, (_, until)| now < *until);
        if state.sessions.len() >= SESSIONS_MAX {
            let oldest = state.sessions.iter().min_by_key(|(_, (_, until))| *until);
            let oldest = oldest.map(|(id, _)| id.clone());
            oldest.into_iter().for_each(|id| drop(state.sessions.remove(&id)));
        }
        state.sessions.insert(id.clone(), (sees, now + SESSION));
        id
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &str) {
        self.lock().sessions.remove(id);
    }

    fn sees(&self, id: &str) -> Option<Sees> {
        let state = self.lock();
        let (sees, until) = state.sessions.get(id)?;
        (Instant::now() < *until).then(|| sees.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// Whether anybody who asks under a name of this machine may read.
    pub(super) fn is_open_to(&self, headers: &HeaderMap) -> bool {
        self.settings.open_page && origin::is_local(headers)
    }

    /// What whoever asks may see.
    ///
    /// # Errors
    /// Why it is nothing.
    pub(super) fn sees(&self, headers: &HeaderMap) -> Result<Sees, Refusal> {
        if !origin::is_own_or_none(headers) {
            let message = "what the page shows is for this server's own page only";
            return Err(Refusal::new(StatusCode::FORBIDDEN, message));
        }
        let known = self.by_token(headers).or_else(|| self.by_session(headers));
        match known {
            Some(Sees::All) => Ok(Sees::All),
            _ if self.is_open_to(headers) => Ok(Sees::All),
            Some(sees) => Ok(sees),
            None => {
                self.metrics.note_unauthorized();
                Err(auth::refusal())
            }
        }
    }

    /// A stream that whoever asks may see.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn seen_stream(&self, name: &str, headers: &HeaderMap) -> Result<&Stream, Refusal> {
        let sees = self.sees(headers)?;
        let entry = self.entries.get(name).filter(|_| sees.has(name));
        let missing = || Refusal::new(StatusCode::NOT_FOUND, "there is no such stream");
        entry.map(|entry| &entry.stream).ok_or_else(missing)
    }

    /// What a token in the header opens.
    fn by_token(&self, headers: &HeaderMap) -> Option<Sees> {
        headers.contains_key(header::AUTHORIZATION).then_some(())?;
        self.opened_by(|tokens| auth::shows_one(headers, tokens))
    }

    /// What the login of a page opens.
    pub(super) fn by_session(&self, headers: &HeaderMap) -> Option<Sees> {
        self.sessions.sees(&self.session_id(headers)?)
    }

    /// What a token opens that is typed by somebody.
    pub(super) fn by_typed(&self, token: &str) -> Option<Sees> {
        self.opened_by(|tokens| auth::is_one(token.as_bytes(), tokens))
    }

    fn opened_by(&self, is_one_of: impl Fn(&[Token]) -> bool) -> Option<Sees> {
        if is_one_of(&self.tokens) {
            return Some(Sees::All);
        }
        let opened = self.entries.iter().filter(|(_, entry)| is_one_of(&entry.tokens));
        let names: Vec<String> = opened.map(|(name, _)| name.clone()).collect();
        (!names.is_empty()).then(|| Sees::Only(names.into()))
    }

    /// What the session's cookie holds.
    pub(super) fn session_id(&self, headers: &HeaderMap) -> Option<String> {
        let name = self.cookie_name(headers);
        let cookies =
            headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split("; "));
        pairs.find_map(|pair| pair.strip_prefix(&name)?.strip_prefix('=').map(str::to_owned))
    }

    /// The cookie's name, with the port: cookies know no ports.
    pub(super) fn cookie_name(&self, headers: &HeaderMap) -> String {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let port = host.and_then(|host| host.rsplit_once(':')).map(|(_, port)| port);
        let port = port.and_then(|port| port.parse::<u16>().ok());
        format!("streamer_{}", port.unwrap_or_else(|| self.address.port()))
    }

    /// Whether whoever posts is a page of this server, and not any page that a browser shows.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check_page(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let site = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
        if headers.contains_key(OF_PAGE) && site && origin::is_own_or_none(headers) {
            return Ok(());
        }
        let message = "for this server's own page, which sends the header X-Streamer-Page";
        Err(Refusal::new(StatusCode::FORBIDDEN, message))
    }

    /// What whoever asks may change beyond posting events: that takes a login of a page of this
    /// server, or a token. That the page is open is not enough.
    ///
    /// # Errors
    /// Why it is nothing.
    pub(super) fn may_change(&self, headers: &HeaderMap) -> Result<Sees, Refusal> {
        if let Some(sees) = self.by_token(headers).filter(|_| origin::is_own_or_none(headers)) {
            return Ok(sees);
        }
        self.check_page(headers)?;
        self.by_session(headers).ok_or_else(|| {
            self.metrics.note_unauthorized();
            let message =
                "this needs a login with the token, or the token: Authorization: Bearer TOKEN";
            auth::refusal_that(message)
        })
    }

    /// Whether somebody may post to a stream without a token: who has logged in by the page, or
    /// anybody by the simulator, where the page is open and the stream is of a dataset.
    pub(super) fn page_may_post(&self, headers: &HeaderMap, entry: &Entry) -> bool {
        let stream = &entry.stream;
        let by_session = self.by_session(headers).is_some_and(|sees| sees.has(&stream.name));
        let by_simulator =
            self.settings.simulator && self.is_open_to(headers) && stream.dataset.is_some();
        self.check_page(headers).is_ok() && (by_session || by_simulator)
    }
}

/// A text that nobody can guess: 244 random bits.
fn random() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_opens_one_session_and_a_session_ends() {
        let sessions = Sessions::new();
        let code = sessions.code().unwrap();
        assert_eq!(sessions.open_by_code(&code[1..]), None);
        let id = sessions.open_by_code(&code).unwrap();
        assert_eq!((sessions.open_by_code(&code), sessions.code()), (None, None));
        assert_eq!(sessions.sees(&id), Some(Sees::All));
        sessions.end(&id);
        assert_eq!(sessions.sees(&id), None);
    }

    #[test]
    fn there_are_only_so_many_sessions() {
        let sessions = Sessions::new();
        let first = sessions.open(Sees::All);
        let ids: Vec<String> = (0..SESSIONS_MAX).map(|_| sessions.open(Sees::All)).collect();
        assert_eq!(sessions.sees(&first), None);
        assert!(ids.iter().all(|id| sessions.sees(id).is_some()));
    }
}
