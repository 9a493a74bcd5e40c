//! Services.

use berth_proto::ecs::v1::{
    CreateServiceRequest, CreateServiceResponse, DeleteServiceRequest, DeleteServiceResponse,
    DescribeServiceRevisionsRequest, DescribeServiceRevisionsResponse, DescribeServicesRequest,
    DescribeServicesResponse, ListServiceDeploymentsRequest, ListServiceDeploymentsResponse, ListServicesRequest,
    Service, StopServiceDeploymentRequest, StopServiceDeploymentResponse, Tag, TagResourceRequest, TagResourceResponse,
    UpdateServiceRequest, UpdateServiceResponse,
};

use berth_proto::v1::{DescribeTargetsRequest, DescribeTargetsResponse};

use super::{Api, CallError};

/// The most services that ECS describes in one call.
const DESCRIBE_SERVICES_AT_MOST: usize = 10;
/// The most ARNs that ECS lists in one call.
const LIST_AT_MOST: i32 = 100;

impl Api {
    /// How the tasks of a service are doing as targets of its load balancers.
    pub(crate) async fn targets(&self, service: String) -> Result<DescribeTargetsResponse, CallError> {
        let request = DescribeTargetsRequest {
            cluster: self.cluster.clone(),
            service,
        };
        self.berth("DescribeTargets", request, async |mut berth, request| {
            berth.describe_targets(request).await
        })
        .await
    }

    pub(crate) async fn create_service(
        &self,
        request: CreateServiceRequest,
    ) -> Result<CreateServiceResponse, CallError> {
        let request = CreateServiceRequest {
            cluster: self.cluster.clone(),
            ..request
        };
        self.ecs("CreateService", request, async |mut ecs, request| {
            ecs.create_service(request).await
        })
        .await
    }

    pub(crate) async fn update_service(
        &self,
        request: UpdateServiceRequest,
    ) -> Result<UpdateServiceResponse, CallError> {
        let request = UpdateServiceRequest {
            cluster: self.cluster.clone(),
            ..request
        };
        self.ecs("UpdateService", request, async |mut ecs, request| {
            ecs.update_service(request).await
        })
        .await
    }

    /// Sets tags of a service, by its ARN.
    pub(crate) async fn tag(&self, arn: &str, tags: Vec<Tag>) -> Result<TagResourceResponse, CallError> {
        let request = TagResourceRequest {
            resource_arn: Some(arn.to_owned()),
            tags,
        };
        self.ecs("TagResource", request, async |mut ecs, request| {
            ecs.tag_resource(request).await
        })
        .await
    }

    pub(crate) async fn delete_service(
        &self,
        service: String,
        force: bool,
    ) -> Result<DeleteServiceResponse, CallError> {
        let request = DeleteServiceRequest {
            cluster: self.cluster.clone(),
            service: Some(service),
            force: Some(force),
        };
        self.ecs("DeleteService", request, async |mut ecs, request| {
            ecs.delete_service(request).await
        })
        .await
    }

    /// The named services; those that do not exist are among the failures.
    pub(crate) async fn describe_services(&self, services: &[String]) -> Result<DescribeServicesResponse, CallError> {
        self.described(services, &[]).await
    }

    /// Those of the named services that exist, with their tags.
    pub(crate) async fn tagged_services(&self, services: &[String]) -> Result<Vec<Service>, CallError> {
        Ok(self.described(services, &["TAGS"]).await?.services)
    }

    async fn described(&self, services: &[String], include: &[&str]) -> Result<DescribeServicesResponse, CallError> {
        let mut all = DescribeServicesResponse::default();
        for chunk in services.chunks(DESCRIBE_SERVICES_AT_MOST) {
            let request = DescribeServicesRequest {
                cluster: self.cluster.clone(),
                services: chunk.to_vec(),
                include: include.iter().map(|&what| what.to_owned()).collect(),
            };
            let part = self
                .ecs("DescribeServices", request, async |mut ecs, request| {
                    ecs.describe_services(request).await
                })
                .await?;
            all.services.extend(part.services);
            all.failures.extend(part.failures);
        }
        Ok(all)
    }

    /// All services of the cluster, described.
    pub(crate) async fn all_services(&self) -> Result<DescribeServicesResponse, CallError> {
        self.describe_services(&self.list_services().await?).await
    }

    /// All services of the cluster, with their tags.
    pub(crate) async fn all_tagged_services(&self) -> Result<Vec<Service>, CallError> {
        self.tagged_services(&self.list_services().await?).await
    }

    async fn list_services(&self) -> Result<Vec<String>, CallError> {
        let mut arns = Vec::new();
        let mut next_token = None;
        loop {
            let request = ListServicesRequest {
                cluster: self.cluster.clone(),
                next_token,
                max_results: Some(LIST_AT_MOST),
                ..Default::default()
            };
            let page = self
                .ecs("ListServices", request, async |mut ecs, request| {
                    ecs.list_services(request).await
                })
                .await?;
            arns.extend(page.service_arns);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(arns);
            }
        }
    }

    /// The deployments of a service that are remembered, the newest first: at most [`LIST_AT_MOST`], which is more than
    /// a scheduler remembers.
    pub(crate) async fn service_deployments(
        &self,
        service: String,
    ) -> Result<ListServiceDeploymentsResponse, CallError> {
        let request = ListServiceDeploymentsRequest {
            cluster: self.cluster.clone(),
            service: Some(service),
            max_results: Some(LIST_AT_MOST),
            ..Default::default()
        };
        self.ecs("ListServiceDeployments", request, async |mut ecs, request| {
            ecs.list_service_deployments(request).await
        })
        .await
    }

    /// What a deployment consists of, by the ARN of its revision.
    pub(crate) async fn service_revision(&self, arn: String) -> Result<DescribeServiceRevisionsResponse, CallError> {
        let request = DescribeServiceRevisionsRequest {
            service_revision_arns: vec![arn],
        };
        self.ecs("DescribeServiceRevisions", request, async |mut ecs, request| {
            ecs.describe_service_revisions(request).await
        })
        .await
    }

    /// Gives a deployment up and goes back to what was there before it.
    pub(crate) async fn roll_back(&self, deployment: String) -> Result<StopServiceDeploymentResponse, CallError> {
        let request = StopServiceDeploymentRequest {
            service_deployment_arn: Some(deployment),
            stop_type: Some("ROLLBACK".to_owned()),
        };
        self.ecs("StopServiceDeployment", request, async |mut ecs, request| {
            ecs.stop_service_deployment(request).await
        })
        .await
    }
}
