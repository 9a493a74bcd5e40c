//! The journal of several machines: records in etcd, written by any number of schedulers.
//!
//! An append is one transaction: the head still is what the writer expects, so the head and the record are written. What
//! is decided on never rests on a read alone. Watches only hint: that nothing is missing is seen by the revisions, which
//! are dense, and by the head, which is read whenever it is quiet; so a watch that loses events costs a second.
//!
//! Each append has an id of its own that stands with the record. A transaction whose answer is lost is sent again until
//! there is an answer: it cannot be done twice, as the head has moved then, and the id says whose record came first.

mod address;
mod follow;
mod import;
mod keys;
mod snapshot;
mod version;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use berth_etcd::wire::{RangeRequest, TxnRequest, TxnResponse, response_op::Response};
use berth_etcd::{Client, Code, compare_absent, compare_value, get, put, wire};
use berth_scheduler_core::keys::{ReplicaId, Revision};
use futures_util::Stream;
use tokio::time::sleep;

pub use address::{Address, AddressError};
pub use import::EtcdImport;
use keys::{Head, Keys, read_head, write_head, write_record};

use super::reach::{self, Reach, Trouble};
use super::{Appended, Beat, Followed, Found, Journal, JournalError, Kept, Snapshot, kept};

/// Bytes of a record. etcd takes requests of 1.5 MiB and is at its best with a sixth of that.
const MAX_RECORD: usize = 1024 * 1024;
/// Records of one read; an answer of as many of the largest is still taken.
const READ_AT_ONCE: usize = 32;
/// How often a call that may be repeated is tried before its failure is told.
const TRIES: u32 = 4;

/// A journal in etcd.
#[derive(Debug)]
pub struct Etcd {
    client: Client,
    keys: Keys,
    /// Tells this writer's appends from all others', also from those of its predecessors.
    writer: u64,
    appends: AtomicU64,
    reach: Reach,
    /// Of appends alone: etcd may be read when it has no room left to write.
    appending: Reach,
    /// The store's revision at the last [`Journal::tidy`].
    tidied: AtomicI64,
    /// etcd has refused to compact, and the log says so.
    may_not_compact: AtomicBool,
    /// Whether it is read though it is not whole yet.
    unfinished: bool,
}

impl Etcd {
    /// The journal at an address. `writer` is random: no two writers may ever have the same.
    ///
    /// Nothing is asked of etcd yet.
    ///
    /// # Errors
    /// [`JournalError::Open`]: a file cannot be read, or what is in it makes no sense.
    pub fn open(address: &Address, writer: u64) -> Result<Self, JournalError> {
        let failed = |source: super::Cause| JournalError::Open {
            path: format!("{address:?}"),
            source,
        };
        let settings = address.settings().map_err(|error| failed(error.into()))?;
        Ok(Self {
            client: Client::new(settings).map_err(|error| failed(error.into()))?,
            keys: Keys::new(address.prefix.clone()),
            writer,
            appends: AtomicU64::new(0),
            reach: Reach::default(),
            appending: Reach::default(),
            tidied: AtomicI64::new(0),
            may_not_compact: AtomicBool::new(false),
            unfinished: false,
        })
    }

    /// Says in the log what is known to be wrong with the versions that run.
    pub async fn warn_of_old_versions(&self) {
        for (endpoint, status) in self.client.statuses().await {
            match status {
                Ok(status) => {
                    tracing::info!(endpoint, version = status.version, bytes = status.db_size, "etcd found");
                    for concern in version::concerns(&status.version) {
                        tracing::warn!(endpoint, version = status.version, concern, "etcd should be updated");
                    }
                }
                Err(error) => tracing::warn!(endpoint, error = %error, "etcd does not say its version"),
            }
        }
    }

    /// The newest revision that an answer tells.
    fn head_of(&self, answer: Option<&wire::KeyValue>) -> Result<Revision, JournalError> {
        match read_head(answer).ok_or_else(|| unexpected("the head"))? {
            Head::At(head) => Ok(head),
            Head::Unfinished(head) if self.unfinished => Ok(head),
            Head::Unfinished(_) => Err(unfinished(&self.keys)),
        }
    }

    /// Whether a copy into it has begun and not ended.
    async fn is_unfinished(&self) -> Result<bool, JournalError> {
        let txn = TxnRequest {
            success: vec![get(self.keys.head())],
            ..TxnRequest::default()
        };
        let [head] = answers(self.txn("read the head", txn).await?)?;
        Ok(matches!(read_head(head.first()), Some(Head::Unfinished(_))))
    }

    fn next_id(&self) -> String {
        let nth = self.appends.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}.{nth}", self.writer)
    }

    /// Does what may be done again until it is done, or has failed several times.
    async fn steadily<T, F>(&self, operation: &'static str, call: impl Fn() -> F) -> Result<T, JournalError>
    where
        F: Future<Output = Result<T, berth_etcd::Error>> + Send,
    {
        let mut tries = 0;
        loop {
            match call().await {
                Ok(answer) => {
                    self.reach.reached();
                    return Ok(answer);
                }
                Err(error) => {
                    self.reach.missed(&error);
                    tries += 1;
                    if tries == TRIES {
                        return Err(JournalError::Unreachable {
                            operation,
                            source: error.into(),
                        });
                    }
                }
            }
            sleep(pause(tries)).await;
        }
    }

    async fn txn(&self, operation: &'static str, txn: TxnRequest) -> Result<TxnResponse, JournalError> {
        self.steadily(operation, || self.client.txn(txn.clone())).await
    }

    /// Records from a revision on, and the revision of the store as of which these are all.
    async fn read_with_store(&self, from: Revision, limit: usize) -> Result<(Found, i64), JournalError> {
        let range = RangeRequest {
            key: self.keys.record(from),
            range_end: self.keys.records_end(),
            limit: i64::try_from(limit.min(READ_AT_ONCE)).unwrap_or(i64::MAX),
            ..RangeRequest::default()
        };
        let txn = TxnRequest {
            success: vec![
                berth_etcd::range(range),
                get(self.keys.head()),
                get(self.keys.snapshot()),
            ],
            ..TxnRequest::default()
        };
        let answer = self.txn("read records", txn).await?;
        let store = answer.header.as_ref().map_or(0, |header| header.revision);
        let [records, head, complete] = answers(answer)?;
        let head = self.head_of(head.first())?;
        let truncated = kept::oldest(&snapshot::read_complete(&complete)?.kept());
        let mut found: Vec<(Revision, Vec<u8>)> = Vec::with_capacity(records.len());
        for kv in &records {
            let revision = self.keys.revision_of(&kv.key).ok_or_else(|| unexpected("a key"))?;
            if let Some((last, _)) = found.last()
                && last.next() != revision
            {
                return Err(self
                    .keys
                    .missing(last.next(), format!("record {revision} in its place")));
            }
            let (_, record) = self.keys.read_record(revision, &kv.value)?;
            found.push((revision, record.to_vec()));
        }
        let oldest = found.first().map_or(head.next(), |(oldest, _)| *oldest);
        let found = if oldest <= from || from > head {
            Found::Records(found)
        } else if from <= truncated {
            Found::Compacted { oldest }
        } else {
            return Err(self.keys.missing(from, format!("record {oldest} in its place")));
        };
        Ok((found, store))
    }
}

impl Journal for Etcd {
    async fn append(&self, expected: Revision, record: Vec<u8>) -> Result<Appended, JournalError> {
        if record.len() > MAX_RECORD {
            return Err(JournalError::TooLarge {
                size: record.len(),
                limit: MAX_RECORD,
            });
        }
        let revision = expected.next();
        let id = self.next_id();
        let head = self.keys.head();
        let txn = TxnRequest {
            compare: vec![match expected {
                Revision(0) => compare_absent(head.clone()),
                _ => compare_value(head.clone(), write_head(expected)),
            }],
            success: vec![
                put(head.clone(), write_head(revision)),
                put(self.keys.record(revision), write_record(revision, &id, &record)),
            ],
            failure: vec![get(head), get(self.keys.record(revision))],
        };
        drop(record);
        let mut unanswered = 0;
        let answer = loop {
            match self.client.txn(txn.clone()).await {
                Ok(answer) => break answer,
                Err(error) => {
                    unanswered += 1;
                    self.appending.missed(&error);
                    tracing::warn!(%revision, attempt = unanswered, error = %error, "append not answered, sent again");
                    sleep(pause(unanswered)).await;
                }
            }
        };
        self.appending.reached();
        if answer.succeeded {
            return Ok(Appended::Committed(revision));
        }
        let [head, there] = answers(answer)?;
        let head = self.head_of(head.first())?;
        if head < expected {
            return Err(JournalError::Rewound { head, expected });
        }
        match there.first() {
            Some(kv) => match self.keys.read_record(revision, &kv.value)? {
                (its, _) if its == id.as_bytes() => Ok(Appended::Committed(revision)),
                _ => Ok(Appended::Conflict { head }),
            },
            // Truncated since. Had all answers come, it would be certain that it was another's.
            None if unanswered > 0 => Err(JournalError::Unknown { revision }),
            None => Ok(Appended::Conflict { head }),
        }
    }

    async fn read(&self, from: Revision, limit: usize) -> Result<Found, JournalError> {
        Ok(self.read_with_store(from, limit).await?.0)
    }

    async fn head(&self) -> Result<Revision, JournalError> {
        let range = RangeRequest {
            key: self.keys.head(),
            ..RangeRequest::default()
        };
        let answer = self
            .steadily("read the head", || self.client.range(range.clone()))
            .await?;
        self.head_of(answer.kvs.first())
    }

    fn follow(&self, from: Revision) -> impl Stream<Item = Result<Followed, JournalError>> + Send {
        follow::follow(self, from)
    }

    async fn put_snapshot(
        &self,
        at: Revision,
        behind: u64,
        chunks: impl Iterator<Item = Vec<u8>> + Send,
    ) -> Result<(), JournalError> {
        snapshot::write(self, at, behind, chunks).await
    }

    async fn snapshots(&self) -> Result<Vec<Kept>, JournalError> {
        Ok(snapshot::complete(self).await?.0.kept())
    }

    async fn snapshot_before(&self, at: Revision) -> Result<Option<Snapshot>, JournalError> {
        snapshot::read(self, at).await
    }

    async fn truncate(&self, before: Revision) -> Result<(), JournalError> {
        snapshot::truncate(self, before).await
    }

    /// etcd keeps what was overwritten or deleted until it is compacted. Compacted is to where the store was at the call
    /// before, so that no watch of a follower that is awake is cut.
    async fn tidy(&self) -> Result<(), JournalError> {
        let range = RangeRequest {
            key: self.keys.head(),
            ..RangeRequest::default()
        };
        let answer = self
            .steadily("read the head", || self.client.range(range.clone()))
            .await?;
        let now = answer.header.map_or(0, |header| header.revision);
        let before = self.tidied.swap(now, Ordering::Relaxed);
        if before == 0 {
            return Ok(());
        }
        match self.client.compact(before).await {
            // Another has come further.
            Err(berth_etcd::Error::Failed {
                code: Code::OutOfRange, ..
            }) => Ok(()),
            // Newer patches of etcd let nobody compact but who has the role `root`.
            Err(berth_etcd::Error::Failed {
                code: Code::PermissionDenied,
                ..
            }) => {
                if !self.may_not_compact.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "etcd does not let this user compact it: run etcd with --auto-compaction-retention=5m, or its room \
                         runs out"
                    );
                }
                Ok(())
            }
            other => other.map_err(|error| JournalError::Unreachable {
                operation: "compact",
                source: error.into(),
            }),
        }
    }

    async fn announce(
        &self,
        replica: ReplicaId,
        beat: &Beat,
        dead: &[ReplicaId],
    ) -> Result<Vec<(ReplicaId, Beat)>, JournalError> {
        let (begin, end) = self.keys.replicas();
        let all = RangeRequest {
            key: begin,
            range_end: end,
            ..RangeRequest::default()
        };
        let forget = dead.iter().map(|dead| berth_etcd::delete_one(self.keys.replica(*dead)));
        let beat = put(self.keys.replica(replica), keys::write_beat(beat));
        let txn = TxnRequest {
            success: forget.chain([beat, berth_etcd::range(all)]).collect(),
            ..TxnRequest::default()
        };
        let mut answer = self.txn("say that this scheduler lives", txn).await?;
        // Only the last was a question.
        answer.responses = answer.responses.split_off(answer.responses.len().saturating_sub(1));
        let [found] = answers(answer)?;
        let read = found.iter().map(|kv| self.keys.read_replica(kv));
        read.collect::<Option<_>>().ok_or_else(|| unexpected("a replica"))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn max_record(&self) -> usize {
        MAX_RECORD
    }

    fn trouble(&self) -> Option<Trouble> {
        reach::longest([&self.appending, &self.reach])
    }
}

/// A pause that doubles, at most a second.
fn pause(failures: u32) -> Duration {
    Duration::from_millis(50 << failures.saturating_sub(1).min(5)).min(Duration::from_secs(1))
}

/// What a transaction that only reads, or whose comparisons failed, has read.
fn answers<const N: usize>(answer: TxnResponse) -> Result<[Vec<wire::KeyValue>; N], JournalError> {
    let read: Option<Vec<_>> = answer
        .responses
        .into_iter()
        .map(|response| match response.response {
            Some(Response::Range(range)) => Some(range.kvs),
            _ => None,
        })
        .collect();
    read.and_then(|read| read.try_into().ok())
        .ok_or_else(|| unexpected("an answer"))
}

/// Nobody may use it yet.
fn unfinished(keys: &Keys) -> JournalError {
    JournalError::Open {
        path: keys.name(),
        source: "a copy into it has begun and not ended: let it end, or copy again with --afresh".into(),
    }
}

/// Something in etcd is not as this journal writes it.
fn unexpected(what: &str) -> JournalError {
    JournalError::Storage {
        operation: "understand what is in etcd",
        source: format!("{what} is not as a journal has it: is the prefix its own?").into(),
    }
}

#[cfg(test)]
mod tests;
