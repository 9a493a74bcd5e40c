//! Following the records: a watch says when there are more, revisions say that none is missing.

use berth_etcd::Watch;
use berth_etcd::wire::{WatchCreateRequest, event, watch_create_request};
use berth_scheduler_core::keys::Revision;
use futures_util::{Stream, stream};
use tokio::time::{sleep, timeout};

use super::super::{Followed, Found, Journal, JournalError, QUIET_AFTER};
use super::{Etcd, READ_AT_ONCE, pause, unexpected};

struct Follower<'a> {
    journal: &'a Etcd,
    next: Revision,
    watch: Option<Watch>,
    failures: u32,
}

/// Follows from a revision on.
pub(super) fn follow(journal: &Etcd, from: Revision) -> impl Stream<Item = Result<Followed, JournalError>> + Send {
    let follower = Follower {
        journal,
        next: from,
        watch: None,
        failures: 0,
    };
    stream::unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        if follower.failures > 0 {
            sleep(pause(follower.failures)).await;
        }
        let told = follower.tell().await;
        match &told {
            Ok(Followed::Compacted { .. }) => return Some((told, None)),
            Ok(Followed::Records(_) | Followed::Quiet { .. }) => follower.failures = 0,
            Err(_) => {
                follower.watch = None;
                follower.failures = follower.failures.saturating_add(1);
            }
        }
        Some((told, Some(follower)))
    })
}

impl Follower<'_> {
    async fn tell(&mut self) -> Result<Followed, JournalError> {
        loop {
            let Some(watch) = &mut self.watch else {
                if let Some(told) = self.read_or_watch().await? {
                    return Ok(told);
                }
                continue;
            };
            match timeout(QUIET_AFTER, watch.next()).await {
                Ok(Ok(events)) => {
                    let records = self.in_order(&events.events)?;
                    if !records.is_empty() {
                        self.journal.reach.reached();
                        return Ok(Followed::Records(records));
                    }
                }
                Ok(Err(error)) => {
                    tracing::debug!(error = %error, "watch ended, begun anew");
                    self.watch = None;
                }
                Err(_) => {
                    // Also when the follower is ahead of what is read here: the head only grows.
                    let head = self.journal.head().await?;
                    if head < self.next {
                        return Ok(Followed::Quiet { head });
                    }
                    // A record that was written before the head was read should have been told: read instead.
                    self.watch = None;
                }
            }
        }
    }

    /// Reads what is there; begins to watch when that is all.
    async fn read_or_watch(&mut self) -> Result<Option<Followed>, JournalError> {
        let (found, store) = self.journal.read_with_store(self.next, READ_AT_ONCE).await?;
        match found {
            Found::Compacted { oldest } => Ok(Some(Followed::Compacted { oldest })),
            Found::Records(records) => {
                if let Some((last, _)) = records.last() {
                    self.next = last.next();
                    return Ok(Some(Followed::Records(records)));
                }
                let create = WatchCreateRequest {
                    key: self.journal.keys.record(self.next),
                    range_end: self.journal.keys.records_end(),
                    start_revision: store + 1,
                    filters: vec![watch_create_request::Filter::NoDelete.into()],
                    fragment: true,
                };
                let watch = self.journal.client.watch(create).await.map_err(|error| {
                    self.journal.reach.missed(&error);
                    JournalError::Unreachable {
                        operation: "watch records",
                        source: error.into(),
                    }
                })?;
                self.watch = Some(watch);
                Ok(None)
            }
        }
    }

    /// The records of events that are next in turn. What was told is left out; where one is missing the watch ends, and
    /// the rest is read.
    fn in_order(&mut self, events: &[berth_etcd::wire::Event]) -> Result<Vec<(Revision, Vec<u8>)>, JournalError> {
        let mut records = Vec::with_capacity(events.len());
        for kv in events
            .iter()
            .filter(|event| event.kind() == event::Kind::Put)
            .filter_map(|event| event.kv.as_ref())
        {
            let revision = self.journal.keys.revision_of(&kv.key);
            let revision = revision.ok_or_else(|| unexpected("a key"))?;
            if revision < self.next {
                continue;
            }
            if revision > self.next {
                tracing::warn!(expected = %self.next, found = %revision, "the watch lost records, they are read");
                self.watch = None;
                break;
            }
            let (_, record) = self.journal.keys.read_record(revision, &kv.value)?;
            records.push((revision, record.to_vec()));
            self.next = revision.next();
        }
        Ok(records)
    }
}
