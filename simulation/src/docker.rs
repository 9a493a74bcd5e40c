//! A Docker daemon of the simulated world: containers by name, processes that run for as long as they were made to.
//!
//! It does what it is told, also what it should not be told: a second start of a container that has ended starts it
//! again, as Docker's does. What it was made to do wrong is counted, and held against the cluster.

use std::collections::BTreeMap;

use berth_agent_core::container::{Binding, Detail, RunState, Snapshot};
use berth_agent_core::create::CreateRequest;
use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::image::PulledImage;
use berth_agent_core::machine::{Action, Outcome};
use berth_agent_core::recovery::Found;
use berth_model::id::TaskId;
use berth_model::quantity::Protocol;
use berth_model::status::HealthStatus;
use berth_model::time::Timestamp;

/// What a container takes of its host while it runs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) cpu: u32,
    pub(crate) memory: u32,
    /// A port of the host, if it must be a certain one.
    pub(crate) port: Option<u16>,
}

/// A container.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) task: TaskId,
    pub(crate) name: String,
    pub(crate) state: RunState,
    pub(crate) starts: u32,
    pub(crate) needs: Needs,
    docker_name: String,
    labels: BTreeMap<String, String>,
    started_at: Option<Timestamp>,
    /// Counts runs: an end that was planned for one is not that of the next.
    run: u64,
    bindings: Vec<Binding>,
}

/// What Docker was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) task: TaskId,
    pub(crate) container: usize,
    pub(crate) needs: Needs,
    pub(crate) action: Action,
}

/// What becomes of a process that was told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It runs now, and may end by itself.
    Started { id: String, run: u64, family: String },
    /// It was asked to end.
    Asked { id: String, run: u64 },
}

#[derive(Debug, Default)]
pub(crate) struct Docker {
    containers: BTreeMap<String, Container>,
    made: u64,
    runs: u64,
}

impl Docker {
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values()
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers()
            .filter(|container| container.state == RunState::Running)
    }

    pub(crate) fn list(&self) -> Vec<Found> {
        let found = |(id, container): (&String, &Container)| Found {
            id: id.clone(),
            running: container.state == RunState::Running,
            paused: false,
            labels: container.labels.clone(),
        };
        self.containers.iter().map(found).collect()
    }

    /// Does what it was asked; says what was answered, and what becomes of the process.
    pub(crate) fn perform(&mut self, call: &Call, now: Timestamp) -> (Outcome, Option<Fate>) {
        match &call.action {
            Action::Pull { .. } => (Outcome::Pulled(Ok(image())), None),
            Action::Create { request, .. } => (Outcome::Created(Ok(self.create(call, request))), None),
            Action::Start { id, .. } => match self.start(id, now) {
                Ok((bindings, fate)) => (Outcome::Started(Ok(bindings)), fate),
                Err(failure) => (Outcome::Started(Err(failure)), None),
            },
            Action::Signal { id, .. } => match self.live(id) {
                Ok(run) => (Outcome::Signalled(Ok(())), Some(Fate::Asked { id: id.clone(), run })),
                Err(failure) => (Outcome::Signalled(Err(failure)), None),
            },
            Action::Kill { id, .. } => {
                let killed = self.live(id).map(|run| self.end(id, run, 137, now));
                (Outcome::Killed(killed.map(|_| ())), None)
            }
            Action::Look { target, .. } => (Outcome::Looked(Ok(self.look(target))), None),
            Action::Remove { id, .. } => {
                self.containers.remove(id);
                (Outcome::Removed(Ok(())), None)
            }
            Action::RemoveVolumes | Action::Forget => (Outcome::Removed(Ok(())), None),
        }
    }

    fn create(&mut self, call: &Call, request: &CreateRequest) -> String {
        let mut known = self.containers.iter();
        if let Some((id, _)) = known.find(|(_, container)| container.docker_name == request.name) {
            return id.clone();
        }
        self.made += 1;
        let id = format!("{:016x}", self.made);
        let name = request.labels.get(berth_agent_core::name::CONTAINER_NAME);
        let container = Container {
            task: call.task,
            name: name.cloned().unwrap_or_default(),
            docker_name: request.name.clone(),
            labels: request.labels.clone(),
            state: RunState::Created,
            starts: 0,
            needs: call.needs,
            started_at: None,
            run: 0,
            bindings: Vec::new(),
        };
        self.containers.insert(id.clone(), container);
        id
    }

    fn start(&mut self, id: &str, now: Timestamp) -> Result<(Vec<Binding>, Option<Fate>), Failure> {
        let container = self.containers.get_mut(id).ok_or_else(|| missing(id))?;
        if container.state == RunState::Running {
            return Ok((container.bindings.clone(), None));
        }
        self.runs += 1;
        container.starts += 1;
        container.run = self.runs;
        container.state = RunState::Running;
        container.started_at = Some(now);
        container.bindings = container.needs.port.map(binding).into_iter().collect();
        let family = container.labels.get(berth_agent_core::name::FAMILY);
        let fate = Fate::Started {
            id: id.to_owned(),
            run: self.runs,
            family: family.cloned().unwrap_or_default(),
        };
        Ok((container.bindings.clone(), Some(fate)))
    }

    fn live(&self, id: &str) -> Result<u64, Failure> {
        let container = self.containers.get(id).ok_or_else(|| missing(id))?;
        match container.state {
            RunState::Running => Ok(container.run),
            RunState::Created | RunState::Exited { .. } => Err(Failure::new(
                FailureKind::Refused,
                format!("container {id} is not running"),
            )),
        }
    }

    /// The process of a run ends, if that run has not ended before; gives the container's task and name.
    pub(crate) fn end(&mut self, id: &str, run: u64, exit_code: i32, now: Timestamp) -> Option<(TaskId, String)> {
        let container = self.containers.get_mut(id)?;
        if container.run != run || container.state != RunState::Running {
            return None;
        }
        container.state = RunState::Exited {
            exit_code,
            oom_killed: false,
            finished_at: Some(now),
        };
        container.bindings.clear();
        Some((container.task, container.name.clone()))
    }

    /// The host goes down: every process ends.
    pub(crate) fn power_off(&mut self, now: Timestamp) {
        let running: Vec<(String, u64)> = self
            .containers
            .iter()
            .filter(|(_, container)| container.state == RunState::Running)
            .map(|(id, container)| (id.clone(), container.run))
            .collect();
        for (id, run) in running {
            self.end(&id, run, 255, now);
        }
    }

    fn look(&self, target: &str) -> Option<Snapshot> {
        let by_name = |(_, container): &(&String, &Container)| container.docker_name == target;
        let (id, container) = match self.containers.get_key_value(target) {
            Some(found) => found,
            None => self.containers.iter().find(by_name)?,
        };
        Some(Snapshot {
            id: id.clone(),
            state: container.state.clone(),
            started_at: container.started_at,
            bindings: container.bindings.clone(),
            stop_signal: None,
            health: HealthStatus::Unknown,
            paused: false,
            detail: Detail::default(),
            tail: Vec::new(),
        })
    }
}

fn image() -> PulledImage {
    PulledImage {
        id: "sha256:0".to_owned(),
        digest: Some("sha256:1".to_owned()),
        stop_signal: None,
    }
}

fn binding(host_port: u16) -> Binding {
    Binding {
        container_port: 80,
        protocol: Protocol::Tcp,
        host_port,
        bind_ip: "0.0.0.0".to_owned(),
        range: 0,
    }
}

fn missing(id: &str) -> Failure {
    Failure::new(FailureKind::NotFound, format!("no such container: {id}"))
}

/// The answer to a call that failed in this way.
pub(crate) fn failed(action: &Action, kind: FailureKind) -> Outcome {
    let failure = Failure::new(kind, "the simulation let it fail");
    match action {
        Action::Pull { .. } => Outcome::Pulled(Err(failure)),
        Action::Create { .. } => Outcome::Created(Err(failure)),
        Action::Start { .. } => Outcome::Started(Err(failure)),
        Action::Signal { .. } => Outcome::Signalled(Err(failure)),
        Action::Kill { .. } => Outcome::Killed(Err(failure)),
        Action::Look { .. } => Outcome::Looked(Err(failure)),
        Action::Remove { .. } | Action::RemoveVolumes | Action::Forget => Outcome::Removed(Err(failure)),
    }
}
