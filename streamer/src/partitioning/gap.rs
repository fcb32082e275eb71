//! The range and the name of a partition that is missing: a guess by the partitions beside it.

use sqlx::PgConnection;

use super::Parent;

/// The range of a partition that is missing.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Gap {
    /// Its ends, as SQL has them.
    pub(super) lower: String,
    pub(super) upper: String,
    /// How many months it has, where it is of whole ones.
    months: Option<i32>,
    /// Its beginning, as YYYYMMDDHH where it is a time.
    digits: String,
    /// The name of the partition that it is made after, and the beginning of that.
    model: Option<String>,
    model_digits: Option<String>,
}

impl Gap {
    /// The gap that a time lies in.
    pub(super) async fn of_time(
        conn: &mut PgConnection,
        table: &str,
        value: &str,
        parent: &Parent,
    ) -> Result<Option<Gap>, sqlx::Error> {
        let gap = sqlx::query_as(include_str!("time_gap.sql"));
        gap.bind(table).bind(value).bind(&parent.type_name).fetch_optional(conn).await
    }

    /// The gap that a number lies in.
    pub(super) async fn of_number(
        conn: &mut PgConnection,
        table: &str,
        value: &str,
        parent: &Parent,
    ) -> Result<Option<Gap>, sqlx::Error> {
        let gap = sqlx::query_as(include_str!("number_gap.sql"));
        gap.bind(table).bind(value).bind(&parent.type_name).fetch_optional(conn).await
    }

    /// A name for the partition: as the others are called, where their names tell their times.
    pub(super) fn name(&self, table: &str) -> String {
        let (at, table) = (self.digits.as_str(), cut(table));
        if !is_hour(at) {
            return format!("{table}_{at}");
        }
        let models = self.model.as_deref().zip(self.model_digits.as_deref());
        let renamed = models.and_then(|(model, before)| {
            PATTERNS.iter().find_map(|pattern| {
                let (before, now) = (filled(pattern, before), filled(pattern, at));
                let (start, _) = model.rmatch_indices(&before).next().filter(|_| before != now)?;
                Some(format!("{}{now}{}", &model[..start], &model[start + before.len()..]))
            })
        });
        let pattern = match self.months {
            Some(months) if months % 12 == 0 => "Y",
            Some(_) => "Y_M",
            None if at.ends_with("00") => "Y_M_D",
            None => "Y_M_D_H",
        };
        renamed.unwrap_or_else(|| format!("{table}_{}", filled(pattern, at)))
    }
}

/// How a time stands in the names of partitions: Y is the year, S its last two digits.
const PATTERNS: [&str; 15] = [
    "Y_M_D_H", "YMDH", "YMD_H", "Y_M_D", "Y-M-D", "yYmMdD", "YMD", "Y_M", "Y-M", "yYmM", "YM",
    "S_M", "SM", "Y", "S",
];

/// Whether a text is YYYYMMDDHH.
fn is_hour(digits: &str) -> bool {
    digits.len() == 10 && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// A pattern of [`PATTERNS`] with a time of YYYYMMDDHH.
fn filled(pattern: &str, digits: &str) -> String {
    let part = |letter: char| match letter {
        'Y' => digits[..4].to_owned(),
        'S' => digits[2..4].to_owned(),
        'M' => digits[4..6].to_owned(),
        'D' => digits[6..8].to_owned(),
        'H' => digits[8..].to_owned(),
        other => other.to_string(),
    };
    pattern.chars().map(part).collect()
}

/// A value as a part of a name.
pub(super) fn plain(value: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    value.chars().take(20).map(plain).collect()
}

/// A table's name with room for more behind it: PostgreSQL cuts names off at 63 bytes.
pub(super) fn cut(table: &str) -> &str {
    &table[..table.floor_char_boundary(40)]
}

#[cfg(test)]
mod tests {
    use super::Gap;

    #[test]
    fn a_partition_is_called_as_the_others_are() {
        for (months, model, before, at, name) in [
            (Some(1), "t_2024_05", "2024050100", "2025060100", "t_2025_06"),
            (Some(1), "t_y2024m05", "2024050100", "2025060100", "t_y2025m06"),
            (Some(1), "p202405", "2024050100", "2025060100", "p202506"),
            (Some(12), "t_24", "2024010100", "2025010100", "t_25"),
            (Some(12), "t_2024", "2024010100", "2026010100", "t_2026"),
            (None, "t_20240501", "2024050100", "2024050200", "t_20240502"),
            (None, "first", "2024050100", "2024050200", "t_2024_05_02"),
            (None, "first", "2024050100", "2024050206", "t_2024_05_02_06"),
            (Some(1), "first", "2024050100", "2024060100", "t_2024_06"),
            (None, "p0", "0", "1000", "t_1000"),
        ] {
            let [lower, upper] = [String::new(), String::new()];
            let (model, model_digits) = (Some(model.to_owned()), Some(before.to_owned()));
            let digits = at.to_owned();
            let gap = Gap { lower, upper, months, digits, model, model_digits };
            assert_eq!(gap.name("t"), name);
        }
    }
}
