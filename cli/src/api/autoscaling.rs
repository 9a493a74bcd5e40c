//! Auto scaling of services.

use berth_proto::v1::auto_scaling_client::AutoScalingClient;
use berth_proto::v1::{
    DeleteScalingPolicyRequest, DeleteScalingPolicyResponse, DeregisterScalableTargetRequest,
    DeregisterScalableTargetResponse, DescribeScalableTargetsRequest, DescribeScalableTargetsResponse,
    DescribeScalingPoliciesRequest, DescribeScalingPoliciesResponse, DescribeServiceScalingRequest,
    DescribeServiceScalingResponse, PutScalingPolicyRequest, PutScalingPolicyResponse, RegisterScalableTargetRequest,
    RegisterScalableTargetResponse,
};
use prost::Message;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::{Api, CallError};

/// What a request names besides the service: ECS services are all that is scaled.
const NAMESPACE: &str = "ecs";
const DIMENSION: &str = "ecs:service:DesiredCount";

impl Api {
    async fn scaling<Q: Message, A>(
        &self,
        operation: &'static str,
        request: Q,
        send: impl AsyncFnOnce(AutoScalingClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, CallError> {
        let client = AutoScalingClient::new(self.channel.clone());
        self.bounded("berth.v1.AutoScaling", operation, request, async |request| {
            send(client, request).await
        })
        .await
    }

    /// `service/CLUSTER/SERVICE` of the cluster that is meant; the service by its name or ARN.
    fn resource(&self, service: &str) -> String {
        match service.split_once(":service/") {
            Some((_, of_arn)) => format!("service/{of_arn}"),
            None => format!("{}{service}", self.resource_prefix()),
        }
    }

    /// What the resources of all services of the cluster begin with.
    pub(crate) fn resource_prefix(&self) -> String {
        let cluster = self.cluster.as_deref().unwrap_or("default");
        format!("service/{}/", cluster.rsplit('/').next().unwrap_or_default())
    }

    /// Sets bounds; which service they are of is filled in.
    pub(crate) async fn register_scalable_target(
        &self,
        service: &str,
        request: RegisterScalableTargetRequest,
    ) -> Result<RegisterScalableTargetResponse, CallError> {
        let request = RegisterScalableTargetRequest {
            service_namespace: Some(NAMESPACE.to_owned()),
            resource_id: Some(self.resource(service)),
            scalable_dimension: Some(DIMENSION.to_owned()),
            ..request
        };
        self.scaling("RegisterScalableTarget", request, async |mut scaling, request| {
            scaling.register_scalable_target(request).await
        })
        .await
    }

    pub(crate) async fn deregister_scalable_target(
        &self,
        service: &str,
    ) -> Result<DeregisterScalableTargetResponse, CallError> {
        let request = DeregisterScalableTargetRequest {
            service_namespace: Some(NAMESPACE.to_owned()),
            resource_id: Some(self.resource(service)),
            scalable_dimension: Some(DIMENSION.to_owned()),
        };
        self.scaling("DeregisterScalableTarget", request, async |mut scaling, request| {
            scaling.deregister_scalable_target(request).await
        })
        .await
    }

    /// Makes or replaces a policy; which service it is of is filled in.
    pub(crate) async fn put_scaling_policy(
        &self,
        service: &str,
        request: PutScalingPolicyRequest,
    ) -> Result<PutScalingPolicyResponse, CallError> {
        let request = PutScalingPolicyRequest {
            service_namespace: Some(NAMESPACE.to_owned()),
            resource_id: Some(self.resource(service)),
            scalable_dimension: Some(DIMENSION.to_owned()),
            ..request
        };
        self.scaling("PutScalingPolicy", request, async |mut scaling, request| {
            scaling.put_scaling_policy(request).await
        })
        .await
    }

    pub(crate) async fn delete_scaling_policy(
        &self,
        service: &str,
        policy: String,
    ) -> Result<DeleteScalingPolicyResponse, CallError> {
        let request = DeleteScalingPolicyRequest {
            policy_name: Some(policy),
            service_namespace: Some(NAMESPACE.to_owned()),
            resource_id: Some(self.resource(service)),
            scalable_dimension: Some(DIMENSION.to_owned()),
        };
        self.scaling("DeleteScalingPolicy", request, async |mut scaling, request| {
            scaling.delete_scaling_policy(request).await
        })
        .await
    }

    /// The services of all clusters that are scaled.
    pub(crate) async fn all_scalable_targets(&self) -> Result<DescribeScalableTargetsResponse, CallError> {
        let mut all = DescribeScalableTargetsResponse::default();
        loop {
            let request = DescribeScalableTargetsRequest {
                service_namespace: Some(NAMESPACE.to_owned()),
                next_token: all.next_token.take(),
                ..Default::default()
            };
            let page = self
                .scaling("DescribeScalableTargets", request, async |mut scaling, request| {
                    scaling.describe_scalable_targets(request).await
                })
                .await?;
            all.scalable_targets.extend(page.scalable_targets);
            all.next_token = page.next_token;
            if all.next_token.is_none() {
                return Ok(all);
            }
        }
    }

    /// The policies of services of all clusters.
    pub(crate) async fn all_scaling_policies(&self) -> Result<DescribeScalingPoliciesResponse, CallError> {
        let mut all = DescribeScalingPoliciesResponse::default();
        loop {
            let request = DescribeScalingPoliciesRequest {
                service_namespace: Some(NAMESPACE.to_owned()),
                next_token: all.next_token.take(),
                ..Default::default()
            };
            let page = self
                .scaling("DescribeScalingPolicies", request, async |mut scaling, request| {
                    scaling.describe_scaling_policies(request).await
                })
                .await?;
            all.scaling_policies.extend(page.scaling_policies);
            all.next_token = page.next_token;
            if all.next_token.is_none() {
                return Ok(all);
            }
        }
    }

    /// How a service is scaled, what is measured of it, and what follows.
    pub(crate) async fn service_scaling(&self, service: String) -> Result<DescribeServiceScalingResponse, CallError> {
        let request = DescribeServiceScalingRequest {
            cluster: self.cluster.clone(),
            service,
        };
        self.berth("DescribeServiceScaling", request, async |mut berth, request| {
            berth.describe_service_scaling(request).await
        })
        .await
    }
}
