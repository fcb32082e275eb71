//! Idempotency-Keys: which requests were committed, whichever streamer took them.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::PgConnection;
use sqlx::types::Uuid;

use super::bigint;
use crate::batch::{Request, Verdict};
use crate::framing::Key;

/// How many keys are removed at a time.
const EXPIRED_AT_ONCE: i64 = 1000;

/// What was committed under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Hash of the records, as [`Key::records`].
    pub records_hash: u128,
    /// How many there were.
    pub records: u64,
}

/// Claims the keys of `requests`, so that no other transaction can commit records under them, and
/// says which were used before; a key that is older than `keep` was not. Waits for transactions
/// that are claiming one of them.
///
/// # Errors
/// When they can't be written.
pub async fn claim(
    tx: &mut PgConnection,
    stream: &str,
    keep: Duration,
    requests: &[Request],
) -> Result<Vec<Verdict>, sqlx::Error> {
    // The first request under a key is the one that counts.
    let mut firsts: HashMap<u128, usize> = HashMap::new();
    for (at, request) in requests.iter().enumerate() {
        firsts.entry(request.key.key).or_insert(at);
    }
    let each = || firsts.values().map(|at| &requests[*at]);
    let keys: Vec<Uuid> = each().map(|one| Uuid::from_u128(one.key.key)).collect();
    // All claim in key order, so that none waits for another in a circle.
    let claimed: Vec<Uuid> = sqlx::query_scalar(
        "insert into streamer.idempotency_key as k (stream, key, records_hash, records)
         select $1, v.key, v.records_hash, v.records
           from unnest($2::uuid[], $3::uuid[], $4::bigint[]) v (key, records_hash, records)
          order by v.key
         on conflict (stream, key) do update
            set records_hash = excluded.records_hash, records = excluded.records, created_at = now()
          where k.created_at < now() - make_interval(secs => $5)
         returning key",
    )
    .bind(stream)
    .bind(&keys)
    .bind(each().map(|one| Uuid::from_u128(one.key.records)).collect::<Vec<_>>())
    .bind(each().map(|one| bigint(one.records)).collect::<Vec<_>>())
    .bind(keep.as_secs_f64())
    .fetch_all(&mut *tx)
    .await?;
    let mut before: HashMap<u128, Committed> = HashMap::new();
    if claimed.len() < keys.len() {
        let others = keys.iter().filter(|key| !claimed.contains(key)).map(Uuid::as_u128);
        before = known(tx, stream, None, &others.collect::<Vec<_>>()).await?;
    }
    Ok(requests
        .iter()
        .enumerate()
        .map(|(at, request)| {
            let Key { key, records } = request.key;
            let first = firsts[&key];
            let is_claimed = claimed.contains(&Uuid::from_u128(key));
            match (is_claimed, before.get(&key)) {
                (true, _) if first == at => Verdict::New,
                (true, _) if requests[first].key.records == records => Verdict::Repeated,
                (false, Some(before)) if before.records_hash == records => Verdict::Repeated,
                (true, _) | (false, Some(_)) => Verdict::Reused,
                // It expired between the two statements, and was there until then.
                (false, None) => Verdict::Repeated,
            }
        })
        .collect())
}

/// What was committed under `keys`, and is not older than `keep`.
///
/// # Errors
/// When the database can't be asked.
pub async fn known(
    conn: &mut PgConnection,
    stream: &str,
    keep: Option<Duration>,
    keys: &[u128],
) -> Result<HashMap<u128, Committed>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid, i64)> = sqlx::query_as(
        "select key, records_hash, records from streamer.idempotency_key
          where stream = $1 and key = any($2)
            and ($3::float8 is null or created_at >= now() - make_interval(secs => $3))",
    )
    .bind(stream)
    .bind(keys.iter().map(|key| Uuid::from_u128(*key)).collect::<Vec<_>>())
    .bind(keep.map(|keep| keep.as_secs_f64()))
    .fetch_all(conn)
    .await?;
    let known = rows.into_iter().map(|(key, hash, records)| {
        let records = super::unsigned(records);
        (key.as_u128(), Committed { records_hash: hash.as_u128(), records })
    });
    Ok(known.collect())
}

/// Removes some of the keys that are older than `keep`; returns whether there may be more.
///
/// # Errors
/// When they can't be removed.
pub async fn expire(
    conn: &mut PgConnection,
    stream: &str,
    keep: Duration,
) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query(
        "delete from streamer.idempotency_key
          where (stream, key) in
                (select stream, key from streamer.idempotency_key
                  where stream = $1 and created_at < now() - make_interval(secs => $2)
                  order by created_at limit $3 for update skip locked)",
    )
    .bind(stream)
    .bind(keep.as_secs_f64())
    .bind(EXPIRED_AT_ONCE)
    .execute(conn)
    .await?;
    Ok(removed.rows_affected() >= EXPIRED_AT_ONCE.unsigned_abs())
}

/// A key of the journals that were written before the keys were kept here.
#[derive(Debug, Clone, Copy)]
pub struct Former {
    /// The key.
    pub key: Key,
    /// How many records came under it.
    pub records: u64,
    /// When, in nanoseconds since 1970.
    pub at_nanos: u64,
}

/// Takes keys over that were kept elsewhere. Those that are known stay as they are.
///
/// # Errors
/// When they can't be written.
pub async fn take_over(
    conn: &mut PgConnection,
    stream: &str,
    keys: &[Former],
) -> Result<(), sqlx::Error> {
    let each = || keys.iter();
    sqlx::query(
        "insert into streamer.idempotency_key (stream, key, records_hash, records, created_at)
         select distinct on (v.key) $1, v.key, v.records_hash, v.records,
                least(to_timestamp(v.seconds), now())
           from unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::float8[])
                v (key, records_hash, records, seconds)
          order by v.key
         on conflict (stream, key) do nothing",
    )
    .bind(stream)
    .bind(each().map(|one| Uuid::from_u128(one.key.key)).collect::<Vec<_>>())
    .bind(each().map(|one| Uuid::from_u128(one.key.records)).collect::<Vec<_>>())
    .bind(each().map(|one| bigint(one.records)).collect::<Vec<_>>())
    .bind(each().map(|one| Duration::from_nanos(one.at_nanos).as_secs_f64()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}
