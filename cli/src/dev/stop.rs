//! The end of `berth dev`: tasks, then the agent, the gateway and the scheduler.

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Dev;
use super::daemon::Daemon;
use crate::api::Api;
use crate::output::Output;
use crate::wait::{self, Goal};

/// ECS lets a container take up to 120 s to stop.
const TASKS_STOP_WITHIN: Duration = Duration::from_secs(150);
/// Written into the stopped tasks.
const REASON: &str = "berth dev ended";

/// Ctrl-C and what else asks a program to end.
#[derive(Debug)]
pub(super) struct StopRequests {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl StopRequests {
    /// From now on such a signal no longer ends the process by itself.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Ends all that `dev` runs. What cannot be ended is told and does not keep the rest from ending.
pub(super) async fn all(
    dev: Dev,
    tasks_go_on: bool,
    requests: &mut StopRequests,
    output: &mut Output,
) -> anyhow::Result<()> {
    let Dev {
        scheduler,
        agent,
        gateway,
        api,
    } = dev;
    if let Some(api) = api.filter(|_| !tasks_go_on) {
        let stopped = tokio::select! {
            stopped = tasks(&api, output) => stopped,
            () = requests.next() => Err(anyhow::anyhow!("no longer waiting for the tasks")),
        };
        if let Err(error) = stopped {
            output.problem(&format!(
                "{error:#}; the next `berth dev` with the same directory finds what still runs"
            ))?;
        }
    }
    for daemon in agent.into_iter().chain(gateway).chain([scheduler]) {
        stop(daemon, requests, output).await?;
    }
    Ok(())
}

async fn stop(daemon: Daemon, requests: &mut StopRequests, output: &mut Output) -> anyhow::Result<()> {
    let name = daemon.name();
    output.line(&format!("stopping the {name}"))?;
    if let Err(error) = daemon.stop(requests.next()).await {
        output.problem(&format!("{error:#}"))?;
    }
    Ok(())
}

async fn tasks(api: &Api, output: &mut Output) -> anyhow::Result<()> {
    // Services put nothing in the place of what stops: no instance takes it.
    for arn in api.list_instances().await? {
        api.set_instance_status(arn, "DRAINING").await?;
    }
    let running = api.list_tasks(None, "RUNNING").await?;
    for arn in &running {
        api.stop_task(arn.clone(), Some(REASON.to_owned())).await?;
    }
    // Also those that somebody else stopped just now.
    let asked = api.list_tasks(None, "STOPPED").await?;
    let described = api.describe_tasks(&asked).await?;
    let stopping: Vec<String> = described
        .tasks
        .iter()
        .filter(|task| task.last_status() != "STOPPED")
        .map(|task| task.task_arn().to_owned())
        .collect();
    if !stopping.is_empty() {
        output.line(&format!("stopping {} tasks", stopping.len()))?;
        wait::until_settled(api, output, &stopping, Goal::Stopped, TASKS_STOP_WITHIN).await?;
    }
    Ok(())
}
