//! What goes through gateways, summed over them. Pure: time is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use berth_scheduler_core::keys::ClusterKey;

use super::GatewayKey;
use super::targets::REMEMBERED;

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

/// What all gateways have said.
#[derive(Debug, Default)]
pub(super) struct Loads {
    gateways: BTreeMap<GatewayKey, Gateway>,
    /// By target group, the requests of all gateways together, those that are gone included.
    counted: BTreeMap<(ClusterKey, Arc<str>), u64>,
}

#[derive(Debug, Default)]
struct Gateway {
    /// When its stream ended; none while it is there.
    left: Option<Instant>,
    /// None until it has told.
    told: Option<GroupLoads>,
}

impl Loads {
    pub(super) fn arrive(&mut self, key: &GatewayKey) {
        self.gateways.entry(key.clone()).or_default().left = None;
    }

    /// Its stream has ended; it may go on forwarding.
    pub(super) fn leave(&mut self, key: &GatewayKey, now: Instant) {
        if let Some(gateway) = self.gateways.get_mut(key) {
            gateway.left = Some(now);
        }
    }

    /// It forwards nothing any more.
    pub(super) fn part(&mut self, key: &GatewayKey) {
        self.gateways.remove(key);
    }

    /// What it says takes the place of all that it said before.
    pub(super) fn hear(&mut self, key: &GatewayKey, loads: GroupLoads) {
        let Some(gateway) = self.gateways.get_mut(key) else {
            return;
        };
        if let Some(before) = &gateway.told {
            for (group, load) in &loads {
                let known = before.get(group).map_or(0, |before| before.requests);
                // One that counts less has begun anew.
                let more = load.requests.checked_sub(known).unwrap_or(load.requests);
                let counted = self.counted.entry((key.cluster, Arc::clone(group))).or_default();
                *counted = counted.wrapping_add(more);
            }
        }
        gateway.told = Some(loads);
    }

    /// Drops gateways that have been away for too long, and the counts of groups that none of them has.
    pub(super) fn forget(&mut self, now: Instant) {
        self.gateways
            .retain(|_, gateway| gateway.left.is_none_or(|left| now.duration_since(left) < REMEMBERED));
        let gateways = &self.gateways;
        self.counted.retain(|(cluster, group), _| {
            let has = |(key, gateway): (&GatewayKey, &Gateway)| {
                key.cluster == *cluster && gateway.told.as_ref().is_some_and(|told| told.contains_key(group))
            };
            gateways.iter().any(has)
        });
    }

    /// What goes to the targets of these groups; nothing where no gateway has told.
    pub(super) fn of(&self, cluster: ClusterKey, groups: &[&str]) -> Option<Load> {
        let gateways = || self.gateways.iter().filter(|(key, _)| key.cluster == cluster);
        let mut told = gateways().filter_map(|(_, gateway)| gateway.told.as_ref()).peekable();
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
            whole: gateways().all(|(_, gateway)| gateway.left.is_none() && gateway.told.is_some()),
        })
    }
}

#[cfg(test)]
mod tests {
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
        loads.arrive(&key("1"));
        loads.arrive(&key("2"));
        assert_eq!(loads.of(CLUSTER, &["a"]), None);
        loads.hear(&key("1"), told(&[("a", 3, 100), ("b", 1, 7)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(3, 0, false));
        loads.hear(&key("2"), told(&[("a", 4, 1000)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(7, 0, true));
        loads.hear(&key("1"), told(&[("a", 2, 130), ("b", 1, 8)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(6, 30, true));
        assert_eq!(loads.of(CLUSTER, &["a", "b"]), load(7, 31, true));
        assert_eq!(loads.of(ClusterKey(2), &["a"]), None);
    }

    #[test]
    fn a_gateway_that_begins_anew_loses_nothing_and_counts_nothing_twice() {
        let mut loads = Loads::default();
        let now = Instant::now();
        loads.arrive(&key("1"));
        loads.hear(&key("1"), told(&[("a", 3, 100)]));
        loads.leave(&key("1"), now);
        assert_eq!(loads.of(CLUSTER, &["a"]), load(3, 0, false));
        loads.arrive(&key("1"));
        loads.hear(&key("1"), told(&[("a", 3, 120)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(3, 20, true));
        loads.hear(&key("1"), told(&[("a", 0, 5)]));
        assert_eq!(loads.of(CLUSTER, &["a"]), load(0, 25, true));
        loads.leave(&key("1"), now);
        loads.forget(now + REMEMBERED);
        assert_eq!(loads.of(CLUSTER, &["a"]), None);
        assert!(loads.counted.is_empty());
    }
}
