//! Gateways, and through which schedulers they are heard. Pure: time is an argument.
//!
//! A gateway has one stream, but who hears of it hears in any order: of its new stream before the end of the old one, or
//! of both from two schedulers. Each is kept apart until it has ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use berth_scheduler_core::keys::ReplicaId;

use super::GatewayKey;

/// How long a gateway whose stream has ended is believed to go on with what it knows.
pub(super) const REMEMBERED: Duration = Duration::from_secs(60);

/// Where the stream of a gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// At this scheduler.
    Here,
    /// At another, which tells of it.
    Other(ReplicaId),
}

/// What is known of each gateway, by its streams.
#[derive(Debug)]
pub(super) struct Streams<T> {
    /// None of them without a stream. Either all of a gateway's are there, in the order in which they were heard of, or it
    /// is away and has one.
    gateways: BTreeMap<GatewayKey, Vec<Stream<T>>>,
}

/// A stream that is there, or was.
#[derive(Debug)]
pub(super) struct Stream<T> {
    via: Via,
    /// When it ended; none while it is there.
    left: Option<Instant>,
    /// What was heard through it.
    pub(super) said: T,
}

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self {
            gateways: BTreeMap::new(),
        }
    }
}

impl<T: Default> Streams<T> {
    /// A gateway is there. It tells everything again, so that what it said before by this way is put right.
    pub(super) fn arrive(&mut self, key: &GatewayKey, via: Via) {
        let streams = self.gateways.entry(key.clone()).or_default();
        let before = streams.iter().position(|stream| stream.via == via);
        let said = before.map_or_else(T::default, |at| streams.remove(at).said);
        // If it was away before, it has moved.
        streams.retain(|stream| stream.left.is_none());
        streams.push(Stream { via, left: None, said });
    }

    /// A stream has ended; the gateway may go on forwarding.
    pub(super) fn leave(&mut self, key: &GatewayKey, via: Via, now: Instant) {
        let Some(streams) = self.gateways.get_mut(key) else {
            return;
        };
        if streams.iter().any(|stream| stream.via != via) {
            // It is elsewhere already.
            streams.retain(|stream| stream.via != via);
        } else if let Some(stream) = streams.last_mut() {
            stream.left.get_or_insert(now);
        }
    }

    /// It is said to be away since then, for all that is known at that place.
    pub(super) fn away(&mut self, key: &GatewayKey, via: Via, since: Instant) {
        let streams = self.gateways.entry(key.clone()).or_default();
        let known = |stream: &Stream<T>| stream.via != via && stream.left.is_none_or(|left| left > since);
        if streams.iter().any(known) {
            streams.retain(|stream| stream.via != via);
            return;
        }
        let before = streams.iter().position(|stream| stream.via == via);
        let said = before.map_or_else(T::default, |at| streams.remove(at).said);
        streams.clear();
        let left = Some(since);
        streams.push(Stream { via, left, said });
    }

    /// All streams that are at one place have ended, or cannot be heard of.
    pub(super) fn leave_all(&mut self, via: Via, now: Instant) {
        let at_place = |streams: &&Vec<Stream<T>>| streams.iter().any(|stream| stream.via == via);
        let keys = self.gateways.iter().filter(|(_, streams)| at_place(streams));
        let keys: Vec<GatewayKey> = keys.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.leave(&key, via, now);
        }
    }

    /// Nothing is known of it by this way any more; gives what was.
    pub(super) fn drop_stream(&mut self, key: &GatewayKey, via: Via) -> Option<T> {
        let streams = self.gateways.get_mut(key)?;
        let at = streams.iter().position(|stream| stream.via == via)?;
        let said = streams.remove(at).said;
        if streams.is_empty() {
            self.gateways.remove(key);
        }
        Some(said)
    }

    /// It forwards nothing any more; gives all that it said.
    pub(super) fn part(&mut self, key: &GatewayKey) -> Vec<T> {
        let streams = self.gateways.remove(key).unwrap_or_default();
        streams.into_iter().map(|stream| stream.said).collect()
    }

    /// Drops gateways that have been away for too long; gives them with what they said.
    pub(super) fn forget(&mut self, now: Instant) -> Vec<(GatewayKey, T)> {
        let is_gone = |stream: &Stream<T>| stream.left.is_some_and(|left| now.duration_since(left) >= REMEMBERED);
        let gone = self.gateways.iter().filter(|(_, streams)| streams.iter().all(is_gone));
        let gone: Vec<GatewayKey> = gone.map(|(key, _)| key.clone()).collect();
        let mut dropped = Vec::new();
        for key in gone {
            dropped.extend(self.part(&key).into_iter().map(|said| (key.clone(), said)));
        }
        dropped
    }

    /// What was said by this way.
    pub(super) fn said(&self, key: &GatewayKey, via: Via) -> Option<&T> {
        let streams = self.gateways.get(key)?.iter();
        streams
            .filter(|stream| stream.via == via)
            .map(|stream| &stream.said)
            .next()
    }

    /// The same, to be added to.
    pub(super) fn said_mut(&mut self, key: &GatewayKey, via: Via) -> Option<&mut T> {
        let mut streams = self.gateways.get_mut(key)?.iter_mut();
        streams.find(|stream| stream.via == via).map(|stream| &mut stream.said)
    }

    /// When the stream by this way ended, or none while it is there; nothing where there is no such stream.
    pub(super) fn left(&self, key: &GatewayKey, via: Via) -> Option<Option<Instant>> {
        let mut streams = self.gateways.get(key)?.iter();
        streams.find(|stream| stream.via == via).map(|stream| stream.left)
    }

    /// All gateways that are heard this way.
    pub(super) fn via(&self, via: Via) -> impl Iterator<Item = &GatewayKey> {
        let heard = self.gateways.iter();
        heard
            .filter(move |(_, streams)| streams.iter().any(|stream| stream.via == via))
            .map(|(key, _)| key)
    }

    /// All gateways with their streams, the one that was heard of last at the end.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&GatewayKey, &[Stream<T>])> {
        self.gateways.iter().map(|(key, streams)| (key, streams.as_slice()))
    }

    /// All that was said, to be put in order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&GatewayKey, &mut T)> {
        let all = self.gateways.iter_mut();
        all.flat_map(|(key, streams)| streams.iter_mut().map(move |stream| (key, &mut stream.said)))
    }

    /// By which way the gateway was heard of last.
    pub(super) fn newest(&self, key: &GatewayKey) -> Option<Via> {
        self.gateways.get(key)?.last().map(|stream| stream.via)
    }
}

impl<T> Stream<T> {
    /// Whether it is there.
    pub(super) fn is_there(&self) -> bool {
        self.left.is_none()
    }
}

#[cfg(test)]
mod tests {
    use berth_scheduler_core::keys::ClusterKey;

    use super::*;

    const B: Via = Via::Other(ReplicaId(2));
    const C: Via = Via::Other(ReplicaId(3));

    fn key() -> GatewayKey {
        GatewayKey {
            cluster: ClusterKey(1),
            id: "a".into(),
        }
    }

    /// By which ways it is heard, and whether it is there.
    fn ways(streams: &Streams<u32>) -> Vec<(Via, bool)> {
        let of_one = streams.iter().flat_map(|(_, streams)| streams);
        of_one.map(|stream| (stream.via, stream.is_there())).collect()
    }

    #[test]
    fn a_gateway_that_moves_is_there_all_the_time_in_whatever_order_it_is_told() {
        let now = Instant::now();
        let mut streams = Streams::<u32>::default();
        streams.arrive(&key(), B);
        // The end of the old stream first.
        streams.leave(&key(), B, now);
        assert_eq!(ways(&streams), [(B, false)]);
        streams.arrive(&key(), Via::Here);
        assert_eq!(ways(&streams), [(Via::Here, true)]);
        // And the new stream first.
        streams.arrive(&key(), C);
        assert_eq!(ways(&streams), [(Via::Here, true), (C, true)]);
        assert_eq!(streams.newest(&key()), Some(C));
        streams.leave(&key(), Via::Here, now);
        assert_eq!(ways(&streams), [(C, true)]);
        streams.leave(&key(), B, now);
        assert_eq!(ways(&streams), [(C, true)], "it left there long ago");
    }

    #[test]
    fn what_was_said_by_one_way_stays_apart_and_outlives_a_break() {
        let now = Instant::now();
        let mut streams = Streams::default();
        streams.arrive(&key(), Via::Here);
        streams.arrive(&key(), B);
        *streams.said_mut(&key(), B).unwrap() = 7;
        assert_eq!(streams.said(&key(), Via::Here), Some(&0));
        streams.leave(&key(), Via::Here, now);
        streams.leave(&key(), B, now);
        assert_eq!(streams.left(&key(), B), Some(Some(now)));
        streams.arrive(&key(), B);
        assert_eq!(
            (streams.said(&key(), B), streams.left(&key(), B)),
            (Some(&7), Some(None))
        );
    }

    #[test]
    fn a_gateway_is_away_since_its_last_stream_ended_whoever_had_that() {
        let now = Instant::now();
        let (early, late) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
        let mut streams = Streams::<u32>::default();
        let left = |streams: &Streams<u32>| [Via::Here, B, C].map(|via| streams.left(&key(), via).flatten());
        streams.away(&key(), B, early);
        streams.away(&key(), C, now);
        assert_eq!(left(&streams), [None, Some(early), None]);
        streams.away(&key(), C, late);
        assert_eq!(left(&streams), [None, None, Some(late)]);
        streams.arrive(&key(), Via::Here);
        streams.away(&key(), B, late);
        assert_eq!(ways(&streams), [(Via::Here, true)]);
    }

    #[test]
    fn when_a_scheduler_is_not_heard_its_gateways_are_away_and_then_forgotten() {
        let now = Instant::now();
        let mut streams = Streams::<u32>::default();
        streams.arrive(&key(), B);
        streams.leave_all(B, now);
        streams.leave_all(B, now + REMEMBERED / 2);
        assert!(streams.forget(now + REMEMBERED / 2).is_empty());
        assert_eq!(
            streams.forget(now + REMEMBERED),
            [(key(), 0)],
            "counted from the first time"
        );
        assert!(ways(&streams).is_empty());
        streams.arrive(&key(), B);
        assert_eq!(streams.drop_stream(&key(), C), None);
        assert_eq!(streams.drop_stream(&key(), B), Some(0));
        assert!(ways(&streams).is_empty());
    }
}
