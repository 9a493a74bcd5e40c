//! Checksums around what a journal stores, looked at whenever something is read.
//!
//! A checksum covers what it lies beside and where that belongs, so that what is whole and in the wrong place is noticed
//! too. All journals store the same bytes: four of checksum, then what was given.

use std::fmt;

use berth_scheduler_core::keys::Revision;

use super::JournalError;

/// Bytes that a checksum takes.
pub(super) const OVERHEAD: usize = 4;

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A record.
    Record(Revision),
    /// A chunk of a snapshot.
    Chunk {
        /// The snapshot's revision.
        snapshot: Revision,
        /// The chunk's place in it, from 0.
        place: u32,
    },
    /// What is said of a snapshot: how large it is.
    Entry(Revision),
}

impl Subject {
    fn checksum(self, parts: &[&[u8]]) -> u32 {
        let (kind, revision, place) = match self {
            Self::Record(revision) => (1, revision, 0),
            Self::Chunk { snapshot, place } => (2, snapshot, place),
            Self::Entry(revision) => (3, revision, 0),
        };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[kind]);
        hasher.update(&revision.0.to_le_bytes());
        hasher.update(&place.to_le_bytes());
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }

    /// Says that it is not as it was written; `lies` is the file or key.
    pub(super) fn damaged(self, lies: String, expected: impl Into<String>, found: impl Into<String>) -> JournalError {
        JournalError::Damaged {
            what: self.to_string(),
            lies,
            expected: expected.into(),
            found: found.into(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(revision) => write!(f, "record {revision}"),
            Self::Chunk { snapshot, place } => write!(f, "chunk {place} of the snapshot at {snapshot}"),
            Self::Entry(revision) => write!(f, "the entry of the snapshot at {revision}"),
        }
    }
}

/// The parts in a row, as they are stored.
pub(super) fn seal(subject: Subject, parts: &[&[u8]]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(OVERHEAD + parts.iter().map(|part| part.len()).sum::<usize>());
    stored.extend_from_slice(&subject.checksum(parts).to_le_bytes());
    for part in parts {
        stored.extend_from_slice(part);
    }
    stored
}

/// What was sealed; `lies` says in which file or under which key it was found.
///
/// # Errors
/// [`JournalError::Damaged`] when these are not the bytes that were stored there.
pub(super) fn unseal(subject: Subject, stored: &[u8], lies: impl FnOnce() -> String) -> Result<&[u8], JournalError> {
    let Some((checksum, bytes)) = stored.split_first_chunk() else {
        let found = format!("{} bytes in all", stored.len());
        return Err(subject.damaged(lies(), "a checksum", found));
    };
    let (expected, found) = (u32::from_le_bytes(*checksum), subject.checksum(&[bytes]));
    if expected == found {
        return Ok(bytes);
    }
    let (expected, found) = (format!("checksum {expected:08x}"), format!("{found:08x}"));
    Err(subject.damaged(lies(), expected, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject = Subject::Record(Revision(7));

    fn open(subject: Subject, stored: &[u8]) -> Result<&[u8], JournalError> {
        unseal(subject, stored, || "a file".to_owned())
    }

    #[test]
    fn what_is_sealed_in_parts_is_found_whole() {
        let stored = seal(SUBJECT, &[b"a", b"", b"bc"]);
        assert_eq!(open(SUBJECT, &stored).unwrap(), b"abc");
        assert_eq!(open(SUBJECT, &seal(SUBJECT, &[])).unwrap(), b"");
    }

    #[test]
    fn any_bit_that_is_not_as_it_was_is_noticed_and_so_is_an_end_that_is_missing() {
        let stored = seal(SUBJECT, &[b"some record"]);
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = open(SUBJECT, &damaged).unwrap_err().to_string();
            assert!(error.starts_with("record 7 in a file is damaged: expected"), "{error}");
        }
        for end in 0..stored.len() {
            open(SUBJECT, &stored[..end]).unwrap_err();
        }
    }

    #[test]
    fn what_is_whole_and_in_the_wrong_place_is_noticed() {
        let stored = seal(SUBJECT, &[b"some record"]);
        let snapshot = Revision(7);
        for elsewhere in [
            Subject::Record(Revision(8)),
            Subject::Entry(snapshot),
            Subject::Chunk { snapshot, place: 0 },
        ] {
            open(elsewhere, &stored).unwrap_err();
        }
        let stored = seal(Subject::Chunk { snapshot, place: 1 }, &[b"chunk"]);
        open(Subject::Chunk { snapshot, place: 2 }, &stored).unwrap_err();
    }
}
