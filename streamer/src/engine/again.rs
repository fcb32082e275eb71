//! What was read and is not committed is put down, and read again later.

use tokio::time::Instant;

use super::ended::Ended;
use super::halt::Later;
use super::learned::load;
use super::writer::Writer;
use crate::retry::pauses;

impl Writer {
    /// Puts down what is in hand, waits until it may be tried again, and goes on from where the
    /// checkpoints stand then.
    pub(super) async fn wait(&mut self, later: Later) -> Result<(), Ended> {
        self.shared.files.begin_rewind();
        self.put_down().await?;
        match later {
            Later::Lock => self.sink.stand_by().await?,
            Later::Rival => {
                self.yield_to_rival().await;
                if !self.sink.stopped().await?.is_empty() {
                    self.shared.stop();
                }
            }
            Later::Partition(missing) => {
                self.shared.unplaced.wait(&mut self.sink, &missing).await?;
            }
        }
        self.go_on().await
    }

    /// Goes on from where the checkpoints stand now.
    pub(super) async fn rewind(&mut self) -> Result<(), Ended> {
        self.shared.files.begin_rewind();
        self.put_down().await?;
        self.go_on().await
    }

    async fn go_on(&mut self) -> Result<(), Ended> {
        if let Some(spool) = self.shared.places.spool() {
            spool.forget_committed();
        }
        let done = &self.shared.done;
        let loaded = load(&mut self.sink, &self.shared.places, done.is_some()).await?;
        if let Some(done) = done {
            done.lock().await.reload(&loaded.checkpoints);
        }
        self.shared.files.reload(loaded.standing);
        self.shared.news.notify_one();
        Ok(())
    }

    /// Forgets what was read ahead, gives the place back, and leaves what was claimed to whoever
    /// claims it next.
    pub(super) async fn put_down(&mut self) -> Result<(), Ended> {
        self.source.reset().await?;
        self.sink.give_place_back();
        self.sink.release().await;
        Ok(())
    }

    /// Another streamer was faster: leaves it the work for a while, longer each time. Should it
    /// end, the next try succeeds.
    async fn yield_to_rival(&mut self) {
        let pauses = self.rivalry.get_or_insert_with(|| {
            tracing::info!(
                stream = %self.shared.stream.name,
                "another streamer is at work on the same files; standing by"
            );
            pauses()
        });
        let pause = pauses.next().expect("pauses never end");
        self.shared.sleep_until(Instant::now() + pause).await;
    }
}
