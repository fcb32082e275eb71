//! What ails a streamer, as programs are told of it: what kind of trouble it is, since when it
//! lasts, and which stream it keeps from going on.

use chrono::{DateTime, Utc};

/// What kind of trouble an ailment is, with what is needed to say how it is mended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Kind {
    /// The streamer is starting.
    Starting,
    /// The database can't be reached, or answers with errors.
    Database {
        /// Where it should be.
        place: String,
    },
    /// A transaction does not end, because of what it waits for.
    Lock {
        /// The server processes that hold what it needs; none, where the server itself is waited
        /// for.
        holders: Vec<i32>,
        /// Whether they are at work on statements that change or keep up a table.
        is_upkeep: bool,
    },
    /// Files with too many dead letters have stopped the stream.
    Stopped {
        /// Their partitions, as text.
        files: Vec<String>,
    },
    /// The stream rests until its table, or a right on it, is mended.
    Rest,
    /// Records wait for a partition of their table.
    Partition,
    /// All else.
    #[default]
    Other,
}

/// Something that ails the streamer now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ailing {
    /// Its number, which no other ailment of this process has or had.
    pub id: u64,
    /// What it is, in one line.
    pub words: String,
    /// Its kind.
    pub kind: Kind,
    /// Since when it lasts.
    pub since: DateTime<Utc>,
    /// Whether it keeps the streamer from taking records, or from loading them.
    pub hinders: bool,
    /// The stream that it keeps from going on, if it is only that one.
    pub stream: Option<String>,
    /// The stream that waits for a partition of its table, if it is that.
    pub waits: Option<String>,
}

impl Ailing {
    /// The stream that it is about, if it is only one.
    pub fn about(&self) -> Option<&str> {
        self.stream.as_deref().or(self.waits.as_deref())
    }
}
