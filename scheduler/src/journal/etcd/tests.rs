use berth_etcd::wire::TxnRequest;

use super::super::Subject;
use super::*;

impl Etcd {
    /// Flips a bit in a byte of what is stored.
    pub(in crate::journal) async fn damage(&self, subject: Subject, byte: usize) {
        let key = match subject {
            Subject::Record(revision) => self.keys.record(revision),
            Subject::Chunk { snapshot, place } => {
                let (complete, _) = snapshot::complete(self).await.unwrap();
                let (_, name) = complete.0.iter().find(|(kept, _)| kept.revision == snapshot).unwrap();
                self.keys.chunk(name, place)
            }
            Subject::Entry(_) => panic!("there is none of its own"),
        };
        let read = TxnRequest {
            success: vec![get(key.clone())],
            ..TxnRequest::default()
        };
        let [found] = answers(self.client.txn(read).await.unwrap()).unwrap();
        let mut stored = found[0].value.to_vec();
        stored[byte] ^= 1;
        let write = TxnRequest {
            success: vec![put(key, stored.into())],
            ..TxnRequest::default()
        };
        self.client.txn(write).await.unwrap();
    }
}
