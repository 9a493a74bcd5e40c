//! What RunTask and StartTask have in common: the call, its token, and the facts that it leaves.

use std::borrow::Cow;
use std::sync::Arc;

use berth_model::arn::DefinitionReference;
use berth_model::fault::{Fault, FaultClass};
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::{ClusterName, ScheduleName};
use berth_model::overrides::TaskOverride;
use berth_model::placement::{Constraint, Strategy};
use berth_model::status::LaunchType;
use berth_model::tag::Tag;
use berth_model::task_definition::{NetworkMode, TaskDefinition};
use serde::{Deserialize, Serialize};

use super::deal::Dealer;
use super::definition::runnable;
use crate::change::Change;
use crate::command::Env;
use crate::keys::{ClusterKey, TaskKey};
use crate::launch::{CapacityWish, ClientToken, Launch, Placement, Provider, pool};
use crate::place::{Explanation, Refusal, Request};
use crate::state::{RegisteredDefinition, State};

/// What a caller says of the tasks it wants.
///
/// A schedule keeps the call that it makes, so that it stands in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The cluster.
    pub cluster: ClusterName,
    /// What to run.
    pub definition: DefinitionReference,
    /// What differs from the definition.
    #[serde(default, skip_serializing_if = "TaskOverride::is_empty")]
    pub overrides: TaskOverride,
    /// The group; `family:<family>` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Arc<str>>,
    /// What the caller says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Arc<str>>,
    /// Tags of each task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Whether each task gets its definition's tags too.
    #[serde(default)]
    pub propagate_definition_tags: bool,
    /// Where the caller asks for it to run.
    #[serde(default, skip_serializing_if = "LaunchType::is_default")]
    pub launch_type: LaunchType,
    /// What the caller says of capacity providers.
    #[serde(default, skip_serializing_if = "CapacityWish::is_nothing")]
    pub capacity: CapacityWish,
    /// Whether the caller says how tasks with an address of their own are to be connected.
    #[serde(default)]
    pub has_network_configuration: bool,
    /// The first subnet that it names: nothing but a name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<Arc<str>>,
    /// Whether commands may be run in its tasks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub execute_command: bool,
    /// The token by which the caller may ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<ClientToken>,
    /// The schedule whose call it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleName>,
}

impl Call {
    /// A call that says nothing else.
    #[must_use]
    pub fn of(cluster: ClusterName, definition: DefinitionReference) -> Self {
        Self {
            cluster,
            definition,
            overrides: TaskOverride::default(),
            group: None,
            started_by: None,
            tags: Vec::new(),
            propagate_definition_tags: false,
            launch_type: LaunchType::default(),
            capacity: CapacityWish::default(),
            has_network_configuration: false,
            subnet: None,
            execute_command: false,
            client_token: None,
            schedule: None,
        }
    }
}

/// What became of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    /// The cluster's number.
    pub cluster: ClusterKey,
    /// The tasks, placed or waiting: new, or those that an earlier call with the token started.
    pub tasks: Vec<TaskId>,
    /// Why not all were placed: instance by instance, of many instances only some; none where the rest waits.
    pub failures: Vec<Failure>,
    /// Why no instance takes a further copy, where the scheduler was to choose one.
    pub explanation: Option<Explanation>,
}

/// Why an instance takes no task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There is no such instance.
    Missing(InstanceId),
    /// The instance cannot take it.
    Refused(Refusal),
    /// The instance is not as the caller has seen it.
    Changed {
        /// Which.
        instance: InstanceId,
        /// The version that the caller has seen.
        expected: u64,
        /// The version that it has.
        found: u64,
    },
}

/// A call that may go on: its tasks are not there yet and its definition can be run.
pub(super) struct Admitted<'s> {
    pub(super) cluster: ClusterKey,
    pub(super) registered: &'s RegisteredDefinition,
    pub(super) effective: Cow<'s, TaskDefinition>,
    pub(super) group: Arc<str>,
    /// What its tasks are said to be launched on.
    pub(super) launch_type: LaunchType,
    /// The provider that they go to, where they go to one.
    pub(super) provider: Option<Provider>,
}

impl Call {
    /// The tasks that an earlier call with the same token has started.
    pub(super) fn replay(&self, state: &State, cluster: ClusterKey) -> Result<Option<Launched>, Fault> {
        let Some(token) = &self.client_token else {
            return Ok(None);
        };
        let Some(tasks) = state.tasks_of_token(cluster, &token.token) else {
            return Ok(None);
        };
        let same = tasks
            .iter()
            .filter_map(|task| state.launch_of(TaskKey { cluster, task: *task }))
            .filter_map(|launch| launch.client_token.as_ref())
            .all(|earlier| earlier.fingerprint == token.fingerprint);
        if !same {
            let mut fault = Fault::new(
                FaultClass::Conflict,
                format!("clientToken '{}' was used before with other parameters.", token.token),
            );
            fault.resource_ids = tasks.iter().map(ToString::to_string).collect();
            return Err(fault);
        }
        Ok(Some(Launched {
            cluster,
            tasks: tasks.to_vec(),
            failures: Vec::new(),
            explanation: None,
        }))
    }

    pub(super) fn admit<'s>(&self, state: &'s State, cluster: ClusterKey) -> Result<Admitted<'s>, Fault> {
        let registered = runnable(state, &self.definition)?.as_ref();
        check_network(&registered.definition, self.has_network_configuration)?;
        let effective = self.overrides.checked(&registered.definition)?;
        let group = self
            .group
            .clone()
            .unwrap_or_else(|| format!("family:{}", registered.id.family).into());
        Ok(Admitted {
            cluster,
            registered,
            effective,
            group,
            launch_type: self.launch_type,
            provider: None,
        })
    }
}

/// A network configuration belongs to network mode `awsvpc` and to no other (ECS API, RunTask).
pub(super) fn check_network(definition: &TaskDefinition, is_given: bool) -> Result<(), Fault> {
    let own_address = definition.network_mode() == NetworkMode::Awsvpc;
    match (own_address, is_given) {
        (true, false) => Err(Fault::invalid(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )),
        (false, true) => Err(Fault::invalid(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        )),
        (true, true) | (false, false) => Ok(()),
    }
}

impl Admitted<'_> {
    /// What is to be placed.
    pub(super) fn request(&self, constraints: Vec<Constraint>, strategies: Vec<Strategy>) -> Request {
        let group = Arc::clone(&self.group);
        Request {
            pool: pool(self.launch_type, self.provider.as_ref()),
            ..Request::of(self.registered, &self.effective, group, constraints, strategies)
        }
    }

    /// The change that places one copy on each of the instances.
    pub(super) fn placed(
        &self,
        call: &Call,
        state: &State,
        instances: &[InstanceId],
        env: &mut Env<'_>,
    ) -> (Vec<TaskId>, Option<Change>) {
        if instances.is_empty() {
            return (Vec::new(), None);
        }
        let (tasks, change) = self.place(self.launch(call, env), state, instances, env);
        (tasks, Some(change))
    }

    /// What the tasks of the call have in common.
    pub(super) fn launch(&self, call: &Call, env: &Env<'_>) -> Launch {
        let mut tags = call.tags.clone();
        if call.propagate_definition_tags {
            let own = |key: &str| call.tags.iter().any(|tag| tag.key == key);
            tags.extend(self.registered.tags.iter().filter(|tag| !own(&tag.key)).cloned());
        }
        Launch {
            definition: self.registered.id.clone(),
            demand: self.effective.demand(),
            group: Arc::clone(&self.group),
            started_by: call.started_by.clone(),
            overrides: call.overrides.clone(),
            tags,
            launch_type: self.launch_type,
            provider: self.provider.clone(),
            execute_command: call.execute_command,
            subnet: call.subnet.clone(),
            client_token: call.client_token.clone(),
            service: None,
            schedule: call.schedule.clone(),
            created_at: env.now(),
        }
    }

    /// The change that places one copy of a launch on each of the instances.
    pub(super) fn place(
        &self,
        launch: Launch,
        state: &State,
        instances: &[InstanceId],
        env: &mut Env<'_>,
    ) -> (Vec<TaskId>, Change) {
        let mut dealer = Dealer::new(state, self.cluster);
        let placements: Vec<Placement> = instances
            .iter()
            .map(|instance| Placement {
                task: env.task_id(),
                instance: *instance,
                gpus: dealer.deal(&self.effective, *instance),
            })
            .collect();
        let tasks = placements.iter().map(|placement| placement.task).collect();
        let change = Change::TasksPlaced {
            cluster: self.cluster,
            launch: Arc::new(launch),
            placements,
        };
        (tasks, change)
    }
}
