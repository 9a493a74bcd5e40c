//! DescribeUsage: what hosts, tasks, containers and groups of tasks use now, as their agents last said, and what part
//! of their reservation that is.
//!
//! Percentages are CloudWatch's: of a task, a container and a group what it uses of what it reserves, of an instance
//! and the cluster what tasks reserve and use of what is registered. Sums are made here; agents tell containers.

mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::id::{InstanceId, TaskId};
use berth_model::name::ClusterName;
use berth_model::status::InstanceStatus;
use berth_proto::ecs::v1::Failure;
use berth_proto::v1::{ClusterUsage, DescribeUsageRequest, DescribeUsageResponse};
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, TaskKey};
use berth_scheduler_core::state::{Instance, State, Task};

use super::request::{at_most, given, one_of};
use super::{Api, describe};
use crate::nodes::{ContainerTold, Registry, Sum};
use row::{ContainerRow, GroupRow, InstanceRow, Registered, Row, TaskRow};

/// Instances and tasks that a request may name, as ECS has it for its Describe operations.
const MAX_NAMED: usize = 100;
const MAX_RESULTS: i32 = 1000;
const KINDS: [&str; 4] = ["INSTANCES", "TASKS", "CONTAINERS", "GROUPS"];
const ORDERS: [&str; 2] = ["CPU", "MEMORY"];

/// What is asked for.
struct Question {
    name: ClusterName,
    cluster: ClusterKey,
    instances: BTreeSet<InstanceId>,
    tasks: BTreeSet<TaskId>,
    group: Option<String>,
    kinds: BTreeSet<String>,
    by_memory: bool,
    rows: usize,
}

/// Answers in time that grows with the containers of the instances that are asked for: not for an asynchronous thread.
pub(super) fn describe(api: &Api, request: DescribeUsageRequest) -> Result<DescribeUsageResponse, Fault> {
    let state = api.view();
    let question = Question::read(api, &state, request)?;
    let (selected, mut failures) = select(api, &state, &question);
    let mut rows = Rows::default();
    let known = |task: &TaskId| state.launch_of(question.task(*task)).is_some();
    let mut silent: BTreeSet<TaskId> = question.tasks.iter().copied().filter(known).collect();
    for instance in selected {
        if let Some((told, age)) = api.registry.usage(question.key(instance.id)) {
            rows.add(&state, &question, InstanceRow { instance, told, age }, &mut silent);
        }
    }
    failures.extend(silent.into_iter().map(|task| Failure {
        arn: Some(api.namespace.task(&question.name, task)),
        reason: Some("NO_USAGE".to_owned()),
        detail: Some("No container of it runs, or its agent has not told yet.".to_owned()),
    }));
    let view = row::View {
        state: &state,
        name: &question.name,
        namespace: &api.namespace,
    };
    let mut left_out = 0;
    Ok(DescribeUsageResponse {
        cluster: Some(of_cluster(&api.registry, &state, question.cluster)),
        instances: question.answer(rows.instances, &view, &mut left_out),
        tasks: question.answer(rows.tasks, &view, &mut left_out),
        containers: question.answer(rows.containers, &view, &mut left_out),
        groups: question.answer(rows.groups.into_iter().collect(), &view, &mut left_out),
        left_out,
        failures,
    })
}

/// What is found for the answer.
#[derive(Default)]
struct Rows<'s> {
    instances: Vec<InstanceRow<'s>>,
    tasks: Vec<TaskRow<'s>>,
    containers: Vec<ContainerRow<'s>>,
    groups: BTreeMap<&'s Arc<str>, GroupRow>,
}

impl<'s> Rows<'s> {
    /// Adds what is asked for of one instance; the tasks that it tells of are `silent` no more.
    fn add(&mut self, state: &'s State, question: &Question, host: InstanceRow<'s>, silent: &mut BTreeSet<TaskId>) {
        let of_tasks = ["TASKS", "CONTAINERS", "GROUPS"];
        if silent.is_empty() && !of_tasks.iter().any(|kind| question.wants(kind)) {
            self.instances.push(host);
            return;
        }
        let age = host.age;
        for (id, containers) in host.told.tasks() {
            silent.remove(&id);
            let task = state.task(question.task(id));
            let Some(task) = task.filter(|task| question.selects(task)) else {
                continue;
            };
            let mut sum = Sum::default();
            for container in containers {
                sum += container.counted();
            }
            if question.wants("CONTAINERS") {
                let row = |container: &ContainerTold| ContainerRow {
                    task,
                    container: container.clone(),
                    age,
                };
                self.containers.extend(containers.iter().map(row));
            }
            if question.wants("GROUPS") {
                self.groups.entry(&task.launch.group).or_default().add(task, sum, age);
            }
            if question.wants("TASKS") {
                self.tasks.push(TaskRow { task, sum, age });
            }
        }
        if question.wants("INSTANCES") {
            self.instances.push(host);
        }
    }
}

impl Question {
    fn read(api: &Api, state: &State, request: DescribeUsageRequest) -> Result<Self, Fault> {
        let name = api.cluster(given(request.cluster.as_ref()))?;
        at_most("containerInstances", &request.container_instances, MAX_NAMED)?;
        at_most("tasks", &request.tasks, MAX_NAMED)?;
        for kind in &request.include {
            one_of("include", kind, &KINDS)?;
        }
        let order = given(request.sort_by.as_ref()).unwrap_or("CPU");
        one_of("sortBy", order, &ORDERS)?;
        let rows = request.max_results.unwrap_or(MAX_RESULTS);
        let rows = (1..=MAX_RESULTS).contains(&rows).then(|| usize::try_from(rows).ok());
        let mut kinds: BTreeSet<String> = request.include.into_iter().collect();
        if kinds.is_empty() {
            kinds.insert("INSTANCES".to_owned());
        }
        let instances = request.container_instances.iter();
        let tasks = request.tasks.iter();
        Ok(Self {
            instances: instances
                .map(|text| api.namespace.parse_instance(&name, text))
                .collect::<Result<_, _>>()?,
            tasks: tasks
                .map(|text| api.namespace.parse_task(&name, text))
                .collect::<Result<_, _>>()?,
            group: request.group.filter(|group| !group.is_empty()),
            kinds,
            by_memory: order == "MEMORY",
            rows: rows
                .flatten()
                .ok_or_else(|| Fault::invalid(format!("maxResults must be between 1 and {MAX_RESULTS}.")))?,
            cluster: state.active_cluster(&name)?.key,
            name,
        })
    }

    fn wants(&self, kind: &str) -> bool {
        self.kinds.contains(kind)
    }

    fn selects(&self, task: &Task) -> bool {
        (self.tasks.is_empty() || self.tasks.contains(&task.id))
            && self.group.as_deref().is_none_or(|group| *group == *task.launch.group)
    }

    fn key(&self, instance: InstanceId) -> InstanceKey {
        InstanceKey {
            cluster: self.cluster,
            instance,
        }
    }

    fn task(&self, task: TaskId) -> TaskKey {
        TaskKey {
            cluster: self.cluster,
            task,
        }
    }

    /// The rows that use most, as the API tells them.
    fn answer<R: Row>(&self, mut rows: Vec<R>, view: &row::View<'_>, left_out: &mut u32) -> Vec<R::Told> {
        // Stable, so that those that use the same stay in the order of their ids.
        rows.sort_by(|a, b| b.measure(self.by_memory).total_cmp(&a.measure(self.by_memory)));
        let more = rows.len().saturating_sub(self.rows);
        *left_out = left_out.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        rows.truncate(self.rows);
        rows.iter().map(|row| row.tell(view)).collect()
    }
}

/// The instances whose figures have what is asked for, and what was named and is not there.
fn select<'s>(api: &Api, state: &'s State, question: &Question) -> (Vec<&'s Arc<Instance>>, Vec<Failure>) {
    let mut failures = Vec::new();
    let mut of_tasks = BTreeSet::new();
    for task in &question.tasks {
        match state.task(question.task(*task)) {
            Some(task) => drop(of_tasks.insert(task.instance)),
            // It waits for room: nothing of it runs.
            None if state.queue().task(question.task(*task)).is_some() => {}
            None => failures.push(describe::missing(api.namespace.task(&question.name, *task))),
        }
    }
    let wanted = |instance: &InstanceId| {
        (question.instances.is_empty() || question.instances.contains(instance))
            && (question.tasks.is_empty() || of_tasks.contains(instance))
    };
    let selected: Vec<&Arc<Instance>> = state
        .instances_of(question.cluster)
        .filter(|instance| wanted(&instance.id))
        .collect();
    for id in &question.instances {
        let arn = api.namespace.instance(&question.name, *id);
        if state.instance(question.key(*id)).is_none() {
            failures.push(describe::missing(arn));
        } else if api.registry.usage(question.key(*id)).is_none() {
            failures.push(Failure {
                arn: Some(arn),
                reason: Some("NO_USAGE".to_owned()),
                detail: Some("Its agent is not connected, or has not told yet.".to_owned()),
            });
        }
    }
    (selected, failures)
}

/// The whole cluster, from the sums that are kept with each instance.
pub(crate) fn of_cluster(registry: &Registry, state: &State, cluster: ClusterKey) -> ClusterUsage {
    let mut usage = ClusterUsage::default();
    let mut registered = Registered::default();
    let mut sum = Sum::default();
    let counted = state
        .instances_of(cluster)
        .filter(|instance| matches!(instance.status, InstanceStatus::Active | InstanceStatus::Draining));
    for instance in counted {
        usage.instances += 1;
        registered.add(instance);
        let key = InstanceKey {
            cluster,
            instance: instance.id,
        };
        if let Some((told, _)) = registry.usage(key) {
            usage.telling += 1;
            sum += told.sum;
        }
    }
    ClusterUsage {
        registered: Some(registered.registered),
        reserved: Some(registered.reserved),
        used: Some(row::used(&sum)),
        reservation: Some(registered.reservation()),
        utilization: Some(row::utilization(&sum, registered.registered)),
        ..usage
    }
}
