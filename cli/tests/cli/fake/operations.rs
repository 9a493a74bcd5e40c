//! The operations, as far as `berth` can tell them from the real ones.

#![expect(
    clippy::needless_pass_by_value,
    reason = "an operation takes its request whole, whether it uses it up or not"
)]

use std::collections::BTreeSet;

use berth_proto::ecs::v1::*;
use berth_proto::v1::{
    DescribeUsageRequest, DescribeUsageResponse, HistoryRequest, HistoryResponse, PlanRequest, PlanResponse,
};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::State;
use super::state::{cluster_arn, definition_arn, task, waiting_task};

const PAGE: usize = 2;

pub(super) type Answer<A> = Result<A, Status>;

pub(super) fn fault(class: &'static str, message: &str) -> Status {
    let mut status = Status::new(Code::InvalidArgument, message);
    let class = MetadataValue::from_static(class);
    status.metadata_mut().insert("berth-fault", class);
    status
}

/// The page that `token` names, and the token of the next one.
pub(super) fn page(all: Vec<String>, token: Option<String>) -> Answer<(Vec<String>, Option<String>)> {
    let begin = token.map_or(Ok(0), |token| token.parse());
    let begin: usize = begin.map_err(|_| fault("InvalidParameterException", "Invalid token."))?;
    let end = all.len().min(begin + PAGE);
    let next = (end < all.len()).then(|| end.to_string());
    Ok((all[begin..end].to_vec(), next))
}

pub(super) fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

pub(super) fn missing(arn: &str) -> Failure {
    Failure {
        arn: Some(arn.to_owned()),
        reason: Some("MISSING".to_owned()),
        detail: None,
    }
}

impl State {
    fn known(&self, cluster: Option<&str>) -> Answer<()> {
        let name = last(cluster.unwrap_or("default"));
        if self.clusters.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(fault("ClusterNotFoundException", "Cluster not found."))
    }

    fn cluster(name: &str, status: &str) -> Cluster {
        Cluster {
            cluster_arn: Some(cluster_arn(name)),
            cluster_name: Some(name.to_owned()),
            status: Some(status.to_owned()),
            ..Default::default()
        }
    }

    pub(super) fn list_clusters(&mut self, request: ListClustersRequest) -> Answer<ListClustersResponse> {
        let all = self.clusters.iter().map(|name| cluster_arn(name)).collect();
        let (cluster_arns, next_token) = page(all, request.next_token)?;
        Ok(ListClustersResponse {
            cluster_arns,
            next_token,
        })
    }

    pub(super) fn describe_clusters(&mut self, request: DescribeClustersRequest) -> Answer<DescribeClustersResponse> {
        let mut answer = DescribeClustersResponse::default();
        for name in &request.clusters {
            if self.known(Some(name)).is_ok() {
                answer.clusters.push(Self::cluster(last(name), "ACTIVE"));
            } else {
                answer.failures.push(missing(&cluster_arn(last(name))));
            }
        }
        Ok(answer)
    }

    pub(super) fn create_cluster(&mut self, request: CreateClusterRequest) -> Answer<CreateClusterResponse> {
        let name = request.cluster_name().to_owned();
        if self.known(Some(&name)).is_err() {
            self.clusters.push(name.clone());
        }
        Ok(CreateClusterResponse {
            cluster: Some(Self::cluster(&name, "ACTIVE")),
        })
    }

    pub(super) fn delete_cluster(&mut self, request: DeleteClusterRequest) -> Answer<DeleteClusterResponse> {
        self.known(request.cluster.as_deref())?;
        if !self.tasks.is_empty() {
            let message = "The Cluster cannot be deleted while Tasks are active.";
            return Err(fault("ClusterContainsTasksException", message));
        }
        let name = last(request.cluster()).to_owned();
        self.clusters.retain(|known| *known != name);
        Ok(DeleteClusterResponse {
            cluster: Some(Self::cluster(&name, "INACTIVE")),
        })
    }

    pub(super) fn register_task_definition(
        &mut self,
        request: RegisterTaskDefinitionRequest,
    ) -> Answer<RegisterTaskDefinitionResponse> {
        let family = request.family().to_owned();
        let same = self.definitions.iter().filter(|it| it.family() == family).count();
        let revision = i32::try_from(same).map_err(|_| Status::internal("too many"))? + 1;
        let definition = TaskDefinition {
            task_definition_arn: Some(definition_arn(&family, revision)),
            family: Some(family),
            revision: Some(revision),
            status: Some("ACTIVE".to_owned()),
            container_definitions: request.container_definitions,
            ..Default::default()
        };
        self.definitions.push(definition.clone());
        let arn = definition.task_definition_arn().to_owned();
        self.definition_tags.insert(arn, request.tags.clone());
        Ok(RegisterTaskDefinitionResponse {
            task_definition: Some(definition),
            tags: request.tags,
        })
    }

    fn definition(&mut self, name: &str) -> Answer<&mut TaskDefinition> {
        let found = self.definitions.iter_mut().rev().find(|it| {
            let whole = format!("{}:{}", it.family(), it.revision());
            it.family() == name || whole == last(name)
        });
        found.ok_or_else(|| fault("ClientException", "Unable to describe task definition."))
    }

    pub(super) fn describe_task_definition(
        &mut self,
        request: DescribeTaskDefinitionRequest,
    ) -> Answer<DescribeTaskDefinitionResponse> {
        let definition = self.definition(request.task_definition())?.clone();
        let tags = self.definition_tags.get(definition.task_definition_arn());
        Ok(DescribeTaskDefinitionResponse {
            tags: tags.cloned().unwrap_or_default(),
            task_definition: Some(definition),
        })
    }

    pub(super) fn delete_task_definitions(
        &mut self,
        request: DeleteTaskDefinitionsRequest,
    ) -> Answer<DeleteTaskDefinitionsResponse> {
        let mut answer = DeleteTaskDefinitionsResponse::default();
        for name in &request.task_definitions {
            let definition = self.definition(name)?;
            if definition.status() == "ACTIVE" {
                answer.failures.push(Failure {
                    reason: Some("The specified task definition is still in ACTIVE status.".to_owned()),
                    ..missing(definition.task_definition_arn())
                });
            } else {
                definition.status = Some("DELETE_IN_PROGRESS".to_owned());
                answer.task_definitions.push(definition.clone());
            }
        }
        Ok(answer)
    }

    pub(super) fn deregister_task_definition(
        &mut self,
        request: DeregisterTaskDefinitionRequest,
    ) -> Answer<DeregisterTaskDefinitionResponse> {
        let definition = self.definition(request.task_definition())?;
        definition.status = Some("INACTIVE".to_owned());
        Ok(DeregisterTaskDefinitionResponse {
            task_definition: Some(definition.clone()),
        })
    }

    pub(super) fn list_task_definition_families(
        &mut self,
        request: ListTaskDefinitionFamiliesRequest,
    ) -> Answer<ListTaskDefinitionFamiliesResponse> {
        let of_status = self.definitions.iter().filter(|it| it.status() == request.status());
        let matching = of_status.filter(|it| it.family().starts_with(request.family_prefix()));
        let families: BTreeSet<String> = matching.map(|it| it.family().to_owned()).collect();
        let (families, next_token) = page(families.into_iter().collect(), request.next_token)?;
        Ok(ListTaskDefinitionFamiliesResponse { families, next_token })
    }

    pub(super) fn list_task_definitions(
        &mut self,
        request: ListTaskDefinitionsRequest,
    ) -> Answer<ListTaskDefinitionsResponse> {
        let matching = self.definitions.iter().filter(|it| {
            let family = request.family_prefix.as_deref();
            family.is_none_or(|family| it.family() == family) && it.status() == request.status()
        });
        let all = matching.map(|it| it.task_definition_arn().to_owned()).collect();
        let (task_definition_arns, next_token) = page(all, request.next_token)?;
        Ok(ListTaskDefinitionsResponse {
            task_definition_arns,
            next_token,
        })
    }

    pub(super) fn run_task(&mut self, request: RunTaskRequest) -> Answer<RunTaskResponse> {
        self.known(request.cluster.as_deref())?;
        if self.runs_at_most.is_some_and(|most| self.runs.len() >= most) {
            return Err(fault("ServerException", "Service Unavailable. Please try again later."));
        }
        if request.count() > 10 {
            return Err(fault("InvalidParameterException", "count cannot be more than 10"));
        }
        let mut answer = RunTaskResponse::default();
        for _ in 0..request.count() {
            if self.tasks.len() < self.capacity {
                let placed = task(&format!("{:08x}", self.tasks.len()), "PENDING");
                self.tasks.push(placed.clone());
                answer.tasks.push(placed);
            } else if request.tags.iter().any(|tag| tag.key() == "berth:queue") {
                let waiting = waiting_task(&format!("{:08x}", self.tasks.len()));
                self.tasks.push(waiting.clone());
                answer.tasks.push(waiting);
            } else {
                answer.failures.push(Failure {
                    arn: None,
                    reason: Some("RESOURCE:MEMORY".to_owned()),
                    detail: Some("needs 900 MiB, 512 MiB free".to_owned()),
                });
            }
        }
        self.runs.push(request);
        Ok(answer)
    }

    pub(super) fn stop_task(&mut self, request: StopTaskRequest) -> Answer<StopTaskResponse> {
        let id = last(request.task()).to_owned();
        let found = self.tasks.iter_mut().find(|task| last(task.task_arn()) == id);
        let task = found.ok_or_else(|| fault("InvalidParameterException", "The referenced task was not found."))?;
        task.desired_status = Some("STOPPED".to_owned());
        task.stopped_reason = request.reason;
        Ok(StopTaskResponse {
            task: Some(task.clone()),
        })
    }

    pub(super) fn list_tasks(&mut self, request: ListTasksRequest) -> Answer<ListTasksResponse> {
        self.known(request.cluster.as_deref())?;
        let family = request.family.as_ref().map(|family| format!("/{family}:"));
        let matching = self.tasks.iter().filter(|task| {
            let arn = task.task_definition_arn();
            task.desired_status() == request.desired_status()
                && family.as_ref().is_none_or(|family| arn.contains(family))
        });
        let all = matching.map(|task| task.task_arn().to_owned()).collect();
        let (task_arns, next_token) = page(all, request.next_token)?;
        Ok(ListTasksResponse { task_arns, next_token })
    }

    pub(super) fn describe_tasks(&mut self, request: DescribeTasksRequest) -> Answer<DescribeTasksResponse> {
        self.known(request.cluster.as_deref())?;
        if request.tasks.is_empty() {
            return Err(fault("InvalidParameterException", "Tasks cannot be empty."));
        }
        let mut answer = DescribeTasksResponse::default();
        for name in &request.tasks {
            match self.tasks.iter_mut().find(|task| last(task.task_arn()) == last(name)) {
                Some(task) => answer.tasks.push(task.clone()),
                None => answer.failures.push(missing(name)),
            }
        }
        if !self.stuck {
            self.advance();
        }
        Ok(answer)
    }

    /// One step in the life of each task.
    fn advance(&mut self) {
        for task in &mut self.tasks {
            let next = match (task.desired_status(), task.last_status()) {
                ("RUNNING", "PENDING") => "RUNNING",
                ("RUNNING", "RUNNING") if !self.short_lived => continue,
                (_, "STOPPED") => continue,
                _ => "STOPPED",
            };
            task.last_status = Some(next.to_owned());
            if next == "STOPPED" {
                task.desired_status = Some("STOPPED".to_owned());
                task.stopped_at = Some(0.0);
                for container in &mut task.containers {
                    container.exit_code = Some(self.exit_code);
                }
            }
        }
    }

    pub(super) fn list_container_instances(
        &mut self,
        request: ListContainerInstancesRequest,
    ) -> Answer<ListContainerInstancesResponse> {
        self.known(request.cluster.as_deref())?;
        let arns = self.instances.iter().map(|it| it.container_instance_arn().to_owned());
        let (container_instance_arns, next_token) = page(arns.collect(), request.next_token)?;
        Ok(ListContainerInstancesResponse {
            container_instance_arns,
            next_token,
        })
    }

    fn instance(&mut self, name: &str) -> Option<&mut ContainerInstance> {
        let mut all = self.instances.iter_mut();
        all.find(|it| last(it.container_instance_arn()) == last(name))
    }

    pub(super) fn describe_container_instances(
        &mut self,
        request: DescribeContainerInstancesRequest,
    ) -> Answer<DescribeContainerInstancesResponse> {
        if request.container_instances.is_empty() {
            let message = "Container instances cannot be empty.";
            return Err(fault("InvalidParameterException", message));
        }
        let mut answer = DescribeContainerInstancesResponse::default();
        for name in &request.container_instances {
            match self.instance(name) {
                Some(instance) => answer.container_instances.push(instance.clone()),
                None => answer.failures.push(missing(name)),
            }
        }
        Ok(answer)
    }

    pub(super) fn update_container_instances_state(
        &mut self,
        request: UpdateContainerInstancesStateRequest,
    ) -> Answer<UpdateContainerInstancesStateResponse> {
        let mut answer = UpdateContainerInstancesStateResponse::default();
        for name in &request.container_instances {
            match self.instance(name) {
                Some(instance) => {
                    instance.status = request.status.clone();
                    answer.container_instances.push(instance.clone());
                }
                None => answer.failures.push(missing(name)),
            }
        }
        Ok(answer)
    }

    pub(super) fn put_attributes(&mut self, request: PutAttributesRequest) -> Answer<PutAttributesResponse> {
        for attribute in &request.attributes {
            let known = &mut self.target(attribute.target_id())?.attributes;
            known.retain(|it| it.name != attribute.name);
            known.push(Attribute {
                target_type: None,
                target_id: None,
                ..attribute.clone()
            });
        }
        Ok(PutAttributesResponse {
            attributes: request.attributes,
        })
    }

    pub(super) fn delete_attributes(&mut self, request: DeleteAttributesRequest) -> Answer<DeleteAttributesResponse> {
        for attribute in &request.attributes {
            let known = &mut self.target(attribute.target_id())?.attributes;
            known.retain(|it| it.name != attribute.name);
        }
        Ok(DeleteAttributesResponse {
            attributes: request.attributes,
        })
    }

    fn target(&mut self, arn: &str) -> Answer<&mut ContainerInstance> {
        let text = format!("Could not find {arn}");
        self.instance(arn)
            .ok_or_else(|| fault("TargetNotFoundException", &text))
    }

    pub(super) fn deregister_container_instance(
        &mut self,
        request: DeregisterContainerInstanceRequest,
    ) -> Answer<DeregisterContainerInstanceResponse> {
        if !request.force() {
            let message = "Found running tasks on the instance.";
            return Err(fault("InvalidParameterException", message));
        }
        let name = request.container_instance().to_owned();
        let instance = self.instance(&name).map(|instance| {
            instance.status = Some("INACTIVE".to_owned());
            instance.clone()
        });
        self.instances.retain(|it| it.status() != "INACTIVE");
        Ok(DeregisterContainerInstanceResponse {
            container_instance: instance,
        })
    }

    pub(super) fn describe_usage(&mut self, request: DescribeUsageRequest) -> Answer<DescribeUsageResponse> {
        self.usage_calls.push(request);
        self.usage.clone().ok_or_else(|| Status::unimplemented("no usage"))
    }

    pub(super) fn history(&mut self, request: HistoryRequest) -> Answer<HistoryResponse> {
        self.history_calls.push(request);
        self.history
            .pop_front()
            .ok_or_else(|| Status::unimplemented("no history"))
    }

    pub(super) fn plan(&mut self, request: PlanRequest) -> Answer<PlanResponse> {
        self.plan_calls.push(request);
        self.plan.clone().ok_or_else(|| Status::unimplemented("no plan"))
    }
}
