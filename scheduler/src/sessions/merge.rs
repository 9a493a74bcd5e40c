//! Lines of several sources in the order of time. Pure: what the time is, is told.
//!
//! Each source is in order by itself. A line is told when no source can have an older one: when each has said what its next
//! line is. Sources that are silent cannot be waited for while others speak, so that a line waits for them only so long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is next of each source.
#[derive(Debug)]
pub(super) struct Merge<K, L> {
    heads: BTreeMap<K, Option<Head<L>>>,
    patience: Duration,
}

#[derive(Debug)]
struct Head<L> {
    time_ns: i64,
    came: Instant,
    line: L,
}

/// Whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn<K, L> {
    /// This line's.
    Line(K, L),
    /// Nobody's before then, unless silent sources speak.
    Until(Instant),
    /// There is no line.
    Nothing,
}

impl<K: Ord + Clone, L> Merge<K, L> {
    /// No sources; silent ones are waited for so long.
    pub(super) const fn new(patience: Duration) -> Self {
        Self {
            heads: BTreeMap::new(),
            patience,
        }
    }

    /// A source, which has said nothing yet.
    pub(super) fn add(&mut self, source: K) {
        self.heads.entry(source).or_insert(None);
    }

    /// A source has ended. Its line, if there is one, was taken before.
    pub(super) fn remove(&mut self, source: &K) {
        self.heads.remove(source);
    }

    /// The sources whose next line is not known.
    pub(super) fn silent(&self) -> Vec<K> {
        let silent = self.heads.iter().filter(|(_, head)| head.is_none());
        silent.map(|(source, _)| source.clone()).collect()
    }

    /// The next line of a silent source.
    pub(super) fn put(&mut self, source: &K, time_ns: i64, line: L, now: Instant) {
        if let Some(head) = self.heads.get_mut(source) {
            *head = Some(Head {
                time_ns,
                came: now,
                line,
            });
        }
    }

    /// Takes the oldest line, if it need not wait.
    pub(super) fn next(&mut self, now: Instant) -> Turn<K, L> {
        let known = self.heads.iter();
        let known = known.filter_map(|(source, head)| Some((head.as_ref()?.time_ns, source)));
        let Some((_, source)) = known.min() else {
            return Turn::Nothing;
        };
        let source = source.clone();
        let all_spoke = self.heads.values().all(Option::is_some);
        let Some(slot) = self.heads.get_mut(&source) else {
            return Turn::Nothing;
        };
        match slot.take_if(|head| all_spoke || now.saturating_duration_since(head.came) >= self.patience) {
            Some(head) => Turn::Line(source, head.line),
            None => {
                let came = slot.as_ref().map_or(now, |head| head.came);
                Turn::Until(came.checked_add(self.patience).unwrap_or(came))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    #[test]
    fn a_line_waits_for_silent_sources_but_not_for_long() {
        let (begin, mut merge) = (Instant::now(), Merge::new(PATIENCE));
        merge.add("a");
        merge.add("b");
        merge.put(&"a", 5, "late", begin);
        assert_eq!(merge.next(begin), Turn::Until(begin + PATIENCE));
        merge.put(&"b", 3, "early", begin);
        assert_eq!(merge.next(begin), Turn::Line("b", "early"));
        assert_eq!(merge.next(begin), Turn::Until(begin + PATIENCE));
        assert_eq!(merge.next(begin + PATIENCE), Turn::Line("a", "late"));
        assert_eq!(merge.next(begin + PATIENCE), Turn::Nothing);
        merge.put(&"b", 9, "last", begin);
        merge.remove(&"a");
        assert_eq!(merge.next(begin), Turn::Line("b", "last"));
    }

    proptest! {
        #[test]
        fn sources_that_all_speak_are_told_in_order_and_whole(
            mut sources in prop::collection::vec(prop::collection::vec(0_i64..100, 0..20), 1..5)
        ) {
            let now = Instant::now();
            let mut merge = Merge::new(PATIENCE);
            let mut all: Vec<i64> = sources.iter().flatten().copied().collect();
            all.sort_unstable();
            for (number, times) in sources.iter_mut().enumerate() {
                times.sort_unstable();
                times.reverse();
                merge.add(number);
            }
            let mut told = Vec::new();
            loop {
                for number in merge.silent() {
                    match sources[number].pop() {
                        Some(time) => merge.put(&number, time, time, now),
                        None => merge.remove(&number),
                    }
                }
                match merge.next(now) {
                    Turn::Line(_, time) => told.push(time),
                    Turn::Nothing => break,
                    Turn::Until(_) => prop_assert!(false, "all have spoken"),
                }
            }
            prop_assert_eq!(told, all);
        }
    }
}
