//! Managed scaling of capacity providers: tells whoever can start and end instances how many there should be.
//!
//! Every few seconds the needs of all providers are found out from the published state ([`berth_scheduler_core::fleet`]).
//! A number that differs from that of the instances is told, and told again every minute for as long as it does: who is
//! told sets a number, so that hearing of it twice does no harm. Instances that are to go are made DRAINING first, where
//! the provider says so, and then named. What was asked for is remembered in memory alone: a scheduler that was just
//! started waits as long as ever before it takes instances away.

mod hook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_model::arn::Namespace;
use berth_model::id::InstanceId;
use berth_model::name::ProviderName;
use berth_model::status::InstanceStatus;
use berth_model::time::Timestamp;
use berth_scheduler_core::decide::instance::SetInstancesStatus;
use berth_scheduler_core::fleet::{Need, Standing, Verdict, needs};
use berth_scheduler_core::keys::InstanceKey;
use berth_scheduler_core::state::State;
use serde::Serialize;

pub use self::hook::{Hook, HookCommand, HookUrl};
use super::every;
use crate::clock;
use crate::engine::Engine;
use crate::replicas::Replicas;

/// How often the needs are looked at.
const LOOK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// After how long a number that does not come to be is told again.
const AGAIN: Duration = Duration::from_secs(60);

/// What is remembered of a provider.
#[derive(Debug, Default)]
struct Known {
    standing: Standing,
    /// Instances that were made DRAINING to go, and are still there.
    going: Vec<InstanceKey>,
    /// What was told last, and when.
    told: Option<(u32, Vec<InstanceKey>, Timestamp)>,
}

/// What is told of a provider, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    /// The provider.
    capacity_provider: String,
    /// The name of its Auto Scaling group.
    auto_scaling_group: String,
    /// The group as CreateCapacityProvider was told it.
    auto_scaling_group_arn: String,
    /// Instances that there should be.
    wanted: u32,
    /// Instances that there are and that take tasks.
    running: u32,
    /// Why.
    reason: String,
    forecast: Told,
    /// Instances that are to go: none of them has a task.
    remove: Vec<Host>,
    /// Instances that must not go, where termination is protected from.
    protected: Vec<Host>,
}

/// What the number comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    /// ECS's CapacityProviderReservation, in percent.
    capacity_provider_reservation: f64,
    /// In percent.
    target_capacity: u32,
    /// Instances that have tasks.
    used_instances: u32,
    /// Instances that are needed for all that runs and waits.
    needed_instances: u32,
    waiting_tasks: u32,
    /// Tasks that wait and that no instance of this kind takes.
    unplaceable_tasks: u32,
}

/// An instance as whoever ends it knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    container_instance_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ec2_instance_id: Option<String>,
}

/// Tells the hook what is needed, until the engine is gone.
pub async fn keep_fleets(engine: Engine, hook: Hook, namespace: Arc<Namespace>, replicas: Arc<Replicas>) {
    let mut ticks = every(LOOK);
    let mut known: BTreeMap<ProviderName, Known> = BTreeMap::new();
    loop {
        ticks.tick().await;
        let state = engine.view();
        let mut needs = needs(&state, clock::now());
        // Another scheduler tells of the others.
        needs.retain(|need| replicas.owns(need.provider.name.as_str()));
        known.retain(|name, _| needs.iter().any(|need| need.provider.name == *name));
        for need in &needs {
            let known = known.entry(need.provider.name.clone()).or_default();
            look(&engine, &state, need, known, &hook, &namespace).await;
        }
    }
}

/// Judges one provider, and tells what there is to tell.
async fn look(engine: &Engine, state: &State, need: &Need, known: &mut Known, hook: &Hook, namespace: &Namespace) {
    let now = clock::now();
    let (verdict, standing) = need.judge(known.standing, now);
    known.standing = standing;
    known.going.retain(|key| is_going(state, *key));
    if need.provider.group.draining && !verdict.remove.is_empty() {
        drain(engine, state, &verdict.remove).await;
        known.going.extend(&verdict.remove);
    }
    let mut remove: Vec<InstanceKey> = known.going.iter().chain(&verdict.remove).copied().collect();
    remove.sort();
    remove.dedup();
    let last = known.told.as_ref();
    let is_as_told = last.is_some_and(|(wanted, gone, _)| *wanted == verdict.wanted && *gone == remove);
    let is_as_it_is = verdict.wanted == need.running && remove.is_empty();
    let is_recent = last.is_some_and(|(.., at)| now < *at + AGAIN);
    // Where nothing was told before there is nothing to take back.
    if (is_as_told && (is_as_it_is || is_recent)) || (is_as_it_is && last.is_none()) {
        return;
    }
    let message = message(state, need, &verdict, &remove, namespace);
    let (provider, wanted, running) = (&need.provider.name, verdict.wanted, need.running);
    match hook.tell(&message.capacity_provider, &message).await {
        Ok(()) => {
            tracing::info!(%provider, wanted, running, reason = %verdict.reason, "instances asked for");
            known.told = Some((wanted, remove, now));
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(%provider, wanted, running, error, "instances not asked for, tried again");
        }
    }
}

/// Whether an instance that is to go is still there.
fn is_going(state: &State, key: InstanceKey) -> bool {
    let instance = state.instance(key);
    instance.is_some_and(|instance| instance.status == InstanceStatus::Draining && instance.connected)
}

/// Makes instances DRAINING that are to go, so that no task comes to them meanwhile.
async fn drain(engine: &Engine, state: &State, remove: &[InstanceKey]) {
    let mut by_cluster: BTreeMap<_, Vec<InstanceId>> = BTreeMap::new();
    for key in remove {
        by_cluster.entry(key.cluster).or_default().push(key.instance);
    }
    for (cluster, instances) in by_cluster {
        let Some(cluster) = state.cluster_name(cluster) else {
            continue;
        };
        let command = SetInstancesStatus {
            cluster: cluster.clone(),
            instances,
            status: InstanceStatus::Draining,
        };
        if let Err(fault) = engine.submit(command, "scheduler".into()).await {
            tracing::warn!(%cluster, error = %fault, "instances that are to go not drained");
        }
    }
}

fn message(state: &State, need: &Need, verdict: &Verdict, remove: &[InstanceKey], namespace: &Namespace) -> Message {
    let host = |key: &InstanceKey| {
        let cluster = state.cluster_name(key.cluster)?;
        Some(Host {
            container_instance_arn: namespace.instance(cluster, key.instance),
            ec2_instance_id: state.instance(*key)?.facts.ec2_instance_id.clone(),
        })
    };
    let group = &need.provider.group;
    let protected: &[InstanceKey] = if group.termination_protection { &need.busy } else { &[] };
    Message {
        capacity_provider: need.provider.name.to_string(),
        auto_scaling_group: group.group_name().to_owned(),
        auto_scaling_group_arn: group.group.clone(),
        wanted: verdict.wanted,
        running: need.running,
        reason: verdict.reason.clone(),
        forecast: Told {
            capacity_provider_reservation: need.reservation(),
            target_capacity: group.scaling.target_capacity,
            used_instances: need.used,
            needed_instances: need.needed,
            waiting_tasks: need.waiting,
            unplaceable_tasks: need.unplaceable,
        },
        remove: remove.iter().filter_map(host).collect(),
        protected: protected.iter().filter_map(host).collect(),
    }
}
