//! The rest of a stream that can't go on before somebody has mended something: told once when it
//! begins and once when it ends. Other streams go on meanwhile.
//!
//! After the first failure the stream is started anew at once, which reads the table's description
//! anew: where the table has only changed, that mends it. What comes next is a rest.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::ExponentialBackoff;
use tokio_util::sync::CancellationToken;

use super::ended::Ended;
use crate::config::Stream;
use crate::health::{Ailment, Health, Kind};
use crate::retry::pauses;

/// Whether a stream rests, and why.
pub(super) struct Resting {
    stream: String,
    /// How long it is left alone at most before the next try.
    pause_max: Duration,
    health: Health,
    present: Mutex<Option<Present>>,
}

/// What lasts from the first failure until the stream has done some work.
struct Present {
    since: Instant,
    pauses: ExponentialBackoff,
    /// What was told, and is noted.
    told: Option<(String, Ailment)>,
}

impl Resting {
    /// It works.
    pub(super) fn new(stream: &Stream, health: &Health) -> Resting {
        Resting {
            stream: stream.name.clone(),
            pause_max: stream.reading.scan_every,
            health: health.clone(),
            present: Mutex::default(),
        }
    }

    /// The stream is to try again after `ended`. It rests until then, and that is told, unless it
    /// is the first failure. False if the work is to end.
    pub(super) async fn rest(&self, ended: Ended, stop: &CancellationToken) -> bool {
        let is_changed = ended.is_table_changed();
        let words = in_line(&anyhow::Error::new(ended.of_stream(&self.stream)));
        let pause = self.begin(words, is_changed);
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// The stream has done some work, or has found none.
    pub(super) fn end(&self) {
        if let Some(Present { since, told: Some(_), .. }) = self.lock().take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::info!(stream = %self.stream, "the stream goes on after {seconds:.1} s");
        }
    }

    /// Notes and tells why it rests; returns for how long.
    fn begin(&self, words: String, is_changed: bool) -> Duration {
        let mut lock = self.lock();
        let Some(present) = lock.as_mut() else {
            if is_changed {
                tracing::info!("{words}");
            } else {
                tracing::debug!("{words}; trying again");
            }
            *lock = Some(Present { since: Instant::now(), pauses: pauses(), told: None });
            return Duration::ZERO;
        };
        if present.told.as_ref().is_none_or(|(told, _)| *told != words) {
            let told = format!("{words}; the stream rests, and goes on once this is mended");
            let ailment = self.health.note_of(&self.stream, told.clone()).of_kind(Kind::Rest);
            present.told = Some((words, ailment));
            tracing::error!("{told}");
        }
        present.pauses.next().expect("pauses never end").min(self.pause_max)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Present>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error and its causes in one line, none of them twice.
pub(super) fn in_line(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.ends_with(&cause) {
            words += &format!(": {cause}");
        }
    }
    words.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaError;

    #[tokio::test]
    async fn a_rest_is_noted_until_the_stream_has_done_some_work() {
        let stream = &crate::config::Settings::shipped(Default::default()).unwrap().streams[0];
        let (health, stop) = (Health::default(), CancellationToken::new());
        let resting = Resting::new(stream, &health);
        let missing = || Ended::Table(SchemaError::Missing("t".to_owned()));
        assert!(resting.rest(missing(), &stop).await);
        assert!(health.is_well(), "the first failure may be mended by a new start");
        for _ in 0..2 {
            assert!(resting.rest(missing(), &stop).await);
            let noted = health.ailments_of(&stream.name);
            assert_eq!(noted.len(), 1, "{noted:?}");
            assert!(noted[0].contains("there is no table t") && health.is_ready(), "{noted:?}");
        }
        stop.cancel();
        assert!(!resting.rest(Ended::Table(SchemaError::Missing("u".to_owned())), &stop).await);
        resting.end();
        assert!(health.is_well());
    }
}
