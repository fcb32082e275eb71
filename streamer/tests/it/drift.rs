//! A table, rights and a role that change while records are loaded: the stream rests, and goes on
//! by itself.

use std::path::Path;

use crate::support::{Ended, Running, TestDb, Verdict, folder, generate, judge, streamer};

/// How many transactions of a streamer wait for a lock.
const WAITING: &str =
    "select count(distinct l.pid) from pg_locks l join pg_stat_activity a using (pid)
    where a.datname = current_database() and a.application_name = 'streamer' and not l.granted";

const CHANGED: &str = "has changed";

/// A file that is being loaded.
struct Loading {
    db: TestDb,
    folder: tempfile::TempDir,
    verdict: Verdict,
    url: String,
}

impl Loading {
    async fn new(prepare: &str, role: &str, seed: u64) -> Loading {
        let (db, folder) = (TestDb::create().await, folder());
        db.execute(prepare).await;
        let files = generate(folder.path(), 1, 8000, seed);
        for file in &files {
            empty_some(file);
        }
        let verdict = judge(&files);
        let url = db.url().replace("//streamer@", &format!("//{role}@"));
        Loading { db, folder, verdict, url }
    }

    fn start(&self) -> Running {
        let run = ["run", "--every", "0s", "--max-rows", "100"];
        Running::start(streamer(self.folder.path(), &run).env("DATABASE_URL", &self.url))
    }

    /// Starts it, and runs `change` between two of its micro-batches.
    async fn start_and(&self, change: &str) -> Running {
        let running = self.start();
        running.wait_for_log("committed");
        let mut rival = self.db.connect().await;
        let lock = "begin; lock table user_events";
        sqlx::raw_sql(lock).execute(&mut rival).await.unwrap();
        self.db.wait_for(WAITING, 1).await;
        assert!(self.left().await > 0, "there is something left to load");
        let change = format!("{change}; commit");
        let change = sqlx::raw_sql(sqlx::AssertSqlSafe(change));
        change.execute(&mut rival).await.unwrap();
        running
    }

    /// The same, and demands that the stream tells so in a line of the log with `words` and rests,
    /// unless the table has `changed` only, and that no record pays for it.
    async fn tells(&self, change: &str, words: &[&str], changed: bool) -> Running {
        let running = self.start_and(change).await;
        let told = running.wait_for_log(if changed { CHANGED } else { "the stream rests" });
        assert!(words.iter().all(|words| told.contains(words)), "{change}:\n{told}");
        let refused =
            "select count(*) from streamer.dead_letter where reasons->0->>'column' is null
                          and reasons->0->>'sqlstate' not in ('22P04', '22021')";
        assert_eq!(self.db.number(refused).await, 0, "{change}: no record is at fault");
        running
    }

    /// How many records are not read yet.
    async fn left(&self) -> i64 {
        let read = "select coalesce(sum(records), 0)::bigint from streamer.checkpoint";
        self.verdict.records - self.db.number(read).await
    }

    /// Loads what is left.
    fn finish(&self) {
        let path: &Path = self.folder.path();
        Ended::of(streamer(path, &["run", "--available-now"]).env("DATABASE_URL", &self.url))
            .expect(3);
    }

    /// Retries all dead letters, and forgets those that have become rows.
    async fn retry(&self) {
        let retry = ["dead-letters", "retry", "--all"];
        Ended::of(streamer(self.folder.path(), &retry).env("DATABASE_URL", self.db.url()))
            .expect(3);
        self.db.execute("delete from streamer.dead_letter where resolved_at is not null").await;
    }

    /// Waits until all is read.
    async fn ends(&self, running: Running) {
        let read = "select coalesce(sum(records), 0)::bigint from streamer.checkpoint";
        self.db.wait_for(&format!("select {} - ({read})", self.verdict.records), 0).await;
        assert_eq!(running.terminate().0, Some(0));
    }
}

/// Empties the last field of some records.
fn empty_some(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let mut lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
    for line in &mut lines {
        // By the event_id, so that duplicates stay what they are.
        if line.get(35) == Some(&b'a') && !line.contains(&b'"') {
            let comma = line.iter().rposition(|&b| b == b',');
            *line = &line[..comma.map_or(line.len(), |at| at + 1)];
        }
    }
    std::fs::write(path, lines.join(&b'\n')).unwrap();
}

#[tokio::test]
async fn a_column_that_is_dropped_costs_no_record() {
    let loading = Loading::new("", "streamer", 81).await;
    let change = "create table kept as select event_id, category from user_events;
                  alter table user_events drop column category";
    let running = loading.tells(change, &["category"], true).await;
    // It is read anew, and then the file names a column that is not there.
    running.wait_for_log("not loaded");
    assert_eq!(running.terminate().0, Some(0));
    let undo = "alter table user_events add column category text;
                update user_events u set category = k.category from kept k
                 where k.event_id = u.event_id";
    loading.db.execute(undo).await;
    loading.finish();
    loading.db.agrees_with(&loading.verdict).await;
}

#[tokio::test]
async fn a_table_that_is_renamed_is_waited_for_and_costs_no_record() {
    let loading = Loading::new("", "streamer", 82).await;
    let words = ["there is no table user_events in the database"];
    let change = "alter table user_events rename to elsewhere";
    let running = loading.tells(change, &words, false).await;
    loading.db.execute("alter table elsewhere rename to user_events").await;
    running.wait_for_log("the stream goes on");
    loading.ends(running).await;
    loading.db.agrees_with(&loading.verdict).await;
}

/// Changes the type of `column` while it is loaded, and demands that it goes on with the new one,
/// and no value comes out as another one.
async fn changes_type((column, first, then, back): (&str, &str, &str, &str), seed: u64) {
    let alter = |to: &str| format!("alter table user_events alter {column} type {to}");
    let prepare = if first.is_empty() { String::new() } else { alter(first) };
    let loading = Loading::new(&prepare, "streamer", seed).await;
    let running = loading.tells(&alter(then), &[column], true).await;
    loading.ends(running).await;
    if !back.is_empty() {
        loading.db.execute(&alter(back)).await;
    }
    loading.db.agrees_with(&loading.verdict).await;
}

#[tokio::test]
async fn a_type_of_the_same_length_takes_no_bytes_of_the_old_one() {
    changes_type(("user_id", "", "double precision", "bigint"), 83).await;
}

#[tokio::test]
async fn a_wider_type_is_taken_up() {
    changes_type(("product_id", "integer", "bigint", ""), 84).await;
}

#[tokio::test]
async fn a_narrower_type_makes_no_dead_letters_of_records_that_fit_it() {
    changes_type(("product_id", "", "integer", "bigint"), 85).await;
}

#[tokio::test]
async fn a_number_with_fewer_digits_behind_the_point_rounds_no_value() {
    let loading = Loading::new("", "streamer", 86).await;
    let change = "create table kept as select event_id, price from user_events;
                  alter table user_events alter price type numeric(9, 1)";
    let running = loading.tells(change, &["price"], true).await;
    loading.ends(running).await;
    let undo = "alter table user_events alter price type numeric(10, 2);
                update user_events u set price = k.price from kept k where k.event_id = u.event_id";
    loading.db.execute(undo).await;
    loading.retry().await;
    loading.db.agrees_with(&loading.verdict).await;
}

/// Demands that `change` makes dead letters of this `kind`, which can be retried after `undo`.
async fn refuses(change: &str, kind: &str, undo: &str, seed: u64) {
    let loading = Loading::new("", "streamer", seed).await;
    let running = loading.start_and(change).await;
    loading.ends(running).await;
    let db = &loading.db;
    let sums = "select (sum(records) - sum(rows) - sum(duplicates) - sum(dead_letters))::bigint
                  from streamer.micro_batch";
    assert_eq!(db.number(sums).await, 0, "each record is accounted for");
    let counts = "select (select sum(rows) from streamer.micro_batch) - count(*),
                         (select sum(dead_letters) from streamer.micro_batch)
                            - (select count(*) from streamer.dead_letter) from user_events";
    assert_eq!(db.rows(counts).await, ["0|0"]);
    let refused = "select count(*) from streamer.dead_letter";
    let theirs = format!("{refused} where {kind}");
    let theirs = db.number(&theirs).await;
    assert!(theirs > 0, "some records are refused");
    let bad = i64::try_from(loading.verdict.bad.len()).unwrap();
    assert_eq!(db.number(refused).await, bad + theirs, "and no others");
    db.execute(undo).await;
    loading.retry().await;
    db.agrees_with(&loading.verdict).await;
}

#[tokio::test]
async fn a_check_that_is_added_makes_dead_letters_of_what_it_refuses() {
    let change = "alter table user_events add constraint cheap check (price < 100) not valid";
    let kind = "reasons->0->>'sqlstate' = '23514'";
    refuses(change, kind, "alter table user_events drop constraint cheap", 87).await;
}

#[tokio::test]
async fn not_null_that_is_added_makes_dead_letters_of_what_it_refuses() {
    let change = "update user_events set user_location = '' where user_location is null;
                  alter table user_events alter user_location set not null";
    let undo = "alter table user_events alter user_location drop not null;
                update user_events set user_location = null where user_location = ''";
    let kind = "reasons->0->>'sqlstate' = '23502' and reasons->0->>'column' = 'user_location'";
    refuses(change, kind, undo, 88).await;
}

/// A role with the rights that README.md lists.
fn role(name: &str) -> String {
    let readme = include_str!("../../../README.md");
    let grants = readme.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next());
    let grants = grants.expect("README.md lists them").replace("loader", name);
    format!("create role {name} login; {grants}")
}

#[tokio::test]
async fn rights_that_are_taken_away_are_waited_for() {
    let loading = Loading::new(&role("dismissed"), "dismissed", 89).await;
    for (right, object, remedy) in [
        (
            "insert on user_events",
            "user_events",
            "grant insert on table public.user_events to dismissed",
        ),
        (
            "update on streamer.checkpoint",
            "checkpoint",
            "grant update on table streamer.checkpoint to dismissed",
        ),
    ] {
        let denied = format!("permission denied for table {object}");
        let change = format!("revoke {right} from dismissed");
        let running = loading.tells(&change, &[&denied, remedy], false).await;
        assert_eq!(running.terminate().0, Some(0));
        // Nor does it begin.
        let running = loading.start();
        let told = running.wait_for_log("the stream rests");
        assert!(told.contains(&denied) && told.contains(remedy), "{told}");
        loading.db.execute(&format!("grant {right} to dismissed")).await;
        running.wait_for_log("the stream goes on");
        assert_eq!(running.terminate().0, Some(0));
    }
    loading.finish();
    loading.db.agrees_with(&loading.verdict).await;
}

#[tokio::test]
async fn a_role_that_may_not_log_in_any_more_stops_it_and_it_goes_on_when_it_may() {
    let loading = Loading::new(&role("barred"), "barred", 90).await;
    let change = "alter role barred nologin; select count(pg_terminate_backend(pid))
                    from pg_stat_activity where application_name = 'streamer'
                     and datname = current_database()";
    let (code, log) = loading.start_and(change).await.wait();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("is not permitted to log in"), "{log}");
    assert!(log.contains("check the user and password in DATABASE_URL"), "{log}");
    loading.db.execute("alter role barred login").await;
    loading.finish();
    loading.db.agrees_with(&loading.verdict).await;
}
