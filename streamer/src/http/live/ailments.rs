//! Ailments as a person is told of them: one sentence, since when, why, and one command.

use chrono::{TimeDelta, Utc};

use super::frame::{AilmentShown, At, Severity};
use super::started::StartedBy;
use crate::health::{Ailing, Kind};

/// A start that takes no longer ails nobody.
const START: TimeDelta = TimeDelta::seconds(5);

/// All of them, the most severe first, then the oldest.
pub(super) fn shown(ailing: &[Ailing], started_by: StartedBy) -> Vec<AilmentShown> {
    let is_told = |ailing: &&Ailing| ailing.kind != Kind::Starting || age(ailing) >= START;
    let told = ailing.iter().filter(is_told);
    let mut shown: Vec<AilmentShown> = told.map(|ailment| one(ailment, started_by)).collect();
    shown.sort_by_key(|ailment| (ailment.severity, ailment.since.0, ailment.id));
    shown
}

fn age(ailing: &Ailing) -> TimeDelta {
    Utc::now() - ailing.since
}

fn one(ailing: &Ailing, started_by: StartedBy) -> AilmentShown {
    let stream = ailing.about().map(str::to_owned);
    let name = stream.clone().unwrap_or_default();
    let is_bad = ailing.hinders && ailing.kind != Kind::Starting || ailing.stream.is_some();
    let plain = AilmentShown {
        id: ailing.id,
        kind: "other",
        severity: if is_bad { Severity::Bad } else { Severity::Warn },
        stream,
        since: At(ailing.since),
        head: if name.is_empty() {
            "Something is wrong".into()
        } else {
            format!("{name} is stuck")
        },
        why: sentence(&ailing.words),
        strong: Vec::new(),
        label: None,
        command: None,
        prompt: "$",
        then: None,
    };
    match &ailing.kind {
        Kind::Starting => {
            AilmentShown { kind: "starting", head: "The streamer is starting".into(), ..plain }
        }
        Kind::Database { place } => AilmentShown {
            kind: "database",
            head: "The database is away".into(),
            strong: vec![place.clone()],
            label: Some(started_by.database_command().0),
            command: Some(started_by.database_command().1.to_owned()),
            then: Some(
                "Nothing is lost: files stay where they are, and what comes by listeners waits in the spool.",
            ),
            ..plain
        },
        Kind::Lock { holders, is_upkeep } => lock(plain, &name, holders, *is_upkeep),
        Kind::Stopped { files } => AilmentShown {
            kind: "stopped_file",
            head: format!("{name} has stopped"),
            strong: files.clone(),
            label: Some("Mend the file, or allow more dead letters; then:"),
            command: files.first().map(|file| retry_file(started_by, file)),
            then: Some("Rows that are in the table stay. The stream goes on where it stopped."),
            ..plain
        },
        Kind::Rest => AilmentShown {
            kind: "rests",
            head: format!("{name} rests"),
            then: Some("It is tried again until this is mended. Nothing is lost."),
            ..plain
        },
        Kind::Partition => AilmentShown {
            kind: "partition",
            head: format!("{name} waits for a partition"),
            then: Some("It goes on by itself once there is one. Nothing is lost."),
            ..plain
        },
        Kind::Other => plain,
    }
}

/// A transaction waits: for the sessions `holders`, which may be at work on statements that change
/// or keep up a table, or for the server.
fn lock(plain: AilmentShown, name: &str, holders: &[i32], is_upkeep: bool) -> AilmentShown {
    // Since when, stands by itself.
    let (_, waits) = plain.why.split_once(": it waits").unwrap_or(("", &plain.why));
    let (mut why, mut strong) = (sentence(&format!("it waits{waits}")), Vec::new());
    for pid in holders {
        // The command stands by itself.
        why = why.replace(&format!("; `select pg_terminate_backend({pid});` frees it"), "");
        why = why
            .replace(&format!("; it ends by itself, or by `select pg_cancel_backend({pid});`"), "");
        strong.push(format!("process {pid}"));
    }
    if let Some((_, behind)) = why.split_once("in a transaction that is ")
        && let Some((age, _)) = behind.split_once(" old")
    {
        strong.push(format!("in a transaction that is {age} old"));
    }
    let (function, label, then) = match is_upkeep {
        true => (
            "pg_cancel_backend",
            "It ends by itself. To end it now:",
            "That undoes what the statement has done so far. Then the stream goes on by itself. Nothing of it is lost.",
        ),
        false => (
            "pg_terminate_backend",
            match holders.len() {
                1 => "If that session may go:",
                _ => "If those sessions may go:",
            },
            "That rolls back what has not been committed there. Then the stream goes on by itself. Nothing of it is lost.",
        ),
    };
    let command = match holders {
        [] => None,
        [0, ..] => Some("select gid, prepared, owner from pg_prepared_xacts;".to_owned()),
        [pid] => Some(format!("select {function}({pid});")),
        many => {
            let pids: Vec<String> = many.iter().map(ToString::to_string).collect();
            let pids = pids.join(", ");
            Some(format!("select {function}(pid) from unnest(array[{pids}]) as pid;"))
        }
    };
    AilmentShown {
        kind: "lock",
        head: match (holders, is_upkeep) {
            ([], _) => format!("{name} waits for the server"),
            (_, true) => format!("{name} waits for a statement"),
            (_, false) => format!("{name} is stuck behind a lock"),
        },
        why,
        strong,
        label: command.as_ref().map(|_| label),
        then: command.as_ref().map(|_| then),
        command,
        prompt: "=#",
        ..plain
    }
}

fn retry_file(started_by: StartedBy, file: &str) -> String {
    format!("{}retry-file {}", started_by.streamer_command(), quoted(file))
}

/// An argument as a shell takes it: in quotes, where it holds more than letters, digits and such.
fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/#".contains(c);
    match !argument.is_empty()
        && argument.chars().all(is_plain)
        && !argument.starts_with(['-', '#'])
    {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}

/// Words of the log as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;

    #[test]
    fn the_most_severe_comes_first_then_the_oldest_each_with_its_command() {
        let health = Health::default();
        let words = "stream a has committed nothing since 1: it waits for a lock, which is held by process 7 of user al; \
                     `select pg_terminate_backend(7);` frees it";
        let _aside = health.note_aside("old segments");
        let _lock =
            health.note_of("a", words).of_kind(Kind::Lock { holders: vec![7], is_upkeep: false });
        let files = vec!["it's.csv".to_owned()];
        let _stopped = health.note_of("b", "x").of_kind(Kind::Stopped { files });
        let place = "h:5432/d".to_owned();
        let _away = health.note("no database").of_kind(Kind::Database { place });
        let shown = shown(&health.ailing(), StartedBy::Compose);
        let heads: Vec<&str> = shown.iter().map(|ailment| ailment.head.as_str()).collect();
        assert_eq!(
            heads,
            [
                "a is stuck behind a lock",
                "b has stopped",
                "The database is away",
                "Something is wrong"
            ]
        );
        let why = "It waits for a lock, which is held by process 7 of user al.";
        assert_eq!(shown[0].why, why);
        let commands: Vec<Option<&str>> = shown.iter().map(|one| one.command.as_deref()).collect();
        assert_eq!(
            commands,
            [
                Some("select pg_terminate_backend(7);"),
                Some(r"docker compose exec streamer streamer retry-file 'it'\''s.csv'"),
                Some("docker compose up -d postgres"),
                None
            ]
        );
        assert_eq!(shown[3].severity, Severity::Warn);
    }
}
