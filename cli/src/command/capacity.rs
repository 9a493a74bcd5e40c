//! `berth capacity-providers`, and how tasks are divided among capacity providers.

use std::str::FromStr;
use std::time::Duration;

use berth_proto::ecs::v1::{
    AutoScalingGroupProvider, AwsVpcConfiguration, CapacityProviderStrategyItem, CreateCapacityProviderRequest,
    ManagedScaling, NetworkConfiguration, PutClusterCapacityProvidersRequest,
};
use clap::{Args, Subcommand, ValueEnum};

use super::refuse_failures;
use crate::Ending;
use crate::api::Api;
use crate::args::duration;
use crate::output::Output;
use crate::show::{capacity as show, clusters};

#[derive(Debug, Subcommand)]
pub(crate) enum CapacityProvidersCommand {
    /// Make a capacity provider: a named group of hosts, and how its size follows what is to run on it
    #[command(after_help = "\
Examples:
  berth capacity-providers create spare
  berth capacity-providers create web --group web-asg --managed-scaling --target-capacity 80

A host is of a provider when its agent says so: berth-agent --attribute berth.capacity-provider=web.")]
    Create(CreateArgs),
    /// Show one capacity provider
    #[command(after_help = "Example:\n  berth capacity-providers describe web")]
    Describe {
        /// Name or ARN
        name: String,
    },
    /// List the capacity providers
    #[command(after_help = "Example:\n  berth capacity-providers list")]
    List,
    /// Say which capacity providers the cluster has, all of them, and which it uses where nothing is said
    #[command(after_help = "\
Examples:
  berth capacity-providers assign web spare --default web,base=2 --default spare,weight=3
  berth capacity-providers assign FARGATE FARGATE_SPOT")]
    Assign {
        /// Names or ARNs
        providers: Vec<String>,
        /// How tasks are divided that say nothing; may be repeated
        #[arg(long, value_name = "PROVIDER[,weight=N][,base=N]")]
        default: Vec<Item>,
    },
    /// Delete a capacity provider that no cluster has
    #[command(after_help = "Example:\n  berth capacity-providers delete web")]
    Delete {
        /// Name or ARN
        name: String,
    },
}

/// `berth capacity-providers create`
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Up to 255 letters, digits, hyphens and underscores
    name: String,
    /// Name or ARN of the Auto Scaling group that its hosts are of [default: its own name]
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Tell the scheduler's hook how many hosts there should be
    #[arg(long)]
    managed_scaling: bool,
    /// How much of the hosts is to be in use, in percent
    #[arg(long, value_name = "PERCENT", requires = "managed_scaling")]
    target_capacity: Option<u8>,
    /// Hosts that are added at once, at least
    #[arg(long, value_name = "HOSTS", requires = "managed_scaling")]
    minimum_step: Option<u16>,
    /// Hosts that are added or taken away at once, at most
    #[arg(long, value_name = "HOSTS", requires = "managed_scaling")]
    maximum_step: Option<u16>,
    /// For how long a new host is left alone
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "managed_scaling")]
    warmup: Option<Duration>,
    /// Tell the hook which hosts must not go, as they have tasks
    #[arg(long, requires = "managed_scaling")]
    termination_protection: bool,
    /// Leave hosts that are to go ACTIVE
    #[arg(long, requires = "managed_scaling")]
    no_draining: bool,
}

/// Which kind of instances tasks are to run on.
#[derive(Debug, Args)]
pub(in crate::command) struct CapacityArgs {
    /// Where to run: anywhere, outside of AWS, or with an address and a size of its own
    #[arg(long, value_name = "TYPE", ignore_case = true)]
    launch_type: Option<LaunchType>,
    /// Divide the tasks among capacity providers; may be repeated
    #[arg(long, value_name = "PROVIDER[,weight=N][,base=N]", conflicts_with = "launch_type")]
    capacity_provider_strategy: Vec<Item>,
    /// Name a subnet, as ECS wants for tasks with an address of their own; may be repeated
    #[arg(long, value_name = "NAME")]
    subnet: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LaunchType {
    /// On any host
    Ec2,
    /// With an address and a size of its own
    Fargate,
    /// On any host
    External,
}

/// `PROVIDER[,weight=N][,base=N]`, or as the AWS CLI has it with `capacityProvider=` in front.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item(CapacityProviderStrategyItem);

impl FromStr for Item {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "it must be PROVIDER, then perhaps weight=N and base=N after commas";
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let name = name.strip_prefix("capacityProvider=").unwrap_or(name);
        if name.is_empty() || name.contains('=') {
            return Err(RULE);
        }
        let mut item = CapacityProviderStrategyItem {
            capacity_provider: Some(name.to_owned()),
            weight: Some(1),
            base: None,
        };
        for part in parts {
            let (member, number) = part.split_once('=').ok_or(RULE)?;
            let number = number.parse().map_err(|_| RULE)?;
            match member {
                "weight" => item.weight = Some(number),
                "base" => item.base = Some(number),
                _ => return Err(RULE),
            }
        }
        Ok(Self(item))
    }
}

impl CapacityArgs {
    /// `launchType`
    pub(in crate::command) fn launch_type(&self) -> Option<String> {
        let name = match self.launch_type? {
            LaunchType::Ec2 => "EC2",
            LaunchType::Fargate => "FARGATE",
            LaunchType::External => "EXTERNAL",
        };
        Some(name.to_owned())
    }

    /// `capacityProviderStrategy`
    pub(in crate::command) fn strategy(&self) -> Vec<CapacityProviderStrategyItem> {
        items(&self.capacity_provider_strategy)
    }

    /// `networkConfiguration`
    pub(in crate::command) fn network(&self) -> Option<NetworkConfiguration> {
        (!self.subnet.is_empty()).then(|| NetworkConfiguration {
            awsvpc_configuration: Some(AwsVpcConfiguration {
                subnets: self.subnet.clone(),
                ..Default::default()
            }),
        })
    }
}

pub(in crate::command) fn items(items: &[Item]) -> Vec<CapacityProviderStrategyItem> {
    items.iter().map(|item| item.0.clone()).collect()
}

impl CreateArgs {
    fn request(self) -> CreateCapacityProviderRequest {
        let switch = |on: bool| Some(if on { "ENABLED" } else { "DISABLED" }.to_owned());
        let seconds = |span: Duration| i32::try_from(span.as_secs()).unwrap_or(i32::MAX);
        CreateCapacityProviderRequest {
            auto_scaling_group_provider: Some(AutoScalingGroupProvider {
                auto_scaling_group_arn: Some(self.group.unwrap_or_else(|| self.name.clone())),
                managed_scaling: Some(ManagedScaling {
                    status: switch(self.managed_scaling),
                    target_capacity: self.target_capacity.map(i32::from),
                    minimum_scaling_step_size: self.minimum_step.map(i32::from),
                    maximum_scaling_step_size: self.maximum_step.map(i32::from),
                    instance_warmup_period: self.warmup.map(seconds),
                }),
                managed_termination_protection: switch(self.termination_protection),
                managed_draining: switch(!self.no_draining),
            }),
            name: Some(self.name),
            ..Default::default()
        }
    }
}

pub(super) async fn run(command: CapacityProvidersCommand, api: &Api, output: &mut Output) -> anyhow::Result<Ending> {
    match command {
        CapacityProvidersCommand::Create(args) => {
            let answer = api.create_capacity_provider(args.request()).await?;
            output.answer(&answer, |answer| show::one(answer.capacity_provider.as_ref()))?;
        }
        CapacityProvidersCommand::Describe { name } => {
            let answer = api.describe_capacity_providers(vec![name]).await?;
            refuse_failures("capacity provider", &answer.failures)?;
            output.answer(&answer, |answer| show::one(answer.capacity_providers.first()))?;
        }
        CapacityProvidersCommand::List => {
            let answer = api.describe_capacity_providers(Vec::new()).await?;
            output.answer(&answer, |answer| show::list(&answer.capacity_providers))?;
        }
        CapacityProvidersCommand::Assign { providers, default } => {
            let request = PutClusterCapacityProvidersRequest {
                cluster: Some(api.cluster().unwrap_or("default").to_owned()),
                capacity_providers: providers,
                default_capacity_provider_strategy: items(&default),
            };
            let answer = api.put_cluster_capacity_providers(request).await?;
            output.answer(&answer, |answer| clusters::one(answer.cluster.as_ref()))?;
        }
        CapacityProvidersCommand::Delete { name } => {
            let answer = api.delete_capacity_provider(name).await?;
            output.answer(&answer, |answer| show::one(answer.capacity_provider.as_ref()))?;
        }
    }
    Ok(Ending::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_a_provider_with_its_part() {
        let parsed = |text: &str| {
            text.parse::<Item>()
                .map(|Item(item)| (item.capacity_provider().to_owned(), item.weight(), item.base()))
        };
        assert_eq!(parsed("web"), Ok(("web".to_owned(), 1, 0)));
        assert_eq!(parsed("web,base=2,weight=3"), Ok(("web".to_owned(), 3, 2)));
        assert_eq!(parsed("capacityProvider=web,weight=0"), Ok(("web".to_owned(), 0, 0)));
        for text in ["", "weight=1", "web,weight", "web,weight=x", "web,share=1"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
