//! Follows what others append to the journal.

use std::pin::pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use berth_scheduler_core::keys::Revision;
use berth_scheduler_core::state::State;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::EngineError;
use crate::journal::{Followed, Journal, JournalError};

/// Reads that may wait for the engine.
const AHEAD: usize = 4;

/// Records as they come, also those of the engine itself; an error is the last.
pub(super) type News = mpsc::Receiver<Heard>;

type Heard = Result<Vec<(Revision, Vec<u8>)>, EngineError>;

/// Follows from what comes after the published state, until the engine is gone. Must be called within its runtime.
///
/// Who follows may be further back than the state, whose records the engine may have made itself: that they were truncated
/// meanwhile ends nothing as long as the state has them.
pub(super) fn follow<J: Journal>(journal: Arc<J>, view: Arc<ArcSwap<State>>) -> News {
    let (told, news) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut from = view.load().revision().next();
        while let Some(oldest) = follow_from(&*journal, from, &told).await {
            let wanted = view.load().revision().next();
            if wanted < oldest {
                let behind = EngineError::Behind { from: wanted, oldest };
                // Nobody to be told is nobody who wants to know.
                told.send(Err(behind)).await.ok();
                return;
            }
            from = wanted;
        }
    });
    news
}

/// Tells what comes from a revision on; ends with the oldest record that is left where what comes next was truncated, and
/// with none when nobody listens any more or an error was told.
async fn follow_from<J: Journal>(journal: &J, from: Revision, told: &mpsc::Sender<Heard>) -> Option<Revision> {
    let mut stream = pin!(journal.follow(from));
    while let Some(followed) = stream.next().await {
        let tell = match followed {
            Ok(Followed::Records(records)) => Ok(records),
            Ok(Followed::Quiet { .. }) => continue,
            Ok(Followed::Compacted { oldest }) => return Some(oldest),
            Err(JournalError::Unreachable { operation, source }) => {
                tracing::warn!(operation, error = %source, "journal not reached, tried again");
                continue;
            }
            Err(error) => Err(error.into()),
        };
        told.send(tell).await.ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use berth_scheduler_core::change::Record;
    use berth_scheduler_core::fold::fold_record;

    use super::super::appender::encode;
    use super::*;
    use crate::journal::memory::Memory;

    fn record(revision: u64) -> Record {
        Record {
            v: Record::FORMAT,
            revision: Revision(revision),
            entries: Vec::new(),
        }
    }

    fn state(revision: u64) -> Arc<ArcSwap<State>> {
        let mut state = State::default();
        (1..=revision).for_each(|revision| fold_record(&mut state, &record(revision)));
        Arc::new(ArcSwap::from_pointee(state))
    }

    /// A journal of six records that has lost all but the last two behind a snapshot.
    async fn truncated() -> Arc<Memory> {
        let journal = Arc::new(Memory::default());
        for revision in 1..=6 {
            let before = Revision(revision - 1);
            journal.append(before, encode(&record(revision))).await.unwrap();
        }
        journal.put_snapshot(Revision(4), 0, std::iter::empty()).await.unwrap();
        journal.truncate(Revision(5)).await.unwrap();
        journal
    }

    #[tokio::test]
    async fn what_was_truncated_and_is_in_the_state_is_not_missed() {
        let journal = truncated().await;
        let (told, _news) = mpsc::channel(AHEAD);
        assert_eq!(follow_from(&*journal, Revision(2), &told).await, Some(Revision(5)));
        let mut news = follow(Arc::clone(&journal), state(4));
        let records = news.recv().await.unwrap().unwrap();
        assert_eq!(records.first().map(|(revision, _)| *revision), Some(Revision(5)));
    }

    #[tokio::test]
    async fn what_was_truncated_and_is_not_in_the_state_is_an_error() {
        let mut news = follow(truncated().await, state(3));
        let told = news.recv().await.unwrap();
        let Err(EngineError::Behind { from, oldest }) = told else {
            panic!("{told:?}")
        };
        assert_eq!((from, oldest), (Revision(4), Revision(5)));
    }
}
