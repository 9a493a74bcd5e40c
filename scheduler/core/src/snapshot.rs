//! The state as pieces that can be written and read: what a snapshot holds.
//!
//! Indexes and counts are not written; they follow from the pieces.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::account::SettingName;
use berth_model::gpu::ContainerGpus;
use berth_model::id::{DefinitionId, InstanceId, TaskId};
use berth_model::name::Family;
use berth_model::status::{DefinitionStatus, DesiredStatus, InstanceStatus, TaskStatus};
use berth_model::tag::Tag;
use berth_model::task_definition::TaskDefinition;
use berth_model::time::Timestamp;
use imbl::OrdSet;
use serde::{Deserialize, Serialize};

use crate::access_key::AccessKey;
use crate::event::Position;
use crate::fold;
use crate::keys::Revision;
use crate::keys::{ClusterKey, InstanceKey, ReplicaId, ServiceKey, TaskKey};
use crate::launch::{Launch, Wait};
use crate::membership::{Enrollment, JoinToken};
use crate::observation::{ContainerState, InstanceFacts, TaskTimes};
use crate::state::{
    CapacityProvider, Cluster, Instance, QueueEnd, QueuedTask, RegisteredDefinition, Schedule, Service, State, Stop,
    Task,
};
use crate::target::Target;

/// One piece of a snapshot. Read in the order in which they were written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Piece {
    /// A cluster.
    Cluster(Arc<Cluster>),
    /// A capacity provider.
    CapacityProvider(Arc<CapacityProvider>),
    /// A revision of a task definition.
    Definition {
        /// Family and revision.
        id: DefinitionId,
        /// What it says.
        definition: Arc<TaskDefinition>,
        /// Its status.
        status: DefinitionStatus,
        /// Its tags.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<Tag>,
        /// When it was registered.
        registered_at: Timestamp,
        /// When it was deregistered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deregistered_at: Option<Timestamp>,
        /// When its deletion was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delete_requested_at: Option<Timestamp>,
    },
    /// How far the numbers of a family have come, where its last revisions are gone.
    Family {
        /// The family.
        family: Family,
        /// The greatest number that a revision ever had.
        last: u32,
    },
    /// An instance, without its tasks.
    Instance {
        /// Its cluster.
        cluster: ClusterKey,
        /// Its id.
        id: InstanceId,
        /// What its agent says of the host.
        facts: Arc<InstanceFacts>,
        /// Attributes that operators gave it.
        #[serde(default, skip_serializing_if = "is_empty")]
        given_attributes: Arc<BTreeMap<String, Option<String>>>,
        /// Its tags.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<Tag>,
        /// Its status.
        status: InstanceStatus,
        /// Why its own host leaves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaving: Option<Arc<str>>,
        /// Whether its agent's stream was there.
        connected: bool,
        /// The scheduler that had it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<ReplicaId>,
        /// Since when it was not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disconnected_at: Option<Timestamp>,
        /// When it joined.
        registered_at: Timestamp,
        /// Its version.
        version: u64,
    },
    /// Tasks of one call that have not been forgotten: what they share is written once.
    Tasks {
        /// Their cluster.
        cluster: ClusterKey,
        /// What they have in common.
        launch: Arc<Launch>,
        /// Each without the common part.
        tasks: Vec<TaskPiece>,
    },
    /// Tasks of one call that have no instance.
    QueuedTasks {
        /// Their cluster.
        cluster: ClusterKey,
        /// What they have in common.
        wait: Arc<Wait>,
        /// Each without the common part.
        tasks: Vec<QueuedPiece>,
    },
    /// The tasks that a client token started.
    ClientToken {
        /// The cluster.
        cluster: ClusterKey,
        /// The token.
        token: Arc<str>,
        /// The tasks, forgotten ones included.
        tasks: Arc<[TaskId]>,
    },
    /// A service, without the index of its tasks.
    Service(Arc<Service>),
    /// A schedule.
    Schedule(Arc<Schedule>),
    /// An access key.
    AccessKey(Arc<AccessKey>),
    /// A join token.
    JoinToken(Arc<JoinToken>),
    /// A member.
    Member(Arc<Enrollment>),
    /// How far a receiver of events is.
    Delivery {
        /// By what it is known.
        receiver: Arc<str>,
        /// Behind what it was told.
        position: Position,
    },
    /// An account setting.
    AccountSetting {
        /// Which.
        name: SettingName,
        /// Whose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        principal: Option<Arc<str>>,
        /// What it is.
        value: Arc<str>,
    },
}

fn is_empty(attributes: &BTreeMap<String, Option<String>>) -> bool {
    attributes.is_empty()
}

/// A task without what it shares with the others of its call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskPiece {
    id: TaskId,
    instance: InstanceId,
    #[serde(default, skip_serializing_if = "<[ContainerGpus]>::is_empty")]
    gpus: Arc<[ContainerGpus]>,
    desired: DesiredStatus,
    last: TaskStatus,
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop: Option<Arc<Stop>>,
    #[serde(default)]
    times: TaskTimes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protected_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    #[serde(default)]
    containers: Arc<[ContainerState]>,
}

/// A task without an instance, without what it shares with the others of its call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueuedPiece {
    id: TaskId,
    arrival: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<QueueEnd>,
}

/// The pieces of a state, in the order in which [`Restoration`] wants them.
pub fn pieces(state: &State) -> impl Iterator<Item = Piece> + '_ {
    let clusters = state
        .clusters
        .values()
        .map(|cluster| Piece::Cluster(Arc::clone(cluster)));
    let providers = state.providers.values();
    let providers = providers.map(|provider| Piece::CapacityProvider(Arc::clone(provider)));
    let definitions = state
        .families
        .values()
        .flat_map(|family| family.iter())
        .map(|registered| Piece::Definition {
            id: registered.id.clone(),
            definition: Arc::clone(&registered.definition),
            status: registered.status,
            tags: registered.tags.clone(),
            registered_at: registered.registered_at,
            deregistered_at: registered.deregistered_at,
            delete_requested_at: registered.delete_requested_at,
        });
    let families = state.families.iter().filter(|(_, known)| {
        let greatest = known.revisions.get_max().map_or(0, |(revision, _)| revision.0);
        greatest < known.last
    });
    let families = families.map(|(family, known)| Piece::Family {
        family: family.clone(),
        last: known.last,
    });
    let instances = state.instances().map(|(key, instance)| Piece::Instance {
        cluster: key.cluster,
        id: key.instance,
        facts: Arc::clone(&instance.facts),
        given_attributes: Arc::clone(&instance.given_attributes),
        tags: instance.tags.clone(),
        status: instance.status,
        leaving: instance.leaving.clone(),
        connected: instance.connected,
        via: instance.via,
        disconnected_at: instance.disconnected_at,
        registered_at: instance.registered_at,
        version: instance.version,
    });
    let tokens = state
        .client_tokens
        .iter()
        .map(|((cluster, token), tasks)| Piece::ClientToken {
            cluster: *cluster,
            token: Arc::clone(token),
            tasks: Arc::clone(tasks),
        });
    let services = state.services.values().flat_map(|services| services.values());
    let services = services.map(|service| Piece::Service(Arc::clone(service)));
    let schedules = state.schedules.iter();
    let schedules = schedules.map(|schedule| Piece::Schedule(Arc::clone(schedule)));
    let deliveries = state.deliveries.iter().map(|(receiver, position)| Piece::Delivery {
        receiver: Arc::clone(receiver),
        position: *position,
    });
    let settings = state
        .account_settings()
        .map(|(name, principal, value)| Piece::AccountSetting {
            name,
            principal: principal.map(Arc::clone),
            value: Arc::clone(value),
        });
    let access_keys = state.access_keys.values().map(|key| Piece::AccessKey(Arc::clone(key)));
    let join_tokens = state
        .join_tokens
        .values()
        .map(|token| Piece::JoinToken(Arc::clone(token)));
    let members = state.members.values().map(|member| Piece::Member(Arc::clone(member)));
    clusters
        .chain(providers)
        .chain(definitions)
        .chain(families)
        .chain(instances)
        .chain(services)
        .chain(schedules)
        .chain(tasks(state))
        .chain(queued(state))
        .chain(tokens)
        .chain(deliveries)
        .chain(settings)
        .chain(access_keys)
        .chain(join_tokens)
        .chain(members)
}

/// The tasks; those of one call that lie side by side share a piece.
fn tasks(state: &State) -> impl Iterator<Item = Piece> + '_ {
    let mut rest = state.tasks.iter().peekable();
    std::iter::from_fn(move || {
        let (first, task) = rest.next()?;
        let launch = Arc::clone(&task.launch);
        let mut tasks = vec![TaskPiece::of(task)];
        let shares = |key: &TaskKey, task: &Task| key.cluster == first.cluster && Arc::ptr_eq(&task.launch, &launch);
        while let Some((_, task)) = rest.next_if(|(key, task)| shares(key, task)) {
            tasks.push(TaskPiece::of(task));
        }
        Some(Piece::Tasks {
            cluster: first.cluster,
            launch,
            tasks,
        })
    })
}

/// The tasks without an instance, as [`tasks`].
fn queued(state: &State) -> impl Iterator<Item = Piece> + '_ {
    let mut rest = state.queue.tasks().peekable();
    std::iter::from_fn(move || {
        let (first, task) = rest.next()?;
        let wait = Arc::clone(&task.wait);
        let mut tasks = vec![QueuedPiece::of(task)];
        let shares = |key: &TaskKey, task: &QueuedTask| key.cluster == first.cluster && Arc::ptr_eq(&task.wait, &wait);
        while let Some((_, task)) = rest.next_if(|(key, task)| shares(key, task)) {
            tasks.push(QueuedPiece::of(task));
        }
        Some(Piece::QueuedTasks {
            cluster: first.cluster,
            wait,
            tasks,
        })
    })
}

/// A state that is being put together from pieces.
#[derive(Debug, Default)]
pub struct Restoration {
    state: State,
    versions: Vec<(InstanceKey, u64)>,
    ended: Vec<(ServiceKey, OrdSet<TaskId>)>,
}

impl Restoration {
    /// Adds the next piece.
    pub fn add(&mut self, piece: Piece) {
        let state = &mut self.state;
        match piece {
            Piece::Cluster(cluster) => {
                let empty = Cluster {
                    instances: 0,
                    pending: 0,
                    running: 0,
                    live: 0,
                    queued: 0,
                    services: 0,
                    disconnected: 0,
                    ..Cluster::clone(&cluster)
                };
                state.cluster_names.insert(cluster.key, cluster.name.clone());
                state.clusters.insert(cluster.name.clone(), Arc::new(empty));
            }
            Piece::CapacityProvider(provider) => {
                state.providers.insert(provider.name.clone(), provider);
            }
            Piece::Definition {
                id,
                definition,
                status,
                tags,
                registered_at,
                deregistered_at,
                delete_requested_at,
            } => {
                let registered = RegisteredDefinition {
                    status,
                    deregistered_at,
                    delete_requested_at,
                    ..RegisteredDefinition::new(id, definition, tags, registered_at)
                };
                fold::add_definition(state, registered);
            }
            Piece::Family { family, last } => {
                let known = state.families.entry(family).or_default();
                Arc::make_mut(known).last = last;
            }
            Piece::Instance {
                cluster,
                id,
                facts,
                given_attributes,
                tags,
                status,
                leaving,
                connected,
                via,
                disconnected_at,
                registered_at,
                version,
            } => {
                let instance = Instance {
                    given_attributes,
                    tags,
                    status,
                    leaving,
                    connected,
                    via,
                    disconnected_at,
                    ..Instance::new(id, facts, registered_at)
                };
                let key = InstanceKey { cluster, instance: id };
                fold::add_instance(state, key, instance);
                self.versions.push((key, version));
            }
            Piece::Tasks { cluster, launch, tasks } => {
                for task in tasks {
                    fold::add_task(state, cluster, task.with(Arc::clone(&launch)));
                }
            }
            Piece::QueuedTasks { cluster, wait, tasks } => {
                let entry = |QueuedPiece { id, arrival, end }| fold::queue::Entry { id, arrival, end };
                fold::queue::add(state, cluster, &wait, tasks.into_iter().map(entry));
            }
            Piece::Service(service) => {
                self.ended.push((service.key(), service.ended.clone()));
                fold::add_service(state, Service::clone(&service));
            }
            Piece::Schedule(schedule) => state.schedules.put(Schedule::clone(&schedule)),
            Piece::JoinToken(token) => drop(state.join_tokens.insert(Arc::clone(&token.id), token)),
            Piece::Member(enrollment) => drop(state.members.insert(enrollment.member.clone(), enrollment)),
            Piece::AccessKey(key) => drop(state.access_keys.insert(key.id.clone(), key)),
            Piece::Delivery { receiver, position } => drop(state.deliveries.insert(receiver, position)),
            Piece::AccountSetting { name, principal, value } => {
                drop(state.account_settings.insert((name, principal), value));
            }
            Piece::ClientToken { cluster, token, tasks } => {
                state.client_tokens.insert((cluster, token), tasks);
            }
        }
    }

    /// The state, once all pieces are there.
    #[must_use]
    pub fn finish(mut self, revision: Revision) -> State {
        for (key, version) in self.versions {
            if let Some(instance) = self.state.instances.get_mut(&key) {
                Arc::make_mut(instance).version = version;
            }
        }
        // Tasks that stopped before were accounted for, but for these.
        for (key, ended) in self.ended {
            fold::with_service(&mut self.state, &key, |service| service.ended = ended);
        }
        self.state.revision = revision;
        self.state
    }
}

impl QueuedPiece {
    fn of(task: &QueuedTask) -> Self {
        Self {
            id: task.id,
            arrival: task.arrival,
            end: task.end.clone(),
        }
    }
}

impl TaskPiece {
    fn of(task: &Task) -> Self {
        Self {
            id: task.id,
            instance: task.instance,
            gpus: Arc::clone(&task.gpus),
            desired: task.desired,
            last: task.last,
            version: task.version,
            stop: task.stop.clone(),
            times: task.times,
            stopped_at: task.stopped_at,
            protected_until: task.protected_until,
            target: task.target.clone(),
            containers: Arc::clone(&task.containers),
        }
    }

    fn with(self, launch: Arc<Launch>) -> Task {
        Task {
            id: self.id,
            instance: self.instance,
            launch,
            gpus: self.gpus,
            desired: self.desired,
            last: self.last,
            version: self.version,
            stop: self.stop,
            times: self.times,
            stopped_at: self.stopped_at,
            protected_until: self.protected_until,
            target: self.target,
            containers: self.containers,
        }
    }
}
