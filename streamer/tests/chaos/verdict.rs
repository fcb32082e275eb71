//! The comparison of the tables with an independent reading of the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::requests::{self, Request};
use crate::support::TestDb;
use crate::support::judge::{TABLE_QUERY, records};
use crate::world::STREAMS;

/// How many rows the rollup of user events has that its rows do not give, or lacks.
const WRONG_IN_ROLLUP: &str = "
    with kept as (
        select window_start, event_type, category, events, revenue from public.user_events_per_minute
    ), given as (
        select date_trunc('minute', event_time), event_type, category, count(*),
               coalesce(sum(price) filter (where event_type = 'purchase'), 0)
          from public.user_events group by 1, 2, 3
    )
    select count(*) from ((select * from kept except all select * from given)
                          union all (select * from given except all select * from kept)) as wrong";

/// What a round came to.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Valid records read from files, of both streams together.
    pub(crate) rows: i64,
    pub(crate) lost: i64,
    pub(crate) doubled: i64,
    /// Counts that do not add up, in words.
    pub(crate) miscounts: Vec<String>,
}

/// What was taken of one partition, by our own reading.
struct Taken {
    records: i64,
    valid: i64,
    bad: Vec<i64>,
}

/// Compares what the database says of both streams with the files that were in the folder, and what
/// it has of requests with those that were `sent`.
pub(crate) async fn judge<'a>(
    db: &TestDb,
    partitions: impl Iterator<Item = (String, &'a Path)>,
    sent: &[Request],
) -> Verdict {
    let files: BTreeMap<String, Vec<u8>> = partitions
        .map(|(partition, path)| (partition, std::fs::read(path).expect("read a file")))
        .collect();
    let mut verdict = Verdict::default();
    for stream in STREAMS {
        judge_stream(db, stream, &files, &mut verdict).await;
    }
    let wrong = db.number(WRONG_IN_ROLLUP).await;
    differ(&mut verdict, STREAMS[0], "wrong rows of the rollup", &wrong, &0);
    requests::judge(db, sent, &mut verdict).await;
    verdict
}

async fn judge_stream(
    db: &TestDb,
    stream: &str,
    files: &BTreeMap<String, Vec<u8>>,
    verdict: &mut Verdict,
) {
    // Without a key a table shows every record that came twice.
    let has_key = stream == STREAMS[0];
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    let mut counts = Vec::new();
    let mut letters = BTreeSet::new();
    let checkpoints = format!(
        "select partition, next_offset, records from streamer.checkpoint
          where stream = '{stream}' order by partition collate \"C\""
    );
    for line in db.rows(&checkpoints).await {
        let [partition, offset, records] = fields(&line);
        let Some(file) = files.get(partition) else {
            verdict.miscounts.push(format!("{stream}: nobody wrote {partition}"));
            continue;
        };
        let taken = &file[..offset.parse::<usize>().unwrap().min(file.len())];
        let Taken { records: expected_records, valid, bad } = read(taken, has_key, &mut expected);
        if records != expected_records.to_string() {
            verdict.miscounts.push(format!(
                "{stream}: the checkpoint of {partition} counts {records} records, not {expected_records}"
            ));
        }
        if expected_records > 0 {
            counts.push(format!("{partition}|{expected_records}|{valid}|{}", bad.len()));
        }
        letters.extend(bad.into_iter().map(|line| format!("{partition}|{line}")));
    }
    let told = format!(
        "select partition, sum(records), sum(rows + duplicates), sum(dead_letters)
           from streamer.micro_batch where stream = '{stream}'
          group by partition having sum(records) > 0 order by partition collate \"C\""
    );
    differ(verdict, stream, "micro_batch", &db.rows(&told).await, &counts);
    let told =
        format!("select partition, line from streamer.dead_letter where stream = '{stream}'");
    let told: BTreeSet<String> = db.rows(&told).await.into_iter().collect();
    differ(verdict, stream, "dead_letter", &told, &letters);
    let inserted = format!(
        "select coalesce(sum(rows), 0)::bigint from streamer.micro_batch where stream = '{stream}'"
    );
    let (inserted, rows) = (db.number(&inserted).await, expected.values().sum::<i64>());
    differ(verdict, stream, "rows of micro_batch", &inserted, &rows);
    for row in db.rows(&TABLE_QUERY.replace("user_events", &format!("public.{stream}"))).await {
        *expected.entry(row).or_default() -= 1;
    }
    verdict.rows += rows;
    verdict.lost += expected.values().filter(|n| **n > 0).sum::<i64>();
    verdict.doubled -= expected.values().filter(|n| **n < 0).sum::<i64>();
}

/// Reads what was taken of a file, and adds its rows to those that are expected.
fn read(taken: &[u8], has_key: bool, expected: &mut BTreeMap<String, i64>) -> Taken {
    let mut outcome = Taken { records: 0, valid: 0, bad: Vec::new() };
    for (line, row) in records(taken) {
        outcome.records += 1;
        match row {
            None => outcome.bad.push(line),
            Some((id, rest)) => {
                outcome.valid += 1;
                let count = expected.entry(format!("{id}|{rest}")).or_default();
                *count = if has_key { 1 } else { *count + 1 };
            }
        }
    }
    outcome
}

fn differ<T: PartialEq + std::fmt::Debug>(
    verdict: &mut Verdict,
    stream: &str,
    what: &str,
    told: &T,
    expected: &T,
) {
    if told != expected {
        let text = format!("{stream}: {what} says {told:?}, the files say {expected:?}");
        verdict.miscounts.push(text.chars().take(2000).collect());
    }
}

fn fields<const N: usize>(line: &str) -> [&str; N] {
    let fields: Vec<&str> = line.split('|').collect();
    fields.try_into().expect("as many columns as asked for")
}
