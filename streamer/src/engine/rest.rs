//! The rest of a stream that can't go on before somebody has mended something: told once when it
//! begins and once when it ends. Other streams go on meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::ExponentialBackoff;
use tokio_util::sync::CancellationToken;

use super::ended::Ended;
use crate::config::Stream;
use crate::health::{Ailment, Health};
use crate::retry::pauses;

/// Whether a stream rests, and why.
pub(super) struct Resting {
    stream: String,
    /// How long it is left alone at most before the next try.
    pause_max: Duration,
    health: Health,
    present: Mutex<Option<Present>>,
}

/// A rest that lasts until the stream has done some work.
struct Present {
    words: String,
    since: Instant,
    pauses: ExponentialBackoff,
    _ailment: Ailment,
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

    /// The stream rests because of `ended`, which is told if it is something new, until it is to
    /// try again. False if the work is to end.
    pub(super) async fn rest(&self, ended: Ended, stop: &CancellationToken) -> bool {
        let error = anyhow::Error::new(ended.of_stream(&self.stream));
        let words = format!("{error:#}").replace('\n', " ");
        let pause = self.begin(words);
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// The stream has done some work, or has found none.
    pub(super) fn end(&self) {
        if let Some(present) = self.lock().take() {
            let seconds = present.since.elapsed().as_secs_f64();
            tracing::info!(stream = %self.stream, "the stream goes on after {seconds:.1} s");
        }
    }

    /// Notes and tells why it rests; returns for how long.
    fn begin(&self, words: String) -> Duration {
        let mut present = self.lock();
        let (since, mut pauses, is_told) = match present.take() {
            Some(before) => (before.since, before.pauses, before.words == words),
            None => (Instant::now(), pauses(), false),
        };
        let pause = pauses.next().expect("pauses never end").min(self.pause_max);
        let told = format!("{words}; the stream rests, and goes on by itself once this is mended");
        if !is_told {
            tracing::error!("{told}");
        }
        let _ailment = self.health.note_of(&self.stream, told);
        *present = Some(Present { words, since, pauses, _ailment });
        pause
    }

    fn lock(&self) -> MutexGuard<'_, Option<Present>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        for _ in 0..2 {
            let missing = Ended::Table(SchemaError::Missing("t".to_owned()));
            assert!(resting.rest(missing, &stop).await);
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
