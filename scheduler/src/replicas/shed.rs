//! Lets agents and gateways go where this scheduler has far more of them than its share, a few a second, so that the load
//! evens out after one was away. Which others there are is what all agree on for a while: never in a storm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use berth_model::status::InstanceStatus;
use berth_scheduler_core::keys::ReplicaId;
use berth_scheduler_core::shed::surplus;
use berth_scheduler_core::state::State;

use super::Replicas;
use super::listen::Ears;
use crate::engine::Engine;

/// What an agent or a gateway is told that is let go.
pub(crate) const LET_GO: &str = "This scheduler has more streams than its share: connect to another.";
/// How often it is looked, as `surplus` has it.
const EVERY: Duration = Duration::from_secs(1);
/// How long nobody must have come or gone: those that lost their scheduler have found another by then.
const CALM: Duration = Duration::from_secs(30);
/// Of so many instances one may be away.
const AWAY_OF: usize = 20;

/// Looks until the process ends.
pub async fn even_out(engine: Engine, replicas: Arc<Replicas>, ears: Ears) {
    let Some(own) = replicas.own() else { return };
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(others) = replicas.certain_others() else {
            continue;
        };
        let calm = replicas.calm_for().is_some_and(|time| time >= CALM);
        if !calm || others.is_empty() || engine.cut_off().is_some() {
            continue;
        }
        // Who is not heard is not well.
        let Some(gateways) = of_all(&others, &ears.gateways.streams_of_others()) else {
            continue;
        };
        ears.gateways.let_go(surplus(ears.gateways.streams(), &gateways));
        if let Some(agents) = agents_of_others(&engine.view(), own, &others) {
            ears.nodes.let_go(surplus(ears.nodes.streams(), &agents));
        }
    }
}

/// The count of each of them; nothing where that of any is not known.
fn of_all(others: &BTreeSet<ReplicaId>, counts: &BTreeMap<ReplicaId, u32>) -> Option<Vec<u32>> {
    others.iter().map(|other| counts.get(other).copied()).collect()
}

/// How many agents each of the others has; nothing where too many have none.
fn agents_of_others(state: &State, own: ReplicaId, others: &BTreeSet<ReplicaId>) -> Option<Vec<u32>> {
    let mut counts: BTreeMap<ReplicaId, u32> = others.iter().map(|other| (*other, 0)).collect();
    let (mut all, mut away) = (0_usize, 0);
    let is_active = |status| matches!(status, InstanceStatus::Active | InstanceStatus::Draining);
    for (_, instance) in state.instances().filter(|(_, instance)| is_active(instance.status)) {
        all += 1;
        match instance.via.filter(|_| instance.connected) {
            Some(via) if via == own => {}
            // One that has ended may still be said to have some.
            Some(via) => match counts.get_mut(&via) {
                Some(count) => *count += 1,
                None => away += 1,
            },
            None => away += 1,
        }
    }
    (away * AWAY_OF <= all).then(|| counts.into_values().collect())
}
