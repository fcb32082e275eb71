//! What HTTP clients send, and the comparison of what became of it with what they were told.

use std::collections::BTreeMap;

use crate::support::TestDb;
use crate::verdict::Verdict;

/// The stream that takes requests, and its table. It has no key, so a record that came twice is
/// there twice.
pub(crate) const STREAM: &str = "requests";

/// Partitions whose counts do not add up.
const WRONG_SUMS: &str = "
    with told as (
        select partition, sum(records) as records,
               sum(rows + duplicates + repeated + dead_letters) as parts
          from streamer.micro_batch where stream = 'requests' group by partition
    ), taken as (
        select partition, records from streamer.checkpoint where stream = 'requests'
    )
    select partition, taken.records as taken, told.records as told, parts
      from taken full join told using (partition)
     where coalesce(taken.records, 0) <> coalesce(told.records, 0) or told.records <> parts";

/// Records of one client, sent under an Idempotency-Key of their own.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: i64,
    /// How many records it has.
    pub(crate) records: i64,
    pub(crate) is_acknowledged: bool,
    /// Somebody was told that its rows are in the table, and that they had not been before.
    pub(crate) is_told_new: bool,
}

impl Request {
    pub(crate) fn new(id: i64, records: i64) -> Request {
        Request { id, records, is_acknowledged: false, is_told_new: false }
    }

    pub(crate) fn key(&self) -> String {
        format!("request {}", self.id)
    }

    /// As CSV. A record that is cut off anywhere is no longer what was sent.
    pub(crate) fn body(&self) -> String {
        let records = self.notes().map(|(record, note)| {
            let note = note.replace('"', "\"\"");
            format!("{},{record},\"{note}\"\n", self.id)
        });
        std::iter::once("request,record,note\n".to_owned()).chain(records).collect()
    }

    /// Its rows, as the table gives them.
    fn rows(&self) -> Vec<String> {
        self.notes().map(|(record, note)| format!("{}|{record}|{note}", self.id)).collect()
    }

    fn notes(&self) -> impl Iterator<Item = (i64, String)> {
        let Request { id, records, .. } = self;
        (1..=*records).map(move |n| (n, format!("\"{id}\", its record {n}\nof {records}")))
    }
}

/// Compares the table with what was sent.
pub(crate) async fn judge(db: &TestDb, sent: &[Request], verdict: &mut Verdict) {
    let mut table: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let rows = db.rows("select request, record, note from public.requests order by 1, 2").await;
    let count = rows.len();
    for row in rows {
        let id = row.split('|').next().and_then(|id| id.parse().ok());
        table.entry(id.expect("a row begins with its request")).or_default().push(row);
    }
    let stored = table.len();
    for request in sent {
        let (rows, expected) = (table.remove(&request.id).unwrap_or_default(), request.rows());
        if rows == expected || rows.is_empty() && !request.is_acknowledged {
            continue;
        }
        let missing = |of: &[String], from: &[String]| {
            i64::try_from(of.iter().filter(|row| !from.contains(row)).count()).expect("it fits")
        };
        let lost = missing(&expected, &rows);
        verdict.lost += lost;
        // All that is neither expected nor in the place of something expected.
        verdict.doubled += i64::try_from(rows.len()).expect("it fits") - (request.records - lost);
        verdict.miscounts.push(format!("{STREAM}: {request:?} came to {rows:?}"));
    }
    for rows in table.values() {
        verdict.miscounts.push(format!("{STREAM}: nobody sent {rows:?}"));
    }
    judge_ledger(db, &format!("{count}|0|0"), &format!("{stored}|{count}"), verdict).await;
}

/// `sums` are rows, duplicates and dead letters as they should be, `keys` how many keys there
/// should be, with how many records.
async fn judge_ledger(db: &TestDb, sums: &str, keys: &str, verdict: &mut Verdict) {
    let told_sums = "select coalesce(sum(rows), 0), coalesce(sum(duplicates), 0),
                            coalesce(sum(dead_letters), 0)
                       from streamer.micro_batch where stream = 'requests'";
    let told_keys = "select count(*), coalesce(sum(records), 0) from streamer.idempotency_key";
    for (query, expected) in [(told_sums, sums), (told_keys, keys)] {
        let told = db.rows(query).await;
        if told != [expected] {
            verdict.miscounts.push(format!("{STREAM}: {query} says {told:?}, not {expected}"));
        }
    }
    for partition in db.rows(WRONG_SUMS).await {
        verdict.miscounts.push(format!("{STREAM}: the sums of {partition} are wrong"));
    }
    let letters = "select partition, line, reasons from streamer.dead_letter
                    where stream = 'requests'";
    for letter in db.rows(letters).await {
        verdict.miscounts.push(format!("{STREAM}: a dead letter: {letter}"));
    }
}
