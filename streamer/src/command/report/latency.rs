//! `streamer report latency`: how long events took to become rows, per window and over all.

use anyhow::{Context, Result, bail};
use sqlx::PgConnection;

use super::named;
use super::section::{Column, Query, Section};
use crate::cli::LatencyArgs;
use crate::command::table::grouped;
use crate::config::Settings;

/// What `streamer.latency` gives; the first is no number.
const COLUMNS: [&str; 7] =
    ["window_start", "events", "average_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms"];

pub(super) async fn gather(
    conn: &mut PgConnection,
    settings: &Settings,
    args: &LatencyArgs,
) -> Result<Vec<Section>> {
    let stream = named(settings, &args.name)?;
    if args.window.is_some_and(|window| window.is_zero()) {
        bail!("--window must be more than 0s");
    }
    let columns = COLUMNS.iter().enumerate();
    let columns =
        columns.map(|(at, name)| Column { name: (*name).to_owned(), is_number: at > 0 }).collect();
    let query = Query {
        columns,
        from: "streamer.latency($1::text::regclass, $2::text::interval, $3::text::name) r \
               order by r.window_start"
            .to_owned(),
        parameters: vec![
            Some(stream.table.clone()),
            args.window.map(|window| format!("{} microseconds", window.as_micros())),
            stream.fitting.event_time.clone(),
        ],
    };
    let read = query.read(conn, args.output.json).await;
    let mut section = read.with_context(|| format!("measure table {}", stream.table))?;
    section.name = format!("latency of {}", stream.name);
    if !args.output.csv
        && let Some(total) = section.rows.pop()
    {
        section.last = Some(total_text(&total, section.rows.len()));
    }
    Ok(vec![section])
}

/// The row over all windows, in words.
fn total_text(total: &[Option<String>], windows: usize) -> String {
    let of = |at: usize| total[at].as_deref().unwrap_or("-");
    let events = of(1).parse::<i64>().map_or_else(|_| of(1).to_owned(), grouped);
    format!(
        "{events} events in {windows} windows: average {} ms, P50 {} ms, P90 {} ms, P99 {} ms, max {} ms",
        of(2),
        of(3),
        of(4),
        of(5),
        of(6)
    )
}
