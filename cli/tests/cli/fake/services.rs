//! Services, as far as `berth` can tell them from real ones: they become what a test says with each look at them.

#![expect(
    clippy::needless_pass_by_value,
    reason = "an operation takes its request whole, whether it uses it up or not"
)]

use berth_proto::ecs::v1::*;
use berth_proto::v1::{DescribeTargetsRequest, DescribeTargetsResponse};

use super::State;
use super::operations::{Answer, fault, last, missing, page};
use super::state::{ARN, definition_arn};

/// An ACTIVE service of three tasks, all of which run, that consists of these deployments, the newest first.
pub(crate) fn service(name: &str, deployments: Vec<Deployment>) -> Service {
    Service {
        service_arn: Some(service_arn(name)),
        service_name: Some(name.to_owned()),
        status: Some("ACTIVE".to_owned()),
        task_definition: deployments.first().and_then(|first| first.task_definition.clone()),
        scheduling_strategy: Some("REPLICA".to_owned()),
        desired_count: Some(3),
        running_count: Some(deployments.iter().map(Deployment::running_count).sum()),
        pending_count: Some(0),
        deployments,
        ..Default::default()
    }
}

/// A deployment of a revision of `web` that runs so many of three tasks; its id ends in that revision.
pub(crate) fn deployment(revision: i32, running: i32, rollout: &str) -> Deployment {
    Deployment {
        id: Some(format!("ecs-svc/{revision}")),
        status: Some("PRIMARY".to_owned()),
        task_definition: Some(definition_arn("web", revision)),
        desired_count: Some(3),
        running_count: Some(running),
        pending_count: Some(0),
        failed_tasks: Some(0),
        rollout_state: Some(rollout.to_owned()),
        rollout_state_reason: Some(format!("it is {rollout}.")),
        ..Default::default()
    }
}

/// The same in a list of deployments.
pub(crate) fn deployment_brief(revision: i32, status: &str) -> ServiceDeploymentBrief {
    ServiceDeploymentBrief {
        service_deployment_arn: Some(format!("{ARN}:service-deployment/default/web/{revision}")),
        service_arn: Some(service_arn("web")),
        target_service_revision_arn: Some(format!("{ARN}:service-revision/default/web/{revision}")),
        status: Some(status.to_owned()),
        ..Default::default()
    }
}

fn service_arn(name: &str) -> String {
    format!("{ARN}:service/default/{name}")
}

impl State {
    /// Each target is of the service that is asked for.
    pub(super) fn describe_targets(&mut self, request: DescribeTargetsRequest) -> Answer<DescribeTargetsResponse> {
        self.service(&request.service)?;
        Ok(DescribeTargetsResponse {
            targets: self.targets.clone(),
        })
    }

    fn service(&mut self, name: &str) -> Answer<&mut Service> {
        let found = self.services.iter_mut().find(|it| it.service_name() == last(name));
        found.ok_or_else(|| fault("ServiceNotFoundException", "Service not found."))
    }

    pub(super) fn create_service(&mut self, request: CreateServiceRequest) -> Answer<CreateServiceResponse> {
        let mut created = service(request.service_name(), vec![deployment(1, 0, "IN_PROGRESS")]);
        created.tags = request.tags.clone();
        if let Some(arn) = request.task_definition.as_ref().filter(|name| name.starts_with("arn:")) {
            created.task_definition = Some(arn.clone());
        }
        self.creations.push(request);
        self.services.push(created.clone());
        Ok(CreateServiceResponse { service: Some(created) })
    }

    /// A new definition is a new deployment.
    pub(super) fn update_service(&mut self, request: UpdateServiceRequest) -> Answer<UpdateServiceResponse> {
        self.updates.push(request.clone());
        let service = self.service(request.service())?;
        if let Some(definition) = request.task_definition {
            let mut begun = deployment(0, 0, "IN_PROGRESS");
            begun.task_definition = Some(definition);
            service.deployments.insert(0, begun);
        }
        Ok(UpdateServiceResponse {
            service: Some(service.clone()),
        })
    }

    pub(super) fn tag_resource(&mut self, request: TagResourceRequest) -> Answer<TagResourceResponse> {
        let arn = request.resource_arn().to_owned();
        for service in self.services.iter_mut().filter(|service| service.service_arn() == arn) {
            for tag in &request.tags {
                service.tags.retain(|there| there.key != tag.key);
                service.tags.push(tag.clone());
            }
        }
        self.tagged.push(request);
        Ok(TagResourceResponse {})
    }

    pub(super) fn delete_service(&mut self, request: DeleteServiceRequest) -> Answer<DeleteServiceResponse> {
        let force = request.force();
        let name = request.service().to_owned();
        self.deletions.push(request);
        let service = self.service(&name)?;
        if service.desired_count() > 0 && !force {
            let message = "The service cannot be stopped while it is scaled above 0.";
            return Err(fault("InvalidParameterException", message));
        }
        service.status = Some("DRAINING".to_owned());
        Ok(DeleteServiceResponse {
            service: Some(service.clone()),
        })
    }

    pub(super) fn list_services(&mut self, request: ListServicesRequest) -> Answer<ListServicesResponse> {
        let all = self.services.iter().map(|it| it.service_arn().to_owned()).collect();
        let (service_arns, next_token) = page(all, request.next_token)?;
        Ok(ListServicesResponse {
            service_arns,
            next_token,
        })
    }

    pub(super) fn describe_services(&mut self, request: DescribeServicesRequest) -> Answer<DescribeServicesResponse> {
        if let (Some(next), Some(first)) = (self.next.pop_front(), self.services.first_mut()) {
            *first = next;
        }
        let mut answer = DescribeServicesResponse::default();
        for name in &request.services {
            match self.service(name) {
                Ok(service) => answer.services.push(service.clone()),
                Err(_) => answer.failures.push(missing(&service_arn(last(name)))),
            }
        }
        Ok(answer)
    }

    pub(super) fn list_service_deployments(
        &mut self,
        request: ListServiceDeploymentsRequest,
    ) -> Answer<ListServiceDeploymentsResponse> {
        self.service(request.service())?;
        Ok(ListServiceDeploymentsResponse {
            service_deployments: self.deployments.clone(),
            next_token: None,
        })
    }

    /// Revision N of the service runs `web:N`.
    pub(super) fn describe_service_revisions(
        &mut self,
        request: DescribeServiceRevisionsRequest,
    ) -> Answer<DescribeServiceRevisionsResponse> {
        let revisions = request.service_revision_arns.iter().map(|arn| ServiceRevision {
            service_revision_arn: Some(arn.clone()),
            task_definition: Some(definition_arn("web", last(arn).parse().unwrap_or_default())),
            ..Default::default()
        });
        Ok(DescribeServiceRevisionsResponse {
            service_revisions: revisions.collect(),
            failures: Vec::new(),
        })
    }

    pub(super) fn stop_service_deployment(
        &mut self,
        request: StopServiceDeploymentRequest,
    ) -> Answer<StopServiceDeploymentResponse> {
        if request.stop_type() != "ROLLBACK" {
            return Err(fault("UnsupportedFeatureException", "stopType"));
        }
        self.stopped.push(request.service_deployment_arn().to_owned());
        Ok(StopServiceDeploymentResponse {
            service_deployment_arn: request.service_deployment_arn,
        })
    }
}
