//! What came of a case: how the program ended it, and whether every byte and record is accounted
//! for.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::case::{Case, Verdict};
use crate::judge;
use crate::server::{Server, name};

/// The bytes of a dead letter that are kept.
const RAW_BYTES_MAX: usize = 64 * 1024;

/// A row's values as text.
type Cells = Vec<Option<String>>;

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// `None` where the program failed.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) rows: i64,
    pub(crate) dead_letters: i64,
    /// Every reason that was given.
    pub(crate) told: String,
    /// What must not be, whatever the case: a panic, lost records, changed values.
    pub(crate) faults: Vec<String>,
}

/// A dead letter as it was kept.
struct Letter {
    start: i64,
    end: i64,
    raw: Vec<u8>,
}

impl Outcome {
    /// The program did not end, or ended as it must not.
    pub(crate) fn failed(failure: String) -> Outcome {
        Outcome { faults: vec![failure], ..Outcome::default() }
    }
}

impl Server {
    /// What came of a case whose stream was run.
    pub(crate) async fn outcome(&self, number: usize, case: &Case) -> Outcome {
        let conn = &mut *self.conn.lock().await;
        let stream = name(number);
        let checkpoint = sqlx::query(
            "select state, coalesce(refusal, ''), records, next_offset from streamer.checkpoint
              where stream = $1",
        );
        let checkpoint = checkpoint.bind(&stream).fetch_optional(&mut *conn).await;
        let Some(checkpoint) = checkpoint.expect("read the checkpoint") else {
            let is_blank = judge::records(&case.bytes).is_some_and(|records| records.is_empty());
            let faults = if is_blank { vec![] } else { vec!["the file was left alone".to_owned()] };
            return Outcome { verdict: Some(Verdict::Empty), faults, ..Outcome::default() };
        };
        let (letters, reasons) = letters(conn, &stream).await;
        let cells = cells(conn, &stream, case).await;
        let mut outcome = Outcome {
            rows: count(cells.len()),
            dead_letters: count(letters.len()),
            told: checkpoint.get::<String, _>(1) + &reasons,
            ..Outcome::default()
        };
        let (records, next_offset): (i64, i64) = (checkpoint.get(2), checkpoint.get(3));
        match checkpoint.get(0) {
            "refused" => {
                outcome.verdict = Some(Verdict::RejectFile);
                outcome.demand(records == 0 && outcome.rows == 0, "a refused file has records");
                return outcome;
            }
            "done" if letters.is_empty() => outcome.verdict = Some(Verdict::Accept),
            "done" => outcome.verdict = Some(Verdict::Quarantine),
            state => outcome.faults.push(format!("the file is {state}")),
        }
        outcome.demand(next_offset == count(case.bytes.len()), "the file was not read to its end");
        let accounted = outcome.rows + outcome.dead_letters;
        outcome.demand(records == accounted, "records are not rows and dead letters");
        let sums = batches(conn, &stream).await;
        let expected = [records, outcome.rows, 0, outcome.dead_letters];
        outcome.demand(sums == expected, "streamer.micro_batch counts otherwise");
        for letter in letters {
            outcome.demand(letter.is_in(&case.bytes), "a dead letter is not what stands there");
        }
        outcome.compare(case, &cells);
        outcome
    }
}

impl Outcome {
    fn demand(&mut self, holds: bool, fault: &str) {
        self.faults.extend((!holds).then(|| fault.to_owned()));
    }

    /// Compares the rows with what a reader of RFC 4180 finds, and with the corpus' own.
    fn compare(&mut self, case: &Case, cells: &[Cells]) {
        let Some(names) = &case.text_columns else { return };
        // The reader knows no settings.
        let records = judge::records(&case.bytes).filter(|_| case.settings.is_empty());
        if let Some(records) = records {
            let expected: Vec<Cells> =
                records[1..].iter().filter_map(|fields| row(fields, names.len())).collect();
            let differing = expected.iter().zip(cells).position(|(a, b)| a != b);
            self.demand(differing.is_none(), "a row is not what RFC 4180 says");
            self.demand(expected.len() == cells.len(), "rows are missing or too many");
            self.demand(count(records.len() - 1) == self.rows + self.dead_letters, "lost records");
        }
        if let Some(twin) = &case.twin {
            let twin: serde_json::Value = serde_json::from_slice(twin).expect("the twin is JSON");
            let twin = match twin {
                serde_json::Value::Array(objects) => objects,
                object => vec![object],
            };
            let value = |object: &serde_json::Value| -> Cells {
                names.iter().map(|name| object[name.as_str()].as_str().map(str::to_owned)).collect()
            };
            let expected: Vec<Cells> = twin.iter().map(value).collect();
            self.demand(expected == cells, "the rows are not those of the JSON file beside it");
        }
    }
}

impl Letter {
    fn is_in(&self, bytes: &[u8]) -> bool {
        let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        let there = bytes.get(at(self.start)..at(self.end)).unwrap_or_default();
        !there.is_empty() && self.raw == there[..there.len().min(RAW_BYTES_MAX)]
    }
}

/// A record as the row that it must be; `None` where it can't be one.
fn row(fields: &[judge::Field], columns: usize) -> Option<Cells> {
    let cell = |(bytes, is_quoted): &judge::Field| {
        let text = String::from_utf8(bytes.clone()).ok().filter(|text| !text.contains('\0'))?;
        Some((*is_quoted || !text.is_empty()).then_some(text))
    };
    if fields.len() == columns { fields.iter().map(cell).collect() } else { None }
}

async fn letters(conn: &mut PgConnection, stream: &str) -> (Vec<Letter>, String) {
    let query = "select start_offset, end_offset, raw, reasons::text from streamer.dead_letter
                  where stream = $1 order by start_offset";
    let rows = sqlx::query(query).bind(stream).fetch_all(conn).await.expect("read dead letters");
    let letter = |row: &sqlx::postgres::PgRow| Letter {
        start: row.get(0),
        end: row.get(1),
        raw: row.get(2),
    };
    (rows.iter().map(letter).collect(), rows.iter().map(|row| row.get::<String, _>(3)).collect())
}

async fn batches(conn: &mut PgConnection, stream: &str) -> [i64; 4] {
    let query = "select coalesce(sum(records), 0)::bigint, coalesce(sum(rows), 0)::bigint,
                        coalesce(sum(duplicates), 0)::bigint, coalesce(sum(dead_letters), 0)::bigint
                   from streamer.micro_batch where stream = $1";
    let row = sqlx::query(query).bind(stream).fetch_one(conn).await.expect("read micro-batches");
    [row.get(0), row.get(1), row.get(2), row.get(3)]
}

/// The table's rows in the order of the file; without values where not all columns are text.
async fn cells(conn: &mut PgConnection, table: &str, case: &Case) -> Vec<Cells> {
    let names = case.text_columns.iter().flatten();
    let names: Vec<String> =
        names.map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    let query =
        format!("select array[{}]::text[] from {table} order by \"corpus row\"", names.join(", "));
    let query = sqlx::query_scalar(AssertSqlSafe(query)).persistent(false);
    query.fetch_all(conn).await.expect("read the table")
}

fn count(items: usize) -> i64 {
    i64::try_from(items).expect("a count of things in memory fits")
}
