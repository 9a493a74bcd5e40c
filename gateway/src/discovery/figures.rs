//! The gateway's figures, from what it knows at the moment. Pure but for those of the process.

use std::collections::BTreeMap;

use berth_daemon::metrics::{Page, tell_certificates, tell_process};
use berth_tls::Membership;

use crate::endpoints::Table;
use crate::report::{Load, Loads, States, TargetState};

const STATES: [&str; 5] = ["initial", "healthy", "unhealthy", "draining", "drained"];

/// What is summed for a service.
#[derive(Debug, Default)]
struct Service {
    load: Load,
    targets: [u64; STATES.len()],
}

/// All figures.
pub(super) fn page(ready: bool, table: &Table, states: &States, loads: &Loads) -> Page {
    let mut page = Page::default();
    tell_process(&mut page, "berth-gateway", env!("CARGO_PKG_VERSION"));
    page.gauge(
        "berth_gateway_ready",
        "Whether the gateway knows its cluster and does not stop: 1 or 0.",
    )
    .only(f64::from(u8::from(ready)));
    let services = services(table, states, loads);
    let mut targets = page.gauge(
        "berth_gateway_targets",
        "Targets of a service by how the gateway finds them.",
    );
    for (name, service) in &services {
        for (state, count) in STATES.iter().zip(service.targets) {
            targets.count(&[("service", name), ("state", state)], count);
        }
    }
    let mut open = page.gauge(
        "berth_gateway_open_requests",
        "Requests and TCP connections of a service that are open, but for those of targets that leave.",
    );
    for (name, service) in &services {
        open.count(&[("service", name)], service.load.open.into());
    }
    let mut requests = page.counter(
        "berth_gateway_requests_total",
        "Requests and TCP connections of a service that were given to a target.",
    );
    for (name, service) in &services {
        requests.count(&[("service", name)], service.load.requests);
    }
    page
}

/// The certificates of the gateway; none before it has joined.
pub(super) fn tell_membership(page: &mut Page, membership: Option<&Membership>) {
    if let Some((own, authority)) = membership.and_then(Membership::lives) {
        tell_certificates(page, own.as_epoch_seconds(), authority.as_epoch_seconds());
    }
}

fn services<'t>(table: &'t Table, states: &States, loads: &Loads) -> BTreeMap<&'t str, Service> {
    let mut services = BTreeMap::new();
    let mut of_group = BTreeMap::new();
    for service in table.services.values() {
        for group in &service.target_groups {
            of_group.insert(&*group.arn, &*service.name);
            let sums: &mut Service = services.entry(&*service.name).or_default();
            let load = loads.get(&group.arn).copied().unwrap_or_default();
            sums.load.open += load.open;
            sums.load.requests += load.requests;
        }
    }
    for (id, state) in states {
        let place = match state {
            TargetState::Initial => 0,
            TargetState::Healthy => 1,
            TargetState::Unhealthy(_) => 2,
            TargetState::Draining => 3,
            TargetState::Drained => 4,
        };
        let service = of_group.get(&*id.group).and_then(|name| services.get_mut(name));
        if let Some(count) = service.and_then(|service| service.targets.get_mut(place)) {
            *count += 1;
        }
    }
    services
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_proto::gateway::v1::Protocol;

    use super::*;
    use crate::endpoints::tests::{service, table};
    use crate::report::TargetId;

    #[test]
    fn targets_and_requests_are_told_by_service() {
        let table = table(&[service("web", Protocol::Http, 80, &[8001, 8002])]);
        let group = &table.services["web"].target_groups[0].arn;
        let state = |task: &str, state| {
            let id = TargetId {
                group: Arc::clone(group),
                task: task.into(),
            };
            (id, state)
        };
        let states = [
            state("a", TargetState::Healthy),
            state("b", TargetState::Unhealthy("status 500".into())),
        ];
        let load = Load { open: 3, requests: 70 };
        let page = page(true, &table, &states.into(), &[(Arc::clone(group), load)].into());
        let text = page.into_text();
        for line in [
            "berth_gateway_ready 1\n",
            "berth_gateway_targets{service=\"web\",state=\"healthy\"} 1\n",
            "berth_gateway_targets{service=\"web\",state=\"unhealthy\"} 1\n",
            "berth_gateway_targets{service=\"web\",state=\"drained\"} 0\n",
            "berth_gateway_open_requests{service=\"web\"} 3\n",
            "berth_gateway_requests_total{service=\"web\"} 70\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
