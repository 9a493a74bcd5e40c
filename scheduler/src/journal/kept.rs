//! Which snapshots a journal keeps: pure.
//!
//! The oldest is where history begins: with it and the records after it the state at each later revision can be had. Those
//! between it and the newest only make that quicker, so there are few of them, far apart.

use berth_scheduler_core::keys::Revision;

/// Snapshots that are kept, at most.
const MOST: usize = 12;

/// A snapshot that is complete and kept, without what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The revision whose state it holds.
    pub revision: Revision,
    /// How many chunks it has.
    pub chunks: u32,
    /// Bytes of its chunks.
    pub bytes: u64,
    /// Bytes, about, of the records between the snapshot that is kept before it and this one.
    pub behind: u64,
}

impl Kept {
    /// As it is stored, beside its revision.
    pub(super) fn write(&self) -> String {
        format!("{} {} {} {}", self.revision, self.chunks, self.bytes, self.behind)
    }

    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut numbers = std::str::from_utf8(text).ok()?.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        let kept = Self {
            revision: Revision(next()?),
            chunks: u32::try_from(next()?).ok()?,
            bytes: next()?,
            behind: next()?,
        };
        next().is_none().then_some(kept)
    }
}

/// Leaves out what lies between the oldest and the newest until there are few enough: always the one whose neighbours
/// have the least between them.
pub(super) fn thin(mut kept: Vec<Kept>) -> Vec<Kept> {
    while kept.len() > MOST {
        let gap = |at: &usize| {
            let (before, next) = (kept[at - 1], kept[at + 1]);
            let bytes = kept[*at].behind.saturating_add(next.behind);
            (bytes, next.revision.0.saturating_sub(before.revision.0))
        };
        let Some(least) = (1..kept.len() - 1).min_by_key(gap) else {
            break;
        };
        let left_out = kept.remove(least);
        kept[least].behind = kept[least].behind.saturating_add(left_out.behind);
    }
    kept
}

/// With which snapshot history begins when all records from `before` on are to be kept: the newest that is older. None
/// where there is none: then it goes on beginning where it does.
pub(super) fn begin(kept: &[Kept], before: Revision) -> Option<Revision> {
    let older = kept.iter().rfind(|kept| kept.revision < before);
    older.map(|begin| begin.revision)
}

/// The snapshots that are left when history begins with one of them.
pub(super) fn since(kept: &[Kept], begin: Revision) -> &[Kept] {
    &kept[kept.partition_point(|kept| kept.revision < begin)..]
}

/// The revision of the oldest: records up to it may have been deleted, all after it are there. 0 where there is none,
/// since history begins with the empty state then.
pub(super) fn oldest(kept: &[Kept]) -> Revision {
    kept.first().map_or(Revision::default(), |oldest| oldest.revision)
}

/// The revision of the newest; 0 where there is none.
pub(super) fn newest(kept: &[Kept]) -> Revision {
    kept.last().map_or(Revision::default(), |newest| newest.revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(revision: u64, behind: u64) -> Kept {
        Kept {
            revision: Revision(revision),
            chunks: 1,
            bytes: 1,
            behind,
        }
    }

    fn revisions(kept: &[Kept]) -> Vec<u64> {
        kept.iter().map(|kept| kept.revision.0).collect()
    }

    #[test]
    fn few_are_kept_however_many_come_and_they_lie_about_evenly() {
        let mut all = Vec::new();
        for nth in 1..=1000_u64 {
            all.push(kept(nth * 10, 100));
            all = thin(all);
            assert!(all.len() <= MOST);
            assert_eq!(all[0].revision, Revision(10), "history begins where it did");
            assert_eq!(newest(&all), Revision(nth * 10));
            let bytes: u64 = all.iter().map(|kept| kept.behind).sum();
            assert_eq!(bytes, nth * 100, "no record is counted twice or not at all");
        }
        let widest = all.windows(2).map(|pair| pair[1].revision.0 - pair[0].revision.0).max();
        assert!(widest.unwrap() <= 3 * 10_000 / (11), "{:?}", revisions(&all));
    }

    #[test]
    fn what_is_left_out_saves_the_least_work() {
        let mut all: Vec<Kept> = (1..=13).map(|nth| kept(nth, 100)).collect();
        all[4].behind = 3;
        let thinned = thin(all);
        assert_eq!(revisions(&thinned), [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
        assert_eq!(thinned[3].behind, 103);
    }

    #[test]
    fn history_begins_with_the_newest_snapshot_that_all_records_to_be_kept_follow() {
        let all = [kept(4, 0), kept(8, 0), kept(9, 0)];
        let begins = |before| begin(&all, Revision(before)).map(|revision| revision.0);
        assert_eq!([0, 4].map(begins), [None; 2]);
        assert_eq!([5, 8].map(begins), [Some(4); 2]);
        assert_eq!([9, 10, u64::MAX].map(begins), [Some(8), Some(9), Some(9)]);
        assert_eq!(revisions(since(&all, Revision(8))), [8, 9]);
        assert_eq!(revisions(since(&all, Revision(0))), [4, 8, 9]);
        assert_eq!((oldest(&all), oldest(&[])), (Revision(4), Revision(0)));
        assert_eq!(begin(&[], Revision(7)), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let written = Kept {
            revision: Revision(7),
            chunks: 3,
            bytes: 700_000,
            behind: 12,
        };
        assert_eq!(Kept::read(written.write().as_bytes()), Some(written));
        for wrong in ["", "7 3 700000", "7 3 700000 12 1", "7 3 x 12", "7 4294967296 1 1"] {
            assert_eq!(Kept::read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
