//! What is learned from the database before there is something in hand.

use tokio::task::spawn_blocking;

use super::ended::Ended;
use crate::database::Database;
use crate::feed::places::Places;
use crate::partition::standing::Loaded;
use crate::sink::Sink;

/// How far the files stand by their checkpoints; also in full, if finished files are to be moved.
pub(super) async fn load(sink: &mut Sink, places: &Places, in_full: bool) -> Result<Loaded, Ended> {
    let places = places.clone();
    let survey = spawn_blocking(move || places.survey()).await?;
    Ok(sink.checkpoints(&survey, in_full).await?)
}

/// The places, with what the database's encoding lacks of the names of files.
pub(super) async fn named(places: &Places, database: &Database) -> Result<Places, sqlx::Error> {
    let mut conn = database.question().await?;
    let places = places.clone().named_for(&mut conn).await?;
    conn.keep();
    Ok(places)
}
