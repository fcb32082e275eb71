//! How the streamer was started, which tells the commands that mend what ails it.

/// The variable that says how it was started; the stack sets it.
const VARIABLE: &str = "STREAMER_STARTED_BY";

/// How the streamer was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartedBy {
    /// By `docker compose up`.
    Compose,
    /// By hand, with the embedded PostgreSQL.
    Embedded,
    /// By systemd.
    Service,
    /// By hand, with a database of the user's.
    Hand,
}

impl StartedBy {
    /// What the variable says, else what shows by itself.
    pub(crate) fn found(is_embedded: bool) -> StartedBy {
        match std::env::var(VARIABLE).as_deref() {
            Ok("compose") => StartedBy::Compose,
            Ok("service") => StartedBy::Service,
            // systemd gives each run of a service a number.
            _ if std::env::var_os("INVOCATION_ID").is_some() => StartedBy::Service,
            _ if is_embedded => StartedBy::Embedded,
            _ => StartedBy::Hand,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            StartedBy::Compose => "compose",
            StartedBy::Embedded => "embedded",
            StartedBy::Service => "service",
            StartedBy::Hand => "hand",
        }
    }

    /// What starts the streamer again.
    pub(super) fn restart_command(self) -> &'static str {
        match self {
            StartedBy::Compose => "docker compose up -d streamer",
            StartedBy::Service => "systemctl restart streamer",
            StartedBy::Embedded | StartedBy::Hand => "streamer run",
        }
    }

    /// What starts the database, or else tells what keeps it away; with what to say before it.
    pub(super) fn database_command(self) -> (&'static str, &'static str) {
        match self {
            StartedBy::Compose => ("If it was stopped:", "docker compose up -d postgres"),
            StartedBy::Embedded => ("If it does not come back, start anew:", "streamer run"),
            StartedBy::Service => ("If it is on this machine:", "systemctl start postgresql"),
            StartedBy::Hand => ("What keeps it away, and what to do:", "streamer status"),
        }
    }

    /// Where pgAdmin is, which the stack brings along.
    pub(super) fn pgadmin(self) -> Option<&'static str> {
        (self == StartedBy::Compose).then_some("http://127.0.0.1:5050/")
    }

    /// What a command of the streamer begins with.
    pub(super) fn streamer_command(self) -> &'static str {
        match self {
            StartedBy::Compose => "docker compose exec streamer streamer ",
            _ => "streamer ",
        }
    }
}
