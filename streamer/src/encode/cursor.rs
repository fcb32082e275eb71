//! A place in a text of ASCII words and numbers, for the parsers of times and intervals.

/// What is left of the text. Blanks around the text are not part of it.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { rest: text.as_bytes() }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Steps over `byte` if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// Steps over the next byte if it is one of `bytes`.
    pub(super) fn eat_any(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().any(|byte| self.eat(*byte))
    }

    /// Steps over `word` if it is next.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word.as_bytes());
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// 1 or -1 for a plus or a minus; None for anything else.
    pub(super) fn sign(&mut self) -> Option<i64> {
        if self.eat(b'-') { Some(-1) } else { self.eat(b'+').then_some(1) }
    }

    /// Exactly two digits; more may follow.
    pub(super) fn two_digits(&mut self) -> Option<i64> {
        match self.rest {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => {
                self.rest = rest;
                Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
            }
            _ => None,
        }
    }

    /// All digits that are next and how many they are; None if none or more than `digits_max`,
    /// which must be at most 18.
    pub(super) fn number(&mut self, digits_max: usize) -> Option<(i64, usize)> {
        let mut number = 0;
        let mut digits = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if digits == digits_max {
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
            digits += 1;
            self.rest = &self.rest[1..];
        }
        (digits > 0).then_some((number, digits))
    }
}
