//! Keys that a journal is copied into. Until it is whole the head says so, and no scheduler starts on it.

use berth_etcd::wire::{RangeRequest, TxnRequest};
use berth_etcd::{compare_absent, compare_value, delete, prefix_end, put, range};
use berth_scheduler_core::keys::Revision;
use bytes::Bytes;

use super::super::transfer::Import;
use super::super::{JournalError, Kept};
use super::keys::{Complete, Keys, write_chunk, write_head, write_record, write_unfinished_head};
use super::{Address, Etcd, MAX_RECORD, unfinished};

const OPERATION: &str = "copy into it";

/// A journal that is being made in etcd.
#[derive(Debug)]
pub struct EtcdImport {
    journal: Etcd,
    address: Address,
    writer: u64,
    complete: Complete,
    head: Revision,
}

impl EtcdImport {
    /// Begins a journal. `afresh` removes what an earlier copy has left unfinished; `writer` is random.
    ///
    /// # Errors
    /// [`JournalError::Open`] when there is something under the prefix already.
    pub async fn begin(address: &Address, writer: u64, afresh: bool) -> Result<Self, JournalError> {
        let mut journal = Etcd::open(address, writer)?;
        journal.unfinished = true;
        if afresh && journal.is_unfinished().await? {
            let all = delete(journal.keys.all(), prefix_end(&journal.keys.all()));
            let txn = TxnRequest {
                success: vec![all],
                ..TxnRequest::default()
            };
            journal.txn(OPERATION, txn).await?;
        }
        let all = RangeRequest {
            key: journal.keys.all(),
            range_end: prefix_end(&journal.keys.all()),
            limit: 1,
            keys_only: true,
            ..RangeRequest::default()
        };
        let looking = TxnRequest {
            success: vec![range(all)],
            ..TxnRequest::default()
        };
        let [found] = super::answers(journal.txn(OPERATION, looking).await?)?;
        if let Some(kv) = found.first() {
            if journal.is_unfinished().await? {
                return Err(unfinished(&journal.keys));
            }
            let key = String::from_utf8_lossy(&kv.key).into_owned();
            return Err(JournalError::Open {
                path: journal.keys.name(),
                source: format!("there is something already, {key}, and nothing is overwritten").into(),
            });
        }
        let head = journal.keys.head();
        let begin = TxnRequest {
            compare: vec![compare_absent(head.clone())],
            success: vec![put(head, write_unfinished_head(Revision::default()))],
            failure: Vec::new(),
        };
        if !journal.txn(OPERATION, begin).await?.succeeded && !journal.is_unfinished().await? {
            return Err(JournalError::Open {
                path: journal.keys.name(),
                source: "a scheduler has begun a journal there".into(),
            });
        }
        Ok(Self {
            journal,
            address: address.clone(),
            writer,
            complete: Complete::default(),
            head: Revision::default(),
        })
    }

    async fn set_head(&self, from: Bytes, to: Bytes) -> Result<bool, JournalError> {
        let head = self.journal.keys.head();
        let txn = TxnRequest {
            compare: vec![compare_value(head.clone(), from)],
            success: vec![put(head, to)],
            failure: Vec::new(),
        };
        Ok(self.journal.txn(OPERATION, txn).await?.succeeded)
    }
}

impl Import for EtcdImport {
    type Whole = Etcd;

    async fn snapshot(&mut self, kept: Kept, chunks: Vec<Vec<u8>>) -> Result<(), JournalError> {
        let name = Keys::name_of_snapshot(kept.revision, "copy");
        for (place, chunk) in (0..).zip(chunks) {
            let key = self.journal.keys.chunk(&name, place);
            let txn = TxnRequest {
                success: vec![put(key, write_chunk(kept.revision, place, &chunk))],
                ..TxnRequest::default()
            };
            self.journal.txn(OPERATION, txn).await?;
        }
        self.complete.0.push((kept, name));
        Ok(())
    }

    async fn records(&mut self, records: Vec<(Revision, Vec<u8>)>) -> Result<(), JournalError> {
        let mut batch = Vec::new();
        let mut size = 0;
        for (revision, record) in records {
            if record.len() > MAX_RECORD {
                return Err(JournalError::TooLarge {
                    size: record.len(),
                    limit: MAX_RECORD,
                });
            }
            if size + record.len() > MAX_RECORD {
                self.put_all(std::mem::take(&mut batch)).await?;
                size = 0;
            }
            size += record.len();
            let value = write_record(revision, &format!("copy.{revision}"), &record);
            batch.push(put(self.journal.keys.record(revision), value));
        }
        self.put_all(batch).await
    }

    async fn whole(&mut self, head: Revision) -> Result<Etcd, JournalError> {
        let txn = TxnRequest {
            success: vec![put(self.journal.keys.snapshot(), self.complete.write())],
            ..TxnRequest::default()
        };
        self.journal.txn(OPERATION, txn).await?;
        let (from, to) = (write_unfinished_head(self.head), write_unfinished_head(head));
        self.set_head(from, to).await?;
        self.head = head;
        let mut journal = Etcd::open(&self.address, self.writer)?;
        journal.unfinished = true;
        Ok(journal)
    }

    async fn publish(self) -> Result<(), JournalError> {
        let (from, to) = (write_unfinished_head(self.head), write_head(self.head));
        // It may have been done already, and only the answer lost.
        if self.set_head(from, to).await? || !self.journal.is_unfinished().await? {
            return Ok(());
        }
        Err(super::unexpected("the head"))
    }
}

impl EtcdImport {
    async fn put_all(&self, batch: Vec<berth_etcd::wire::RequestOp>) -> Result<(), JournalError> {
        if batch.is_empty() {
            return Ok(());
        }
        let txn = TxnRequest {
            success: batch,
            ..TxnRequest::default()
        };
        self.journal.txn(OPERATION, txn).await.map(drop)
    }
}
