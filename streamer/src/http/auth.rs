//! Tokens: who may post to a stream.

use std::fmt;
use std::path::PathBuf;

use axum::http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq;

use super::answer::Refusal;
use crate::config::TokenSource;

/// A shorter one could be guessed.
const TOKEN_BYTES_MIN: usize = 32;

/// A secret that a client shows. It is never shown to anybody.
#[derive(Clone)]
pub struct Token(Vec<u8>);

/// Why tokens can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file can't be read.
    #[error("read the token in {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The environment has no such variable.
    #[error("there is no token in the environment variable {0}")]
    NoVariable(String),
    /// There is none, or it is too short.
    #[error(
        "a token in {0} is shorter than {TOKEN_BYTES_MIN} characters; make one with: openssl rand -hex 32"
    )]
    Short(String),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The tokens of a stream, each of which is good: none, where none are asked for.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn load(source: Option<&TokenSource>) -> Result<Vec<Token>, TokenError> {
        let (place, text) = match source {
            None => return Ok(Vec::new()),
            Some(TokenSource::Env(name)) => {
                let text = std::env::var(name).map_err(|_| TokenError::NoVariable(name.clone()))?;
                (name.clone(), text)
            }
            Some(TokenSource::File(path)) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| TokenError::File { path: path.clone(), source })?;
                (path.display().to_string(), text)
            }
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let tokens: Vec<Token> = lines.map(|line| Token(line.as_bytes().to_vec())).collect();
        let is_short = |token: &Token| token.0.len() < TOKEN_BYTES_MIN;
        if tokens.is_empty() || tokens.iter().any(is_short) {
            return Err(TokenError::Short(place));
        }
        Ok(tokens)
    }
}

/// Whether a request shows one of the tokens.
pub(super) fn shows_one(headers: &HeaderMap, tokens: &[Token]) -> bool {
    let shown = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    shown.and_then(|value| value.strip_prefix(b"Bearer ")).is_some_and(|one| is_one(one, tokens))
}

/// Whether something that is shown is one of the tokens; all are compared, in a time that tells
/// nothing.
pub(super) fn is_one(shown: &[u8], tokens: &[Token]) -> bool {
    let matches = tokens.iter().map(|token| token.0.ct_eq(shown).unwrap_u8());
    matches.fold(0, |any, one| any | one) == 1
}

/// What whoever shows none is told.
pub(super) fn refusal() -> Refusal {
    refusal_that("a token is needed: Authorization: Bearer TOKEN")
}

/// The same, in these words.
pub(super) fn refusal_that(message: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, message).with(header::WWW_AUTHENTICATE, "Bearer")
}
