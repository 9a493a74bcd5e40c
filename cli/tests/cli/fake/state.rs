//! What the fake holds, and the things that tests put into it.

use std::collections::{BTreeMap, VecDeque};

use berth_proto::ecs::v1::{
    Attribute, CapacityProvider, Container, ContainerInstance, CreateServiceRequest, DeleteServiceRequest,
    NetworkBinding, Resource, RunTaskRequest, Service, ServiceDeploymentBrief, Tag, TagResourceRequest, Task,
    TaskDefinition, UpdateServiceRequest, VersionInfo,
};
use berth_proto::v1::{
    CreateScheduleRequest, DescribeServiceScalingResponse, DescribeUsageRequest, DescribeUsageResponse, HistoryRequest,
    HistoryResponse, PlanRequest, PlanResponse, PutScalingPolicyRequest, RegisterScalableTargetRequest, Schedule,
    ScheduleRun, TargetDescription, UpdateScheduleRequest, WatchRequest, WatchResponse,
};
use tonic::Status;

pub(super) const ARN: &str = "arn:aws:ecs:us-east-1:000000000000";

/// All that the fake knows.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) clusters: Vec<String>,
    pub(crate) providers: Vec<CapacityProvider>,
    pub(crate) definitions: Vec<TaskDefinition>,
    /// The tags of definitions that have some, by ARN.
    pub(crate) definition_tags: BTreeMap<String, Vec<Tag>>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) instances: Vec<ContainerInstance>,
    /// How many tasks there may be before one is not placed.
    pub(crate) capacity: usize,
    /// What containers end with.
    pub(crate) exit_code: i32,
    /// Whether tasks stop by themselves once they run.
    pub(crate) short_lived: bool,
    /// Whether tasks stay in the status that they have.
    pub(crate) stuck: bool,
    /// Calls of RunTask, as they came.
    pub(crate) runs: Vec<RunTaskRequest>,
    /// After how many calls RunTask fails.
    pub(crate) runs_at_most: Option<usize>,
    /// What DescribeUsage answers; without it the operation is not implemented.
    pub(crate) usage: Option<DescribeUsageResponse>,
    /// The calls of it.
    pub(crate) usage_calls: Vec<DescribeUsageRequest>,
    /// What Plan answers; without it the operation is not implemented.
    pub(crate) plan: Option<PlanResponse>,
    /// The calls of it.
    pub(crate) plan_calls: Vec<PlanRequest>,
    /// Account settings by name.
    pub(crate) settings: BTreeMap<String, String>,
    /// Services.
    pub(crate) services: Vec<Service>,
    /// Targets of any service.
    pub(crate) targets: Vec<TargetDescription>,
    /// What becomes of the first service, one step with each look at it.
    pub(crate) next: VecDeque<Service>,
    /// The deployments of the first service, the newest first.
    pub(crate) deployments: Vec<ServiceDeploymentBrief>,
    /// Calls of CreateService, UpdateService and DeleteService, as they came.
    pub(crate) creations: Vec<CreateServiceRequest>,
    pub(crate) updates: Vec<UpdateServiceRequest>,
    pub(crate) tagged: Vec<TagResourceRequest>,
    pub(crate) deletions: Vec<DeleteServiceRequest>,
    /// The ARNs of deployments that were told to stop.
    pub(crate) stopped: Vec<String>,
    /// How services are scaled, by their resource ids.
    pub(crate) scaling: BTreeMap<String, DescribeServiceScalingResponse>,
    /// Calls of RegisterScalableTarget and PutScalingPolicy, as they came.
    pub(crate) scalable_targets: Vec<RegisterScalableTargetRequest>,
    pub(crate) policies: Vec<PutScalingPolicyRequest>,
    /// Schedules, and the runs of any of them, the newest first.
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) schedule_runs: Vec<ScheduleRun>,
    /// Calls of CreateSchedule and UpdateSchedule, as they came.
    pub(crate) new_schedules: Vec<CreateScheduleRequest>,
    pub(crate) schedule_updates: Vec<UpdateScheduleRequest>,
    /// The pages of any history, and the calls for them.
    pub(crate) history: VecDeque<HistoryResponse>,
    pub(crate) history_calls: Vec<HistoryRequest>,
    /// The moments of the past that calls have asked for.
    pub(crate) at: Vec<String>,
    /// What each call of Watch is told; a stream without an error at its end is cut off there. More are refused.
    pub(crate) streams: VecDeque<Vec<Result<WatchResponse, Status>>>,
    /// The calls of it.
    pub(crate) watches: Vec<WatchRequest>,
    /// Whether calls are never answered.
    pub(crate) silent: bool,
}

impl State {
    pub(crate) fn with_cluster(name: &str) -> Self {
        Self {
            clusters: vec![name.to_owned()],
            capacity: 100,
            ..Self::default()
        }
    }
}

pub(crate) fn cluster_arn(name: &str) -> String {
    format!("{ARN}:cluster/{name}")
}

pub(crate) fn definition_arn(family: &str, revision: i32) -> String {
    format!("{ARN}:task-definition/{family}:{revision}")
}

/// A task of `web:1` with the id that `prefix` begins.
pub(crate) fn task(prefix: &str, status: &str) -> Task {
    let bound = NetworkBinding {
        bind_ip: Some("0.0.0.0".to_owned()),
        container_port: Some(80),
        host_port: Some(32768),
        protocol: Some("tcp".to_owned()),
        ..Default::default()
    };
    Task {
        task_arn: Some(format!("{ARN}:task/default/{prefix:0<32}")),
        cluster_arn: Some(cluster_arn("default")),
        task_definition_arn: Some(definition_arn("web", 1)),
        container_instance_arn: Some(instance_arn("1234567890")),
        last_status: Some(status.to_owned()),
        desired_status: Some(if status == "STOPPED" { "STOPPED" } else { "RUNNING" }.to_owned()),
        containers: vec![Container {
            name: Some("app".to_owned()),
            network_bindings: vec![bound],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A task that waits for room.
pub(crate) fn waiting_task(prefix: &str) -> Task {
    let attribute = |name: &str, value: &str| Attribute {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
        ..Default::default()
    };
    let mut task = task(prefix, "PROVISIONING");
    task.container_instance_arn = None;
    task.containers
        .iter_mut()
        .for_each(|container| container.network_bindings.clear());
    task.attributes = vec![
        attribute("berth.queue-reason", "RESOURCE:MEMORY"),
        attribute("berth.queue-deadline", "2026-11-21T12:00:00.000Z"),
    ];
    task
}

/// A connected instance with the id that `prefix` begins.
pub(crate) fn instance(prefix: &str) -> ContainerInstance {
    let resource = |name: &str, value| Resource {
        name: Some(name.to_owned()),
        r#type: Some("INTEGER".to_owned()),
        integer_value: Some(value),
        ..Default::default()
    };
    ContainerInstance {
        container_instance_arn: Some(instance_arn(prefix)),
        status: Some("ACTIVE".to_owned()),
        agent_connected: Some(true),
        running_tasks_count: Some(3),
        remaining_resources: vec![resource("CPU", 1024), resource("MEMORY", 900)],
        registered_resources: vec![resource("CPU", 2048), resource("MEMORY", 1900)],
        version_info: Some(VersionInfo {
            docker_version: Some("DockerVersion: 20.10.24".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn instance_arn(prefix: &str) -> String {
    format!("{ARN}:container-instance/default/{prefix:0<32}")
}
