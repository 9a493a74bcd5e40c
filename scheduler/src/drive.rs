//! The scheduler's own loops: they read the published state and submit commands, or keep the journal short.

pub mod history;
pub mod scaling;
pub mod schedules;
pub mod services;
pub mod targets;
pub mod waiting;

use std::sync::Arc;
use std::time::Duration;

use berth_scheduler_core::decide::upkeep::{ForgetServices, ForgetStoppedTasks};
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
