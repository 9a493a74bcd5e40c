//! What a change alters of what ECS shows.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_model::id::{InstanceId, TaskId};
use berth_model::name::ServiceName;
use berth_model::service::RolloutState;

use super::{Action, Deployed, DeploymentEvent, Said, Subject};
use crate::change::Change;
use crate::keys::{ClusterKey, InstanceKey, ServiceKey, TaskKey};
use crate::observation::ContainerState;
use crate::reconcile::events;
use crate::service::{self, Deployment, RollbackState, ServiceEvent};
use crate::state::{Instance, QueuedTask, Service, State, Task};

/// What a change may alter, as it was before.
#[derive(Debug, Default)]
pub(super) struct Before<'c> {
    tasks: Vec<(TaskKey, Option<Seen>)>,
    instances: Vec<(InstanceKey, Option<Arc<Instance>>)>,
    service: Option<OfService<'c>>,
}

/// A service as it was, and what the change says of it.
#[derive(Debug)]
struct OfService<'c> {
    key: ServiceKey,
    before: Option<Arc<Service>>,
    deployments: &'c [Deployment],
    events: &'c [ServiceEvent],
    /// The count that policies have set.
    scaled_to: Option<u32>,
}

/// A task as it was seen.
#[derive(Debug)]
enum Seen {
    Waiting(Arc<QueuedTask>),
    Placed(Arc<Task>),
}

impl Seen {
    fn of(state: &State, key: TaskKey) -> Option<Self> {
        let placed = state.task(key).map(|task| Self::Placed(Arc::clone(task)));
        placed.or_else(|| state.queue().task(key).map(|task| Self::Waiting(Arc::clone(task))))
    }

    fn is_shown_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Waiting(one), Self::Waiting(other)) => one.end == other.end,
            (Self::Placed(one), Self::Placed(other)) => Arc::ptr_eq(one, other) || are_shown_alike(one, other),
            (Self::Waiting(_), Self::Placed(_)) | (Self::Placed(_), Self::Waiting(_)) => false,
        }
    }
}

impl<'c> Before<'c> {
    pub(super) fn of(state: &State, change: &'c Change) -> Self {
        match change {
            Change::TasksPlaced {
                cluster, placements, ..
            }
            | Change::QueuedTasksPlaced { cluster, placements } => {
                let instances = placements.iter().map(|placement| placement.instance).collect();
                let tasks = placements.iter().map(|placement| placement.task);
                Self::concerned(state, *cluster, tasks, &instances)
            }
            Change::TasksQueued { cluster, tasks, .. } => {
                Self::concerned(state, *cluster, tasks.iter().copied(), &BTreeSet::new())
            }
            Change::QueuedTaskEnded { cluster, task, .. } => {
                Self::concerned(state, *cluster, [*task], &BTreeSet::new())
            }
            Change::TaskStopRequested { cluster, task, .. } | Change::TaskObserved { cluster, task, .. } => {
                let key = TaskKey {
                    cluster: *cluster,
                    task: *task,
                };
                let instances = state.task(key).map(|task| task.instance).into_iter().collect();
                Self::concerned(state, *cluster, [*task], &instances)
            }
            Change::InstanceRegistered { cluster, instance, .. }
            | Change::InstanceConnection { cluster, instance, .. }
            | Change::InstanceStatusSet { cluster, instance, .. }
            | Change::InstanceAttributesSet { cluster, instance, .. } => {
                Self::concerned(state, *cluster, [], &BTreeSet::from([*instance]))
            }
            Change::ServiceCreated {
                cluster,
                service,
                deployment,
                ..
            } => OfService::new(state, *cluster, service)
                .with(deployment.as_deref().map_or(&[], std::slice::from_ref), &[])
                .into(),
            Change::ServiceUpdated {
                cluster,
                service,
                deployments,
                ..
            } => OfService::new(state, *cluster, service).with(deployments, &[]).into(),
            Change::ServiceStepped {
                cluster,
                service,
                deployments,
                events,
                ..
            } => OfService::new(state, *cluster, service)
                .with(deployments, events)
                .into(),
            Change::ServiceScaled {
                cluster,
                service,
                activity,
                event,
            } => OfService {
                scaled_to: Some(activity.did.to),
                ..OfService::new(state, *cluster, service).with(&[], std::slice::from_ref(event))
            }
            .into(),
            // ECS shows nothing of these, or has no event of them.
            Change::ClusterCreated { .. }
            | Change::ClusterUpdated { .. }
            | Change::ClusterDeleted { .. }
            | Change::AccountSettingSet { .. }
            | Change::CapacityProviderSet { .. }
            | Change::CapacityProviderDeleted { .. }
            | Change::ClusterProvidersSet { .. }
            | Change::DefinitionRegistered { .. }
            | Change::DefinitionDeregistered { .. }
            | Change::DefinitionDeletionRequested { .. }
            | Change::DefinitionsForgotten { .. }
            | Change::TagsSet { .. }
            | Change::TargetsRegistered { .. }
            | Change::TargetHealthSet { .. }
            | Change::TargetsDeregistered { .. }
            | Change::TaskProtectionSet { .. }
            | Change::TasksForgotten { .. }
            | Change::ServiceScalingSet { .. }
            | Change::ServiceDeleted { .. }
            | Change::ServiceInactive { .. }
            | Change::ServicesForgotten { .. }
            | Change::ScheduleCreated { .. }
            | Change::ScheduleUpdated { .. }
            | Change::ScheduleRan { .. }
            | Change::ScheduleRetried { .. }
            | Change::ScheduleDeleted { .. }
            | Change::SessionOpened { .. }
            | Change::SessionEnded { .. }
            | Change::EventsDelivered { .. }
            | Change::JoinTokenPut { .. }
            | Change::JoinTokenDeleted { .. }
            | Change::MemberEnrolled { .. }
            | Change::MemberRemoved { .. }
            | Change::OperatorCertified { .. }
            | Change::AccessKeyPut { .. }
            | Change::AccessKeyDeleted { .. } => Self::default(),
        }
    }

    fn concerned(
        state: &State,
        cluster: ClusterKey,
        tasks: impl IntoIterator<Item = TaskId>,
        instances: &BTreeSet<InstanceId>,
    ) -> Self {
        let tasks = tasks.into_iter().map(|task| TaskKey { cluster, task });
        let instances = instances.iter().map(|instance| InstanceKey {
            cluster,
            instance: *instance,
        });
        Self {
            tasks: tasks.map(|key| (key, Seen::of(state, key))).collect(),
            instances: instances
                .map(|key| (key, state.instances.get(&key).map(Arc::clone)))
                .collect(),
            service: None,
        }
    }

    /// What is shown differently now that the change is folded: tasks, then instances, each in the order of the change.
    pub(super) fn news(&self, state: &State) -> Vec<(ClusterKey, Subject)> {
        let mut news = Vec::new();
        for (key, before) in &self.tasks {
            let Some(now) = Seen::of(state, *key) else { continue };
            if before.as_ref().is_none_or(|before| !now.is_shown_like(before)) {
                news.push((key.cluster, Subject::Task(key.task)));
            }
        }
        for (key, before) in &self.instances {
            let Some(now) = state.instance(*key) else { continue };
            if before.as_ref().is_none_or(|before| !is_shown_like(before, now)) {
                news.push((key.cluster, Subject::Instance(key.instance)));
            }
        }
        if let Some(service) = &self.service {
            let told = service.said().chain(service.deployed());
            news.extend(told.map(|subject| (service.key.cluster, subject)));
        }
        news
    }
}

impl<'c> From<OfService<'c>> for Before<'c> {
    fn from(service: OfService<'c>) -> Self {
        Self {
            service: Some(service),
            ..Self::default()
        }
    }
}

impl<'c> OfService<'c> {
    fn new(state: &State, cluster: ClusterKey, name: &ServiceName) -> Self {
        let known = state.services.get(&cluster).and_then(|services| services.get(name));
        Self {
            key: ServiceKey {
                cluster,
                service: name.clone(),
            },
            before: known.map(Arc::clone),
            deployments: &[],
            events: &[],
            scaled_to: None,
        }
    }

    fn with(self, deployments: &'c [Deployment], events: &'c [ServiceEvent]) -> Self {
        Self {
            deployments,
            events,
            ..self
        }
    }

    fn said(&self) -> impl Iterator<Item = Subject> {
        self.events.iter().map(|event| {
            let scaled = self.scaled_to.map(Action::DesiredCountUpdated);
            Subject::Service(Said {
                service: self.key.service.clone(),
                action: scaled.unwrap_or_else(|| action(event, self.deployments)),
                message: Arc::clone(&event.message),
            })
        })
    }

    fn deployed(&self) -> impl Iterator<Item = Subject> {
        // ECS has no such event of task sets.
        let own = self.deployments.iter().filter(|now| now.task_set.is_none());
        own.flat_map(|now| {
            let before = self.before.as_ref().and_then(|service| service.deployment(now.id));
            deployment_events(&self.key.service, before, now)
        })
    }
}

/// Whether DescribeTasks shows both alike, but for the version.
fn are_shown_alike(one: &Task, other: &Task) -> bool {
    let containers = |task: &Task| -> Vec<ContainerState> {
        let shown = task.containers.iter().map(|container| ContainerState {
            restarts: 0,
            log_tail: None,
            ..container.clone()
        });
        shown.collect()
    };
    (one.instance, one.desired, one.last) == (other.instance, other.desired, other.last)
        && (&one.stop, one.times, one.stopped_at) == (&other.stop, other.times, other.stopped_at)
        && (Arc::ptr_eq(&one.containers, &other.containers) || containers(one) == containers(other))
}

/// Whether both have the same facts, status and resources: EventBridge has no event of counts alone.
fn is_shown_like(one: &Instance, other: &Instance) -> bool {
    (&one.facts, one.status, &one.leaving, one.connected)
        == (&other.facts, other.status, &other.leaving, other.connected)
        && one.given_attributes == other.given_attributes
        && (one.used_cpu, one.used_memory) == (other.used_cpu, other.used_memory)
        && (&one.used_ports, &one.used_gpus) == (&other.used_ports, &other.used_gpus)
}

/// Where the deployment stands now and did not stand before.
fn deployment_events(service: &ServiceName, before: Option<&Deployment>, now: &Deployment) -> Vec<Subject> {
    let event = |name, reason: &Arc<str>| {
        Subject::Deployment(Deployed {
            service: service.clone(),
            deployment: now.id,
            name,
            reason: Arc::clone(reason),
            updated_at: now.updated_at,
        })
    };
    let mut events = Vec::new();
    if before.is_none_or(|before| before.rollout.state != now.rollout.state) {
        let name = match now.rollout.state {
            RolloutState::InProgress => DeploymentEvent::InProgress,
            RolloutState::Completed => DeploymentEvent::Completed,
            RolloutState::Failed => DeploymentEvent::Failed,
        };
        events.push(event(name, &now.rollout.reason));
    }
    let failed = |deployment: &Deployment| {
        let rollback = deployment.rollback.as_ref();
        rollback.is_some_and(|rollback| rollback.state == RollbackState::Failed)
    };
    if let Some(rollback) = &now.rollback
        && failed(now)
        && !before.is_some_and(failed)
    {
        events.push(event(DeploymentEvent::RollbackFailed, &rollback.reason));
    }
    events
}

/// What the message is, by what its deployment remembers to have said.
fn action(event: &ServiceEvent, deployments: &[Deployment]) -> Action {
    let notices = deployments
        .iter()
        .flat_map(|of| of.notices.iter().map(move |notice| (of, notice)));
    let is_it = |deployment: &Deployment, message: &str| match &deployment.task_set {
        None => *event.message == *message,
        Some(_) => *event.message == events::of_task_set(deployment.id, message),
    };
    let mut said = notices.filter(|(of, notice)| notice.at == event.at && is_it(of, &notice.message));
    match said.next().map(|(of, notice)| (notice.about, of.task_set.is_some())) {
        Some((service::Subject::SteadyState, is_set)) => match is_set {
            true => Action::TaskSetSteadyState,
            false => Action::SteadyState,
        },
        Some((service::Subject::Unplaced, _)) => Action::PlacementFailure {
            reason: events::obstacle(&event.message),
        },
        Some((service::Subject::CannotStart, _)) => Action::StartImpaired,
        Some((
            service::Subject::Deadlock
            | service::Subject::Protected
            | service::Subject::Storm
            | service::Subject::ZoneBalance,
            _,
        ))
        | None => Action::Message,
    }
}
