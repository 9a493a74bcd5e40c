//! Carries out what machines ask for, each effect on its own, and sends what came of it back to the driver.
//!
//! Decides nothing and keeps nothing. Called by the driver alone.

use berth_agent_core::create::CreateRequest;
use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::image::ImageRequest;
use berth_agent_core::limits::TaskLimits;
use berth_agent_core::machine::{Action, Outcome};
use berth_model::id::TaskId;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::cgroups::Cgroups;
use crate::docker::Docker;
use crate::event::Event;
use crate::failpoint::fail_point;
use crate::gpus::Gpus;
use crate::host_policy::Guard;
use crate::host_ports::HostPorts;
use crate::images::Images;
use crate::prepare::Sources;
use crate::watch::Runtime;

/// Where effects are carried out and where their results go.
#[derive(Debug, Clone)]
pub(crate) struct Performer {
    pub(crate) docker: Docker,
    /// Asked before Docker is asked to create anything.
    pub(crate) guard: Guard,
    pub(crate) images: Images,
    pub(crate) sources: Sources,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) runtime: Runtime,
    pub(crate) ports: HostPorts,
    /// None where this host cannot hold tasks to limits.
    pub(crate) cgroups: Option<Cgroups>,
    /// None where this host gives containers no GPUs.
    pub(crate) gpus: Option<Gpus>,
}

impl Performer {
    /// Makes sure that the image is there; answered by [`Event::Pulled`], once for all that wait.
    pub(crate) fn pull(&self, image: ImageRequest) {
        let Self { images, events, .. } = self.clone();
        self.spawn(async move {
            fail_point!("before", "pull");
            let result = images.get(&image).await;
            fail_point!("after", "pull");
            if let Err(error) = &result {
                tracing::warn!(image = image.reference, %error, "image is not to be had");
            }
            send(&events, Event::Pulled { image, result }).await;
        });
    }

    /// Removes the volumes of the task; answered by [`Event::VolumesRemoved`].
    pub(crate) fn remove_volumes(&self, task: TaskId, arn: String) {
        let Self { docker, events, .. } = self.clone();
        self.spawn_of(task, async move {
            fail_point!("before", "volume-removal");
            let result = docker.remove_volumes(&arn).await;
            fail_point!("after", "volume-removal");
            if let Err(error) = &result {
                tracing::warn!(%task, %error, "volumes of the task cannot be removed yet");
            }
            send(&events, Event::VolumesRemoved { task, result }).await;
        });
    }

    /// Removes the control group of a task that has ended; nobody waits for it.
    pub(crate) fn release_cgroup(&self, task: TaskId) {
        if let Some(cgroups) = self.cgroups.clone() {
            self.spawn_of(task, async move { cgroups.release(task).await });
        }
    }

    /// Carries out an effect on one container; answered by [`Event::Done`]. A create and a start need the limits of
    /// their task.
    pub(crate) fn perform(&self, task: TaskId, limits: Option<TaskLimits>, action: Action) {
        let Self {
            docker,
            guard,
            sources,
            events,
            runtime,
            ports,
            cgroups,
            gpus,
            ..
        } = self.clone();
        self.spawn_of(task, async move {
            let effect = action.name();
            fail_point!("before", effect);
            let (container, outcome) = match action {
                Action::Create { container, request } => {
                    let result = match guard.check(&request).await {
                        Ok(()) => match group(cgroups, task, limits, Before::Create).await {
                            Ok(parent) => create(&docker, &sources, &ports, gpus, &request, parent).await,
                            Err(failure) => Err(failure),
                        },
                        Err(denied) => {
                            tracing::warn!(%task, container, error = %denied, "the container may not be on this host");
                            Err(denied)
                        }
                    };
                    (container, Outcome::Created(result))
                }
                Action::Start { container, id, ports } => {
                    // The group may be gone since the create: Docker would make one without limits.
                    let result = match group(cgroups, task, limits, Before::Start).await {
                        Ok(_) => docker.start(&id, ports).await,
                        Err(failure) => Err(failure),
                    };
                    (container, Outcome::Started(result))
                }
                Action::Signal { container, id, signal } => {
                    (container, Outcome::Signalled(docker.signal(&id, &signal).await))
                }
                Action::Kill { container, id } => (container, Outcome::Killed(docker.signal(&id, "SIGKILL").await)),
                Action::Look {
                    container,
                    target,
                    tail,
                } => (container, Outcome::Looked(docker.look(&target, tail).await)),
                Action::Remove { container, id } => (container, Outcome::Removed(docker.remove(&id).await)),
                // Not of one container: the driver has its own ways for them.
                Action::Pull { .. } | Action::RemoveVolumes | Action::Forget => return,
            };
            fail_point!("after", effect);
            if let Some(failure) = outcome.failure() {
                tracing::debug!(%task, container, effect, error = %failure, "effect failed");
                runtime.effect_failed(failure);
            }
            send(
                &events,
                Event::Done {
                    task,
                    container,
                    outcome,
                },
            )
            .await;
        });
    }

    /// All that is logged meanwhile is of the task.
    fn spawn_of(&self, task: TaskId, effect: impl Future<Output = ()> + Send + 'static) {
        self.spawn(effect.instrument(tracing::info_span!("task", %task)));
    }

    fn spawn(&self, effect: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(effect));
    }
}

/// What the container needs of the host comes first: Docker is not asked for one that could not run.
async fn create(
    docker: &Docker,
    sources: &Sources,
    ports: &HostPorts,
    gpus: Option<Gpus>,
    request: &CreateRequest,
    cgroup_parent: Option<String>,
) -> Result<String, Failure> {
    let mut prepared = sources.prepare(request).await?;
    prepared.cgroup_parent = cgroup_parent;
    prepared.runtime = runtime_of(gpus, request)?;
    prepared.forwards = ports.choose(&request.host.port_ranges).await?;
    prepared.dynamic_ports = ports.range().cloned();
    docker.create(request, &prepared).await
}

/// The runtime that gives the container its GPUs; none where it has none.
fn runtime_of(gpus: Option<Gpus>, request: &CreateRequest) -> Result<Option<String>, Failure> {
    match (gpus, request.host.gpus.as_slice()) {
        (_, []) => Ok(None),
        (Some(gpus), given) => gpus.runtime_for(given).map(Some),
        (None, _) => {
            let words = "the container was given GPUs, and this agent does not give any to containers any more";
            Err(Failure::new(FailureKind::Unprepared, words))
        }
    }
}

/// What the control group of a task is wanted for.
#[derive(Debug, Clone, Copy)]
enum Before {
    Create,
    /// It was there at the create.
    Start,
}

/// The control group of the task, made where it is not there; none where none is needed.
async fn group(
    cgroups: Option<Cgroups>,
    task: TaskId,
    limits: Option<TaskLimits>,
    before: Before,
) -> Result<Option<String>, Failure> {
    match (cgroups, limits) {
        (Some(cgroups), Some(limits)) => match before {
            Before::Create => cgroups.prepare(task, limits).await.map(Some),
            Before::Start => cgroups.keep(task, limits).await.map(Some),
        },
        (None, Some(limits)) if limits.are_asked_for() => {
            let words = "the task has cpu or memory of its own, and this agent cannot hold tasks to limits any more";
            Err(Failure::new(FailureKind::Unprepared, words))
        }
        (None, _) | (_, None) => Ok(None),
    }
}

/// A driver that is gone needs no answer: the agent is stopping.
async fn send(events: &mpsc::Sender<Event>, event: Event) {
    if events.send(event).await.is_err() {
        tracing::debug!("an effect ended after the driver");
    }
}
