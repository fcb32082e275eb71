//! The histories: one of the streamer's own tables and one of each dataset. Which migrations each
//! has to have, and whether what a database has fits.

use std::fmt;

use refinery_core::Runner;
use sqlx::PgConnection;

use super::MigrateError;
use super::former::FORMER;
use crate::config::Dataset;
use crate::sql;

/// The history of the streamer's own tables. It has the name of the single history of before, so
/// that an older streamer refuses to work on a newer database.
pub(super) const CORE: &str = "streamer.schema_history";

mod core {
    refinery::embed_migrations!("../migrations/core");
}
mod user_events {
    refinery::embed_migrations!("../migrations/datasets/user_events");
}
mod ad_events {
    refinery::embed_migrations!("../migrations/datasets/ad_events");
}
mod transfers {
    refinery::embed_migrations!("../migrations/datasets/transfers");
}
mod gps_positions {
    refinery::embed_migrations!("../migrations/datasets/gps_positions");
}
mod pos_sales {
    refinery::embed_migrations!("../migrations/datasets/pos_sales");
}
mod emoji_reactions {
    refinery::embed_migrations!("../migrations/datasets/emoji_reactions");
}
mod simulator_events {
    refinery::embed_migrations!("../migrations/datasets/simulator_events");
}

/// A history that a database can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    Core,
    Of(Dataset),
}

impl History {
    /// Its table, as in SQL.
    pub(super) fn table(self) -> String {
        match self {
            History::Core => CORE.to_owned(),
            History::Of(dataset) => format!("streamer.history_{}", dataset.name()),
        }
    }

    /// Its migrations.
    pub(super) fn runner(self) -> Runner {
        match self {
            History::Core => core::migrations::runner(),
            History::Of(Dataset::UserEvents) => user_events::migrations::runner(),
            History::Of(Dataset::AdEvents) => ad_events::migrations::runner(),
            History::Of(Dataset::Transfers) => transfers::migrations::runner(),
            History::Of(Dataset::GpsPositions) => gps_positions::migrations::runner(),
            History::Of(Dataset::PosSales) => pos_sales::migrations::runner(),
            History::Of(Dataset::EmojiReactions) => emoji_reactions::migrations::runner(),
            History::Of(Dataset::SimulatorEvents) => simulator_events::migrations::runner(),
        }
    }

    fn known(self) -> Vec<Applied> {
        let runner = self.runner();
        let mut known: Vec<Applied> = runner
            .get_migrations()
            .iter()
            .map(|one| Applied {
                version: one.version(),
                name: one.name().to_owned(),
                checksum: one.checksum().to_string(),
            })
            .collect();
        known.sort_by_key(|one| one.version);
        known
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            History::Core => f.write_str("core"),
            History::Of(dataset) => f.write_str(dataset.name()),
        }
    }
}

/// How far a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// These are missing, in their order; none where all is well.
    Missing(Vec<String>),
    /// The streamer before this one has made the database.
    Former,
}

/// A line of a history.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
struct Applied {
    version: i32,
    name: String,
    checksum: String,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}__{}", self.version, self.name)
    }
}

/// A history that is none of those that this streamer can go on with. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A newer streamer was at work.
    #[error(
        "a newer streamer has made the database: {history} has {migration}, which this one does not know; use that \
         one, or another database"
    )]
    Newer {
        /// The history's table.
        history: String,
        /// The first migration that is not known.
        migration: String,
    },
    /// An older streamer has stopped halfway, or is older than the one before.
    #[error(
        "an older streamer has made the database: {history} ends at {last}, and only what goes to {former} can be \
         taken over; run `streamer migrate` of that version first, or use another database"
    )]
    Older {
        /// The history's table.
        history: String,
        /// The last migration that is there.
        last: String,
        /// The last one of the streamer before this one.
        former: String,
    },
    /// A migration is not what it should be.
    #[error(
        "the database was changed, or made by another program: {history} has {found}, which is not this streamer's \
         {expected}; restore a backup, or use another database"
    )]
    Altered {
        /// The history's table.
        history: String,
        /// What is there.
        found: String,
        /// What should be there, with its checksum where only that differs.
        expected: String,
    },
}

/// Reads how far a history is that the database has.
pub(super) async fn progress(
    conn: &mut PgConnection,
    history: History,
) -> Result<Progress, MigrateError> {
    let query = format!("select version, name, checksum from {} order by version", history.table());
    let applied = sqlx::query_as(sql::made(query)).fetch_all(conn).await;
    let applied: Vec<Applied> = applied.map_err(MigrateError::Database)?;
    Ok(judge(history, &applied)?)
}

/// How far a history is that the database does not have.
pub(super) fn absent(history: History) -> Progress {
    Progress::Missing(history.known().iter().map(ToString::to_string).collect())
}

fn judge(history: History, applied: &[Applied]) -> Result<Progress, Refusal> {
    let former: Vec<Applied> = FORMER
        .iter()
        .zip(1..)
        .map(|((name, checksum), version)| Applied {
            version,
            name: (*name).to_owned(),
            checksum: checksum.to_string(),
        })
        .collect();
    let is_former = history == History::Core && applied.first() == former.first();
    let known = if is_former { former } else { history.known() };
    let table = history.table();
    for (at, found) in applied.iter().enumerate() {
        let Some(expected) = known.get(at) else {
            return Err(Refusal::Newer { history: table, migration: found.to_string() });
        };
        if found != expected {
            let is_same = (found.version, &found.name) == (expected.version, &expected.name);
            let of = |one: &Applied| match is_same {
                true => format!("{one} (checksum {})", one.checksum),
                false => one.to_string(),
            };
            let (found, expected) = (of(found), of(expected));
            return Err(Refusal::Altered { history: table, found, expected });
        }
    }
    match (is_former, applied.last(), known.last()) {
        (true, Some(last), Some(former)) if last != former => Err(Refusal::Older {
            history: table,
            last: last.to_string(),
            former: former.to_string(),
        }),
        (true, _, _) => Ok(Progress::Former),
        (false, _, _) => {
            Ok(Progress::Missing(known[applied.len()..].iter().map(ToString::to_string).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histories() -> impl Iterator<Item = History> {
        [History::Core].into_iter().chain(Dataset::ALL.map(History::Of))
    }

    /// refinery leaves out files of any other form without a word.
    #[test]
    fn every_file_in_the_folders_is_a_migration() {
        fn files(folder: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let migrations = histories().map(|history| history.known().len());
        assert_eq!(migrations.sum::<usize>(), files(folder.as_ref()));
    }

    #[test]
    fn a_history_is_whole_or_lacks_its_end_or_is_refused() {
        for history in histories() {
            let known = history.known();
            let end = |from: usize| known[from..].iter().map(ToString::to_string).collect();
            for applied in 0..=known.len() {
                let progress = judge(history, &known[..applied]);
                assert_eq!(progress, Ok(Progress::Missing(end(applied))));
            }
            let mut newer = known.clone();
            newer.push(Applied { version: 99, name: "more".to_owned(), checksum: "1".to_owned() });
            let refusal = judge(history, &newer).unwrap_err().to_string();
            assert!(refusal.contains("newer") && refusal.contains("V99__more"), "{refusal}");
            let mut altered = known.clone();
            altered[0].checksum = "1".to_owned();
            let refusal = judge(history, &altered).unwrap_err().to_string();
            assert!(refusal.contains("(checksum 1), which is not this"), "{refusal}");
            assert!(refusal.contains(&history.table()), "{refusal}");
        }
    }

    #[test]
    fn of_the_history_before_only_the_whole_is_taken_over() {
        let of = |at: usize| {
            let (name, checksum) = FORMER[at];
            let version = i32::try_from(at).unwrap() + 1;
            Applied { version, name: name.to_owned(), checksum: checksum.to_string() }
        };
        let mut all: Vec<Applied> = (0..FORMER.len()).map(of).collect();
        assert_eq!(judge(History::Core, &all), Ok(Progress::Former));
        let older = judge(History::Core, &all[..9]).unwrap_err().to_string();
        assert!(older.contains("ends at V9__simulator_events"), "{older}");
        assert!(older.contains("goes to V14__latency"), "{older}");
        all[6].checksum = "7".to_owned();
        let altered = judge(History::Core, &all).unwrap_err().to_string();
        assert!(altered.contains("V7__pos_sales (checksum 7)"), "{altered}");
        all[6] = of(6);
        all.push(Applied { version: 15, ..of(0) });
        let newer = judge(History::Core, &all).unwrap_err().to_string();
        assert!(newer.contains("has V15__streamer"), "{newer}");
    }
}
