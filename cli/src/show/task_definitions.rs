//! Task definitions as tables.

use berth_proto::ecs::v1::{ContainerDefinition, PortMapping, TaskDefinition};

use super::table::{maybe, number, status, text};
use super::{Now, Table, ids};
use crate::output::Presentation;

pub(crate) fn list(arns: &[String]) -> Presentation {
    let mut table = Table::with_headings(["TASK DEFINITION", "ARN"]);
    for arn in arns {
        table.row([text(ids::of_arn(arn)), text(arn)]);
    }
    Presentation::default().table(&table)
}

pub(crate) fn statuses(definitions: &[TaskDefinition]) -> Presentation {
    let mut table = Table::with_headings(["TASK DEFINITION", "STATUS"]);
    for definition in definitions {
        let name = format!("{}:{}", definition.family(), definition.revision());
        table.row([text(name), status(definition.status.as_deref())]);
    }
    Presentation::default().table(&table)
}

pub(crate) fn one(definition: Option<&TaskDefinition>, now: Now) -> Presentation {
    let Some(definition) = definition else {
        return Presentation::default();
    };
    let mut table = Table::pairs();
    let name = format!("{}:{}", definition.family(), definition.revision());
    table.pair("Task definition", text(name));
    table.pair("ARN", maybe(definition.task_definition_arn.as_deref()));
    table.pair("Status", status(definition.status.as_deref()));
    table.pair("Registered", maybe(definition.registered_at.map(|at| now.ago(at))));
    table.pair("Network mode", maybe(definition.network_mode.as_deref()));
    table.pair("CPU", maybe(definition.cpu.as_deref()));
    table.pair("Memory", maybe(definition.memory.as_deref()));
    let needed: Vec<_> = definition
        .requires_attributes
        .iter()
        .map(|needed| needed.name())
        .collect();
    // An instance without one of these is refused: worth a line only where there are any.
    if !needed.is_empty() {
        table.pair("Needs", text(needed.join(", ")));
    }
    Presentation::default()
        .table(&table)
        .section("Containers", &containers(&definition.container_definitions))
}

fn containers(definitions: &[ContainerDefinition]) -> Table {
    let headings = ["NAME", "IMAGE", "CPU", "MEMORY", "ESSENTIAL", "PORTS", "COMMAND"];
    let mut table = Table::with_headings(headings);
    for container in definitions {
        let memory = container.memory.or(container.memory_reservation);
        let ports: Vec<_> = container.port_mappings.iter().map(port).collect();
        table.row([
            text(container.name()),
            text(container.image()),
            number(container.cpu()),
            number(memory.map_or_else(String::new, |mib| mib.to_string())),
            text(if container.essential.unwrap_or(true) {
                "yes"
            } else {
                "no"
            }),
            text(ports.join(", ")),
            text(container.command.join(" ")),
        ]);
    }
    table
}

/// `any->80`, `8080->80`, with `/udp` where it is that.
fn port(mapping: &PortMapping) -> String {
    let protocol = match mapping.protocol() {
        "" | "tcp" => "",
        _ => "/udp",
    };
    if let Some(range) = &mapping.container_port_range {
        return format!("any->{range}{protocol}");
    }
    match mapping.host_port() {
        0 => format!("any->{}{protocol}", mapping.container_port()),
        host => format!("{host}->{}{protocol}", mapping.container_port()),
    }
}

#[cfg(test)]
mod tests {
    use berth_proto::ecs::v1::PortMapping;

    use super::port;

    #[test]
    fn a_port_mapping_reads_host_to_container() {
        let mut mapping = PortMapping {
            container_port: Some(80),
            ..Default::default()
        };
        assert_eq!(port(&mapping), "any->80");
        mapping.host_port = Some(8080);
        assert_eq!(port(&mapping), "8080->80");
        mapping.protocol = Some("udp".to_owned());
        assert_eq!(port(&mapping), "8080->80/udp");
        mapping.container_port_range = Some("80-90".to_owned());
        assert_eq!(port(&mapping), "any->80-90/udp");
    }
}
