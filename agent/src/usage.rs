//! What the host and its containers use: read from the kernel at an interval, sent to the scheduler, and kept for
//! whoever asks.
//!
//! Docker is asked once for each start of a container, for its process; everything else is read from control groups
//! and `/proc` by one thread that is nobody else's, so that a file which does not answer keeps nothing waiting. What
//! runs is asked of the driver each time: there is no second list that could be wrong. What each figure means is in
//! `docs/usage.md`.

mod latest;
mod reader;
mod report;
mod sampler;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use berth_model::id::TaskId;
use berth_model::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::docker::{Docker, Process};
use crate::event::Event;
pub(crate) use latest::{Latest, Pair, Reading, Readings};
use sampler::{Order, Sampler};

/// How long Docker may take for the processes of all containers that are new; the rest is asked for the next time.
const LOOK_UP: Duration = Duration::from_secs(2);
/// When Docker is asked again for a process whose control groups were not to be found.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// A running container, as the driver knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) task: TaskId,
    /// Its name in the task definition.
    pub(crate) name: String,
    /// Docker's id.
    pub(crate) runtime_id: String,
    /// When it began to run: another time is another process.
    pub(crate) started_at: Option<Timestamp>,
}

/// One start of a container.
type Start = (String, Option<Timestamp>);

impl Running {
    fn start(&self) -> Start {
        (self.runtime_id.clone(), self.started_at)
    }
}

/// What the sampling works with.
#[derive(Debug)]
pub(crate) struct Sampling {
    pub(crate) docker: Docker,
    /// Docker's root directory, the file system of which is looked at.
    pub(crate) disk: PathBuf,
    /// Between two samples.
    pub(crate) interval: Duration,
    /// To the driver, which is asked what runs and given what was read.
    pub(crate) events: mpsc::Sender<Event>,
}

/// Begins to take samples; they end with the driver, or when the task is aborted.
///
/// # Errors
/// No thread is to be had.
pub(crate) fn begin(sampling: Sampling) -> std::io::Result<(Latest, JoinHandle<()>)> {
    let (newest, latest) = watch::channel(Readings::default());
    let (orders, inbox) = mpsc::channel(1);
    let sampler = Sampler::new(sampling.disk.clone(), sampling.interval);
    std::thread::Builder::new()
        .name("usage".to_owned())
        .spawn(move || sampler.run(inbox))?;
    Ok((Latest::new(latest), tokio::spawn(sample(sampling, orders, newest))))
}

async fn sample(sampling: Sampling, orders: mpsc::Sender<Order>, newest: watch::Sender<Readings>) {
    let mut ticks = tokio::time::interval(sampling.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = BTreeMap::new();
    let mut placed = Vec::new();
    loop {
        ticks.tick().await;
        let (answer, running) = oneshot::channel();
        if sampling.events.send(Event::WhatRuns(answer)).await.is_err() {
            return;
        }
        let Ok(running) = running.await else { return };
        asked.retain(|start, _| running.iter().any(|container| container.start() == *start));
        let is_new = |start: &Start| !placed.contains(start) && asked.get(start).is_none_or(is_over);
        let new: Vec<Start> = running.iter().map(Running::start).filter(is_new).collect();
        let processes = look_up(&sampling.docker, new).await;
        let again = Instant::now() + LOOK_AGAIN;
        asked.extend(processes.iter().map(|(start, _)| (start.clone(), again)));

        let (answer, sample) = oneshot::channel();
        let order = Order {
            running,
            processes,
            answer,
        };
        if orders.send(order).await.is_err() {
            return;
        }
        let Ok(sample) = sample.await else { return };
        placed = sample.placed;
        newest.send_replace(sample.readings);
        if sampling.events.send(Event::Usage(sample.usage)).await.is_err() {
            return;
        }
    }
}

fn is_over(moment: &Instant) -> bool {
    *moment <= Instant::now()
}

/// The processes of containers, as far as Docker tells in time. One that has ended meanwhile has none.
async fn look_up(docker: &Docker, starts: Vec<Start>) -> Vec<(Start, Process)> {
    let deadline = Instant::now() + LOOK_UP;
    let mut found = Vec::new();
    for start in starts {
        match tokio::time::timeout_at(deadline, docker.process(&start.0)).await {
            Ok(Ok(Some(process))) => found.push((start, process)),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(container = start.0, %error, "no process for the container's usage"),
            Err(_) => {
                tracing::debug!("docker is slow; usage of new containers follows");
                break;
            }
        }
    }
    found
}
