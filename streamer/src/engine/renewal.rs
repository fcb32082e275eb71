//! The look of a writer at its table's description: where that has changed, all is read anew.

use super::ended::Ended;
use super::writer::Writer;

impl Writer {
    /// Looks at the table's description, if that is due. Returns whether it has changed: all is
    /// then read anew by what the table is now.
    pub(super) async fn look_if_due(&mut self, is_asked: bool) -> Result<bool, Ended> {
        Ok(self.shared.looks.is_due(is_asked) && Box::pin(self.look(is_asked)).await?)
    }

    /// The same, whether it is due or not.
    pub(super) async fn look(&mut self, is_asked: bool) -> Result<bool, Ended> {
        let shared = self.shared.clone();
        let stream = &shared.stream;
        let table = self.sink.describe(&stream.table, &stream.fitting).await?;
        let change = shared.fits.renew(table);
        shared.looks.note(is_asked, change.is_some());
        let Some(change) = change else { return Ok(false) };
        tracing::info!(
            stream = %stream.name,
            "table {} has changed: {change}; reading on by what it is now",
            stream.table
        );
        self.renewals = shared.fits.renewals();
        self.rewind().await?;
        Ok(true)
    }
}
