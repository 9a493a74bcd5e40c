//! Container instances as tables.

use std::collections::BTreeMap;

use anstyle::AnsiColor;
use berth_proto::ecs::v1::{Attribute, ContainerInstance, Resource};
use berth_proto::v1::HostFigures;

use super::ids::Short;
use super::table::{Cell, maybe, number, status, text};
use super::{Now, Table, ids};
use crate::output::Presentation;

/// What hosts use now, by the ARN of their container instance.
pub(crate) type UsageByArn = BTreeMap<String, HostFigures>;

const BYTES_PER_MIB: u64 = 1024 * 1024;

pub(crate) fn list(instances: &[ContainerInstance], usage: &UsageByArn) -> Presentation {
    let mut table = Table::with_headings([
        "INSTANCE",
        "STATUS",
        "AGENT",
        "HEALTH",
        "TASKS",
        "CPU FREE/TOTAL",
        "MIB FREE/TOTAL",
        "CPU USED",
        "MIB USED",
    ]);
    let short = Short::among_instances(instances.iter().map(ContainerInstance::container_instance_arn));
    for instance in instances {
        let usage = usage.get(instance.container_instance_arn());
        table.row([
            text(short.of(instance.container_instance_arn())),
            status(instance.status.as_deref()),
            connection(instance),
            health(instance),
            number(tasks(instance)),
            number(free_of_total(instance, "CPU")),
            number(free_of_total(instance, "MEMORY")),
            number(usage.map_or_else(String::new, |usage| usage.cpu_units.to_string())),
            number(usage.map_or_else(String::new, |usage| mib(usage).to_string())),
        ]);
    }
    Presentation::default().table(&table)
}

pub(crate) fn one(instance: Option<&ContainerInstance>, usage: &UsageByArn, now: Now) -> Presentation {
    let Some(instance) = instance else {
        return Presentation::default();
    };
    let arn = instance.container_instance_arn();
    let version = instance.version_info.as_ref();
    let mut table = Table::pairs();
    table.pair("Container instance", text(ids::of_arn(arn)));
    table.pair("ARN", text(arn));
    table.pair("Host id", maybe(instance.ec2_instance_id.as_deref()));
    table.pair("Address", maybe(address(instance)));
    table.pair("Status", status(instance.status.as_deref()));
    if let Some(reason) = instance.status_reason.as_deref() {
        table.pair("Status reason", text(reason));
    }
    table.pair("Agent", connection(instance));
    table.pair("Health", health(instance));
    for detail in instance.health_status.iter().flat_map(|health| &health.details) {
        let words = [detail.status(), detail.status_reason()].join(" ");
        table.pair(detail.r#type(), text(words.trim()));
    }
    table.pair("Agent version", maybe(version.map(|version| version.agent_version())));
    table.pair("Docker version", maybe(version.map(|version| version.docker_version())));
    table.pair("Registered", maybe(instance.registered_at.map(|at| now.ago(at))));
    table.pair("Running tasks", text(instance.running_tasks_count()));
    table.pair("Pending tasks", text(instance.pending_tasks_count()));
    table.pair("CPU units free/total", text(free_of_total(instance, "CPU")));
    table.pair("Memory MiB free/total", text(free_of_total(instance, "MEMORY")));
    if let Some(usage) = usage.get(arn) {
        table.pair("CPU units used now", text(usage.cpu_units));
        table.pair("Memory MiB used now", text(mib(usage)));
    }
    table.pair("TCP ports taken", text(ports(instance, "PORTS")));
    table.pair("UDP ports taken", text(ports(instance, "PORTS_UDP")));
    let presentation = Presentation::default().table(&table);
    if instance.attributes.is_empty() {
        return presentation;
    }
    presentation.section("Attributes", &attribute_table(&instance.attributes))
}

/// What it says of itself, and what operators say of it.
pub(crate) fn attributes(instance: Option<&ContainerInstance>) -> Presentation {
    let attributes = instance.map_or(&[][..], |instance| &instance.attributes);
    Presentation::default().table(&attribute_table(attributes))
}

fn attribute_table(attributes: &[Attribute]) -> Table {
    let mut table = Table::with_headings(["NAME", "VALUE"]);
    for attribute in attributes {
        table.row([text(attribute.name()), maybe(attribute.value.as_deref())]);
    }
    table
}

/// Under which other hosts reach it, as far as its agent has said.
fn address(instance: &ContainerInstance) -> Option<&str> {
    let mut attributes = instance.attributes.iter();
    let found = attributes.find(|attribute| attribute.name() == "berth.address")?;
    found.value.as_deref()
}

fn mib(usage: &HostFigures) -> u64 {
    usage.memory_used_bytes / BYTES_PER_MIB
}

fn connection(instance: &ContainerInstance) -> Cell {
    if instance.agent_connected() {
        text("connected").colored(AnsiColor::Green)
    } else {
        text("disconnected").colored(AnsiColor::Red)
    }
}

/// How the host is, as far as its agent has said.
fn health(instance: &ContainerInstance) -> Cell {
    match instance.health_status.as_ref().map(|health| health.overall_status()) {
        Some(status @ "OK") => text(status).colored(AnsiColor::Green),
        Some(status @ "IMPAIRED") => text(status).colored(AnsiColor::Red),
        Some(_) | None => maybe(None::<&str>),
    }
}

/// The running tasks, and those on their way.
fn tasks(instance: &ContainerInstance) -> String {
    match instance.pending_tasks_count() {
        0 => instance.running_tasks_count().to_string(),
        pending => format!("{}+{pending}", instance.running_tasks_count()),
    }
}

fn free_of_total(instance: &ContainerInstance, name: &str) -> String {
    let value = |resources: &[Resource]| {
        resource(resources, name).map_or_else(|| "-".to_owned(), |it| it.integer_value().to_string())
    };
    let (free, total) = (&instance.remaining_resources, &instance.registered_resources);
    format!("{}/{}", value(free), value(total))
}

/// ECS lists under the remaining ports those that are taken.
fn ports(instance: &ContainerInstance, name: &str) -> String {
    resource(&instance.remaining_resources, name).map_or_else(String::new, |ports| ports.string_set_value.join(", "))
}

fn resource<'a>(resources: &'a [Resource], name: &str) -> Option<&'a Resource> {
    resources.iter().find(|resource| resource.name() == name)
}

#[cfg(test)]
mod tests {
    use berth_proto::ecs::v1::{ContainerInstance, Resource};

    use super::{free_of_total, ports, tasks};

    fn resource(name: &str, value: i32, set: &[&str]) -> Resource {
        Resource {
            name: Some(name.to_owned()),
            integer_value: Some(value),
            string_set_value: set.iter().map(|&port| port.to_owned()).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn resources_are_told_as_free_of_total() {
        let instance = ContainerInstance {
            remaining_resources: vec![resource("CPU", 1024, &[]), resource("PORTS", 0, &["22", "80"])],
            registered_resources: vec![resource("CPU", 2048, &[])],
            ..Default::default()
        };
        assert_eq!(free_of_total(&instance, "CPU"), "1024/2048");
        assert_eq!(free_of_total(&instance, "MEMORY"), "-/-");
        assert_eq!(ports(&instance, "PORTS"), "22, 80");
    }

    #[test]
    fn pending_tasks_are_told_only_where_there_are_any() {
        let mut instance = ContainerInstance {
            running_tasks_count: Some(4),
            ..Default::default()
        };
        assert_eq!(tasks(&instance), "4");
        instance.pending_tasks_count = Some(2);
        assert_eq!(tasks(&instance), "4+2");
    }
}
