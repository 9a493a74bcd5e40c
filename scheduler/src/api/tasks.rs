//! RunTask, StartTask, StopTask, DescribeTasks, ListTasks.

mod listed;

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::ClusterName;
use berth_model::overrides::TaskOverride;
use berth_model::placement;
use berth_model::queueing;
use berth_model::status::{DesiredStatus, LaunchType};
use berth_model::tag::Tag;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::run::{Call, Failure, Launched, RunTask};
use berth_scheduler_core::decide::start::{Chosen, StartTask};
use berth_scheduler_core::decide::stop::StopTask;
use berth_scheduler_core::keys::{ServiceKey, TaskKey};
use berth_scheduler_core::launch::{CapacityWish, ClientToken};
use berth_scheduler_core::service::NetworkConfiguration;

use self::listed::Listed;
use super::capacity::{Capacity, platform_version};
use super::page::Page;
use super::request::{
    at_most, convert, fingerprint, given, includes, launch_type, one_of, raw_constraints, raw_strategies,
    refuse_unsupported, required, tags,
};
use super::{Api, Caller, describe, network};

/// Limits of the ECS API on these operations.
pub(super) const MAX_COUNT: i32 = 10;
const MAX_INSTANCES: usize = 10;
const MAX_DESCRIBED: usize = 100;
const MAX_GROUP: usize = 255;
const MAX_STARTED_BY: usize = 128;
const MAX_REASON: usize = 1024;
const MAX_TOKEN: usize = 64;
/// The reason of a failure where an instance is not as the caller has seen it.
const CONFLICT: &str = "CONFLICT";

pub(super) async fn run(
    api: &Api,
    request: ecs::RunTaskRequest,
    caller: &Caller,
) -> Result<ecs::RunTaskResponse, Fault> {
    let command = command(api, request, MAX_COUNT)?;
    let cluster = command.call.cluster.clone();
    let launched = api.submit(command, caller).await?;
    let (tasks, failures) = answer(api, &cluster, launched);
    Ok(ecs::RunTaskResponse { tasks, failures })
}

/// What RunTask asks for, of at most so many copies.
pub(super) fn command(api: &Api, request: ecs::RunTaskRequest, most: i32) -> Result<RunTask, Fault> {
    refuse_unsupported(&[("volumeConfigurations", !request.volume_configurations.is_empty())])?;
    let (launch, items) = (given(request.launch_type.as_ref()), &request.capacity_provider_strategy);
    let capacity = Capacity::read(api, request.cluster.as_ref(), launch, items)?;
    let is_fargate = capacity.is_fargate;
    platform_version(request.platform_version.as_ref(), is_fargate)?;
    let count = request.count.unwrap_or(1);
    let count = u32::try_from(count)
        .ok()
        .filter(|_| (1..=most).contains(&count))
        .ok_or_else(|| Fault::invalid(format!("count {count} should be between 1 and {most}.")))?;
    let client_token = client_token(&request)?;
    let constraints = placement::parse_constraints(&raw_constraints(request.placement_constraints))?;
    let strategies = placement::parse_strategies(&raw_strategies(request.placement_strategy))?;
    let wishes = Wishes {
        cluster: request.cluster,
        task_definition: request.task_definition,
        overrides: request.overrides,
        group: request.group,
        started_by: request.started_by,
        tags: request.tags,
        propagate_tags: request.propagate_tags,
        capacity: CapacityWish {
            by_default: capacity.by_default,
            strategy: capacity.strategy,
        },
        launch_type: request.launch_type,
        network: network::kept(request.network_configuration.as_ref(), is_fargate)?,
        managed_tags: request.enable_ecs_managed_tags == Some(true),
        execute_command: request.enable_execute_command == Some(true),
    };
    let call = wishes.call(api, client_token)?;
    Ok(RunTask {
        patience: queueing::patience(&call.tags)?,
        call,
        count,
        constraints,
        strategies,
    })
}

pub(super) async fn start(
    api: &Api,
    request: ecs::StartTaskRequest,
    caller: &Caller,
) -> Result<ecs::StartTaskResponse, Fault> {
    refuse_unsupported(&[("volumeConfigurations", !request.volume_configurations.is_empty())])?;
    if request.container_instances.is_empty() {
        return Err(Fault::invalid("Container Instances cannot be empty."));
    }
    at_most("containerInstances", &request.container_instances, MAX_INSTANCES)?;
    let versions = versions(&request)?;
    let wishes = Wishes {
        cluster: request.cluster,
        task_definition: request.task_definition,
        overrides: request.overrides,
        group: request.group,
        started_by: request.started_by,
        tags: request.tags,
        propagate_tags: request.propagate_tags,
        capacity: CapacityWish::default(),
        launch_type: None,
        network: network::kept(request.network_configuration.as_ref(), false)?,
        managed_tags: request.enable_ecs_managed_tags == Some(true),
        execute_command: request.enable_execute_command == Some(true),
    };
    let call = wishes.call(api, None)?;
    queueing::refuse(&call.tags, "StartTask")?;
    let cluster = call.cluster.clone();
    let chosen = request.container_instances.iter().zip(versions).map(|(text, version)| {
        Ok(Chosen {
            instance: api.namespace.parse_instance(&cluster, text)?,
            version,
        })
    });
    let command = StartTask {
        call,
        instances: chosen.collect::<Result<_, Fault>>()?,
    };
    let launched = api.submit(command, caller).await?;
    let (tasks, failures) = answer(api, &cluster, launched);
    Ok(ecs::StartTaskResponse { tasks, failures })
}

/// For each instance of a StartTask the version that the caller has seen, where it says so.
fn versions(request: &ecs::StartTaskRequest) -> Result<Vec<Option<u64>>, Fault> {
    let (versions, instances) = (&request.container_instance_versions, request.container_instances.len());
    if versions.is_empty() {
        return Ok(vec![None; instances]);
    }
    if versions.len() != instances {
        return Err(Fault::invalid(format!(
            "containerInstanceVersions has {} entries; it must have one for each of the {instances} containerInstances.",
            versions.len()
        )));
    }
    let read = |version: &i64| {
        u64::try_from(*version).map(Some).map_err(|_| {
            Fault::invalid(format!(
                "containerInstanceVersions has {version}; it should have what DescribeContainerInstances gives as version."
            ))
        })
    };
    versions.iter().map(read).collect()
}

/// The members that RunTask and StartTask share.
struct Wishes {
    cluster: Option<String>,
    task_definition: Option<String>,
    overrides: Option<ecs::TaskOverride>,
    group: Option<String>,
    started_by: Option<String>,
    tags: Vec<ecs::Tag>,
    propagate_tags: Option<String>,
    capacity: CapacityWish,
    launch_type: Option<String>,
    network: Option<NetworkConfiguration>,
    managed_tags: bool,
    execute_command: bool,
}

impl Wishes {
    fn call(self, api: &Api, client_token: Option<ClientToken>) -> Result<Call, Fault> {
        let cluster = api.cluster(given(self.cluster.as_ref()))?;
        let definition = required("taskDefinition", self.task_definition.as_ref())?;
        let overrides: TaskOverride = match &self.overrides {
            Some(overrides) => {
                convert(overrides).map_err(|fault| Fault::invalid(format!("overrides.{}", fault.message)))?
            }
            None => TaskOverride::default(),
        };
        let launch_type = launch_type(given(self.launch_type.as_ref()))?;
        let propagate = given(self.propagate_tags.as_ref()).unwrap_or("NONE");
        one_of("propagateTags", propagate, &["TASK_DEFINITION", "NONE"])?;
        let mut tags = tags(self.tags)?;
        if self.managed_tags {
            tags.push(Tag {
                key: MANAGED_TAG.to_owned(),
                value: cluster.to_string(),
            });
        }
        Ok(Call {
            definition: api.namespace.parse_definition(definition)?,
            overrides,
            group: short("group", self.group, MAX_GROUP)?,
            started_by: short("startedBy", self.started_by, MAX_STARTED_BY)?,
            tags,
            propagate_definition_tags: propagate == "TASK_DEFINITION",
            launch_type,
            capacity: self.capacity,
            has_network_configuration: self.network.is_some(),
            subnet: self
                .network
                .and_then(|network| Some(network.subnets.into_iter().next()?.into())),
            execute_command: self.execute_command,
            client_token,
            schedule: None,
            cluster,
        })
    }
}

/// The key of the tag that the scheduler adds where it is asked to.
const MANAGED_TAG: &str = "aws:ecs:clusterName";

/// Whether the scheduler has added the tag.
pub(super) fn is_managed(tag: &Tag) -> bool {
    tag.key == MANAGED_TAG
}

pub(super) fn short(name: &str, text: Option<String>, limit: usize) -> Result<Option<Arc<str>>, Fault> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let length = text.chars().count();
    if length > limit {
        return Err(Fault::invalid(format!(
            "{name} has {length} characters, at most {limit} are allowed."
        )));
    }
    Ok(Some(text.into()))
}

/// The token with a digest of everything else that was asked.
fn client_token(request: &ecs::RunTaskRequest) -> Result<Option<ClientToken>, Fault> {
    let Some(token) = given(request.client_token.as_ref()) else {
        return Ok(None);
    };
    let mut rest = request.clone();
    rest.client_token = None;
    self::token(token, fingerprint(&rest)?).map(Some)
}

/// A token, with the digest of what is asked with it.
pub(super) fn token(token: &str, fingerprint: u64) -> Result<ClientToken, Fault> {
    if token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault::invalid(format!(
            "clientToken has {} bytes; it must be up to {MAX_TOKEN} visible ASCII characters.",
            token.len()
        )));
    }
    Ok(ClientToken {
        token: token.into(),
        fingerprint,
    })
}

fn answer(api: &Api, cluster: &ClusterName, launched: Launched) -> (Vec<ecs::Task>, Vec<ecs::Failure>) {
    let state = api.view();
    let tasks = launched
        .tasks
        .iter()
        .filter_map(|task| {
            let key = TaskKey {
                cluster: launched.cluster,
                task: *task,
            };
            describe::task_of(&state, key, cluster, &api.namespace)
        })
        .collect();
    let failures = launched.failures.into_iter();
    let mut failures: Vec<ecs::Failure> = failures.map(|failure| failed(api, cluster, failure)).collect();
    // Of many instances only some are listed: the first failure, the closest instance's, tells of all.
    if let Some(explanation) = launched.explanation.filter(|explanation| explanation.candidates > 1)
        && let Some(detail) = failures.first_mut().and_then(|first| first.detail.as_mut())
    {
        detail.push_str(&format!(". {explanation}."));
    }
    (tasks, failures)
}

fn failed(api: &Api, cluster: &ClusterName, failure: Failure) -> ecs::Failure {
    match failure {
        Failure::Missing(instance) => describe::missing(api.namespace.instance(cluster, instance)),
        Failure::Refused(refusal) => {
            let texts: Vec<String> = refusal.misfits.iter().map(ToString::to_string).collect();
            ecs::Failure {
                arn: Some(api.namespace.instance(cluster, refusal.instance)),
                reason: refusal.misfits.first().map(|misfit| misfit.reason().to_owned()),
                detail: Some(texts.join("; ")),
            }
        }
        Failure::Changed {
            instance,
            expected,
            found,
        } => ecs::Failure {
            arn: Some(api.namespace.instance(cluster, instance)),
            reason: Some(CONFLICT.to_owned()),
            detail: Some(format!(
                "version {expected} was expected, {found} was found: the container instance has changed meanwhile"
            )),
        },
    }
}

pub(super) async fn stop(
    api: &Api,
    request: ecs::StopTaskRequest,
    caller: &Caller,
) -> Result<ecs::StopTaskResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let command = StopTask {
        task: api
            .namespace
            .parse_task(&name, required("task", request.task.as_ref())?)?,
        cluster: name.clone(),
        reason: short("reason", request.reason, MAX_REASON)?,
    };
    let key = api.submit(command, caller).await?;
    let state = api.view();
    Ok(ecs::StopTaskResponse {
        task: describe::task_of(&state, key, &name, &api.namespace),
    })
}

pub(super) async fn describe(
    api: &Api,
    request: ecs::DescribeTasksRequest,
    _caller: &Caller,
) -> Result<ecs::DescribeTasksResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    if request.tasks.is_empty() {
        return Err(Fault::invalid("Tasks cannot be empty."));
    }
    at_most("tasks", &request.tasks, MAX_DESCRIBED)?;
    let with_tags = includes(&request.include, &["TAGS"], "TAGS")?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    let mut response = ecs::DescribeTasksResponse::default();
    for text in &request.tasks {
        let task = api.namespace.parse_task(&name, text)?;
        match describe::task_of(&state, TaskKey { cluster, task }, &name, &api.namespace) {
            Some(mut described) => {
                if !with_tags {
                    described.tags.clear();
                }
                response.tasks.push(described);
            }
            None => response
                .failures
                .push(describe::missing(api.namespace.task(&name, task))),
        }
    }
    Ok(response)
}

pub(super) async fn list(
    api: &Api,
    request: ecs::ListTasksRequest,
    _caller: &Caller,
) -> Result<ecs::ListTasksResponse, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    refuse_unsupported(&[("daemonName", request.daemon_name.is_some())])?;
    let service = given(request.service_name.as_ref());
    let service = service
        .map(|text| api.namespace.parse_service(&name, text))
        .transpose()?;
    let filter = TaskFilter::read(api, &name, &request)?;
    let page = Page::read(request.max_results, request.next_token.as_ref())?;
    let after: Option<TaskId> = page
        .after
        .as_deref()
        .map(|key| api.namespace.parse_task(&name, key))
        .transpose()?;
    let state = api.view();
    let cluster = state.active_cluster(&name)?.key;
    let (tasks, next_token) = match service {
        None => page.take(
            listed::tasks_of(&state, cluster, after).filter(|task| filter.selects(task)),
            |task| task.id().to_string(),
        ),
        Some(service) => {
            let known = state.service(&ServiceKey { cluster, service });
            let known = known.ok_or_else(Fault::service_not_found)?;
            let rest = listed::tasks_of_service(&state, known, filter.desired, after);
            page.take(rest.filter(|task| filter.selects(task)), |task| task.id().to_string())
        }
    };
    Ok(ecs::ListTasksResponse {
        task_arns: tasks
            .into_iter()
            .map(|task| api.namespace.task(&name, task.id()))
            .collect(),
        next_token,
    })
}

struct TaskFilter {
    /// Nothing matches where the caller asks for PENDING, which no task is meant to be (ECS API, ListTasks).
    desired: Option<DesiredStatus>,
    instance: Option<InstanceId>,
    family: Option<String>,
    started_by: Option<String>,
    launch_type: Option<LaunchType>,
}

impl TaskFilter {
    fn read(api: &Api, cluster: &ClusterName, request: &ecs::ListTasksRequest) -> Result<Self, Fault> {
        let desired = given(request.desired_status.as_ref()).unwrap_or("RUNNING");
        one_of("desiredStatus", desired, &["RUNNING", "PENDING", "STOPPED"])?;
        let launch_type = given(request.launch_type.as_ref());
        if let Some(name) = launch_type {
            one_of("launchType", name, &["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"])?;
        }
        let instance = given(request.container_instance.as_ref());
        let started_by = given(request.started_by.as_ref());
        if started_by.is_some() && (instance.is_some() || given(request.family.as_ref()).is_some()) {
            return Err(Fault::invalid(
                "startedBy must be the only filter: leave out containerInstance and family.",
            ));
        }
        Ok(Self {
            desired: match launch_type {
                // Nothing runs there.
                Some("MANAGED_INSTANCES") => None,
                Some(_) | None => DesiredStatus::from_name(desired),
            },
            instance: instance
                .map(|text| api.namespace.parse_instance(cluster, text))
                .transpose()?,
            family: given(request.family.as_ref()).map(str::to_owned),
            started_by: started_by.map(str::to_owned),
            launch_type: launch_type.and_then(LaunchType::from_name),
        })
    }

    fn selects(&self, task: &Listed<'_>) -> bool {
        let launch = task.launch();
        self.desired == Some(task.desired())
            && self.instance.is_none_or(|instance| task.instance() == Some(instance))
            && self
                .family
                .as_deref()
                .is_none_or(|family| launch.definition.family.as_str() == family)
            && (self.started_by.is_none() || launch.started_by.as_deref() == self.started_by.as_deref())
            && self
                .launch_type
                .is_none_or(|launch_type| launch.launch_type == launch_type)
    }
}
