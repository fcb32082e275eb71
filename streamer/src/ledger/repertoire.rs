//! Which characters the database can keep: one that is not in UTF-8 lacks most. What is kept of a
//! record or of a file must not be refused for that, so those are written as `\u{20ac}`.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use sqlx::{Connection, PgConnection};

use crate::layout::Reason;

/// Encodings that keep whatever comes.
const UNLIMITED: [&str; 2] = ["UTF8", "SQL_ASCII"];

/// The SQLSTATE of a character that the database's encoding lacks.
const UNTRANSLATABLE: &str = "22P05";

/// Characters that the database lacks.
#[derive(Debug, Default)]
pub(super) struct Lacking(HashSet<char>);

/// Whether the database lacks some characters.
///
/// # Errors
/// When it can't be asked.
pub async fn is_limited(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let encoding: String =
        sqlx::query_scalar("select getdatabaseencoding()").fetch_one(conn).await?;
    Ok(!UNLIMITED.contains(&encoding.as_str()))
}

/// Which of `chars` the database lacks.
///
/// # Errors
/// When it can't be asked.
pub async fn lacking(
    conn: &mut PgConnection,
    chars: &BTreeSet<char>,
) -> Result<HashSet<char>, sqlx::Error> {
    let mut lacking = HashSet::new();
    let chars: Vec<char> = chars.iter().copied().filter(|c| !c.is_ascii()).collect();
    if chars.is_empty() || !is_limited(conn).await? {
        return Ok(lacking);
    }
    let mut asked = vec![chars.as_slice()];
    while let Some(chars) = asked.pop() {
        match *chars {
            _ if has_all(conn, chars).await? => {}
            [lacked] => drop(lacking.insert(lacked)),
            _ => asked.extend(<[_; 2]>::from(chars.split_at(chars.len() / 2))),
        }
    }
    Ok(lacking)
}

/// Whether the database has all of `chars`.
async fn has_all(conn: &mut PgConnection, chars: &[char]) -> Result<bool, sqlx::Error> {
    let mut trial = conn.begin().await?;
    let text: String = chars.iter().collect();
    let converted = sqlx::query("select convert($1, 'UTF8', getdatabaseencoding())")
        .bind(text.as_bytes())
        .execute(&mut *trial)
        .await;
    trial.rollback().await?;
    match converted {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNTRANSLATABLE) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

impl Lacking {
    /// What the database lacks of the characters in `texts`.
    pub(super) async fn of<'t>(
        conn: &mut PgConnection,
        texts: impl Iterator<Item = &'t str>,
    ) -> Result<Lacking, sqlx::Error> {
        let chars = texts.filter(|text| !text.is_ascii()).flat_map(str::chars).collect();
        lacking(conn, &chars).await.map(Lacking)
    }

    /// The text as the database can keep it.
    pub(super) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !text.contains(|c| self.0.contains(&c)) {
            return text.into();
        }
        let mut kept = String::new();
        for c in text.chars() {
            match self.0.contains(&c) {
                true => kept += &format!("\\u{{{:x}}}", u32::from(c)),
                false => kept.push(c),
            }
        }
        kept.into()
    }

    /// The same of reasons.
    pub(super) fn reasons<'r>(&self, reasons: &'r [Reason]) -> Cow<'r, [Reason]> {
        if self.0.is_empty() {
            return reasons.into();
        }
        let kept = |text: &Option<String>| text.as_ref().map(|text| self.text(text).into_owned());
        let reasons = reasons.iter().map(|reason| Reason {
            column: kept(&reason.column),
            value: kept(&reason.value),
            sqlstate: reason.sqlstate.clone(),
            reason: self.text(&reason.reason).into_owned(),
            detail: kept(&reason.detail),
        });
        reasons.collect()
    }
}

/// The texts in reasons.
pub(super) fn texts_of(reason: &Reason) -> impl Iterator<Item = &str> {
    let Reason { column, value, detail, .. } = reason;
    let some = [column, value, detail].into_iter().filter_map(Option::as_deref);
    some.chain([reason.reason.as_str()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_database_lacks_is_escaped() {
        let lacking = Lacking(HashSet::from(['€']));
        assert_eq!(lacking.text("5 € Café"), "5 \\u{20ac} Café");
        assert!(matches!(lacking.text("Café"), Cow::Borrowed("Café")));
        let reason = Reason::of_record("22P04", "no € here");
        assert_eq!(lacking.reasons(&[reason])[0].reason, "no \\u{20ac} here");
    }
}
