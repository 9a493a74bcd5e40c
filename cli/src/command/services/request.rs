//! From the words of `berth services create` and `update` to requests.

use std::time::Duration;

use berth_proto::ecs::v1::{
    CapacityProviderStrategyItemList, CreateServiceRequest, DeploymentCircuitBreaker, DeploymentConfiguration,
    LoadBalancerList, PlacementConstraint, PlacementConstraintList, PlacementStrategy, PlacementStrategyList, Tag,
    UpdateServiceRequest,
};
use clap::{Args, ValueEnum};

use super::listener::{self, Listener};
use super::traffic::{Traffic, minutes};
use crate::args::duration;
use crate::command::capacity::{self, CapacityArgs};
use crate::command::run::{Constraint, Strategy};

/// `berth services create`
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Up to 255 letters, digits, hyphens and underscores
    name: String,
    /// FAMILY, FAMILY:REVISION or an ARN
    #[arg(value_name = "TASKDEF")]
    task_definition: String,
    /// How many tasks
    #[arg(long, short = 'n', default_value_t = 1)]
    count: u16,
    /// One task on every host, instead of a number of them
    #[arg(long, conflicts_with = "count")]
    daemon: bool,
    /// Have gateways listen on a port and forward to one of a container; may be repeated
    #[arg(long, value_name = "PROTOCOL:PORT=CONTAINER:PORT")]
    load_balancer: Vec<Listener>,
    /// How gateways check a task: `http /PATH` or `tcp`, then interval=, timeout=, healthy=, unhealthy= where they
    /// matter
    #[arg(long, value_name = "CHECK", requires = "load_balancer")]
    target_check: Option<String>,
    /// How long connections of a task may stay open when it is to stop, such as 30s
    #[arg(long, value_name = "DURATION", requires = "load_balancer")]
    deregistration_delay: Option<String>,
    /// How long a host may be away before tasks on it are replaced, such as 5m [default: the scheduler's setting]
    #[arg(long, value_name = "DURATION")]
    lost_grace: Option<String>,
    /// Let commands be run in its tasks: `berth exec`, `aws ecs execute-command`
    #[arg(long)]
    enable_execute_command: bool,
    #[command(flatten)]
    capacity: CapacityArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// `berth services update`
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Name or ARN
    name: String,
    /// What to run from now on: FAMILY, FAMILY:REVISION or an ARN
    #[arg(long, value_name = "TASKDEF")]
    task_definition: Option<String>,
    /// How many tasks
    #[arg(long, short = 'n')]
    count: Option<u16>,
    /// Have gateways listen on this port instead of those before, and forward to one of a container, which is a new
    /// deployment; may be repeated
    #[arg(long, value_name = "PROTOCOL:PORT=CONTAINER:PORT")]
    load_balancer: Vec<Listener>,
    /// Have gateways listen for it no more, which is a new deployment
    #[arg(long, conflicts_with = "load_balancer")]
    no_load_balancer: bool,
    /// How gateways check a task from now on: `http /PATH` or `tcp`, then interval=, timeout=, healthy=, unhealthy= where
    /// they matter
    #[arg(long, value_name = "CHECK")]
    target_check: Option<String>,
    /// How long connections of a task may stay open when it is to stop, such as 30s
    #[arg(long, value_name = "DURATION")]
    deregistration_delay: Option<String>,
    /// How long a host may be away before tasks on it are replaced, such as 5m
    #[arg(long, value_name = "DURATION")]
    lost_grace: Option<String>,
    /// Divide further tasks among capacity providers; may be repeated
    #[arg(long, value_name = "PROVIDER[,weight=N][,base=N]")]
    capacity_provider_strategy: Vec<capacity::Item>,
    /// Let commands be run in tasks that it starts from now on, or `false`: no longer
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_execute_command: Option<bool>,
    /// Replace all tasks although nothing else changes
    #[arg(long)]
    force_new_deployment: bool,
    /// Place further tasks without constraints, but for those of the task definition
    #[arg(long, conflicts_with = "constraint")]
    no_constraint: bool,
    /// Place further tasks by the default strategy
    #[arg(long, conflicts_with = "strategy")]
    no_strategy: bool,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// How a service deploys and places.
#[derive(Debug, Args)]
struct RuleArgs {
    /// Healthy tasks while deploying, at least, in percent of the count
    #[arg(long, value_name = "PERCENT")]
    min_healthy: Option<u16>,
    /// Tasks while deploying, at most, in percent of the count
    #[arg(long, value_name = "PERCENT")]
    max: Option<u16>,
    /// How traffic moves to a new deployment, which is then there whole before it gets any; without it tasks are replaced
    /// bit by bit
    #[arg(
        long,
        value_name = "rolling|blue-green|canary[=PERCENT:DURATION]|linear[=PERCENT:DURATION]"
    )]
    traffic: Option<Traffic>,
    /// How long the tasks of the last deployment stay after all traffic has moved, to go back to; whole minutes
    #[arg(long, value_name = "DURATION", value_parser = minutes)]
    bake: Option<i32>,
    /// What happens to a deployment whose tasks keep failing
    #[arg(long, value_name = "WHAT")]
    circuit_breaker: Option<Breaker>,
    /// For how long after its start a task's failing health check does not count
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    health_check_grace: Option<Duration>,
    /// Place only so: `distinctInstance`, or an expression of the cluster query language; may be repeated
    #[arg(long, value_name = "distinctInstance|EXPR")]
    constraint: Vec<Constraint>,
    /// Prefer in this order; may be repeated
    #[arg(long, value_name = "spread=FIELD|binpack=cpu|binpack=memory|random")]
    strategy: Vec<Strategy>,
}

#[derive(Debug, Args)]
struct WaitArgs {
    /// Wait until the deployment has ended, and tell how it goes
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, requires = "wait")]
    wait_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Breaker {
    /// It is tried again and again
    Off,
    /// It fails, and nothing more of it is started
    On,
    /// It fails, and the last one that was completed takes its place
    Rollback,
}

impl CreateArgs {
    /// For how long to wait, where that is asked for.
    pub(super) fn wait_for(&self) -> Option<Duration> {
        self.wait.wait.then_some(self.wait.wait_timeout)
    }

    /// Whether gateways are to listen for it.
    pub(super) fn has_load_balancers(&self) -> bool {
        !self.load_balancer.is_empty()
    }

    /// `cluster` is the cluster's ARN, which must be there where gateways are to listen.
    pub(super) fn request(self, cluster: Option<&str>) -> anyhow::Result<CreateServiceRequest> {
        let load_balancers = listener::load_balancers(&self.load_balancer, &self.name, cluster.unwrap_or_default())?;
        let tags = settings(&self.target_check, &self.deregistration_delay, &self.lost_grace);
        let strategy = if self.daemon { "DAEMON" } else { "REPLICA" };
        Ok(CreateServiceRequest {
            load_balancers,
            tags,
            service_name: Some(self.name),
            task_definition: Some(self.task_definition),
            desired_count: (!self.daemon).then_some(i32::from(self.count)),
            scheduling_strategy: Some(strategy.to_owned()),
            deployment_configuration: self.rules.configuration(),
            health_check_grace_period_seconds: self.rules.grace(),
            placement_constraints: self.rules.constraints(),
            placement_strategy: self.rules.strategies(),
            enable_execute_command: self.enable_execute_command.then_some(true),
            launch_type: self.capacity.launch_type(),
            capacity_provider_strategy: self.capacity.strategy(),
            network_configuration: self.capacity.network(),
            ..Default::default()
        })
    }
}

impl UpdateArgs {
    /// For how long to wait, where that is asked for.
    pub(super) fn wait_for(&self) -> Option<Duration> {
        self.wait.wait.then_some(self.wait.wait_timeout)
    }

    /// What is to be said in tags.
    pub(super) fn tags(&self) -> Vec<Tag> {
        settings(&self.target_check, &self.deregistration_delay, &self.lost_grace)
    }

    /// Whether gateways are to listen for it on other ports.
    pub(super) fn has_load_balancers(&self) -> bool {
        !self.load_balancer.is_empty()
    }

    /// `cluster` is the cluster's ARN, which must be there where gateways are to listen.
    pub(super) fn request(self, cluster: Option<&str>) -> anyhow::Result<UpdateServiceRequest> {
        let named = self.name.rsplit('/').next().unwrap_or_default();
        let load_balancers = listener::load_balancers(&self.load_balancer, named, cluster.unwrap_or_default())?;
        Ok(UpdateServiceRequest {
            load_balancers: said(load_balancers, self.no_load_balancer)
                .map(|load_balancers| LoadBalancerList { load_balancers }),
            service: Some(self.name),
            task_definition: self.task_definition,
            desired_count: self.count.map(i32::from),
            force_new_deployment: self.force_new_deployment.then_some(true),
            enable_execute_command: self.enable_execute_command,
            deployment_configuration: self.rules.configuration(),
            health_check_grace_period_seconds: self.rules.grace(),
            placement_constraints: said(self.rules.constraints(), self.no_constraint)
                .map(|items| PlacementConstraintList { items }),
            placement_strategy: said(self.rules.strategies(), self.no_strategy)
                .map(|items| PlacementStrategyList { items }),
            capacity_provider_strategy: said(capacity::items(&self.capacity_provider_strategy), false)
                .map(|items| CapacityProviderStrategyItemList { items }),
            ..Default::default()
        })
    }
}

/// A list of options, where any was given or there are to be none: otherwise all stays as it is.
fn said<T>(items: Vec<T>, none: bool) -> Option<Vec<T>> {
    (none || !items.is_empty()).then_some(items)
}

/// What ECS has no members for is said in tags.
fn settings(
    target_check: &Option<String>,
    deregistration_delay: &Option<String>,
    lost_grace: &Option<String>,
) -> Vec<Tag> {
    let said = [
        ("berth:health-check", target_check),
        ("berth:deregistration-delay", deregistration_delay),
        ("berth:lost-grace", lost_grace),
    ];
    let tag = |(key, value): (&str, &Option<String>)| {
        value.clone().map(|value| Tag {
            key: Some(key.to_owned()),
            value: Some(value),
        })
    };
    said.into_iter().filter_map(tag).collect()
}

impl RuleArgs {
    /// The members that were named; none where none was.
    fn configuration(&self) -> Option<DeploymentConfiguration> {
        let breaker = self.circuit_breaker.map(|breaker| DeploymentCircuitBreaker {
            enable: Some(breaker != Breaker::Off),
            rollback: Some(breaker == Breaker::Rollback),
            ..Default::default()
        });
        let configuration = DeploymentConfiguration {
            minimum_healthy_percent: self.min_healthy.map(i32::from),
            maximum_percent: self.max.map(i32::from),
            deployment_circuit_breaker: breaker,
            strategy: self.traffic.map(|traffic| traffic.strategy().to_owned()),
            bake_time_in_minutes: self.bake,
            canary_configuration: self.traffic.and_then(Traffic::canary),
            linear_configuration: self.traffic.and_then(Traffic::linear),
            ..Default::default()
        };
        (configuration != DeploymentConfiguration::default()).then_some(configuration)
    }

    fn grace(&self) -> Option<i32> {
        let seconds = self.health_check_grace?.as_secs();
        Some(i32::try_from(seconds).unwrap_or(i32::MAX))
    }

    fn constraints(&self) -> Vec<PlacementConstraint> {
        self.constraint.iter().map(|it| it.0.clone()).collect()
    }

    fn strategies(&self) -> Vec<PlacementStrategy> {
        self.strategy.iter().map(|it| it.0.clone()).collect()
    }
}
