//! Which streamers are at work: each has a row, and notes again and again that it is there. All
//! times are by the database's clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// Who has given no sign of life for so long is not at work any more.
pub const SEEN_WITHIN: Duration = Duration::from_secs(15);

/// A streamer, as it tells of itself.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Another one at each start.
    pub instance_id: Uuid,
    /// The machine's name.
    pub host: String,
    /// The number of its process there.
    pub pid: i32,
    /// The streamer's version.
    pub version: String,
    /// The streams that it works on.
    pub streams: Vec<String>,
    /// Where its HTTP server listens, if it has one.
    pub address: Option<String>,
}

/// A streamer that is at work. Scripts rely on its JSON form: fields are added, not renamed.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Seen {
    /// Another one at each start.
    #[serde(skip)]
    pub instance_id: Uuid,
    /// The machine's name.
    pub host: String,
    /// The number of its process there.
    pub pid: i32,
    /// The streamer's version.
    pub version: String,
    /// The streams that it works on.
    pub streams: Vec<String>,
    /// When it began to tell of itself.
    pub started_at: DateTime<Utc>,
    /// Its last sign of life.
    pub seen_at: DateTime<Utc>,
    /// How long ago that was when it was asked for.
    pub seen_seconds_ago: f64,
    /// Where its HTTP server listens, if it has one.
    pub address: Option<String>,
}

/// Notes that a streamer is there, which began to tell of itself `since` so long.
///
/// # Errors
/// When it can't be written.
pub async fn note(
    conn: &mut PgConnection,
    instance: &Instance,
    since: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into streamer.instance
                (instance_id, host, pid, version, streams, address, started_at, seen_at)
         values ($1, $2, $3, $4, $5, $6, clock_timestamp() - make_interval(secs => $7), clock_timestamp())
             on conflict (instance_id) do update set seen_at = excluded.seen_at",
    )
    .bind(instance.instance_id)
    .bind(&instance.host)
    .bind(instance.pid)
    .bind(&instance.version)
    .bind(&instance.streams)
    .bind(&instance.address)
    .bind(since.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes those that were not seen within [`SEEN_WITHIN`].
///
/// # Errors
/// When they can't be removed.
pub async fn remove_unseen(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from streamer.instance where seen_at < clock_timestamp() - make_interval(secs => $1)",
    )
    .bind(SEEN_WITHIN.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes one that has ended.
///
/// # Errors
/// When it can't be removed.
pub async fn remove(conn: &mut PgConnection, instance_id: Uuid) -> Result<(), sqlx::Error> {
    let remove = sqlx::query("delete from streamer.instance where instance_id = $1");
    remove.bind(instance_id).execute(conn).await?;
    Ok(())
}

/// Those that were seen within [`SEEN_WITHIN`], the oldest first.
///
/// # Errors
/// When the database can't be asked.
pub async fn at_work(conn: &mut PgConnection) -> Result<Vec<Seen>, sqlx::Error> {
    sqlx::query_as(
        "select instance_id, host, pid, version, streams, started_at, seen_at, address,
                greatest(round(extract(epoch from now() - seen_at)::numeric, 1), 0)::double precision
                    as seen_seconds_ago
           from streamer.instance
          where seen_at >= now() - make_interval(secs => $1)
          order by started_at, instance_id",
    )
    .bind(SEEN_WITHIN.as_secs_f64())
    .fetch_all(conn)
    .await
}
