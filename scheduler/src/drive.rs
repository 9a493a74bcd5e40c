//! The scheduler's own loops: they read the published state and submit commands, or keep the journal short.

pub mod fleet;
pub mod history;
pub mod scaling;
pub mod schedules;
pub mod services;
pub mod targets;
pub mod waiting;

use std::sync::Arc;
use std::time::Duration;

use berth_scheduler_core::decide::upkeep::{
    ExpireDefinitions, ForgetDefinitions, ForgetServices, ForgetStoppedTasks, unused_definitions,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::engine::Engine;
use crate::replicas::Replicas;

/// Tasks that one record drops, so that no command waits long behind it.
const FORGET_AT_ONCE: usize = 1000;
fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Forgets tasks that have stopped, and services that are INACTIVE, for longer than `retention`.
pub async fn forget_stopped(engine: Engine, retention: Duration, replicas: Arc<Replicas>) {
    let mut ticks = every(Duration::from_secs(10));
    loop {
        ticks.tick().await;
        if !replicas.owns("forgetting") {
            continue;
        }
        if let Err(fault) = engine.submit(ForgetServices { retention }, "scheduler".into()).await {
            tracing::warn!(error = %fault, "services not forgotten");
        }
        loop {
            let command = ForgetStoppedTasks {
                retention,
                limit: FORGET_AT_ONCE,
            };
            match engine.submit(command, "scheduler".into()).await {
                Ok(count) if count == FORGET_AT_ONCE => {}
                Ok(_) => break,
                Err(fault) => {
                    tracing::warn!(error = %fault, "stopped tasks not forgotten");
                    break;
                }
            }
        }
    }
}

/// Drops task definitions that are to be deleted once nothing uses them, and has those deleted that have been INACTIVE for
/// longer than `retention`, where there is one.
pub async fn forget_definitions(engine: Engine, retention: Option<Duration>, replicas: Arc<Replicas>) {
    let mut ticks = every(Duration::from_secs(10));
    loop {
        ticks.tick().await;
        if !replicas.owns("forgetting definitions") {
            continue;
        }
        if let Some(retention) = retention {
            let command = ExpireDefinitions {
                retention,
                limit: FORGET_AT_ONCE,
            };
            if let Err(fault) = engine.submit(command, "scheduler".into()).await {
                tracing::warn!(error = %fault, "task definitions not expired");
            }
        }
        let state = engine.view();
        // It may look at every task.
        let unused = tokio::task::spawn_blocking(move || unused_definitions(&state)).await;
        let Ok(mut unused) = unused else { continue };
        if unused.is_empty() {
            continue;
        }
        unused.truncate(FORGET_AT_ONCE);
        if let Err(fault) = engine.submit(ForgetDefinitions { unused }, "scheduler".into()).await {
            tracing::warn!(error = %fault, "task definitions not forgotten");
        }
    }
}
