//! The Idempotency-Keys of a stream: those of a former version are taken over, and those that are
//! too old go.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::retry::pauses;
use crate::spool::SpoolReader;

/// How often it is looked for keys that are too old.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// Between two steps in which keys are removed, so that nobody waits for them.
const PAUSE: Duration = Duration::from_millis(50);

/// The SQLSTATE of what the role may not do.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Tends the keys of the stream `name` until `stop`. A database that is away is told by whoever
/// loads; here it is tried again.
pub(super) async fn tend(spool: Option<SpoolReader>, name: &str, stop: CancellationToken) {
    let Some(spool) = spool else { return };
    let tending = async {
        let mut waits = pauses();
        while let Err(error) = Box::pin(spool.take_former_keys_over()).await {
            tracing::debug!(stream = %name, "cannot take over former keys: {error}; trying again");
            tokio::time::sleep(waits.next().expect("pauses never end")).await;
        }
        let mut was_told = false;
        loop {
            let pause = match Box::pin(spool.expire_keys()).await {
                Ok(true) => PAUSE,
                Ok(false) => LOOK_EVERY,
                Err(error) => {
                    let code = error.as_database_error().and_then(|error| error.code());
                    let is_forbidden = code.as_deref() == Some(INSUFFICIENT_PRIVILEGE);
                    if is_forbidden && !std::mem::replace(&mut was_told, true) {
                        tracing::warn!(
                            stream = %name,
                            "cannot remove Idempotency-Keys that are too old: {error}; README.md has what a role needs"
                        );
                    }
                    LOOK_EVERY
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = tending => {}
    }
}
