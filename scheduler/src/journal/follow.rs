//! Following a journal that says when its head moves.

use berth_scheduler_core::keys::Revision;
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Followed, Found, Journal, JournalError, QUIET_AFTER};

/// Records that a follower is told at once.
pub(super) const AT_ONCE: usize = 256;

/// Follows a journal by reading whenever `head` says that there is something to read.
pub(super) fn by_notice<J: Journal>(
    journal: &J,
    head: watch::Receiver<Revision>,
    from: Revision,
) -> impl Stream<Item = Result<Followed, JournalError>> + Send {
    stream::unfold(Some((head, from)), move |follower| async move {
        let (mut head, next) = follower?;
        let told = next_of(journal, &mut head, next).await;
        let next = match &told {
            Ok(Followed::Records(records)) => records.last().map_or(next, |(revision, _)| revision.next()),
            Ok(Followed::Quiet { .. }) => next,
            Ok(Followed::Compacted { .. }) | Err(JournalError::Closed) => return Some((told, None)),
            Err(_) => next,
        };
        Some((told, Some((head, next))))
    })
}

async fn next_of(
    journal: &impl Journal,
    head: &mut watch::Receiver<Revision>,
    next: Revision,
) -> Result<Followed, JournalError> {
    let moved = timeout(QUIET_AFTER, head.wait_for(|head| *head >= next)).await;
    match moved.map(|moved| moved.is_ok()) {
        Ok(true) => {}
        Ok(false) => return Err(JournalError::Closed),
        Err(_) => return Ok(Followed::Quiet { head: *head.borrow() }),
    }
    Ok(match journal.read(next, AT_ONCE).await? {
        Found::Records(records) => Followed::Records(records),
        Found::Compacted { oldest } => Followed::Compacted { oldest },
    })
}
