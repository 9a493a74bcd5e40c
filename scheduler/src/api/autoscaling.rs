//! Application Auto Scaling's operations on ECS services (API 2016-02-06): RegisterScalableTarget,
//! DeregisterScalableTarget, PutScalingPolicy and DeleteScalingPolicy. Faults are in its words.

pub(super) mod describe;

use berth_model::fault::{Fault, FaultClass};
use berth_model::name::{ClusterName, PolicyName, ServiceName};
use berth_model::scaling::{Metric, PredefinedMetric, RawTracking, TargetTracking};
use berth_proto::v1 as wire;
use berth_scheduler_core::decide::scaling::{
    DeleteScalingPolicy, DeregisterScalableTarget, PutScalingPolicy, RegisterScalableTarget,
};
use berth_scheduler_core::keys::ServiceKey;

use super::request::{given, one_of, refuse_unsupported, required};
use super::{Api, Caller};

const NAMESPACE: &str = "ecs";
const DIMENSION: &str = "ecs:service:DesiredCount";
const TARGET_TRACKING: &str = "TargetTrackingScaling";
/// What a query's metric says as its namespace.
const PROMETHEUS: &str = "Prometheus";

pub(super) async fn register(
    api: &Api,
    request: wire::RegisterScalableTargetRequest,
    caller: &Caller,
) -> Result<wire::RegisterScalableTargetResponse, Fault> {
    let attempt = async || {
        refuse_unsupported(&[("Tags", !request.tags.is_empty())])?;
        let (cluster, service) = named(
            request.service_namespace.as_ref(),
            request.resource_id.as_ref(),
            request.scalable_dimension.as_ref(),
        )?;
        let suspended = request.suspended_state.unwrap_or_default();
        let command = RegisterScalableTarget {
            cluster,
            service,
            min: request.min_capacity.map(i64::from),
            max: request.max_capacity.map(i64::from),
            scale_in_suspended: suspended.dynamic_scaling_in_suspended,
            scale_out_suspended: suspended.dynamic_scaling_out_suspended,
            scheduled_suspended: suspended.scheduled_scaling_suspended,
        };
        let key = api.submit(command, caller).await?;
        let state = api.view();
        let scaling = state.service(&key).and_then(|service| service.scaling.as_ref());
        Ok(wire::RegisterScalableTargetResponse {
            scalable_target_arn: scaling.map(|scaling| api.namespace.scalable_target(scaling.id)),
        })
    };
    attempt().await.map_err(in_its_words)
}

pub(super) async fn deregister(
    api: &Api,
    request: wire::DeregisterScalableTargetRequest,
    caller: &Caller,
) -> Result<wire::DeregisterScalableTargetResponse, Fault> {
    let attempt = async || {
        let (cluster, service) = named(
            request.service_namespace.as_ref(),
            request.resource_id.as_ref(),
            request.scalable_dimension.as_ref(),
        )?;
        api.submit(DeregisterScalableTarget { cluster, service }, caller).await
    };
    attempt().await.map_err(in_its_words)?;
    Ok(wire::DeregisterScalableTargetResponse {})
}

pub(super) async fn put_policy(
    api: &Api,
    request: wire::PutScalingPolicyRequest,
    caller: &Caller,
) -> Result<wire::PutScalingPolicyResponse, Fault> {
    let attempt = async || {
        refuse_unsupported(&[
            ("StepScalingPolicyConfiguration", request.step_scaling.is_some()),
            (
                "PredictiveScalingPolicyConfiguration",
                request.predictive_scaling.is_some(),
            ),
        ])?;
        // Application Auto Scaling's default is StepScaling.
        one_of(
            "PolicyType",
            required("PolicyType", request.policy_type.as_ref())?,
            &[TARGET_TRACKING],
        )?;
        let (cluster, service) = named(
            request.service_namespace.as_ref(),
            request.resource_id.as_ref(),
            request.scalable_dimension.as_ref(),
        )?;
        let name = PolicyName::parse(required("PolicyName", request.policy_name.as_ref())?)?;
        let tracking = request.target_tracking.as_ref().ok_or_else(|| {
            Fault::invalid(format!(
                "TargetTrackingScalingPolicyConfiguration must be given for a policy of type {TARGET_TRACKING}."
            ))
        })?;
        let tracking = read_tracking(api, &cluster, &service, tracking)?;
        let command = PutScalingPolicy {
            cluster: cluster.clone(),
            service: service.clone(),
            name: name.clone(),
            tracking,
        };
        let key = api.submit(command, caller).await?;
        let state = api.view();
        let scaling = state.service(&key).and_then(|service| service.scaling.as_ref());
        let policy = scaling.and_then(|scaling| scaling.policy(&name));
        Ok(wire::PutScalingPolicyResponse {
            policy_arn: policy.map(|policy| api.namespace.scaling_policy(&cluster, &service, policy.id, &name)),
            alarms: Vec::new(),
        })
    };
    attempt().await.map_err(in_its_words)
}

pub(super) async fn delete_policy(
    api: &Api,
    request: wire::DeleteScalingPolicyRequest,
    caller: &Caller,
) -> Result<wire::DeleteScalingPolicyResponse, Fault> {
    let attempt = async || {
        let (cluster, service) = named(
            request.service_namespace.as_ref(),
            request.resource_id.as_ref(),
            request.scalable_dimension.as_ref(),
        )?;
        let name = PolicyName::parse(required("PolicyName", request.policy_name.as_ref())?)?;
        let command = DeleteScalingPolicy { cluster, service, name };
        api.submit(command, caller).await
    };
    attempt().await.map_err(in_its_words)?;
    Ok(wire::DeleteScalingPolicyResponse {})
}

/// A fault as Application Auto Scaling classes it: it has one class for all that is wrong with a request.
pub(super) fn in_its_words(fault: Fault) -> Fault {
    const CALLERS: [FaultClass; 3] = [
        FaultClass::InvalidParameter,
        FaultClass::Client,
        FaultClass::UnsupportedFeature,
    ];
    if CALLERS.contains(&fault.class) {
        return Fault::new(FaultClass::Validation, fault.message);
    }
    fault
}

/// The service that a request names; all three members are required.
fn named(
    namespace: Option<&String>,
    resource: Option<&String>,
    dimension: Option<&String>,
) -> Result<(ClusterName, ServiceName), Fault> {
    check_kind(
        required("ServiceNamespace", namespace)?,
        Some(required("ScalableDimension", dimension)?),
    )?;
    parse_resource(required("ResourceId", resource)?)
}

/// ECS services are all that is scaled.
fn check_kind(namespace: &str, dimension: Option<&str>) -> Result<(), Fault> {
    if namespace == NAMESPACE && dimension.is_none_or(|dimension| dimension == DIMENSION) {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "Unsupported service namespace, resource type or scalable dimension: '{namespace}', '{}'; they must be {NAMESPACE} and {DIMENSION}.",
        dimension.unwrap_or(DIMENSION)
    )))
}

fn parse_resource(text: &str) -> Result<(ClusterName, ServiceName), Fault> {
    let mut parts = text.splitn(3, '/');
    let (Some("service"), Some(cluster), Some(service)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::invalid(format!(
            "Unsupported service namespace, resource type or scalable dimension: ResourceId '{}' must be service/CLUSTER/SERVICE.",
            text.chars().take(256).collect::<String>()
        )));
    };
    Ok((ClusterName::parse(cluster)?, ServiceName::parse(service)?))
}

fn read_tracking(
    api: &Api,
    cluster: &ClusterName,
    service: &ServiceName,
    tracking: &wire::TargetTracking,
) -> Result<TargetTracking, Fault> {
    let label = tracking
        .predefined_metric
        .as_ref()
        .and_then(|predefined| given(predefined.resource_label.as_ref()));
    let metric = match (&tracking.predefined_metric, &tracking.customized_metric) {
        (Some(predefined), None) => {
            let name = required("PredefinedMetricType", predefined.predefined_metric_type.as_ref())?;
            let names: Vec<&str> = PredefinedMetric::ALL.iter().map(|metric| metric.name()).collect();
            one_of("PredefinedMetricType", name, &names)?;
            let metric = PredefinedMetric::from_name(name).unwrap_or(PredefinedMetric::Cpu);
            if let Some(label) = label {
                check_label(api, cluster, service, metric, label)?;
            }
            Metric::Predefined(metric)
        }
        (None, Some(customized)) => read_query(api, customized)?,
        (Some(_), Some(_)) | (None, None) => {
            return Err(Fault::invalid(
                "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be given.",
            ));
        }
    };
    let raw = RawTracking {
        target: tracking.target_value,
        scale_out_cooldown: tracking.scale_out_cooldown.map(i64::from),
        scale_in_cooldown: tracking.scale_in_cooldown.map(i64::from),
        disable_scale_in: tracking.disable_scale_in,
        most_out: tracking.maximum_scale_out_step.map(i64::from),
        most_in: tracking.maximum_scale_in_step.map(i64::from),
        resource_label: label.map(str::to_owned),
    };
    TargetTracking::checked(metric, &raw)
}

/// A label can only name the one target group of the service: the requests of all of them are counted together.
fn check_label(
    api: &Api,
    cluster: &ClusterName,
    service: &ServiceName,
    metric: PredefinedMetric,
    label: &str,
) -> Result<(), Fault> {
    if metric != PredefinedMetric::Requests {
        return Err(Fault::invalid(format!("ResourceLabel must not be given for {metric}.")));
    }
    let state = api.view();
    let known = state.active_cluster(cluster).ok().and_then(|cluster| {
        let (cluster, service) = (cluster.key, service.clone());
        state.service(&ServiceKey { cluster, service })
    });
    let groups = known.map_or_else(Vec::new, |service| state.listeners_of(service));
    let named = |arn: &str| {
        arn.split_once(":targetgroup/")
            .is_some_and(|(_, rest)| label.ends_with(&format!("targetgroup/{rest}")))
    };
    match groups.as_slice() {
        [only] if named(&only.target_group_arn) => Ok(()),
        _ => Err(Fault::invalid(format!(
            "ResourceLabel '{}' must end with the part targetgroup/... of the ARN of the service's only target group; \
             the requests of several are counted together, without a label.",
            label.chars().take(256).collect::<String>()
        ))),
    }
}

fn read_query(api: &Api, customized: &wire::CustomizedMetric) -> Result<Metric, Fault> {
    refuse_unsupported(&[
        (
            "CustomizedMetricSpecification.Dimensions",
            !customized.dimensions.is_empty(),
        ),
        ("CustomizedMetricSpecification.Unit", customized.unit.is_some()),
        ("CustomizedMetricSpecification.Metrics", !customized.metrics.is_empty()),
    ])?;
    let namespace = required("CustomizedMetricSpecification.Namespace", customized.namespace.as_ref())?;
    one_of("CustomizedMetricSpecification.Namespace", namespace, &[PROMETHEUS])?;
    if let Some(statistic) = given(customized.statistic.as_ref()) {
        one_of("CustomizedMetricSpecification.Statistic", statistic, &["Average"])?;
    }
    if !api.scaling.has_prometheus() {
        return Err(Fault::invalid(
            "CustomizedMetricSpecification: this scheduler knows no Prometheus; it is started with --prometheus-url.",
        ));
    }
    Metric::query(required(
        "CustomizedMetricSpecification.MetricName",
        customized.metric_name.as_ref(),
    )?)
}
