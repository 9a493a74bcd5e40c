//! `berth autoscaling`.

use std::time::Duration;

use anyhow::bail;
use berth_proto::v1::{
    CustomizedMetric, DescribeScalableTargetsResponse, PredefinedMetric, PutScalingPolicyRequest,
    RegisterScalableTargetRequest, SuspendedState, TargetTracking,
};
use clap::{Args, Subcommand, ValueEnum};

use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::output::Output;
use crate::show::{Now, autoscaling as show};

#[derive(Debug, Subcommand)]
pub(crate) enum AutoscalingCommand {
    /// Let a service have as many tasks as its load needs, between two counts
    #[command(after_help = "\
Examples:
  berth autoscaling set web --min 2 --max 10 --cpu 60
  berth autoscaling set web --min 2 --max 20 --cpu 60 --requests 1000 --scale-out-cooldown 1m --most-in 1
  berth autoscaling set worker --min 1 --max 8 --query 'sum(queue_length) / 8' --query-target 10
  berth autoscaling set web --suspend in

Each of --cpu, --memory, --requests, --connections and --query is a policy of that name, replaced where it is there
already; the others stay. Any policy adds tasks, and all must agree to take some away.")]
    Set(SetArgs),
    /// Show how a service is scaled, what is measured of it, and why its count stays or changes
    #[command(after_help = "Example:\n  berth autoscaling show web")]
    Show {
        /// Name or ARN of the service
        service: String,
    },
    /// List the services that are scaled
    #[command(after_help = "Example:\n  berth autoscaling list")]
    List,
    /// Delete a policy, or all of a service's scaling; its count stays as it is
    #[command(after_help = "Examples:\n  berth autoscaling delete web --policy cpu\n  berth autoscaling delete web")]
    Delete {
        /// Name or ARN of the service
        service: String,
        /// Only this one
        #[arg(long, value_name = "NAME")]
        policy: Option<String>,
    },
}

/// `berth autoscaling set`
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Name or ARN of the service
    service: String,
    /// At least so many tasks
    #[arg(long, value_name = "TASKS")]
    min: Option<u16>,
    /// At most so many tasks
    #[arg(long, value_name = "TASKS")]
    max: Option<u16>,
    /// Keep the CPU that tasks use at this, in percent of what they reserve
    #[arg(long, value_name = "PERCENT")]
    cpu: Option<f64>,
    /// Keep the memory that tasks use at this, in percent of what they reserve
    #[arg(long, value_name = "PERCENT")]
    memory: Option<f64>,
    /// Keep the requests that a task gets through gateways in a minute at this
    #[arg(long, value_name = "COUNT")]
    requests: Option<f64>,
    /// Keep the requests and connections that a task has open through gateways at this
    #[arg(long, value_name = "COUNT")]
    connections: Option<f64>,
    /// Keep the value of a Prometheus query at --query-target: a value for one task, which falls as there are more
    #[arg(long, value_name = "PROMQL", requires = "query_target")]
    query: Option<String>,
    /// See --query
    #[arg(long, value_name = "VALUE", requires = "query")]
    query_target: Option<f64>,
    /// How long tasks that were added may take to make a difference [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    scale_out_cooldown: Option<Duration>,
    /// How long after tasks were taken away no more are [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    scale_in_cooldown: Option<Duration>,
    /// Tasks that are added at once, at most
    #[arg(long, value_name = "TASKS")]
    most_out: Option<u16>,
    /// Tasks that are taken away at once, at most
    #[arg(long, value_name = "TASKS")]
    most_in: Option<u16>,
    /// Add tasks alone, and take none away
    #[arg(long)]
    no_scale_in: bool,
    /// What policies do not do for now
    #[arg(long, value_name = "WHAT")]
    suspend: Option<Suspend>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suspend {
    /// They take no tasks away
    In,
    /// They add no tasks
    Out,
    /// They change nothing
    Both,
    /// They do what they are told
    Nothing,
}

impl SetArgs {
    /// The bounds, where any are given.
    fn target(&self) -> Option<RegisterScalableTargetRequest> {
        let bound = |count: Option<u16>| count.map(i32::from);
        let suspended = self.suspend.map(|suspend| SuspendedState {
            dynamic_scaling_in_suspended: Some(matches!(suspend, Suspend::In | Suspend::Both)),
            dynamic_scaling_out_suspended: Some(matches!(suspend, Suspend::Out | Suspend::Both)),
            scheduled_scaling_suspended: None,
        });
        let is_given = self.min.is_some() || self.max.is_some() || suspended.is_some();
        is_given.then(|| RegisterScalableTargetRequest {
            min_capacity: bound(self.min),
            max_capacity: bound(self.max),
            suspended_state: suspended,
            ..Default::default()
        })
    }

    /// The policies that are given.
    fn policies(&self) -> Vec<PutScalingPolicyRequest> {
        let predefined = |metric: &str| TargetTracking {
            predefined_metric: Some(PredefinedMetric {
                predefined_metric_type: Some(metric.to_owned()),
                resource_label: None,
            }),
            ..Default::default()
        };
        let mut policies = Vec::new();
        for (name, metric, target) in [
            ("cpu", "ECSServiceAverageCPUUtilization", self.cpu),
            ("memory", "ECSServiceAverageMemoryUtilization", self.memory),
            ("requests", "ALBRequestCountPerTarget", self.requests),
            ("connections", "BerthServiceConnectionsPerTask", self.connections),
        ] {
            policies.extend(target.map(|target| self.policy(name, predefined(metric), target)));
        }
        if let (Some(query), Some(target)) = (&self.query, self.query_target) {
            let tracking = TargetTracking {
                customized_metric: Some(CustomizedMetric {
                    namespace: Some("Prometheus".to_owned()),
                    metric_name: Some(query.clone()),
                    ..Default::default()
                }),
                ..Default::default()
            };
            policies.push(self.policy("query", tracking, target));
        }
        policies
    }

    fn policy(&self, name: &str, tracking: TargetTracking, target: f64) -> PutScalingPolicyRequest {
        let seconds = |span: Option<Duration>| span.and_then(|span| i32::try_from(span.as_secs()).ok());
        PutScalingPolicyRequest {
            policy_name: Some(name.to_owned()),
            policy_type: Some("TargetTrackingScaling".to_owned()),
            target_tracking: Some(TargetTracking {
                target_value: Some(target),
                scale_out_cooldown: seconds(self.scale_out_cooldown),
                scale_in_cooldown: seconds(self.scale_in_cooldown),
                disable_scale_in: self.no_scale_in.then_some(true),
                maximum_scale_out_step: self.most_out.map(i32::from),
                maximum_scale_in_step: self.most_in.map(i32::from),
                ..tracking
            }),
            ..Default::default()
        }
    }

    /// Whether something is said of policies.
    fn tunes_policies(&self) -> bool {
        let spans = [self.scale_out_cooldown, self.scale_in_cooldown];
        let steps = [self.most_out, self.most_in];
        spans.iter().any(Option::is_some) || steps.iter().any(Option::is_some) || self.no_scale_in
    }
}

pub(super) async fn run(command: AutoscalingCommand, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    match command {
        AutoscalingCommand::Set(args) => {
            let policies = args.policies();
            if policies.is_empty() && args.tunes_policies() {
                bail!("cooldowns, steps and --no-scale-in are of policies: name one, such as --cpu 60");
            }
            let target = args.target();
            if target.is_none() && policies.is_empty() {
                bail!("nothing is set: name bounds (--min, --max), a policy (--cpu 60) or --suspend");
            }
            if let Some(target) = target {
                api.register_scalable_target(&args.service, target).await?;
            }
            for policy in policies {
                api.put_scaling_policy(&args.service, policy).await?;
            }
            print(api, output, args.service).await?;
        }
        AutoscalingCommand::Show { service } => print(api, output, service).await?,
        AutoscalingCommand::List => {
            let mut answer = api.all_scalable_targets().await?;
            let prefix = api.resource_prefix();
            answer
                .scalable_targets
                .retain(|target| target.resource_id.starts_with(&prefix));
            let policies = api.all_scaling_policies().await?.scaling_policies;
            output.answer(&answer, |answer: &DescribeScalableTargetsResponse| {
                show::list(&answer.scalable_targets, &policies)
            })?;
        }
        AutoscalingCommand::Delete { service, policy } => {
            match &policy {
                Some(policy) => drop(api.delete_scaling_policy(&service, policy.clone()).await?),
                None => drop(api.deregister_scalable_target(&service).await?),
            }
            output.answer(&(), |()| show::deleted(&service, policy.as_deref()))?;
        }
    }
    Ok(Ending::Done)
}

async fn print(api: &Api, output: &mut Output, service: String) -> anyhow::Result<()> {
    let answer = api.service_scaling(service).await?;
    output.answer(&answer, |answer| show::one(answer, Now::of_the_clock()))?;
    Ok(())
}
