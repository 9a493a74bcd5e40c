//! The newest events: a bounded list that is the same for all who watch.

use std::collections::VecDeque;
use std::sync::Arc;

use berth_scheduler_core::event::Position;
use berth_scheduler_core::keys::Revision;

use super::Told;

/// Events that are kept.
const EVENTS: usize = 16_384;
/// Bytes of events that are kept.
const BYTES: usize = 32 * 1024 * 1024;
/// Events that are taken at once.
const EVENTS_AT_ONCE: usize = 256;
/// Bytes of events that are taken at once, unless a single one has more.
const BYTES_AT_ONCE: usize = 256 * 1024;

/// The events behind one position, up to all of a revision.
#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Arc<Told>>,
    bytes: usize,
    /// What is behind it is here.
    from: Position,
    /// All events of it and of those before it have been put in.
    to: Revision,
}

/// Some events in order.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) events: Vec<Arc<Told>>,
    /// Behind the last of them, and behind what follows it without an event.
    pub(super) position: Position,
}

impl Ring {
    /// An empty one behind a revision.
    pub(super) fn behind(revision: Revision) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            from: revision.into(),
            to: revision,
        }
    }

    /// Adds all events of the next revision. The oldest make room for them.
    pub(super) fn push(&mut self, revision: Revision, events: Vec<Arc<Told>>) {
        self.to = revision;
        for event in events {
            self.bytes += event.size();
            self.events.push_back(event);
        }
        while self.events.len() > EVENTS || self.bytes > BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.size());
            self.from = oldest.position;
        }
    }

    /// Whether all events behind the position are here, or still to come.
    pub(super) fn covers(&self, position: Position) -> bool {
        position >= self.from
    }

    /// The next events behind the position; nothing where some of them are not here any more.
    pub(super) fn behind_position(&self, position: Position) -> Option<Slice> {
        if !self.covers(position) {
            return None;
        }
        let first = self.events.partition_point(|event| event.position <= position);
        let rest = self.events.iter().skip(first);
        let events = take(rest.map(Arc::clone));
        let reached = match (events.last(), self.events.get(first + events.len())) {
            (_, None) => self.to.into(),
            (Some(last), Some(next)) if next.position.revision == last.position.revision => last.position,
            (_, Some(next)) => Revision(next.position.revision.0.saturating_sub(1)).into(),
        };
        Some(Slice {
            events,
            position: reached.max(position),
        })
    }
}

/// As many events as are taken at once; at least one where there is one.
pub(super) fn take(events: impl Iterator<Item = Arc<Told>>) -> Vec<Arc<Told>> {
    let mut bytes = 0;
    let fits = |event: &Arc<Told>| {
        let is_first = bytes == 0;
        bytes += event.size();
        is_first || bytes <= BYTES_AT_ONCE
    };
    events.take(EVENTS_AT_ONCE).take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use berth_model::name::ClusterName;
    use berth_model::time::Timestamp;
    use berth_scheduler_core::event::DetailType;

    use super::*;

    fn event(revision: u64, place: u32, bytes: usize) -> Arc<Told> {
        Arc::new(Told {
            position: Position {
                revision: Revision(revision),
                place,
            },
            id: String::new(),
            kind: DetailType::Task,
            at: Timestamp::default(),
            by: "test".into(),
            cluster: ClusterName::parse("default").unwrap(),
            resource: String::new(),
            group: None,
            json: "x".repeat(bytes),
        })
    }

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    /// What is behind a position: the places, and how far that is.
    fn behind(ring: &Ring, text: &str) -> Option<(Vec<String>, String)> {
        let slice = ring.behind_position(position(text))?;
        let places = slice.events.iter().map(|event| event.position.to_string());
        Some((places.collect(), slice.position.to_string()))
    }

    fn some(places: &[&str], reached: &str) -> Option<(Vec<String>, String)> {
        Some((
            places.iter().map(|place| (*place).to_owned()).collect(),
            reached.to_owned(),
        ))
    }

    #[test]
    fn what_is_behind_a_position_is_given_in_order_and_nothing_twice() {
        let mut ring = Ring::behind(Revision(10));
        assert_eq!(behind(&ring, "9"), None);
        assert_eq!(behind(&ring, "10"), some(&[], "10"));
        assert_eq!(behind(&ring, "12.1"), some(&[], "12.1"), "it is still to come");
        ring.push(Revision(11), vec![event(11, 1, 10), event(11, 2, 10)]);
        ring.push(Revision(12), Vec::new());
        ring.push(Revision(13), vec![event(13, 1, 10)]);
        ring.push(Revision(14), Vec::new());
        assert_eq!(behind(&ring, "10"), some(&["11.1", "11.2", "13.1"], "14"));
        assert_eq!(behind(&ring, "11.1"), some(&["11.2", "13.1"], "14"));
        assert_eq!(behind(&ring, "11"), some(&["13.1"], "14"));
        assert_eq!(behind(&ring, "13.1"), some(&[], "14"));
    }

    #[test]
    fn a_large_record_is_given_in_parts_that_say_how_far_they_are() {
        let mut ring = Ring::behind(Revision(1));
        ring.push(Revision(2), (1..=300).map(|place| event(2, place, 10)).collect());
        ring.push(Revision(5), vec![event(5, 1, 10)]);
        let first = ring.behind_position(position("1")).unwrap();
        assert_eq!(
            (first.events.len(), first.position.to_string()),
            (256, "2.256".to_owned())
        );
        let second = ring.behind_position(first.position).unwrap();
        assert_eq!((second.events.len(), second.position.to_string()), (45, "5".to_owned()));

        let mut ring = Ring::behind(Revision(1));
        ring.push(Revision(2), (1..=3).map(|place| event(2, place, 200_000)).collect());
        assert_eq!(behind(&ring, "1"), some(&["2.1"], "2.1"), "bytes count too");
        let mut ring = Ring::behind(Revision(1));
        ring.push(Revision(2), vec![event(2, 1, 2 * BYTES_AT_ONCE)]);
        ring.push(Revision(4), vec![event(4, 1, 10)]);
        assert_eq!(
            behind(&ring, "1"),
            some(&["2.1"], "3"),
            "one that is too large goes alone"
        );
    }

    #[test]
    fn the_oldest_make_room() {
        let mut ring = Ring::behind(Revision(1));
        for revision in 2..=9 {
            ring.push(Revision(revision), vec![event(revision, 1, BYTES / 4)]);
        }
        assert!(ring.bytes <= BYTES);
        assert_eq!(behind(&ring, "5"), None);
        assert!(!ring.covers(position("5")) && ring.covers(position("6")));
        assert_eq!(behind(&ring, "6.1"), some(&["7.1"], "7"));
        let mut ring = Ring::behind(Revision(1));
        let many = u32::try_from(EVENTS).unwrap() + 5;
        ring.push(Revision(2), (1..=many).map(|place| event(2, place, 1)).collect());
        assert!(ring.covers(position("2.5")) && !ring.covers(position("2.4")));
    }
}
