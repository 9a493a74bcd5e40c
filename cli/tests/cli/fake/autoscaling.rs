//! Auto scaling, as far as `berth` can tell it from the real one.

#![expect(
    clippy::needless_pass_by_value,
    reason = "an operation takes its request whole, whether it uses it up or not"
)]

use berth_proto::v1::*;

use super::State;
use super::operations::{Answer, fault, last, page};

impl State {
    fn scaled(&mut self, resource: &str) -> &mut DescribeServiceScalingResponse {
        let scaled = self.scaling.entry(resource.to_owned()).or_default();
        scaled.target.get_or_insert_with(|| ScalableTarget {
            resource_id: resource.to_owned(),
            ..Default::default()
        });
        scaled
    }

    pub(super) fn register_scalable_target(
        &mut self,
        request: RegisterScalableTargetRequest,
    ) -> Answer<RegisterScalableTargetResponse> {
        let (min, max) = (request.min_capacity(), request.max_capacity());
        let target = self.scaled(request.resource_id()).target.get_or_insert_default();
        (target.min_capacity, target.max_capacity) = (min.unsigned_abs(), max.unsigned_abs());
        target.suspended_state = request.suspended_state;
        self.scalable_targets.push(request);
        Ok(RegisterScalableTargetResponse::default())
    }

    pub(super) fn deregister_scalable_target(
        &mut self,
        request: DeregisterScalableTargetRequest,
    ) -> Answer<DeregisterScalableTargetResponse> {
        match self.scaling.remove(request.resource_id()) {
            Some(_) => Ok(DeregisterScalableTargetResponse::default()),
            None => Err(fault("ObjectNotFoundException", "No scalable target found.")),
        }
    }

    pub(super) fn put_scaling_policy(&mut self, request: PutScalingPolicyRequest) -> Answer<PutScalingPolicyResponse> {
        let scaled = self.scaled(request.resource_id());
        let tracking = request.target_tracking.clone().unwrap_or_default();
        scaled.policies.push(ScalingPolicy {
            policy_name: request.policy_name().to_owned(),
            resource_id: request.resource_id().to_owned(),
            target_tracking: Some(tracking.clone()),
            ..Default::default()
        });
        scaled.readings.push(MetricReading {
            policy_name: request.policy_name().to_owned(),
            metric: "metric".to_owned(),
            target: tracking.target_value(),
            value: Some(41.25),
            ..Default::default()
        });
        self.policies.push(request);
        Ok(PutScalingPolicyResponse::default())
    }

    pub(super) fn delete_scaling_policy(
        &mut self,
        request: DeleteScalingPolicyRequest,
    ) -> Answer<DeleteScalingPolicyResponse> {
        let scaled = self.scaled(request.resource_id());
        scaled
            .policies
            .retain(|policy| policy.policy_name != request.policy_name());
        Ok(DeleteScalingPolicyResponse::default())
    }

    pub(super) fn describe_scalable_targets(
        &mut self,
        request: DescribeScalableTargetsRequest,
    ) -> Answer<DescribeScalableTargetsResponse> {
        let (names, next_token) = page(self.scaling.keys().cloned().collect(), request.next_token)?;
        let targets = names.iter().filter_map(|name| self.scaling[name].target.clone());
        Ok(DescribeScalableTargetsResponse {
            scalable_targets: targets.collect(),
            next_token,
        })
    }

    pub(super) fn describe_scaling_policies(
        &mut self,
        request: DescribeScalingPoliciesRequest,
    ) -> Answer<DescribeScalingPoliciesResponse> {
        let (names, next_token) = page(self.scaling.keys().cloned().collect(), request.next_token)?;
        let policies = names.iter().flat_map(|name| self.scaling[name].policies.clone());
        Ok(DescribeScalingPoliciesResponse {
            scaling_policies: policies.collect(),
            next_token,
        })
    }

    /// Of a service that nobody has arranged nothing is scaled.
    pub(super) fn describe_service_scaling(
        &mut self,
        request: DescribeServiceScalingRequest,
    ) -> Answer<DescribeServiceScalingResponse> {
        let resource = format!("service/default/{}", last(&request.service));
        Ok(self.scaling.get(&resource).cloned().unwrap_or_default())
    }
}
