//! Follows what others append to the journal.

use std::pin::pin;
use std::sync::Arc;

use berth_scheduler_core::keys::Revision;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::EngineError;
use crate::journal::{Followed, Journal, JournalError};

/// Reads that may wait for the engine.
const AHEAD: usize = 4;

/// Records as they come, also those of the engine itself; an error is the last.
pub(super) type News = mpsc::Receiver<Result<Vec<(Revision, Vec<u8>)>, EngineError>>;

/// Follows from a revision on, until the engine is gone. Must be called within its runtime.
pub(super) fn follow<J: Journal>(journal: Arc<J>, from: Revision) -> News {
    let (told, news) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut stream = pin!(journal.follow(from));
        while let Some(followed) = stream.next().await {
            let tell = match followed {
                Ok(Followed::Records(records)) => Ok(records),
                Ok(Followed::Quiet { .. }) => continue,
                Ok(Followed::Compacted { oldest }) => Err(EngineError::Behind { from, oldest }),
                Err(JournalError::Unreachable { operation, source }) => {
                    tracing::warn!(operation, error = %source, "journal not reached, tried again");
                    continue;
                }
                Err(error) => Err(error.into()),
            };
            if told.send(tell).await.is_err() {
                return;
            }
        }
    });
    news
}
