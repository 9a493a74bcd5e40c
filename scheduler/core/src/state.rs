//! The sum of the journal up to a revision, with its indexes.
//!
//! A `State` is cheap to clone: its maps share what has not changed, so that a published one stays as it is while the
//! next is made from it. Only [`crate::fold`] writes it.

mod cluster;
mod definition;
mod instance;
mod provider;
mod queue;
mod schedule;
mod service;
mod task;

use std::sync::Arc;

use berth_model::account::SettingName;
use berth_model::fault::Fault;
use berth_model::id::{AccessKeyId, DefinitionId, InstanceId, TaskId};
use berth_model::name::{ClusterName, Family, ProviderName, ServiceName};
use berth_model::status::ClusterStatus;
use berth_model::time::Timestamp;
use berth_trust::Member;
use imbl::{OrdMap, OrdSet, Vector};

use crate::access_key::AccessKey;
use crate::event::Position;
use crate::keys::{ClusterKey, InstanceKey, Revision, ServiceKey, TaskKey};
use crate::launch::Launch;
use crate::membership::{Enrollment, JoinToken};
pub use cluster::Cluster;
pub use definition::{FamilyRevisions, RegisteredDefinition};
pub use instance::{HeldPorts, Instance};
pub use provider::CapacityProvider;
pub use queue::{Queue, QueueEnd, QueuedTask, Shape, ShapeKey};
pub use schedule::{Schedule, Schedules};
pub use service::Service;
pub use task::{Stop, Task};

/// Changes of instances that are remembered: more than there are between two placements.
const CHANGES_KEPT: usize = 8192;

/// Everything that the scheduler knows, as of one revision.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(crate) revision: Revision,
    pub(crate) clusters: OrdMap<ClusterName, Arc<Cluster>>,
    pub(crate) cluster_names: OrdMap<ClusterKey, ClusterName>,
    pub(crate) providers: OrdMap<ProviderName, Arc<CapacityProvider>>,
    pub(crate) families: OrdMap<Family, Arc<FamilyRevisions>>,
    /// Definitions that are to be deleted when nothing uses them any more: an index.
    pub(crate) deleting: OrdSet<DefinitionId>,
    pub(crate) instances: OrdMap<InstanceKey, Arc<Instance>>,
    pub(crate) tasks: OrdMap<TaskKey, Arc<Task>>,
    /// Tasks without an instance.
    pub(crate) queue: Queue,
    pub(crate) services: OrdMap<ClusterKey, OrdMap<ServiceName, Arc<Service>>>,
    pub(crate) schedules: Schedules,
    /// Tasks that have stopped, oldest end first.
    pub(crate) stopped: OrdSet<(i64, TaskKey)>,
    /// Tasks that are to stop when their load balancers have let go of them, by when that is at the latest: an index.
    pub(crate) deregistering: OrdSet<(Timestamp, TaskKey)>,
    /// The tasks that a client token has started.
    pub(crate) client_tokens: OrdMap<(ClusterKey, Arc<str>), Arc<[TaskId]>>,
    /// Behind what receivers of events were told.
    pub(crate) deliveries: OrdMap<Arc<str>, Position>,
    /// Account settings by name and principal; those without one hold for everybody else.
    pub(crate) account_settings: OrdMap<(SettingName, Option<Arc<str>>), Arc<str>>,
    /// Who may call, and what each may do.
    pub(crate) access_keys: OrdMap<AccessKeyId, Arc<AccessKey>>,
    /// With what hosts may join.
    pub(crate) join_tokens: OrdMap<Arc<str>, Arc<JoinToken>>,
    /// What has joined: whose certificates are taken.
    pub(crate) members: OrdMap<Member, Arc<Enrollment>>,
    /// How often any instance has changed: who remembers it knows whether instances are still as they were.
    pub(crate) instance_changes: u64,
    /// Which instances changed last, the latest last.
    pub(crate) changed_instances: Vector<InstanceKey>,
}

impl State {
    /// The revision that this is the state of.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Tasks that are not forgotten, in all clusters.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// The cluster of the name, ACTIVE or INACTIVE.
    #[must_use]
    pub fn cluster(&self, name: &ClusterName) -> Option<&Cluster> {
        self.clusters.get(name).map(Arc::as_ref)
    }

    /// The cluster of the name, which must be ACTIVE.
    ///
    /// # Errors
    /// `ClusterNotFoundException` where there is none or it was deleted.
    pub fn active_cluster(&self, name: &ClusterName) -> Result<&Cluster, Fault> {
        let cluster = self.cluster(name).ok_or_else(Fault::cluster_not_found)?;
        match cluster.status {
            ClusterStatus::Active => Ok(cluster),
            ClusterStatus::Inactive => Err(Fault::cluster_inactive()),
        }
    }

    /// The clusters by name.
    pub fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.values().map(Arc::as_ref)
    }

    /// The name of a cluster that exists or existed.
    #[must_use]
    pub fn cluster_name(&self, key: ClusterKey) -> Option<&ClusterName> {
        self.cluster_names.get(&key)
    }

    /// The families by name.
    pub fn families(&self) -> impl Iterator<Item = (&Family, &FamilyRevisions)> {
        self.families
            .iter()
            .map(|(family, revisions)| (family, revisions.as_ref()))
    }

    /// The revisions of a family.
    #[must_use]
    pub fn family(&self, family: &Family) -> Option<&FamilyRevisions> {
        self.families.get(family).map(Arc::as_ref)
    }

    /// One revision of a family.
    #[must_use]
    pub fn definition(&self, id: &DefinitionId) -> Option<&Arc<RegisteredDefinition>> {
        self.family(&id.family)?.get(id.revision)
    }

    /// The definitions that are to be deleted.
    pub fn deleting(&self) -> impl Iterator<Item = &DefinitionId> {
        self.deleting.iter()
    }

    /// An instance, whatever its status.
    #[must_use]
    pub fn instance(&self, key: InstanceKey) -> Option<&Instance> {
        self.instances.get(&key).map(Arc::as_ref)
    }

    /// The instances of a cluster by id, whatever their status.
    pub fn instances_of(&self, cluster: ClusterKey) -> impl Iterator<Item = &Arc<Instance>> {
        let first = InstanceKey {
            cluster,
            instance: InstanceId::from_bits(0),
        };
        let last = InstanceKey {
            cluster,
            instance: InstanceId::from_bits(u128::MAX),
        };
        self.instances.range(first..=last).map(|(_, instance)| instance)
    }

    /// The instances that have changed since there were so many changes, some of them more than once; nothing where that is
    /// too long ago to tell.
    pub(crate) fn instances_changed_since(&self, changes: u64) -> Option<impl Iterator<Item = InstanceKey> + '_> {
        let missed = usize::try_from(self.instance_changes.checked_sub(changes)?).ok()?;
        // From the end: skipping to a place would walk all that is before it.
        (missed <= self.changed_instances.len()).then(|| self.changed_instances.iter().rev().take(missed).copied())
    }

    pub(crate) fn note_instance_change(&mut self, key: InstanceKey) {
        self.instance_changes += 1;
        if self.changed_instances.len() == CHANGES_KEPT {
            self.changed_instances.pop_front();
        }
        self.changed_instances.push_back(key);
    }

    /// All instances of all clusters.
    pub fn instances(&self) -> impl Iterator<Item = (InstanceKey, &Instance)> {
        self.instances.iter().map(|(key, instance)| (*key, instance.as_ref()))
    }

    /// A task, running or stopped and not yet forgotten.
    #[must_use]
    pub fn task(&self, key: TaskKey) -> Option<&Arc<Task>> {
        self.tasks.get(&key)
    }

    /// What a task has in common with the others of its call, whether it has an instance or not.
    #[must_use]
    pub fn launch_of(&self, key: TaskKey) -> Option<&Arc<Launch>> {
        let placed = self.task(key).map(|task| &task.launch);
        placed.or_else(|| self.queue.task(key).map(|task| &task.wait.launch))
    }

    /// The tasks of a cluster whose id is greater than `after`, oldest first.
    pub fn tasks_of(&self, cluster: ClusterKey, after: Option<TaskId>) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks
            .range(TaskKey::range_after(cluster, after))
            .map(|(_, task)| task)
    }

    /// The tasks that are placed on an instance and have not stopped, oldest first.
    pub fn live_tasks_on(&self, key: InstanceKey) -> impl Iterator<Item = &Arc<Task>> {
        let live = self.instances.get(&key).map(|instance| &instance.live);
        live.into_iter().flatten().filter_map(move |task| {
            self.tasks.get(&TaskKey {
                cluster: key.cluster,
                task: *task,
            })
        })
    }

    /// The tasks that have no instance: those that wait for one, and those that ended waiting.
    #[must_use]
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// A service, whatever its status.
    #[must_use]
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(&key.cluster)?.get(&key.service).map(Arc::as_ref)
    }

    /// The services of a cluster by name, whatever their status.
    pub fn services_of(&self, cluster: ClusterKey) -> impl Iterator<Item = &Service> {
        let services = self.services.get(&cluster).into_iter();
        services.flat_map(OrdMap::values).map(Arc::as_ref)
    }

    /// The services of all clusters.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values().flat_map(OrdMap::values).map(Arc::as_ref)
    }

    /// Whether there is any service.
    #[must_use]
    pub fn has_services(&self) -> bool {
        !self.services.is_empty()
    }

    /// The tasks of a service that have not stopped, oldest first.
    pub fn live_tasks_of(&self, service: &Service) -> impl Iterator<Item = &Arc<Task>> {
        let cluster = service.cluster;
        let live = service.live.iter();
        live.filter_map(move |task| self.tasks.get(&TaskKey { cluster, task: *task }))
    }

    /// The tasks that have stopped, oldest end first, with the time of their end in milliseconds.
    pub fn stopped_tasks(&self) -> impl Iterator<Item = (i64, TaskKey)> + '_ {
        self.stopped.iter().copied()
    }

    /// The tasks that are to stop when their load balancers have let go of them, each with when that is at the latest; the
    /// earliest first.
    pub fn deregistering(&self) -> impl Iterator<Item = (Timestamp, TaskKey)> + '_ {
        self.deregistering.iter().copied()
    }

    /// The tasks that a client token has started in a cluster.
    #[must_use]
    pub fn tasks_of_token(&self, cluster: ClusterKey, token: &Arc<str>) -> Option<&Arc<[TaskId]>> {
        self.client_tokens.get(&(cluster, Arc::clone(token)))
    }

    /// What was set of the account: name, principal (none where it holds for everybody else) and value.
    pub fn account_settings(&self) -> impl Iterator<Item = (SettingName, Option<&Arc<str>>, &Arc<str>)> {
        let all = self.account_settings.iter();
        all.map(|((name, principal), value)| (*name, principal.as_ref(), value))
    }

    /// What an account setting is for the principal: what was set for it, else for everybody, else its default.
    #[must_use]
    pub fn account_setting(&self, name: SettingName, principal: &Arc<str>) -> &str {
        let set = self.account_settings.get(&(name, Some(Arc::clone(principal))));
        set.or_else(|| self.account_settings.get(&(name, None)))
            .map_or(name.default_value(), |value| value)
    }

    /// Behind what a receiver of events was told; nothing where there is no such receiver.
    #[must_use]
    pub fn delivered(&self, receiver: &str) -> Option<Position> {
        self.deliveries.get(receiver).copied()
    }

    /// An access key, whatever its status.
    #[must_use]
    pub fn access_key(&self, id: &str) -> Option<&Arc<AccessKey>> {
        self.access_keys.get(id)
    }

    /// The access keys by id.
    pub fn access_keys(&self) -> impl Iterator<Item = &Arc<AccessKey>> {
        self.access_keys.values()
    }

    /// A join token, whether anybody can join with it or not.
    #[must_use]
    pub fn join_token(&self, id: &str) -> Option<&Arc<JoinToken>> {
        self.join_tokens.get(id)
    }

    /// The join tokens by id.
    pub fn join_tokens(&self) -> impl Iterator<Item = &Arc<JoinToken>> {
        self.join_tokens.values()
    }

    /// What is known of a member.
    #[must_use]
    pub fn enrollment(&self, member: &Member) -> Option<&Arc<Enrollment>> {
        self.members.get(member)
    }

    /// The members by role, cluster and id.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Enrollment>> {
        self.members.values()
    }
}

/// Two states are equal when they know the same, however they came to know it.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.revision == other.revision
            && self.clusters == other.clusters
            && self.cluster_names == other.cluster_names
            && self.providers == other.providers
            && self.families == other.families
            && self.deleting == other.deleting
            && self.instances == other.instances
            && self.tasks == other.tasks
            && self.queue == other.queue
            && self.services == other.services
            && self.schedules == other.schedules
            && self.stopped == other.stopped
            && self.deregistering == other.deregistering
            && self.client_tokens == other.client_tokens
            && self.deliveries == other.deliveries
            && self.account_settings == other.account_settings
            && self.access_keys == other.access_keys
            && self.join_tokens == other.join_tokens
            && self.members == other.members
    }
}
