//! What goes through gateways, summed over them. Pure: time is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use berth_proto::gateway::v1::{LoadReport, TargetGroupLoad};
use berth_scheduler_core::keys::ClusterKey;

use super::GatewayKey;
use super::streams::{Stream, Streams, Via};

/// What goes to the targets of some target groups.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests and TCP connections that are open.
    pub(crate) open: u64,
    /// Requests and TCP connections that were begun, since some moment.
    pub(crate) requests: u64,
    /// Whether all gateways have told.
    pub(crate) whole: bool,
}

/// What one gateway says of one target group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupLoad {
    pub(crate) open: u32,
    /// Since it began.
    pub(crate) requests: u64,
}

/// By the target group's ARN.
pub(crate) type GroupLoads = BTreeMap<Arc<str>, GroupLoad>;

/// Target groups of a gateway whose load is kept: twice as many as a cluster has services.
const MAX_GROUPS: usize = 10_000;

/// What a gateway says that goes to its target groups.
pub(crate) fn read(report: LoadReport) -> GroupLoads {
    let groups = report.groups.into_iter().take(MAX_GROUPS);
    let read = |group: TargetGroupLoad| {
        let load = GroupLoad {
            open: group.open,
            requests: group.requests,
        };
        (group.target_group.into(), load)
    };
    groups.map(read).collect()
}

/// What all gateways have said.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// None of what has not told.
    pub(super) streams: Streams<Option<GroupLoads>>,
    /// What each gateway had counted when that was last added up, and by which way it was told.
    known: BTreeMap<GatewayKey, (Via, BTreeMap<Arc<str>, u64>)>,
    /// By target group, the requests of all gateways together, those that are gone included.
    counted: BTreeMap<(ClusterKey, Arc<str>), u64>,
}

impl Loads {
    /// A gateway forwards nothing any more.
    pub(super) fn part(&mut self, key: &GatewayKey) {
        self.streams.part(key);
        self.known.remove(key);
    }

    /// Nothing is known of it by this way any more.
    pub(super) fn drop_stream(&mut self, key: &GatewayKey, via: Via) {
        self.streams.drop_stream(key, via);
        if self.streams.newest(key).is_none() {
            self.known.remove(key);
        }
    }

    /// What it says takes the place of all that it said before.
    pub(super) fn hear(&mut self, key: &GatewayKey, via: Via, loads: GroupLoads) {
        // Of two ways to hear of it the older one is late.
        if self.streams.newest(key) == Some(via) {
            self.count(key, via, &loads);
        }
        if let Some(told) = self.streams.said_mut(key, via) {
            *told = Some(loads);
        }
    }

    /// Adds up the requests that are new.
    fn count(&mut self, key: &GatewayKey, via: Via, loads: &GroupLoads) {
        let counts = loads.iter().map(|(group, load)| (Arc::clone(group), load.requests));
        let Some((way, before)) = self.known.insert(key.clone(), (via, counts.collect())) else {
            return;
        };
        for (group, load) in loads {
            let known = before.get(group).copied().unwrap_or_default();
            let more = match load.requests.checked_sub(known) {
                Some(more) => more,
                // One that counts less has begun anew.
                None if way == via => load.requests,
                // Or what was told by another way is older.
                None => 0,
            };
            let counted = self.counted.entry((key.cluster, Arc::clone(group))).or_default();
            *counted = counted.wrapping_add(more);
        }
    }

    /// Drops gateways that have been away for too long, and the counts of groups that none of them has.
    pub(super) fn forget(&mut self, now: Instant) {
        for (key, _) in self.streams.forget(now) {
            self.known.remove(&key);
        }
        let known = &self.known;
        self.counted.retain(|(cluster, group), _| {
            let has = |(key, (_, counts)): (&GatewayKey, &(Via, BTreeMap<Arc<str>, u64>))| {
                key.cluster == *cluster && counts.contains_key(group)
            };
            known.iter().any(has)
        });
    }

    /// What goes to the targets of these groups; nothing where no gateway has told. It is whole as far as gateways are
    /// known here.
    pub(super) fn of(&self, cluster: ClusterKey, groups: &[&str]) -> Option<Load> {
        let of_cluster = self.streams.iter().filter(|(key, _)| key.cluster == cluster);
        let gateways: Vec<_> = of_cluster.map(|(_, streams)| streams).collect();
        let mut told = gateways.iter().filter_map(|streams| newest(streams)).peekable();
        told.peek()?;
        let open = told
            .flat_map(|told| groups.iter().filter_map(|group| told.get(*group)))
            .map(|load| u64::from(load.open))
            .sum();
        let counted = groups
            .iter()
            .filter_map(|group| self.counted.get(&(cluster, Arc::from(*group))));
        Some(Load {
            open,
            requests: counted.sum(),
            whole: gateways
                .iter()
                .filter_map(|streams| streams.last())
                .all(|stream| stream.is_there() && stream.said.is_some()),
        })
    }
}

/// What a gateway told by the newest way by which it has told anything.
fn newest(streams: &[Stream<Option<GroupLoads>>]) -> Option<&GroupLoads> {
    streams.iter().rev().find_map(|stream| stream.said.as_ref())
}

#[cfg(test)]
mod tests {
    use berth_scheduler_core::keys::ReplicaId;

    use super::super::streams::REMEMBERED;
    use super::*;

    const CLUSTER: ClusterKey = ClusterKey(1);

    fn key(id: &str) -> GatewayKey {
        GatewayKey {
            cluster: CLUSTER,
            id: id.into(),
        }
    }

    fn told(of: &[(&str, u32, u64)]) -> GroupLoads {
        let one = |(group, open, requests): &(&str, u32, u64)| {
            let load = GroupLoad {
                open: *open,
                requests: *requests,
            };
            (Arc::from(*group), load)
        };
        of.iter().map(one).collect()
    }

    fn load(open: u64, requests: u64, whole: bool) -> Option<Load> {
        Some(Load { open, requests, whole })
    }

    #[test]
    fn what_gateways_say_is_added_up_and_counts_from_when_they_were_first_heard() {
        let mut loads = Loads::default();
        assert_eq!(loads.of(CLUSTER, &["a"]), None);
        loads.streams.arrive(&key("1"), Via::Here);
        loads.streams.arrive(&key("2"), Via::Here);
        assert_eq!(loads.of(CLUSTER, &["a"]), None);
        loads.hear(&key("1"), Via::Here, told(&[("a", 3, 100), ("b", 1, 7)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(3, 0, false));
        loads.hear(&key("2"), Via::Here, told(&[("a", 4, 1000)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(7, 0, true));
        loads.hear(&key("1"), Via::Here, told(&[("a", 2, 130), ("b", 1, 8)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(6, 30, true));
        assert_eq!(loads.of(CLUSTER, &["a", "b"]), load(7, 31, true));
        assert_eq!(loads.of(ClusterKey(2), &["a"]), None);
    }

    #[test]
    fn a_gateway_that_begins_anew_loses_nothing_and_counts_nothing_twice() {
        let mut loads = Loads::default();
        let now = Instant::now();
        loads.streams.arrive(&key("1"), Via::Here);
        loads.hear(&key("1"), Via::Here, told(&[("a", 3, 100)]));
        loads.streams.leave(&key("1"), Via::Here, now);
        assert_eq!(loads.of(CLUSTER, &["a"]), load(3, 0, false));
        loads.streams.arrive(&key("1"), Via::Here);
        loads.hear(&key("1"), Via::Here, told(&[("a", 3, 120)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(3, 20, true));
        loads.hear(&key("1"), Via::Here, told(&[("a", 0, 5)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(0, 25, true));
        loads.streams.leave(&key("1"), Via::Here, now);
        loads.forget(now + REMEMBERED);
        assert_eq!(loads.of(CLUSTER, &["a"]), None);
        assert!(loads.counted.is_empty());
    }

    #[test]
    fn what_a_gateway_counted_goes_on_when_it_moves_and_is_added_up_once() {
        let (b, c) = (Via::Other(ReplicaId(2)), Via::Other(ReplicaId(3)));
        let mut loads = Loads::default();
        loads.streams.arrive(&key("1"), b);
        loads.hear(&key("1"), b, told(&[("a", 1, 1000)]));
        loads.streams.arrive(&key("1"), c);
        assert_eq!(loads.of(CLUSTER, &["a"]), load(1, 0, false), "not told by the new way");
        loads.hear(&key("1"), c, told(&[("a", 2, 1010)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(2, 10, true));
        // What comes late by the old way.
        loads.hear(&key("1"), b, told(&[("a", 1, 1005)]));
        loads.streams.leave(&key("1"), b, Instant::now());
        assert_eq!(loads.of(CLUSTER, &["a"]), load(2, 10, true));
        // And what is older than what is known, although the way is new.
        loads.streams.arrive(&key("1"), b);
        loads.hear(&key("1"), b, told(&[("a", 1, 1007)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(1, 10, true));
        loads.hear(&key("1"), b, told(&[("a", 1, 1020)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(1, 23, true));
    }
}
