//! Services as tables.

use anstyle::AnsiColor;
use berth_proto::ecs::v1::{Deployment, Service, ServiceEvent};
use berth_proto::v1::TargetDescription;

use super::table::{Cell, maybe, number, status, text};
use super::{Now, Table, ids};
use crate::output::Presentation;

/// Events that `show` prints.
const LAST_EVENTS: usize = 8;

pub(crate) fn list(services: &[Service]) -> Presentation {
    let mut table = Table::with_headings([
        "SERVICE",
        "STATUS",
        "DEFINITION",
        "STRATEGY",
        "DESIRED",
        "RUNNING",
        "PENDING",
        "ROLLOUT",
    ]);
    for service in services {
        table.row([
            text(service.service_name()),
            status(service.status.as_deref()),
            text(ids::of_arn(service.task_definition())),
            text(service.scheduling_strategy()),
            number(service.desired_count()),
            number(service.running_count()),
            number(service.pending_count()),
            rollout(service.deployments.first()),
        ]);
    }
    Presentation::default().table(&table)
}

/// One service; `scaling` says how it is scaled.
pub(crate) fn one(
    service: Option<&Service>,
    targets: &[TargetDescription],
    scaling: Option<String>,
    now: Now,
) -> Presentation {
    let Some(service) = service else {
        return Presentation::default();
    };
    let mut table = Table::pairs();
    table.pair("Service", text(service.service_name()));
    table.pair("ARN", maybe(service.service_arn.as_deref()));
    table.pair("Status", status(service.status.as_deref()));
    table.pair("Task definition", text(ids::of_arn(service.task_definition())));
    table.pair("Strategy", text(service.scheduling_strategy()));
    table.pair("Tasks", text(tasks(service)));
    if let Some(scaling) = scaling {
        table.pair("Scaled", text(scaling));
    }
    table.pair("Created", maybe(service.created_at.map(|at| now.ago(at))));
    if let Some(configuration) = &service.deployment_configuration {
        let bounds = format!(
            "{}% to {}% of the desired count",
            configuration.minimum_healthy_percent(),
            configuration.maximum_percent()
        );
        table.pair("While deploying", text(bounds));
        let breaker = configuration.deployment_circuit_breaker.as_ref();
        let says = match breaker.map(|breaker| (breaker.enable(), breaker.rollback())) {
            Some((true, true)) => "on, rolls back",
            Some((true, false)) => "on",
            Some((false, _)) | None => "off",
        };
        table.pair("Circuit breaker", text(says));
    }
    for one in &service.load_balancers {
        let listener = ids::of_arn(one.target_group_arn());
        let leads = format!("{listener} to {}:{}", one.container_name(), one.container_port());
        table.pair("Load balancer", text(leads));
    }
    let presentation = Presentation::default().table(&table);
    let presentation = match service.deployments.as_slice() {
        [] => presentation,
        deployments => presentation.section("Deployments", &of_deployments(deployments, now)),
    };
    let presentation = match targets {
        [] => presentation,
        targets => presentation.section("Targets", &of_targets(targets)),
    };
    match service.events.len() {
        0 => presentation,
        _ => {
            let last = service.events.iter().take(LAST_EVENTS);
            presentation.section("Events", &of_events(last.rev(), now))
        }
    }
}

/// The events, the newest last.
pub(crate) fn events(service: Option<&Service>, now: Now) -> Presentation {
    let events = service.map_or(&[][..], |service| service.events.as_slice());
    Presentation::default().table(&of_events(events.iter().rev(), now))
}

/// `2 running, 1 pending of 3`
fn tasks(service: &Service) -> String {
    let pending = match service.pending_count() {
        0 => String::new(),
        count => format!(", {count} pending"),
    };
    format!(
        "{} running{pending} of {}",
        service.running_count(),
        service.desired_count()
    )
}

fn of_deployments(deployments: &[Deployment], now: Now) -> Table {
    let mut table = Table::with_headings([
        "DEPLOYMENT",
        "STATUS",
        "DEFINITION",
        "DESIRED",
        "RUNNING",
        "PENDING",
        "FAILED",
        "ROLLOUT",
        "BEGUN",
        "REASON",
    ]);
    for deployment in deployments {
        table.row([
            text(ids::of_arn(deployment.id())),
            text(deployment.status()),
            text(ids::of_arn(deployment.task_definition())),
            number(deployment.desired_count()),
            number(deployment.running_count()),
            number(deployment.pending_count()),
            number(deployment.failed_tasks()),
            rollout(Some(deployment)),
            maybe(deployment.created_at.map(|at| now.ago(at))),
            maybe(deployment.rollout_state_reason.as_deref()),
        ]);
    }
    table
}

fn of_targets(targets: &[TargetDescription]) -> Table {
    let mut table = Table::with_headings(["TASK", "INSTANCE", "LISTENER", "ADDRESS", "STATE", "REASON"]);
    for target in targets {
        let state = text(target.state.as_str());
        table.row([
            text(ids::of_arn(&target.task_arn)),
            text(ids::of_arn(&target.container_instance_arn)),
            text(ids::of_arn(&target.target_group_arn)),
            text(target.address.as_str()),
            match target.state.as_str() {
                "healthy" => state.colored(AnsiColor::Green),
                "unhealthy" => state.colored(AnsiColor::Red),
                _ => state.colored(AnsiColor::Yellow),
            },
            text(target.reason.as_str()),
        ]);
    }
    table
}

fn of_events<'e>(events: impl Iterator<Item = &'e ServiceEvent>, now: Now) -> Table {
    let mut table = Table::with_headings(["AT", "EVENT"]);
    for event in events {
        table.row([maybe(event.created_at.map(|at| now.ago(at))), text(event.message())]);
    }
    table
}

fn rollout(deployment: Option<&Deployment>) -> Cell {
    let state = deployment.and_then(|deployment| deployment.rollout_state.as_deref());
    let cell = maybe(state);
    match state {
        Some("COMPLETED") => cell.colored(AnsiColor::Green),
        Some("FAILED") => cell.colored(AnsiColor::Red),
        Some(_) => cell.colored(AnsiColor::Yellow),
        None => cell,
    }
}
