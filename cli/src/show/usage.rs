//! What hosts, tasks, containers and groups use, as tables, and the whole cluster in a line.

use berth_proto::v1::{
    Amount, ClusterUsage, ContainerUsage, GroupUsage, HostFigures, InstanceUsage, Percent, TaskUsage, Used,
};

use super::ids::Short;
use super::size::bytes;
use super::table::{Cell, number, text};
use super::{Table, ids};

const UNITS_PER_CORE: f64 = 1024.0;
const BYTES_PER_MIB: u64 = 1024 * 1024;

/// The cluster in a line.
pub(crate) fn summary(cluster: &ClusterUsage) -> String {
    let registered = cluster.registered.unwrap_or_default();
    let used = cluster.used.unwrap_or_default();
    let reservation = cluster.reservation.unwrap_or_default();
    let utilization = cluster.utilization.unwrap_or_default();
    format!(
        "{} of {} instances tell; CPU {} of {} units used ({}), {} reserved; memory {} of {} used ({}), {} reserved",
        cluster.telling,
        cluster.instances,
        units(used.cpu_units),
        registered.cpu_units,
        percent(utilization.cpu),
        percent(reservation.cpu),
        bytes(used.memory_bytes),
        bytes(registered.memory_mib.saturating_mul(BYTES_PER_MIB)),
        percent(utilization.memory),
        percent(reservation.memory),
    )
}

/// Hosts as wholes, and what of them tasks use and reserve.
pub(crate) fn instances(rows: &[InstanceUsage]) -> Table {
    let mut table = Table::with_headings([
        "INSTANCE",
        "CPU",
        "CPU %",
        "LOAD",
        "MEMORY",
        "MEM %",
        "TASKS CPU",
        "TASKS MEM",
        "CPU RES",
        "MEM RES",
        "DISK FREE",
        "RUNNING",
        "AGE",
    ]);
    let short = Short::among_instances(rows.iter().map(|row| row.container_instance_arn.as_str()));
    for row in rows {
        let host = row.host.unwrap_or_default();
        let used = row.used.unwrap_or_default();
        let reservation = row.reservation.unwrap_or_default();
        table.row([
            text(short.of(&row.container_instance_arn)),
            number(host.cpu_units),
            number(percent(cpu_of_host(&host))),
            number(format!("{:.2}", host.load_1_minute)),
            number(bytes(host.memory_used_bytes)),
            number(percent(part(host.memory_used_bytes, host.memory_total_bytes))),
            number(units(used.cpu_units)),
            number(bytes(used.memory_bytes)),
            number(percent(reservation.cpu)),
            number(percent(reservation.memory)),
            number(percent(part(host.disk_available_bytes, host.disk_total_bytes))),
            number(row.containers),
            number(age(row.age_ms)),
        ]);
    }
    table
}

/// Tasks, with their part of what they reserve.
pub(crate) fn tasks(rows: &[TaskUsage]) -> Table {
    let mut table = of_figures(&["TASK", "DEFINITION", "INSTANCE"]);
    let short = Short::among_tasks(rows.iter().map(|row| row.task_arn.as_str()));
    let short_instance = Short::among_instances(rows.iter().map(|row| row.container_instance_arn.as_str()));
    for row in rows {
        let names = [
            text(short.of(&row.task_arn)),
            text(ids::of_arn(&row.task_definition_arn)),
            text(short_instance.of(&row.container_instance_arn)),
        ];
        table.row(names.into_iter().chain(figures(row.used, row.utilization, row.age_ms)));
    }
    table
}

/// Containers, with their part of what they reserve and the limit of their memory.
pub(crate) fn containers(rows: &[ContainerUsage]) -> Table {
    let mut table = of_figures(&["TASK", "CONTAINER", "INSTANCE", "LIMIT"]);
    let short = Short::among_tasks(rows.iter().map(|row| row.task_arn.as_str()));
    let short_instance = Short::among_instances(rows.iter().map(|row| row.container_instance_arn.as_str()));
    for row in rows {
        let names = [
            text(short.of(&row.task_arn)),
            text(&row.name),
            text(short_instance.of(&row.container_instance_arn)),
            number(row.memory_limit_bytes.map_or_else(String::new, bytes)),
        ];
        table.row(names.into_iter().chain(figures(row.used, row.utilization, row.age_ms)));
    }
    table
}

/// Groups of tasks: a service is one.
pub(crate) fn groups(rows: &[GroupUsage]) -> Table {
    let mut table = of_figures(&["GROUP", "TASKS", "RESERVED"]);
    for row in rows {
        let names = [
            text(&row.group),
            number(row.tasks),
            number(amount(row.reserved.unwrap_or_default())),
        ];
        table.row(names.into_iter().chain(figures(row.used, row.utilization, row.age_ms)));
    }
    table
}

/// A table with these columns, and those that all but instances share.
fn of_figures(names: &[&str]) -> Table {
    let shared = [
        "CPU", "CPU %", "MEMORY", "MEM %", "NET IN", "NET OUT", "READ", "WRITTEN", "PIDS", "AGE",
    ];
    Table::with_headings(names.iter().copied().chain(shared))
}

/// What stands in the shared columns.
fn figures(used: Option<Used>, utilization: Option<Percent>, age_ms: u64) -> [Cell; 10] {
    let used = used.unwrap_or_default();
    let utilization = utilization.unwrap_or_default();
    [
        number(units(used.cpu_units)),
        number(percent(utilization.cpu)),
        number(bytes(used.memory_bytes)),
        number(percent(utilization.memory)),
        number(bytes(used.network_received_bytes)),
        number(bytes(used.network_sent_bytes)),
        number(bytes(used.block_read_bytes)),
        number(bytes(used.block_written_bytes)),
        number(used.pids),
        number(age(age_ms)),
    ]
}

/// Nothing until two samples of a container make a rate.
fn units(units: Option<f64>) -> String {
    units.map_or_else(|| "-".to_owned(), |units| format!("{units:.0}"))
}

fn percent(percent: Option<f64>) -> String {
    percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.0}%"))
}

fn amount(amount: Amount) -> String {
    format!("{}/{}MiB", amount.cpu_units, amount.memory_mib)
}

fn cpu_of_host(host: &HostFigures) -> Option<f64> {
    let all = f64::from(host.cores) * UNITS_PER_CORE;
    (all > 0.0).then(|| 100.0 * f64::from(host.cpu_units) / all)
}

fn part(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

fn age(milliseconds: u64) -> String {
    format!("{}s", milliseconds / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_is_told_in_a_line() {
        let cluster = ClusterUsage {
            instances: 3,
            telling: 2,
            registered: Some(Amount {
                cpu_units: 6144,
                memory_mib: 2048,
            }),
            used: Some(Used {
                cpu_units: Some(614.4),
                memory_bytes: 512 << 20,
                ..Used::default()
            }),
            reservation: Some(Percent {
                cpu: Some(50.0),
                memory: None,
            }),
            utilization: Some(Percent {
                cpu: Some(10.0),
                memory: Some(25.0),
            }),
            ..ClusterUsage::default()
        };
        assert_eq!(
            summary(&cluster),
            "2 of 3 instances tell; CPU 614 of 6144 units used (10%), 50% reserved; \
             memory 512.0MiB of 2.0GiB used (25%), - reserved"
        );
    }

    #[test]
    fn a_task_without_a_rate_has_none() {
        let row = TaskUsage {
            task_arn: "arn:x:task/default/0123456789abcdef".to_owned(),
            task_definition_arn: "arn:x:task-definition/web:1".to_owned(),
            container_instance_arn: "arn:x:container-instance/default/aaaabbbbcccc".to_owned(),
            used: Some(Used {
                memory_bytes: 3 << 20,
                pids: 2,
                ..Used::default()
            }),
            age_ms: 4200,
            ..TaskUsage::default()
        };
        assert_eq!(
            tasks(&[row]).render(),
            "TASK              DEFINITION  INSTANCE  CPU  CPU %  MEMORY  MEM %  NET IN  NET OUT  READ  WRITTEN  PIDS  AGE\n\
             0123456789abcdef  web:1       aaaabbbb    -      -  3.0MiB      -      0B       0B    0B       0B     2   4s\n"
        );
    }
}
