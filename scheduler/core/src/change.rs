//! What happened: the journal's vocabulary.
//!
//! Changes are facts. They are written once and read for ever, so a variant or a member is only ever added, with a
//! default, and never given a new meaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::account::SettingName;
use berth_model::capacity::StrategyItem;
use berth_model::cluster::ClusterSettings;
use berth_model::id::{AccessKeyId, DefinitionId, InstanceId, TaskId};
use berth_model::name::{ClusterName, ProviderName, ScheduleName, ServiceName};
use berth_model::schedule::RunOutcome;
use berth_model::status::{InstanceStatus, StopCode};
use berth_model::tag::Tag;
use berth_model::task_definition::TaskDefinition;
use berth_model::time::Timestamp;
use berth_trust::{Fingerprint, Member};
use serde::{Deserialize, Serialize};

use crate::access_key::AccessKey;
use crate::event::Position;
use crate::keys::{ClusterKey, ReplicaId, Revision, Tagged};
use crate::launch::{ClientToken, Launch, Placement, Wait};
use crate::membership::{Enrollment, JoinToken};
use crate::observation::{InstanceFacts, Observation};
use crate::scaling::{Scaling, ScalingActivity};
use crate::schedule::{Occurrence, Retry, Run, ScheduleSpec};
use crate::service::{Deployment, ServiceEvent, ServiceSpec};
use crate::state::CapacityProvider;
use crate::target::TargetHealth;

/// What one revision adds: the changes of one or more commands that were made durable together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format of what follows; readers refuse one that they do not know.
    pub v: u32,
    /// The revision that the record makes.
    pub revision: Revision,
    /// One entry a command, in the order in which they were decided.
    pub entries: Vec<Entry>,
}

impl Record {
    /// The format that this build writes and the only one that it reads.
    pub const FORMAT: u32 = 1;
}

/// The changes of one command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked.
    pub by: Arc<str>,
    /// What happened, in order.
    pub changes: Vec<Change>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// A cluster was made, or one of the name that was INACTIVE came back.
    ClusterCreated {
        /// Its name.
        name: ClusterName,
        /// Its number, by which tasks and instances are kept.
        key: ClusterKey,
        /// Its tags.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<Tag>,
    },
    /// A user changed the settings of a cluster.
    ClusterUpdated {
        /// Its name.
        name: ClusterName,
        /// All its settings from now on.
        settings: ClusterSettings,
    },
    /// A cluster became INACTIVE.
    ClusterDeleted {
        /// Its name.
        name: ClusterName,
    },
    /// A user changed an account setting, or took back what was set.
    AccountSettingSet {
        /// Which.
        name: SettingName,
        /// Whose: none for everybody of whom there is no other word.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        principal: Option<Arc<str>>,
        /// What it is from now on; none where it is taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Arc<str>>,
    },
    /// A capacity provider was made or changed.
    CapacityProviderSet {
        /// What it is from now on.
        provider: Arc<CapacityProvider>,
    },
    /// A capacity provider was deleted.
    CapacityProviderDeleted {
        /// Its name.
        name: ProviderName,
    },
    /// A user said which capacity providers a cluster has.
    ClusterProvidersSet {
        /// The cluster.
        cluster: ClusterKey,
        /// All that it has from now on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        providers: Vec<ProviderName>,
        /// By which strategy tasks go to them, where nothing else is said.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        strategy: Vec<StrategyItem>,
    },
    /// A family got a new revision.
    DefinitionRegistered {
        /// Family and revision.
        id: DefinitionId,
        /// The definition, valid.
        definition: Arc<TaskDefinition>,
        /// Its tags.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<Tag>,
        /// When.
        at: Timestamp,
    },
    /// A revision became INACTIVE.
    DefinitionDeregistered {
        /// Family and revision.
        id: DefinitionId,
        /// When.
        at: Timestamp,
    },
    /// A revision that is INACTIVE is to be deleted.
    DefinitionDeletionRequested {
        /// Family and revision.
        id: DefinitionId,
        /// When.
        at: Timestamp,
    },
    /// Revisions that were to be deleted, and that nothing uses any more, were dropped from the state.
    DefinitionsForgotten {
        /// Families and revisions.
        ids: Vec<DefinitionId>,
    },
    /// A user changed the tags of something that is no service.
    TagsSet {
        /// What it is.
        of: Tagged,
        /// All its tags from now on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<Tag>,
    },
    /// An instance joined, or came back with other facts about itself. It is connected.
    InstanceRegistered {
        /// The cluster that it serves.
        cluster: ClusterKey,
        /// The instance.
        instance: InstanceId,
        /// What it has.
        facts: Arc<InstanceFacts>,
        /// When.
        at: Timestamp,
    },
    /// The stream of an instance's agent came or went.
    InstanceConnection {
        /// Its cluster.
        cluster: ClusterKey,
        /// The instance.
        instance: InstanceId,
        /// Whether the agent is there.
        connected: bool,
        /// The scheduler that has, or had, the stream; none where there is only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<ReplicaId>,
        /// When.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// An instance became ACTIVE, DRAINING or INACTIVE.
    InstanceStatusSet {
        /// Its cluster.
        cluster: ClusterKey,
        /// The instance.
        instance: InstanceId,
        /// The new status.
        status: InstanceStatus,
        /// Why its own host leaves, where that is why it became DRAINING.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaving: Option<Arc<str>>,
        /// When.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// Operators gave an instance attributes, or took some back.
    InstanceAttributesSet {
        /// Its cluster.
        cluster: ClusterKey,
        /// The instance.
        instance: InstanceId,
        /// All that it has from them from now on.
        attributes: Arc<BTreeMap<String, Option<String>>>,
        /// When.
        at: Timestamp,
    },
    /// Copies of a definition were placed. This is what assigns a task to an instance.
    TasksPlaced {
        /// Their cluster.
        cluster: ClusterKey,
        /// What they have in common.
        launch: Arc<Launch>,
        /// Each copy.
        placements: Vec<Placement>,
    },
    /// Copies of a definition found no room and wait for it, each behind those of its shape that came before.
    TasksQueued {
        /// Their cluster.
        cluster: ClusterKey,
        /// What they have in common.
        wait: Arc<Wait>,
        /// Each copy.
        tasks: Vec<TaskId>,
    },
    /// Tasks that waited were placed.
    QueuedTasksPlaced {
        /// Their cluster.
        cluster: ClusterKey,
        /// Each with its instance.
        placements: Vec<Placement>,
    },
    /// A task that waited ended before it had an instance.
    QueuedTaskEnded {
        /// Its cluster.
        cluster: ClusterKey,
        /// The task.
        task: TaskId,
        /// Why, as ECS counts.
        code: StopCode,
        /// Why, in words.
        reason: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// A task is to stop.
    TaskStopRequested {
        /// Its cluster.
        cluster: ClusterKey,
        /// The task.
        task: TaskId,
        /// Why, as ECS counts.
        code: StopCode,
        /// Why, in words.
        reason: Arc<str>,
        /// When.
        at: Timestamp,
        /// Where it is a target of load balancers, until when its connections may stay open: it is told to stop when
        /// none is left, or then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deregister_by: Option<Timestamp>,
    },
    /// Tasks of a service with load balancers became targets of these.
    TargetsRegistered {
        /// Their cluster.
        cluster: ClusterKey,
        /// The tasks.
        tasks: Vec<TaskId>,
    },
    /// The gateways found out how a target is.
    TargetHealthSet {
        /// Its cluster.
        cluster: ClusterKey,
        /// The task.
        task: TaskId,
        /// How it is.
        health: TargetHealth,
        /// Why, in words; empty where it is well.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        reason: Arc<str>,
    },
    /// Tasks that are to stop are targets no longer: no connection is left, or its time is up.
    TargetsDeregistered {
        /// Their cluster.
        cluster: ClusterKey,
        /// The tasks.
        tasks: Vec<TaskId>,
    },
    /// A task was seen in a new state.
    TaskObserved {
        /// Its cluster.
        cluster: ClusterKey,
        /// The task.
        task: TaskId,
        /// What was seen.
        observed: Arc<Observation>,
        /// When it was recorded.
        at: Timestamp,
    },
    /// A task was protected from all that is not its user, or is so no longer.
    TaskProtectionSet {
        /// Its cluster.
        cluster: ClusterKey,
        /// The task.
        task: TaskId,
        /// Until when; none where it is protected no longer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Tasks that stopped long ago were dropped from the state.
    TasksForgotten {
        /// Their cluster.
        cluster: ClusterKey,
        /// The tasks.
        tasks: Vec<TaskId>,
    },
    /// A service was made, or one of the name that was INACTIVE came back.
    ServiceCreated {
        /// Its cluster.
        cluster: ClusterKey,
        /// Its name.
        service: ServiceName,
        /// What it is to be.
        spec: Arc<ServiceSpec>,
        /// Its first deployment; none where task sets are made by somebody else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deployment: Option<Box<Deployment>>,
        /// The token by which the caller may ask again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_token: Option<ClientToken>,
        /// When.
        at: Timestamp,
    },
    /// A user changed what a service is to be, began a deployment or asked to go back from one.
    ServiceUpdated {
        /// Its cluster.
        cluster: ClusterKey,
        /// The service.
        service: ServiceName,
        /// What it is to be from now on.
        spec: Arc<ServiceSpec>,
        /// The deployments that are new or changed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        deployments: Vec<Deployment>,
    },
    /// The scheduler took account of what had become of a service's tasks.
    ServiceStepped {
        /// Its cluster.
        cluster: ClusterKey,
        /// The service.
        service: ServiceName,
        /// The deployments that changed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        deployments: Vec<Deployment>,
        /// Tasks whose end is accounted for: each is once.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        accounted: Vec<TaskId>,
        /// What there is to say, the oldest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        events: Vec<ServiceEvent>,
    },
    /// A user changed how a service is scaled.
    ServiceScalingSet {
        /// Its cluster.
        cluster: ClusterKey,
        /// The service.
        service: ServiceName,
        /// How it is scaled from now on; none where nothing scales it any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scaling: Option<Arc<Scaling>>,
    },
    /// The policies or the bounds of a service changed its count.
    ServiceScaled {
        /// Its cluster.
        cluster: ClusterKey,
        /// The service.
        service: ServiceName,
        /// From what to what, and why.
        activity: ScalingActivity,
        /// What there is to say.
        event: ServiceEvent,
    },
    /// A service was deleted: its tasks are being stopped.
    ServiceDeleted {
        /// Its cluster.
        cluster: ClusterKey,
        /// The service.
        service: ServiceName,
    },
    /// The last task of a deleted service has stopped.
    ServiceInactive {
        /// Its cluster.
        cluster: ClusterKey,
        /// The service.
        service: ServiceName,
        /// When.
        at: Timestamp,
    },
    /// Services that became INACTIVE long ago were dropped from the state.
    ServicesForgotten {
        /// Their cluster.
        cluster: ClusterKey,
        /// The services.
        services: Vec<ServiceName>,
    },
    /// A schedule was made.
    ScheduleCreated {
        /// Its cluster.
        cluster: ClusterKey,
        /// Its name.
        schedule: ScheduleName,
        /// What it is told to do.
        spec: Arc<ScheduleSpec>,
        /// When it is due first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Occurrence>,
        /// The token by which the caller may ask again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_token: Option<ClientToken>,
        /// When; a rate without a start begins then.
        at: Timestamp,
    },
    /// A user changed what a schedule is told to do.
    ScheduleUpdated {
        /// Its cluster.
        cluster: ClusterKey,
        /// The schedule.
        schedule: ScheduleName,
        /// What it is told to do from now on.
        spec: Arc<ScheduleSpec>,
        /// Where a rate without a start begins.
        anchor: Timestamp,
        /// When it is due next.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Occurrence>,
        /// When.
        at: Timestamp,
    },
    /// A schedule was due, or was asked to run.
    ScheduleRan {
        /// Its cluster.
        cluster: ClusterKey,
        /// The schedule.
        schedule: ScheduleName,
        /// What became of it; its tasks stand before this.
        run: Box<Run>,
        /// When it is due next.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Occurrence>,
        /// What is tried again, of this run or of an earlier one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<Retry>,
    },
    /// Tasks that were missing of a run were tried again, or are so no longer.
    ScheduleRetried {
        /// Its cluster.
        cluster: ClusterKey,
        /// The schedule.
        schedule: ScheduleName,
        /// The run's number.
        run: u64,
        /// The tasks that it has got.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tasks: Vec<TaskId>,
        /// What became of it.
        outcome: RunOutcome,
        /// Why tasks are missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
        /// Attempts so far.
        attempts: u32,
        /// What is tried again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<Retry>,
        /// When.
        at: Timestamp,
    },
    /// Somebody may run a command in a container of a task, from now until it ends.
    SessionOpened {
        /// Its cluster.
        cluster: ClusterKey,
        /// The task.
        task: TaskId,
        /// By what the session is known; not what opens it.
        session: Arc<str>,
        /// The container, by its name in the definition.
        container: Arc<str>,
        /// The command and its arguments.
        command: Vec<String>,
        /// When.
        at: Timestamp,
    },
    /// A command that was run in a container has ended, or is watched no longer.
    SessionEnded {
        /// Its cluster.
        cluster: ClusterKey,
        /// The task.
        task: TaskId,
        /// The session.
        session: Arc<str>,
        /// How, in words.
        reason: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// A receiver of events was told what happened.
    EventsDelivered {
        /// By what it is known.
        receiver: Arc<str>,
        /// Behind what it was told.
        position: Position,
    },
    /// An access key was made, or is from now on as it says. Its secret is not in it.
    AccessKeyPut {
        /// The key.
        key: Arc<AccessKey>,
    },
    /// An access key was deleted.
    AccessKeyDeleted {
        /// Its id.
        id: AccessKeyId,
    },
    /// A join token was made, used or revoked. Its secret is not in it, but the hash of that.
    JoinTokenPut {
        /// The token, as it is from now on.
        token: Arc<JoinToken>,
    },
    /// A join token is not listed any more.
    JoinTokenDeleted {
        /// Its id.
        id: Arc<str>,
    },
    /// Something joined a cluster, or has a new certificate.
    MemberEnrolled {
        /// All that is known of it.
        enrollment: Arc<Enrollment>,
    },
    /// A member was removed: its certificate is refused.
    MemberRemoved {
        /// Which.
        member: Member,
    },
    /// A certificate was made by which somebody calls as an access key. It is good for as long as that, and nothing of it is
    /// kept but this.
    OperatorCertified {
        /// The access key.
        access_key: AccessKeyId,
        /// The fingerprint of the certificate's key.
        key: Fingerprint,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// A schedule was deleted: its tasks go on.
    ScheduleDeleted {
        /// Its cluster.
        cluster: ClusterKey,
        /// The schedule.
        schedule: ScheduleName,
    },
}
