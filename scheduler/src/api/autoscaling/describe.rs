//! DescribeScalableTargets, DescribeScalingPolicies, DescribeScalingActivities, ListTagsForResource and
//! DescribeServiceScaling.

use std::cmp::Reverse;

use berth_model::fault::{Fault, FaultClass};
use berth_model::name::{ClusterName, ServiceName};
use berth_model::scaling::{Metric, TargetTracking};
use berth_proto::v1 as wire;
use berth_scheduler_core::decide::scaling::scale::running;
use berth_scheduler_core::keys::ServiceKey;
use berth_scheduler_core::scaling::{Scaling, ScalingActivity, ScalingPolicy};
use berth_scheduler_core::state::{Service, State};

use super::super::page::Page;
use super::super::request::{at_most, given, refuse_unsupported, required};
use super::super::{Api, Caller};
use super::{DIMENSION, NAMESPACE, PROMETHEUS, TARGET_TRACKING, check_kind, in_its_words, parse_resource};

/// Items of one page, and resources that a request may name (Application Auto Scaling API).
const MAX_RESULTS: usize = 50;

/// A service that is scaled, or was.
struct Scaled<'s> {
    cluster: &'s ClusterName,
    service: &'s Service,
}

pub(in super::super) async fn targets(
    api: &Api,
    request: wire::DescribeScalableTargetsRequest,
    _: &Caller,
) -> Result<wire::DescribeScalableTargetsResponse, Fault> {
    let attempt = || {
        check(request.service_namespace.as_ref(), request.scalable_dimension.as_ref())?;
        at_most("ResourceIds", &request.resource_ids, MAX_RESULTS)?;
        let page = Page::of_at_most(request.max_results, request.next_token.as_ref(), MAX_RESULTS)?;
        let state = api.view();
        let after = page.after.clone();
        let wanted = services(&state).filter_map(|one| {
            let scaling = one.service.scaling.as_ref()?;
            let id = one.resource();
            let is_wanted = request.resource_ids.is_empty() || request.resource_ids.contains(&id);
            let is_after = after.as_ref().is_none_or(|after| *after < one.order());
            (is_wanted && is_after).then_some((one, scaling))
        });
        let (taken, next_token) = page.take(wanted, |(one, _)| one.order());
        Ok(wire::DescribeScalableTargetsResponse {
            scalable_targets: taken.iter().map(|(one, scaling)| one.target(api, scaling)).collect(),
            next_token,
        })
    };
    attempt().map_err(in_its_words)
}

pub(in super::super) async fn policies(
    api: &Api,
    request: wire::DescribeScalingPoliciesRequest,
    _: &Caller,
) -> Result<wire::DescribeScalingPoliciesResponse, Fault> {
    let attempt = || {
        check(request.service_namespace.as_ref(), request.scalable_dimension.as_ref())?;
        at_most("PolicyNames", &request.policy_names, MAX_RESULTS)?;
        let resource = resource(request.resource_id.as_ref())?;
        let page = Page::of_at_most(request.max_results, request.next_token.as_ref(), MAX_RESULTS)?;
        let state = api.view();
        let after = page.after.clone();
        let all = services(&state).filter(|one| one.is(resource.as_ref()));
        let all = all.flat_map(|one| {
            let policies = one
                .service
                .scaling
                .as_deref()
                .map_or(&[][..], |scaling| &scaling.policies);
            let order = one.order();
            policies
                .iter()
                .map(move |policy| (format!("{order}\0{}", policy.name), one.clone(), policy))
        });
        let names = &request.policy_names;
        let wanted = all.filter(|(order, _, policy)| {
            let is_wanted = names.is_empty() || names.iter().any(|name| name == policy.name.as_str());
            is_wanted && after.as_ref().is_none_or(|after| after < order)
        });
        let (taken, next_token) = page.take(wanted, |(order, _, _)| order.clone());
        Ok(wire::DescribeScalingPoliciesResponse {
            scaling_policies: taken.iter().map(|(_, one, policy)| one.policy(api, policy)).collect(),
            next_token,
        })
    };
    attempt().map_err(in_its_words)
}

pub(in super::super) async fn activities(
    api: &Api,
    request: wire::DescribeScalingActivitiesRequest,
    _: &Caller,
) -> Result<wire::DescribeScalingActivitiesResponse, Fault> {
    let attempt = || {
        let asks = request.include_not_scaled_activities == Some(true);
        refuse_unsupported(&[("IncludeNotScaledActivities", asks)])?;
        check(request.service_namespace.as_ref(), request.scalable_dimension.as_ref())?;
        let resource = resource(request.resource_id.as_ref())?;
        let page = Page::of_at_most(request.max_results, request.next_token.as_ref(), MAX_RESULTS)?;
        let state = api.view();
        let mut all: Vec<(Reverse<i64>, u64, Scaled<'_>, usize)> = Vec::new();
        for one in services(&state).filter(|one| one.is(resource.as_ref())) {
            for (at, activity) in one.service.activities.iter().enumerate() {
                all.push((Reverse(activity.did.at.as_millis()), activity.id, one.clone(), at));
            }
        }
        all.sort_by_key(|(at, id, _, _)| (*at, *id));
        let key = |at: &Reverse<i64>, id: &u64| format!("{}/{id}", at.0);
        // What came after the last page stands before it: a page goes on behind its last one.
        let rest = match &page.after {
            None => 0,
            Some(after) => all
                .iter()
                .position(|(at, id, _, _)| key(at, id) == *after)
                .map_or(all.len(), |at| at + 1),
        };
        let (taken, next_token) = page.take(all.iter().skip(rest), |(at, id, _, _)| key(at, id));
        Ok(wire::DescribeScalingActivitiesResponse {
            scaling_activities: taken
                .iter()
                .filter_map(|(_, _, one, at)| one.activity(&state, *at))
                .collect(),
            next_token,
        })
    };
    attempt().map_err(in_its_words)
}

pub(in super::super) async fn tags(
    api: &Api,
    request: wire::ListTagsForScalableTargetRequest,
    _: &Caller,
) -> Result<wire::ListTagsForScalableTargetResponse, Fault> {
    let arn = required("ResourceARN", request.resource_arn.as_ref()).map_err(in_its_words)?;
    let state = api.view();
    let is_it = |scaling: &Scaling| api.namespace.scalable_target(scaling.id) == arn;
    let known = services(&state).any(|one| one.service.scaling.as_deref().is_some_and(is_it));
    if !known {
        let text = format!("The specified scalable target {arn} doesn't exist.");
        return Err(Fault::new(FaultClass::ResourceNotFound, text));
    }
    Ok(wire::ListTagsForScalableTargetResponse::default())
}

/// How one service is scaled, what is measured of it, and what follows.
pub(in super::super) fn service(
    api: &Api,
    request: &wire::DescribeServiceScalingRequest,
) -> Result<wire::DescribeServiceScalingResponse, Fault> {
    let cluster = api.cluster(given(request.cluster.as_ref()))?;
    let service = required("service", Some(&request.service))?;
    let service = api.namespace.parse_service(&cluster, service)?;
    let state = api.view();
    let key = ServiceKey {
        cluster: state.active_cluster(&cluster)?.key,
        service,
    };
    let service = state.service(&key).ok_or_else(Fault::service_not_found)?;
    let one = Scaled {
        cluster: &cluster,
        service,
    };
    let policies = service.scaling.as_deref().map_or(&[][..], |scaling| &scaling.policies);
    let reading = |policy: &ScalingPolicy| {
        let tracking = &policy.tracking;
        let read = api.scaling.reading(&key, &tracking.metric);
        wire::MetricReading {
            policy_name: policy.name.to_string(),
            metric: tracking.metric.to_string(),
            target: tracking.target,
            value: read.newest.map(|sample| sample.value),
            at: read.newest.map(|sample| sample.at.as_epoch_seconds()),
            problem: read.problem.map(|problem| problem.to_string()),
        }
    };
    let looked = api.scaling.looked(&key).filter(|_| service.scaling.is_some());
    Ok(wire::DescribeServiceScalingResponse {
        target: service.scaling.as_ref().map(|scaling| one.target(api, scaling)),
        policies: policies.iter().map(|policy| one.policy(api, policy)).collect(),
        readings: policies.iter().map(reading).collect(),
        activities: (0..service.activities.len())
            .filter_map(|at| one.activity(&state, at))
            .collect(),
        desired_count: service.spec.desired,
        running_count: running(&state, service),
        verdict: looked.as_ref().map(|looked| looked.verdict.to_string()),
        looked_at: looked.map(|looked| looked.at.as_epoch_seconds()),
    })
}

fn check(namespace: Option<&String>, dimension: Option<&String>) -> Result<(), Fault> {
    check_kind(required("ServiceNamespace", namespace)?, given(dimension))
}

fn resource(text: Option<&String>) -> Result<Option<(ClusterName, ServiceName)>, Fault> {
    given(text).map(parse_resource).transpose()
}

/// All services, by cluster and name.
fn services(state: &State) -> impl Iterator<Item = Scaled<'_>> {
    state.clusters().flat_map(|cluster| {
        state.services_of(cluster.key).map(|service| Scaled {
            cluster: &cluster.name,
            service,
        })
    })
}

impl Clone for Scaled<'_> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl Scaled<'_> {
    fn resource(&self) -> String {
        format!("service/{}/{}", self.cluster, self.service.name)
    }

    /// Sorts as clusters and services do, whatever is in their names.
    fn order(&self) -> String {
        format!("{}\0{}", self.cluster, self.service.name)
    }

    fn is(&self, resource: Option<&(ClusterName, ServiceName)>) -> bool {
        resource.is_none_or(|(cluster, service)| cluster == self.cluster && *service == self.service.name)
    }

    fn target(&self, api: &Api, scaling: &Scaling) -> wire::ScalableTarget {
        let suspended = scaling.suspended;
        wire::ScalableTarget {
            service_namespace: NAMESPACE.to_owned(),
            resource_id: self.resource(),
            scalable_dimension: DIMENSION.to_owned(),
            min_capacity: scaling.capacity.min,
            max_capacity: scaling.capacity.max,
            role_arn: api.namespace.scaling_role(),
            creation_time: scaling.created_at.as_epoch_seconds(),
            suspended_state: Some(wire::SuspendedState {
                dynamic_scaling_in_suspended: Some(suspended.scale_in),
                dynamic_scaling_out_suspended: Some(suspended.scale_out),
                scheduled_scaling_suspended: Some(suspended.scheduled),
            }),
            scalable_target_arn: api.namespace.scalable_target(scaling.id),
        }
    }

    fn policy(&self, api: &Api, policy: &ScalingPolicy) -> wire::ScalingPolicy {
        wire::ScalingPolicy {
            policy_arn: api
                .namespace
                .scaling_policy(self.cluster, &self.service.name, policy.id, &policy.name),
            policy_name: policy.name.to_string(),
            service_namespace: NAMESPACE.to_owned(),
            resource_id: self.resource(),
            scalable_dimension: DIMENSION.to_owned(),
            policy_type: TARGET_TRACKING.to_owned(),
            target_tracking: Some(tracking(&policy.tracking)),
            alarms: Vec::new(),
            creation_time: policy.created_at.as_epoch_seconds(),
        }
    }

    fn activity(&self, state: &State, at: usize) -> Option<wire::ScalingActivity> {
        let ScalingActivity { id, did, cause } = self.service.activities.get(at)?;
        let to = did.to;
        let set = format!("Successfully set desired count to {to}.");
        let later = at.checked_sub(1).and_then(|later| self.service.activities.get(later));
        let now = later.map_or(self.service.spec.desired, |later| later.did.from);
        let (status, message) = if now != to {
            ("Overridden", format!("{set} Found it was later changed to {now}."))
        } else if later.is_none() && running(state, self.service) != to {
            (
                "InProgress",
                format!("{set} Waiting for change to be fulfilled by ecs."),
            )
        } else {
            ("Successful", format!("{set} Change successfully fulfilled by ecs."))
        };
        Some(wire::ScalingActivity {
            activity_id: format!("{id:016x}"),
            service_namespace: NAMESPACE.to_owned(),
            resource_id: self.resource(),
            scalable_dimension: DIMENSION.to_owned(),
            description: format!("Setting desired count to {to}."),
            cause: cause.to_string(),
            start_time: did.at.as_epoch_seconds(),
            status_code: status.to_owned(),
            status_message: message,
        })
    }
}

fn tracking(tracking: &TargetTracking) -> wire::TargetTracking {
    let (predefined, customized) = match &tracking.metric {
        Metric::Predefined(metric) => {
            let predefined = wire::PredefinedMetric {
                predefined_metric_type: Some(metric.name().to_owned()),
                resource_label: tracking.resource_label.clone(),
            };
            (Some(predefined), None)
        }
        Metric::Prometheus(query) => {
            let customized = wire::CustomizedMetric {
                metric_name: Some(query.clone()),
                namespace: Some(PROMETHEUS.to_owned()),
                statistic: Some("Average".to_owned()),
                ..wire::CustomizedMetric::default()
            };
            (None, Some(customized))
        }
    };
    let seconds = |span: std::time::Duration| i32::try_from(span.as_secs()).ok();
    let tasks = |most: Option<u32>| most.and_then(|most| i32::try_from(most).ok());
    wire::TargetTracking {
        target_value: Some(tracking.target),
        predefined_metric: predefined,
        customized_metric: customized,
        scale_out_cooldown: seconds(tracking.scale_out_cooldown),
        scale_in_cooldown: seconds(tracking.scale_in_cooldown),
        disable_scale_in: Some(tracking.disable_scale_in),
        maximum_scale_out_step: tasks(tracking.most_out),
        maximum_scale_in_step: tasks(tracking.most_in),
    }
}
