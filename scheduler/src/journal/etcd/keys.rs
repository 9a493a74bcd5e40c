//! Where things lie in etcd, and how their values read.
//!
//! ```text
//! PREFIX/head                          the newest revision, in decimal
//! PREFIX/records/REVISION              the id of the append, a line feed, the record
//! PREFIX/snapshot                      REVISION NAME CHUNKS of the newest complete snapshot
//! PREFIX/snapshots/NAME/PLACE          a chunk of a snapshot; NAME begins with its revision
//! PREFIX/replicas/REPLICA              a counter that moves for as long as the scheduler lives
//! ```
//! Revisions in keys have sixteen hexadecimal digits, so that keys sort as revisions do.

use berth_etcd::{prefix_end, wire};
use berth_scheduler_core::keys::{ReplicaId, Revision};
use bytes::{BufMut, Bytes, BytesMut};

use super::super::Snapshot;

/// The keys of one journal.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

/// A snapshot that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complete {
    pub(super) revision: Revision,
    pub(super) name: String,
    pub(super) chunks: u32,
}

impl Keys {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    pub(super) fn head(&self) -> Bytes {
        format!("{}/head", self.prefix).into()
    }

    pub(super) fn record(&self, revision: Revision) -> Bytes {
        format!("{}/records/{:016x}", self.prefix, revision.0).into()
    }

    /// The first key behind all records.
    pub(super) fn records_end(&self) -> Bytes {
        prefix_end(format!("{}/records/", self.prefix).as_bytes())
    }

    pub(super) fn revision_of(&self, key: &[u8]) -> Option<Revision> {
        let name = std::str::from_utf8(key).ok()?;
        let digits = name.strip_prefix(&self.prefix)?.strip_prefix("/records/")?;
        u64::from_str_radix(digits, 16).ok().map(Revision)
    }

    pub(super) fn snapshot(&self) -> Bytes {
        format!("{}/snapshot", self.prefix).into()
    }

    /// A name for the snapshot that one writer makes of a revision.
    pub(super) fn name_of_snapshot(at: Revision, id: &str) -> String {
        format!("{:016x}.{id}", at.0)
    }

    pub(super) fn chunk(&self, name: &str, place: u32) -> Bytes {
        format!("{}/snapshots/{name}/{place:08x}", self.prefix).into()
    }

    pub(super) fn chunks_end(&self, name: &str) -> Bytes {
        prefix_end(format!("{}/snapshots/{name}/", self.prefix).as_bytes())
    }

    pub(super) fn replica(&self, id: ReplicaId) -> Bytes {
        format!("{}/replicas/{:016x}", self.prefix, id.0).into()
    }

    /// The range of all replicas.
    pub(super) fn replicas(&self) -> (Bytes, Bytes) {
        let begin = format!("{}/replicas/", self.prefix);
        let end = prefix_end(begin.as_bytes());
        (begin.into(), end)
    }

    pub(super) fn read_replica(&self, kv: &wire::KeyValue) -> Option<(ReplicaId, u64)> {
        let name = std::str::from_utf8(&kv.key).ok()?;
        let digits = name.strip_prefix(&self.prefix)?.strip_prefix("/replicas/")?;
        let id = u64::from_str_radix(digits, 16).ok()?;
        Some((ReplicaId(id), std::str::from_utf8(&kv.value).ok()?.parse().ok()?))
    }

    /// All chunks of snapshots of older revisions.
    pub(super) fn chunks_before(&self, at: Revision) -> (Bytes, Bytes) {
        let begin = format!("{}/snapshots/", self.prefix);
        let end = format!("{begin}{:016x}", at.0);
        (begin.into(), end.into())
    }
}

impl Complete {
    pub(super) fn write(&self) -> Bytes {
        format!("{} {} {}", self.revision, self.name, self.chunks).into()
    }

    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(value).ok()?.split(' ');
        let complete = Self {
            revision: Revision(words.next()?.parse().ok()?),
            name: words.next()?.to_owned(),
            chunks: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(complete)
    }

    /// The snapshot, if these are all of its chunks.
    pub(super) fn with(&self, chunks: Vec<Vec<u8>>) -> Option<Snapshot> {
        let whole = u32::try_from(chunks.len()) == Ok(self.chunks);
        whole.then_some(Snapshot {
            revision: self.revision,
            chunks,
        })
    }
}

pub(super) fn write_head(head: Revision) -> Bytes {
    head.to_string().into()
}

/// The head that an answer tells; 0 when there is none.
pub(super) fn read_head(answer: Option<&wire::KeyValue>) -> Option<Revision> {
    let Some(found) = answer else {
        return Some(Revision::default());
    };
    std::str::from_utf8(&found.value).ok()?.parse().ok().map(Revision)
}

pub(super) fn write_record(id: &str, record: &[u8]) -> Bytes {
    let mut value = BytesMut::with_capacity(id.len() + 1 + record.len());
    value.put_slice(id.as_bytes());
    value.put_u8(b'\n');
    value.put_slice(record);
    value.freeze()
}

/// The id of the append, and the record.
pub(super) fn read_record(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    Some((&value[..end], &value[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_revisions_do() {
        let keys = Keys::new("berth".to_owned());
        let revisions = [0, 1, 9, 10, 16, 255, 256, u64::from(u32::MAX), u64::MAX].map(Revision);
        for pair in revisions.windows(2) {
            assert!(keys.record(pair[0]) < keys.record(pair[1]), "{pair:?}");
            assert!(keys.record(pair[1]) < keys.records_end());
            assert_eq!(keys.revision_of(&keys.record(pair[1])), Some(pair[1]));
        }
        assert_eq!(keys.revision_of(&keys.head()), None);
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(
            read_record(&write_record("a.1", b"x\ny")),
            Some((&b"a.1"[..], &b"x\ny"[..]))
        );
        assert_eq!(read_record(b"no line"), None);
        let complete = Complete {
            revision: Revision(7),
            name: Keys::name_of_snapshot(Revision(7), "a.1"),
            chunks: 3,
        };
        assert_eq!(Complete::read(&complete.write()), Some(complete));
        assert_eq!(Complete::read(b"7 name"), None);
        assert_eq!(read_head(None), Some(Revision(0)));
    }
}
