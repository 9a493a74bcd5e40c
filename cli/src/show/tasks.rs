//! Tasks as a table.

use anstyle::AnsiColor;
use berth_proto::ecs::v1::{NetworkBinding, Task};

use super::ids::Short;
use super::table::{Cell, maybe, status, text};
use super::{Now, Table, ids};
use crate::output::Presentation;

/// The tasks, newest first, with how they ended where one has.
pub(crate) fn list(tasks: &[Task], now: Now) -> Presentation {
    Presentation::default().table(&table(tasks, now))
}

pub(crate) fn table(tasks: &[Task], now: Now) -> Table {
    let ends = tasks.iter().any(|task| task.stopped_at.is_some());
    let waits = tasks.iter().any(|task| waiting(task).is_some());
    let headings = [
        "TASK",
        "DEFINITION",
        "STATUS",
        "DESIRED",
        "INSTANCE",
        "PORTS",
        "STARTED",
    ];
    let mut table = Table::default();
    let more = ends
        .then_some("EXIT")
        .into_iter()
        .chain((ends || waits).then_some("REASON"));
    table.row(headings.into_iter().chain(more).map(text));
    let short = Short::among_tasks(tasks.iter().map(Task::task_arn));
    let short_instance = Short::among_instances(tasks.iter().map(Task::container_instance_arn));
    let mut newest_first: Vec<_> = tasks.iter().collect();
    newest_first.sort_by(|a, b| b.created_at().total_cmp(&a.created_at()));
    for task in newest_first {
        let mut row = vec![
            text(short.of(task.task_arn())),
            text(ids::of_arn(task.task_definition_arn())),
            status_and_health(task),
            text(task.desired_status()),
            text(short_instance.of(task.container_instance_arn())),
            text(ports(task)),
            maybe(task.started_at.map(|at| now.ago(at))),
        ];
        if ends {
            row.push(text(exits(task)));
        }
        if ends || waits {
            row.push(text(reason(task)));
        }
        table.row(row);
    }
    table
}

fn status_and_health(task: &Task) -> Cell {
    match task.health_status() {
        "HEALTHY" | "UNHEALTHY" => {
            let both = format!("{} ({})", task.last_status(), task.health_status().to_lowercase());
            text(both).colored(match task.health_status() {
                "HEALTHY" => AnsiColor::Green,
                _ => AnsiColor::Red,
            })
        }
        _ => status(task.last_status.as_deref()),
    }
}

fn ports(task: &Task) -> String {
    let mut ports: Vec<String> = Vec::new();
    for binding in task.containers.iter().flat_map(|container| &container.network_bindings) {
        // Docker reports a port once an address family.
        let port = port(binding);
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports.join(", ")
}

fn port(binding: &NetworkBinding) -> String {
    let protocol = if binding.protocol() == "udp" { "/udp" } else { "" };
    match (&binding.host_port_range, &binding.container_port_range) {
        (Some(host), Some(container)) => format!("{host}->{container}{protocol}"),
        _ => format!("{}->{}{protocol}", binding.host_port(), binding.container_port()),
    }
}

/// The exit code of the only container, or each with its name.
fn exits(task: &Task) -> String {
    let code = |code: Option<i32>| code.map_or_else(|| "-".to_owned(), |code| code.to_string());
    if let [container] = task.containers.as_slice() {
        return code(container.exit_code);
    }
    let all: Vec<_> = task
        .containers
        .iter()
        .map(|container| format!("{}={}", container.name(), code(container.exit_code)))
        .collect();
    all.join(" ")
}

/// Why the task waits for room, or stopped, and what Docker said of its containers.
fn reason(task: &Task) -> String {
    let of_task = waiting(task).into_iter().chain(task.stopped_reason.clone());
    let of_containers = task.containers.iter().filter_map(|container| {
        let reason = container.reason.as_ref()?;
        Some(format!("{}: {reason}", container.name()))
    });
    let all: Vec<_> = of_task.chain(of_containers).collect();
    all.join("; ")
}

/// Until when the task waits for room, and for what.
fn waiting(task: &Task) -> Option<String> {
    let attribute = |name: &str| {
        let named = task.attributes.iter().find(|attribute| attribute.name() == name);
        named.map(|attribute| attribute.value().to_owned())
    };
    let reason = attribute("berth.queue-reason")?;
    let deadline = attribute("berth.queue-deadline").unwrap_or_default();
    Some(format!("waits until {deadline}: {reason}"))
}

#[cfg(test)]
mod tests {
    use berth_proto::ecs::v1::{Container, NetworkBinding, Task};

    use super::{exits, ports, reason};

    fn container(name: &str, exit_code: Option<i32>) -> Container {
        Container {
            name: Some(name.to_owned()),
            exit_code,
            ..Default::default()
        }
    }

    #[test]
    fn a_port_bound_for_both_address_families_is_told_once() {
        let binding = |ip: &str| NetworkBinding {
            bind_ip: Some(ip.to_owned()),
            container_port: Some(80),
            host_port: Some(32768),
            protocol: Some("tcp".to_owned()),
            ..Default::default()
        };
        let task = Task {
            containers: vec![Container {
                network_bindings: vec![binding("0.0.0.0"), binding("::")],
                ..Default::default()
            }],
            ..Default::default()
        };
        assert_eq!(ports(&task), "32768->80");
    }

    #[test]
    fn exit_codes_carry_names_only_where_there_are_several() {
        let mut task = Task {
            containers: vec![container("app", Some(3))],
            ..Default::default()
        };
        assert_eq!(exits(&task), "3");
        task.containers.push(container("sidecar", None));
        assert_eq!(exits(&task), "app=3 sidecar=-");
    }

    #[test]
    fn the_reason_is_the_tasks_and_then_the_containers() {
        let mut app = container("app", None);
        app.reason = Some("CannotPullContainerError: no such image".to_owned());
        let task = Task {
            stopped_reason: Some("Task failed to start".to_owned()),
            containers: vec![app],
            ..Default::default()
        };
        assert_eq!(
            reason(&task),
            "Task failed to start; app: CannotPullContainerError: no such image"
        );
    }
}
