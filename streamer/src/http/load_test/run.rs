//! The sending of a load test: each batch when it is due, whatever became of those before it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use generator::{Dataset, Generator, Settings};
use tokio::task::JoinSet;

use super::{EVENTS_PER_BATCH, LoadTest};
use crate::http::answer::Refusal;
use crate::http::{App, body, events, simulator};
use crate::receiver::records;
use crate::spool::Receipt;

/// How many batches may be without an answer: a batch that is due then is not sent.
const UNANSWERED_MAX: usize = 1000;

/// The time in which the events of a batch were created.
const SPAN: Duration = Duration::from_millis(1);

/// Sends all batches, or those until it is stopped, and waits for what becomes of them.
pub(super) async fn run(app: Arc<App>, test: Arc<LoadTest>) {
    let total = test.load.duration * test.load.batches_per_second;
    let every = Duration::from_secs(1).div_f64(f64_of(test.load.batches_per_second));
    let begun = tokio::time::Instant::now();
    let (mut batches, mut due) = (JoinSet::new(), begun);
    for events in event_counts().take(usize::try_from(total).unwrap_or(usize::MAX)) {
        tokio::select! {
            biased;
            () = test.stop.cancelled() => break,
            () = tokio::time::sleep_until(due) => {}
        }
        due += every;
        while batches.try_join_next().is_some() {}
        if batches.len() >= UNANSWERED_MAX {
            test.tally().note_unsent();
        } else {
            batches.spawn(send(app.clone(), test.clone(), events));
        }
    }
    let is_stopped = test.stop.is_cancelled();
    test.tally().note_sending_ended(test.elapsed());
    while batches.join_next().await.is_some() {}
    test.tally().note_end(test.elapsed(), is_stopped);
}

/// How many events each batch has: all sizes in turn, so that each run sends the same.
fn event_counts() -> impl Iterator<Item = u64> {
    let (least, most) = EVENTS_PER_BATCH;
    (least..=most).step_by(10).cycle()
}

/// Sends one batch, and waits until it is committed.
async fn send(app: Arc<App>, test: Arc<LoadTest>, events: u64) {
    test.tally().note_sent(test.elapsed(), events);
    let Ok(receipt) = offer(&app, events).await else {
        test.tally().note_refused();
        return;
    };
    let accepted = Instant::now();
    test.tally().note_accepted(test.elapsed(), receipt.records);
    let counts = match receipt.outcome {
        Some(outcome) => events::committed(&app, outcome).await,
        None => None,
    };
    test.tally().note_outcome(accepted.elapsed(), counts);
}

/// Makes a batch and hands it in as the body of a request is.
async fn offer(app: &App, events: u64) -> Result<Receipt, Refusal> {
    let entry = simulator::entry(app)?;
    let csv = reactions(events)?;
    let share = app.memory.try_share(csv.capacity()).ok_or_else(body::out_of_memory)?;
    let made = records::csv(csv, entry.stream.reading.record_bytes_max);
    let made = made.map_err(|error| broken(&error))?;
    simulator::hand_in(app, entry, made, share, true).await
}

/// So many reactions of now, as CSV.
fn reactions(events: u64) -> Result<Vec<u8>, Refusal> {
    let dataset = Dataset::Emoji;
    let settings = Settings { dataset, rows: events, span: SPAN, ..Settings::default() };
    let mut csv = Vec::new();
    let mut generator = Generator::new(settings).map_err(|error| broken(&error))?;
    let written = generator.write_events(&mut csv, &mut |_| ControlFlow::Continue(()));
    written.map_err(|error| broken(&error))?;
    Ok(csv)
}

fn broken(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

#[allow(clippy::cast_precision_loss, reason = "at most a hundred")]
fn f64_of(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::{event_counts, reactions};

    #[test]
    fn batches_have_from_ten_to_a_hundred_events() {
        let counts: Vec<u64> = event_counts().take(11).collect();
        assert_eq!((counts[0], counts[9], counts[10]), (10, 100, 10));
        let csv = String::from_utf8(reactions(25).unwrap()).unwrap();
        assert_eq!(csv.lines().count(), 26);
        assert!(csv.starts_with("user_id,emoji_type,timestamp\n"), "{csv}");
    }
}
