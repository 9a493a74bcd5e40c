//! Where things lie in etcd, and how their values read.
//!
//! ```text
//! PREFIX/head                          the newest revision, in decimal; after "copying " while a journal is copied here
//! PREFIX/records/REVISION              the id of the append, a line feed, the record; sealed
//! PREFIX/snapshot                      the complete snapshots that are kept, oldest first: a line for each,
//!                                      NAME REVISION CHUNKS BYTES BEHIND
//! PREFIX/snapshots/NAME/PLACE          a chunk of a snapshot, sealed; NAME begins with its revision
//! PREFIX/replicas/REPLICA              COUNT ADDRESS of a scheduler: the count moves for as long as it lives
//! ```
//! Revisions in keys have sixteen hexadecimal digits, so that keys sort as revisions do. What is sealed begins with its
//! checksum.

use berth_etcd::{prefix_end, wire};
use berth_scheduler_core::keys::{ReplicaId, Revision};
use bytes::Bytes;

use super::super::frame::{seal, unseal};
use super::super::{Beat, JournalError, Kept, Subject, kept};
use super::unexpected;

/// Before the head of a journal that is not whole.
const COPYING: &str = "copying ";

/// The keys of one journal.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

/// The snapshots that are complete and kept, oldest first, each with its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Complete(pub(super) Vec<(Kept, String)>);

impl Keys {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// What all keys of the journal begin with.
    pub(super) fn all(&self) -> Bytes {
        format!("{}/", self.prefix).into()
    }

    /// The journal, in messages.
    pub(super) fn name(&self) -> String {
        format!("{}/ in etcd", self.prefix)
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

    pub(super) fn read_replica(&self, kv: &wire::KeyValue) -> Option<(ReplicaId, Beat)> {
        let name = std::str::from_utf8(&kv.key).ok()?;
        let digits = name.strip_prefix(&self.prefix)?.strip_prefix("/replicas/")?;
        let id = u64::from_str_radix(digits, 16).ok()?;
        let (count, address) = std::str::from_utf8(&kv.value).ok()?.split_once(' ')?;
        let beat = Beat {
            count: count.parse().ok()?,
            address: address.to_owned(),
        };
        Some((ReplicaId(id), beat))
    }

    /// All chunks of snapshots before the newest of these, but for their own.
    pub(super) fn chunks_between(&self, complete: &Complete) -> Vec<(Bytes, Bytes)> {
        let mut begin = Bytes::from(format!("{}/snapshots/", self.prefix));
        let between = complete.0.iter().map(|(_, name)| {
            let end = self.chunk(name, 0);
            (std::mem::replace(&mut begin, self.chunks_end(name)), end)
        });
        between.collect()
    }

    /// The id of the append, and the record.
    pub(super) fn read_record<'a>(
        &self,
        revision: Revision,
        value: &'a [u8],
    ) -> Result<(&'a [u8], &'a [u8]), JournalError> {
        let lies = || String::from_utf8_lossy(&self.record(revision)).into_owned();
        let value = unseal(Subject::Record(revision), value, lies)?;
        let end = value.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| unexpected("a record"))?;
        Ok((&value[..end], &value[end + 1..]))
    }

    pub(super) fn read_chunk(
        &self,
        name: &str,
        snapshot: Revision,
        place: u32,
        value: &[u8],
    ) -> Result<Vec<u8>, JournalError> {
        let lies = || String::from_utf8_lossy(&self.chunk(name, place)).into_owned();
        unseal(Subject::Chunk { snapshot, place }, value, lies).map(<[u8]>::to_vec)
    }

    /// A record that is not there.
    pub(super) fn missing(&self, revision: Revision, found: impl Into<String>) -> JournalError {
        let lies = String::from_utf8_lossy(&self.record(revision)).into_owned();
        Subject::Record(revision).damaged(lies, "to be there", found)
    }
}

impl Complete {
    pub(super) fn kept(&self) -> Vec<Kept> {
        self.0.iter().map(|(kept, _)| *kept).collect()
    }

    /// The same, but for those that are not among `kept`; what is said of the others is what `kept` says.
    pub(super) fn keep(&self, kept: &[Kept]) -> Self {
        let name = |of: &Kept| self.0.iter().find(|(its, _)| its.revision == of.revision);
        let kept = kept.iter().filter_map(|of| Some((*of, name(of)?.1.clone())));
        Self(kept.collect())
    }

    /// With one more, which is newer, and those left out that are too many then.
    pub(super) fn with(&self, newest: Kept, name: &str) -> Self {
        let mut all = self.clone();
        all.0.push((newest, name.to_owned()));
        all.keep(&kept::thin(all.kept()))
    }

    pub(super) fn write(&self) -> Bytes {
        let lines = self.0.iter().map(|(kept, name)| format!("{name} {}\n", kept.write()));
        lines.collect::<String>().into()
    }

    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let lines = std::str::from_utf8(value).ok()?.lines();
        let read = lines.map(|line| {
            let (name, kept) = line.split_once(' ')?;
            Some((Kept::read(kept.as_bytes())?, name.to_owned()))
        });
        read.collect::<Option<_>>().map(Self)
    }
}

pub(super) fn write_head(head: Revision) -> Bytes {
    head.to_string().into()
}

/// The head of a journal that is being copied.
pub(super) fn write_unfinished_head(head: Revision) -> Bytes {
    format!("{COPYING}{head}").into()
}

/// What a head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// The newest revision; 0 when there is none.
    At(Revision),
    /// The journal is being copied here, or was, and is not whole.
    Unfinished(Revision),
}

/// The head that an answer tells.
pub(super) fn read_head(answer: Option<&wire::KeyValue>) -> Option<Head> {
    let Some(found) = answer else {
        return Some(Head::At(Revision::default()));
    };
    let text = std::str::from_utf8(&found.value).ok()?;
    match text.strip_prefix(COPYING) {
        None => text.parse().ok().map(|head| Head::At(Revision(head))),
        Some(head) => head.parse().ok().map(|head| Head::Unfinished(Revision(head))),
    }
}

pub(super) fn write_beat(beat: &Beat) -> Bytes {
    format!("{} {}", beat.count, beat.address).into()
}

pub(super) fn write_record(revision: Revision, id: &str, record: &[u8]) -> Bytes {
    seal(Subject::Record(revision), &[id.as_bytes(), b"\n", record]).into()
}

pub(super) fn write_chunk(snapshot: Revision, place: u32, chunk: &[u8]) -> Bytes {
    seal(Subject::Chunk { snapshot, place }, &[chunk]).into()
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
        let keys = Keys::new("berth".to_owned());
        let stored = write_record(Revision(7), "a.1", b"x\ny");
        let read = keys.read_record(Revision(7), &stored).unwrap();
        assert_eq!(read, (&b"a.1"[..], &b"x\ny"[..]));
        let error = keys.read_record(Revision(8), &stored).unwrap_err().to_string();
        assert!(error.contains("record 8 in berth/records/0000000000000008"), "{error}");
        let id = ReplicaId(7);
        let beat = Beat {
            count: 3,
            address: "10.0.0.5:7700".to_owned(),
        };
        let kv = wire::KeyValue {
            key: keys.replica(id),
            value: write_beat(&beat),
            ..wire::KeyValue::default()
        };
        assert_eq!(keys.read_replica(&kv), Some((id, beat)));
        let head = |value: Bytes| {
            read_head(Some(&wire::KeyValue {
                value,
                ..wire::KeyValue::default()
            }))
        };
        assert_eq!(read_head(None), Some(Head::At(Revision(0))));
        assert_eq!(head(write_head(Revision(7))), Some(Head::At(Revision(7))));
        assert_eq!(
            head(write_unfinished_head(Revision(7))),
            Some(Head::Unfinished(Revision(7)))
        );
        assert_eq!(head("seven".into()), None);
    }

    fn complete(revisions: std::ops::RangeInclusive<u64>) -> Complete {
        let kept = |revision| Kept {
            revision: Revision(revision),
            chunks: 2,
            bytes: 10,
            behind: 5,
        };
        let named = |revision| (kept(revision), Keys::name_of_snapshot(Revision(revision), "a.1"));
        Complete(revisions.map(named).collect())
    }

    #[test]
    fn a_list_of_snapshots_is_read_as_it_was_written() {
        let some = complete(7..=9);
        assert_eq!(Complete::read(&some.write()), Some(some.clone()));
        assert_eq!(Complete::read(b""), Some(Complete::default()));
        assert_eq!(Complete::read(b"name 7 2 10"), None);
        let newest = complete(10..=10).0.remove(0);
        assert_eq!(some.with(newest.0, &newest.1), complete(7..=10));
        assert_eq!(some.keep(&some.kept()[1..]), complete(8..=9));
    }

    #[test]
    fn what_is_between_the_snapshots_that_are_kept_is_of_no_use() {
        let keys = Keys::new("berth".to_owned());
        let mut some = complete(7..=9);
        some.0.remove(1);
        let between = keys.chunks_between(&some);
        let dropped = |revision, id: &str| {
            let chunk = keys.chunk(&Keys::name_of_snapshot(Revision(revision), id), 1);
            between.iter().any(|(begin, end)| *begin <= chunk && chunk < *end)
        };
        let fates = [
            (6, "a.1"),
            (7, "a.0"),
            (7, "a.1"),
            (7, "a.2"),
            (8, "a.1"),
            (9, "a.1"),
            (10, "a.1"),
        ];
        let fates = fates.map(|(revision, id)| dropped(revision, id));
        assert_eq!(fates, [true, true, false, true, true, false, false]);
    }
}
