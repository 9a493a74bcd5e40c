//! A steady load through everything that changes.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::load::{Load, Report};
use berth_integration_tests::web::{CHECK, behind, web};
use berth_integration_tests::{Cluster, Seen, journal, wait_until};
use serde_json::{Value, json};

use super::{CLUSTER, HOSTS, Hosts, get, meanwhile, wait_served};

/// Clients of a load: each asks fifty times a second.
const CLIENTS: usize = 12;

pub(super) fn every_gateway_forwards_to_every_task(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let definition = web(&cluster, "spread", "$HOSTNAME", "")?;
    let created = cluster.create_service("spread", &definition, &behind("http-8080", 3, CHECK, "5s"))?;
    assert_eq!(created["loadBalancers"][0]["containerPort"], 8080, "{created}");
    cluster.wait_completed("spread")?;
    for host in HOSTS {
        let listener = hosts.listener(host, 8080)?;
        wait_served(&[listener])?;
        let mut answers: Vec<String> = (0..6).map(|_| get(listener, "/")).collect::<Result<_>>()?;
        answers.sort();
        answers.dedup();
        assert_eq!(
            answers.len(),
            3,
            "the gateway of {host} forwards to each task: {answers:?}"
        );
    }
    let deleted = cluster.delete_service("spread")?;
    let events = berth_integration_tests::cluster::services::events(&deleted);
    for says in [
        "registered 3 targets in",
        "has begun draining connections on 3 tasks",
        "deregistered 3 targets in",
    ] {
        assert!(events.iter().any(|event| event.contains(says)), "{says}: {events:#?}");
    }
    wait_until("nothing listens any more", SOON, || {
        let listener = hosts.listener("a", 8080)?;
        Ok(Seen::when(get(listener, "/").is_err(), || "it answers".to_owned()))
    })
}

/// Nothing failed, and there was something to fail.
fn whole(report: &Report, at_least: usize) -> Result<()> {
    let failures = &report.failures;
    ensure!(
        failures.is_empty(),
        "{} of {} requests failed: {:#?}",
        failures.len(),
        failures.len() + report.answered.len(),
        &failures[..failures.len().min(10)]
    );
    ensure!(
        report.answered.len() >= at_least,
        "only {} requests were answered",
        report.answered.len()
    );
    Ok(())
}

pub(super) fn rolling_updates_fail_no_request_and_keep_their_bounds(hosts: &Hosts) -> Result<()> {
    const DESIRED: usize = 4;
    const UPDATES: usize = 2;
    let mut cluster = hosts.cluster();
    let first = web(&cluster, "rolled", "release-0", "")?;
    let mut spec = behind("http-8081", DESIRED, CHECK, "10s");
    spec["deploymentConfiguration"] = json!({"minimumHealthyPercent": 75, "maximumPercent": 150});
    cluster.create_service("rolled", &first, &spec)?;
    cluster.wait_completed("rolled")?;
    let listeners = hosts.listeners(&HOSTS, 8081)?;
    wait_served(&listeners)?;
    let begun = SystemTime::now();
    let load = Load::start(&listeners, "/", CLIENTS);
    for update in 1..=UPDATES {
        let next = web(&cluster, "rolled", &format!("release-{update}"), "")?;
        cluster.update_service("rolled", &json!({"taskDefinition": next}))?;
        cluster.wait_completed("rolled")?;
    }
    meanwhile(Duration::from_secs(1));
    let report = load.stop()?;
    whole(&report, 1000)?;
    for update in 0..=UPDATES {
        let body = format!("release-{update}\n");
        ensure!(
            report.bodies.contains_key(&body),
            "nobody was answered by {body}: {:?}",
            report.bodies
        );
    }

    // Not from samples: what each record of the journal has made of the service.
    let status = cluster.scheduler.terminate()?;
    ensure!(status.success(), "the scheduler ended with {status}");
    let looks = journal::of_service(cluster.scheduler.data_dir(), "rolled")?;
    cluster.scheduler.start_again()?;
    cluster.wait_connected(HOSTS.len())?;
    let during: Vec<_> = looks.iter().filter(|look| look.at >= begun).collect();
    ensure!(during.len() > UPDATES * DESIRED, "the updates left no trace: {looks:?}");
    for look in during {
        ensure!(look.healthy >= 3, "below the floor: {look:?}");
        ensure!(look.wanted <= 6, "above the ceiling: {look:?}");
    }
    cluster.delete_service("rolled").map(drop)
}

pub(super) fn a_deployment_that_is_there_whole_gets_all_traffic_at_once(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let blue = web(&cluster, "moved", "blue", "")?;
    let mut spec = behind("http-8088", 2, CHECK, "5s");
    spec["deploymentConfiguration"] = json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0});
    let created = cluster.create_service("moved", &blue, &spec)?;
    assert_eq!(
        created["deploymentConfiguration"]["strategy"], "BLUE_GREEN",
        "{created}"
    );
    cluster.wait_completed("moved")?;
    let listeners = hosts.listeners(&HOSTS, 8088)?;
    wait_served(&listeners)?;
    let load = Load::start(&listeners, "/", CLIENTS);
    let green = web(&cluster, "moved", "green", "")?;
    cluster.update_service("moved", &json!({"taskDefinition": green}))?;
    let completed = cluster.wait_completed("moved")?;
    meanwhile(Duration::from_secs(1));
    let answers: Vec<String> = (0..10).map(|_| get(listeners[0], "/")).collect::<Result<_>>()?;
    assert!(answers.iter().all(|answer| answer == "green\n"), "{answers:?}");
    let report = load.stop()?;
    whole(&report, 200)?;
    ensure!(report.bodies.len() == 2, "both have answered: {:?}", report.bodies);
    let events = berth_integration_tests::cluster::services::events(&completed);
    let moved = events
        .iter()
        .filter(|event| event.ends_with("has 100 percent of the production traffic."));
    assert_eq!(moved.count(), 1, "{events:#?}");
    cluster.delete_service("moved").map(drop)
}

pub(super) fn a_drain_and_restarts_of_agent_scheduler_and_gateway_fail_no_request(hosts: &Hosts) -> Result<()> {
    let mut cluster = hosts.cluster();
    let definition = web(&cluster, "steady", "steady", "")?;
    cluster.create_service("steady", &definition, &behind("http-8082", 4, CHECK, "10s"))?;
    cluster.wait_completed("steady")?;
    // Of the third one the gateway is started anew: its clients would see that.
    let listeners = hosts.listeners(&HOSTS[..2], 8082)?;
    wait_served(&listeners)?;
    let load = Load::start(&listeners, "/", CLIENTS);

    let drained = arn_of(&cluster, "b")?;
    set_status(&cluster, &drained, "DRAINING")?;
    wait_until("the host is empty and the service whole", SOON, || {
        let tasks = cluster.service_tasks("steady")?;
        let running = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING").count();
        let there = tasks.iter().any(|task| task["containerInstanceArn"] == json!(drained));
        Ok(Seen::when(running == 4 && !there, || format!("{tasks:?}")))
    })?;
    set_status(&cluster, &drained, "ACTIVE")?;

    cluster.agents[0].daemon().kill()?;
    meanwhile(Duration::from_secs(2));
    cluster.agents[0].daemon().start_again()?;
    cluster.wait_connected(HOSTS.len())?;

    cluster.scheduler.daemon().kill()?;
    meanwhile(Duration::from_secs(2));
    cluster.scheduler.start_again()?;
    cluster.wait_connected(HOSTS.len())?;

    let status = hosts.gateways()[2].daemon().terminate(Duration::from_secs(60))?;
    ensure!(status.success(), "the gateway ended with {status}");
    hosts.gateways()[2].daemon().start_again()?;
    wait_served(&hosts.listeners(&HOSTS[2..], 8082)?)?;
    meanwhile(Duration::from_secs(2));
    whole(&load.stop()?, 1000)?;
    cluster.delete_service("steady").map(drop)
}

fn arn_of(cluster: &Cluster, host: &str) -> Result<String> {
    let instance = cluster.instance_of(host)?;
    let arn = instance["containerInstanceArn"].as_str();
    arn.map(str::to_owned).context("an instance without an ARN")
}

fn set_status(cluster: &Cluster, instance: &str, status: &str) -> Result<()> {
    let input = json!({"cluster": CLUSTER, "containerInstances": [instance], "status": status});
    cluster.ecs().call("UpdateContainerInstancesState", &input).map(drop)
}

pub(super) fn a_host_that_is_cut_off_costs_no_more_than_what_was_in_flight_on_it(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let definition = web(&cluster, "cut", "cut", "")?;
    cluster.create_service("cut", &definition, &behind("http-8083", 6, CHECK, "10s"))?;
    cluster.wait_completed("cut")?;
    // Clients of the gateway that is cut off with its host have nobody to ask.
    let listeners = hosts.listeners(&HOSTS[..2], 8083)?;
    wait_served(&listeners)?;
    let load = Load::start(&listeners, "/", CLIENTS);
    meanwhile(Duration::from_secs(1));
    let cut = SystemTime::now();
    hosts.bed.host(HOSTS[2])?.link().cut()?;
    // By then all gateways have found its tasks gone, and the scheduler has told them.
    let missed = wait_until("the scheduler misses the host", SOON, || {
        let instance = cluster.instance_of(HOSTS[2])?;
        Ok(Seen::when(instance["agentConnected"] == false, || instance.to_string()))
    });
    meanwhile(Duration::from_secs(3));
    let mended = hosts.bed.host(HOSTS[2])?.link().mend();
    cluster.wait_connected(HOSTS.len())?;
    meanwhile(Duration::from_secs(3));
    let report = load.stop()?;
    missed?;
    mended?;
    ensure!(
        report.answered.len() > 5000,
        "only {} requests were answered",
        report.answered.len()
    );
    let late = Duration::from_millis(200);
    let on_it = |failure: &&berth_integration_tests::load::Failure| failure.sent <= cut + late;
    let (on_it, others): (Vec<_>, Vec<_>) = report.failures.iter().partition(|failure| on_it(failure));
    ensure!(on_it.len() <= CLIENTS, "more than were in flight: {on_it:#?}");
    ensure!(others.is_empty(), "{} failed besides: {others:#?}", others.len());
    wait_until("the service is whole", SOON, || {
        let tasks: Vec<Value> = cluster.service_tasks("cut")?;
        let running = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING").count();
        Ok(Seen::when(running == 6 && tasks.len() == 6, || format!("{tasks:?}")))
    })?;
    cluster.delete_service("cut").map(drop)
}
