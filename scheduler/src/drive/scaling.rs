//! Scales services: measures what their policies look at, and asks the engine to change the count of those that should
//! have another.
//!
//! One timer for all of them. What is measured is kept in memory alone, for as long as it is looked at: a scheduler that
//! was just started adds no tasks for three periods and takes none away for fifteen. Decides nothing: what follows from
//! the samples is found out by [`berth_scheduler_core::scale`], and the command looks at the newest state.

mod measure;
pub mod prometheus;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use berth_model::scaling::{Metric, PredefinedMetric};
use berth_model::time::Timestamp;
use berth_scheduler_core::decide::scaling::scale::{ScaleService, running, verdict};
use berth_scheduler_core::keys::{Revision, ServiceKey};
use berth_scheduler_core::scale::Sample;
use berth_scheduler_core::state::{Service, State};

use self::measure::{Figure, Problem};
pub use self::watch::Watch;
use super::every;
use crate::engine::Engine;
use crate::replicas::Replicas;
use crate::{clock, gateways, nodes};

/// Samples of a period.
const SAMPLES: u32 = 4;

/// What figures come from.
#[derive(Debug)]
pub struct Sources {
    /// What agents say.
    pub nodes: Arc<nodes::Registry>,
    /// What gateways say.
    pub gateways: Arc<gateways::Registry>,
}

/// Scales services until the engine is gone.
pub async fn keep_scaling(engine: Engine, sources: Sources, watch: Arc<Watch>, replicas: Arc<Replicas>) {
    let mut ticks = every(watch.period() / SAMPLES);
    let mut taken = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                // Gateways that are not heard count as not measured.
                let hears_all = sources.gateways.hears_all(Revision::default());
                sample(&engine.view(), (&sources, hears_all), &watch).await;
                taken += 1;
                if taken < SAMPLES {
                    continue;
                }
                taken = 0;
                let all: Vec<ServiceKey> = scaled(&engine.view()).map(Service::key).collect();
                // Another scheduler scales the others.
                for key in all.into_iter().filter(|key| replicas.owns(key)) {
                    look(&engine, &watch, &key).await;
                }
            }
            () = watch.changed() => {
                for key in watch.take_changed().into_iter().filter(|key| replicas.owns(key)) {
                    look(&engine, &watch, &key).await;
                }
            }
        }
    }
}

/// `CPUUtilization` and `MemoryUtilization` of a service in percent, as far as its agents have told them.
pub(crate) fn utilization(
    state: &State,
    service: &Service,
    nodes: &nodes::Registry,
    now: Timestamp,
) -> (Option<f64>, Option<f64>) {
    let used = measure::used(state, service, |key| nodes.usage(key), now);
    let value = |figure: Result<Figure, Problem>| figure.ok().map(|figure| figure.value);
    (value(used.cpu()), value(used.memory()))
}

/// The services that something scales.
fn scaled(state: &State) -> impl Iterator<Item = &Service> {
    state.services().filter(|service| service.scaling.is_some())
}

/// What a service's policies look at.
fn metrics(service: &Service) -> BTreeSet<&Metric> {
    let policies = service.scaling.iter().flat_map(|scaling| &scaling.policies);
    policies.map(|policy| &policy.tracking.metric).collect()
}

/// Takes a sample of everything that the scheduler measures by itself.
async fn sample(state: &State, (sources, hears_all): (&Sources, bool), watch: &Watch) {
    watch.keep(scaled(state).map(|service| (service.key(), metrics(service))));
    for service in scaled(state) {
        let key = service.key();
        let predefined = metrics(service).into_iter().filter_map(|metric| match metric {
            Metric::Predefined(predefined) => Some((metric, *predefined)),
            Metric::Prometheus(_) => None,
        });
        let mut used = None;
        let sum = || measure::used(state, service, |instance| sources.nodes.usage(instance), clock::now());
        for (metric, predefined) in predefined {
            let figure = match predefined {
                PredefinedMetric::Cpu => used.get_or_insert_with(sum).cpu(),
                PredefinedMetric::Memory => used.get_or_insert_with(sum).memory(),
                PredefinedMetric::Connections => load(state, (sources, hears_all), service)
                    .and_then(|load| measure::connections(&load, running(state, service))),
                PredefinedMetric::Requests => load(state, (sources, hears_all), service)
                    .and_then(|load| Ok((watch.requests(&key, load.requests)?, load.whole)))
                    .and_then(|(per_minute, whole)| measure::requests(per_minute, whole, running(state, service))),
            };
            watch.put(&key, metric, figure.map(taken_now));
        }
        // Of a service with thousands of tasks this takes a while.
        tokio::task::yield_now().await;
    }
}

fn taken_now(figure: Figure) -> Sample {
    Sample {
        at: clock::now(),
        value: figure.value,
        whole: figure.whole,
    }
}

fn load(state: &State, (sources, hears_all): (&Sources, bool), service: &Service) -> Result<gateways::Load, Problem> {
    let listeners = state.listeners_of(service);
    let groups: Vec<&str> = listeners.iter().map(|one| one.target_group_arn.as_str()).collect();
    if groups.is_empty() {
        return Err("The service has no load balancer.".into());
    }
    let load = sources.gateways.load(service.cluster, &groups);
    let mut load = load.ok_or("No gateway has told what it forwards.")?;
    load.whole &= hears_all;
    Ok(load)
}

/// Finds out how many tasks a service should have, and asks for that.
async fn look(engine: &Engine, watch: &Watch, key: &ServiceKey) {
    let state = engine.view();
    let Some(service) = state.service(key) else { return };
    let now = clock::now();
    let found = verdict(&state, service, &watch.measured(key), watch.period(), now);
    let Some((verdict, running)) = found else { return };
    watch.looked_at(key, now, verdict.reason.to_string().into());
    let Some(command) = ScaleService::by(service, &verdict, running) else {
        return;
    };
    drop(state);
    let (from, to, cause) = (command.from, command.to, Arc::clone(&command.cause));
    match engine.submit(command, "scheduler".into()).await {
        Ok(true) => tracing::info!(service = %key.service, from, to, %cause, "service scaled"),
        // Somebody changed it meanwhile: the next look is at that.
        Ok(false) => tracing::debug!(service = %key.service, from, to, "service not scaled, it has changed"),
        Err(fault) => tracing::warn!(service = %key.service, error = %fault, "service not scaled"),
    }
}

/// How long a sample's place in time is.
fn between_samples(period: Duration) -> Duration {
    period / SAMPLES
}
