//! Why a text is not a value of a type, in words and as PostgreSQL's own SQLSTATE.

use std::borrow::Cow;

/// Why a text is not a value of the type. Never holds the text itself: it may be secret or huge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What PostgreSQL answers to such a text, or would if it were as strict.
    pub sqlstate: &'static str,
    /// In lower case, to be read after "column X: ".
    pub reason: Cow<'static, str>,
}

impl Refusal {
    /// 22P02, invalid_text_representation: the text has not the form of the type.
    pub(super) fn malformed(reason: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { sqlstate: "22P02", reason: reason.into() }
    }

    /// 22003, numeric_value_out_of_range.
    pub(super) fn out_of_range(reason: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { sqlstate: "22003", reason: reason.into() }
    }

    /// 22001, string_data_right_truncation.
    pub(super) fn too_long(limit: usize, unit: &str) -> Refusal {
        Refusal { sqlstate: "22001", reason: format!("longer than {limit} {unit}").into() }
    }

    /// 22026, string_data_length_mismatch.
    pub(super) fn wrong_length(length: usize) -> Refusal {
        Refusal { sqlstate: "22026", reason: format!("not exactly {length} bits").into() }
    }

    /// 22007, invalid_datetime_format.
    pub(super) fn not_a_time(reason: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { sqlstate: "22007", reason: reason.into() }
    }

    /// 22008, datetime_field_overflow: the form is right, but there is no such day or time.
    pub(super) fn no_such_time(reason: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { sqlstate: "22008", reason: reason.into() }
    }

    /// 22021, character_not_in_repertoire: no value of PostgreSQL can hold U+0000.
    pub fn nul() -> Refusal {
        Refusal { sqlstate: "22021", reason: "holds a NUL character".into() }
    }
}
