//! Capacity providers as tables.

use berth_proto::ecs::v1::{CapacityProvider, CapacityProviderStrategyItem};

use super::Table;
use super::table::{maybe, status, text};
use crate::output::Presentation;

pub(crate) fn list(providers: &[CapacityProvider]) -> Presentation {
    let mut table = Table::with_headings(["PROVIDER", "STATUS", "TYPE", "GROUP", "SCALING"]);
    for provider in providers {
        let group = provider.auto_scaling_group_provider.as_ref();
        let scaling = group.and_then(|group| group.managed_scaling.as_ref());
        table.row([
            text(provider.name()),
            status(provider.status.as_deref()),
            maybe(provider.r#type.as_deref()),
            maybe(group.and_then(|group| group.auto_scaling_group_arn.as_deref())),
            maybe(scaling.and_then(|scaling| scaling.status.as_deref())),
        ]);
    }
    Presentation::default().table(&table)
}

pub(crate) fn one(provider: Option<&CapacityProvider>) -> Presentation {
    let mut table = Table::pairs();
    if let Some(provider) = provider {
        table.pair("Capacity provider", text(provider.name()));
        table.pair("ARN", maybe(provider.capacity_provider_arn.as_deref()));
        table.pair("Status", status(provider.status.as_deref()));
        table.pair("Type", maybe(provider.r#type.as_deref()));
        if let Some(group) = &provider.auto_scaling_group_provider {
            table.pair("Group", maybe(group.auto_scaling_group_arn.as_deref()));
            if let Some(scaling) = &group.managed_scaling {
                table.pair("Managed scaling", maybe(scaling.status.as_deref()));
                table.pair("Target capacity", text(format!("{} %", scaling.target_capacity())));
                let (least, most) = (scaling.minimum_scaling_step_size(), scaling.maximum_scaling_step_size());
                table.pair("Step", text(format!("{least} to {most}")));
                table.pair("Warm-up", text(format!("{} s", scaling.instance_warmup_period())));
            }
            let protection = group.managed_termination_protection.as_deref();
            table.pair("Termination protection", maybe(protection));
            table.pair("Managed draining", maybe(group.managed_draining.as_deref()));
        }
    }
    Presentation::default().table(&table)
}

/// `web 1 (base 2), spare 3`
pub(crate) fn strategy(items: &[CapacityProviderStrategyItem]) -> String {
    let item = |item: &CapacityProviderStrategyItem| match item.base() {
        0 => format!("{} {}", item.capacity_provider(), item.weight()),
        base => format!("{} {} (base {base})", item.capacity_provider(), item.weight()),
    };
    items.iter().map(item).collect::<Vec<_>>().join(", ")
}
