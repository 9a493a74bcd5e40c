//! Hosts come, go and are missed.

use std::collections::BTreeSet;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::cluster::services::events;
use berth_integration_tests::{Cluster, Seen, journal, wait_until};
use serde_json::{Value, json};

use super::{CLUSTER, HOSTS, Hosts, SPARE, checked, definition};

/// The instances of the service's tasks that run.
fn instances(cluster: &Cluster, name: &str) -> Result<BTreeSet<String>> {
    let tasks = cluster.service_tasks(name)?;
    let running = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING");
    let arns = running.filter_map(|task| task["containerInstanceArn"].as_str());
    Ok(arns.map(str::to_owned).collect())
}

fn arn_of(cluster: &Cluster, host: &str) -> Result<String> {
    let instance = cluster.instance_of(host)?;
    let arn = instance["containerInstanceArn"].as_str();
    arn.map(str::to_owned).context("an instance without an ARN")
}

pub(super) fn a_daemon_runs_on_each_host_and_on_one_that_joins(hosts: &Hosts) -> Result<()> {
    let mut cluster = hosts.alone();
    let logger = definition(&cluster, "logger", "exec sleep 600")?;
    let created = cluster.create_service("logs", &logger, &json!({"schedulingStrategy": "DAEMON"}))?;
    assert_eq!(created["desiredCount"], json!(HOSTS.len()), "{created}");
    cluster.wait_stable("logs")?;
    assert_eq!(instances(&cluster, "logs")?.len(), HOSTS.len());
    hosts.with_another(&mut cluster, "daemon", |cluster| {
        wait_until("the host that joins has one too", SOON, || {
            let on = instances(cluster, "logs")?;
            Ok(Seen::when(on.len() == HOSTS.len() + 1, || format!("{on:?}")))
        })?;
        cluster.wait_stable("logs")?;
        cluster.delete_service("logs").map(drop)
    })
}

pub(super) fn tasks_move_to_the_zone_of_a_host_that_joins_one_by_one_and_started_first(hosts: &Hosts) -> Result<()> {
    const DESIRED: usize = 4;
    let mut cluster = hosts.alone();
    let checked = checked(&cluster, "zoned", "exec sleep 600")?;
    let balanced = json!({"desiredCount": DESIRED, "availabilityZoneRebalancing": "ENABLED"});
    cluster.create_service("zoned", &checked, &balanced)?;
    cluster.wait_completed("zoned")?;
    let joined = SystemTime::now();
    hosts.with_another(&mut cluster, "zone", |cluster| {
        let spare = arn_of(cluster, SPARE)?;
        let service = cluster.wait_service("zoned", "balanced", |service| {
            let said = "(service zoned) is AZ balanced with 2 tasks in away, 2 tasks in home.";
            events(service).iter().any(|event| event == said)
        })?;
        let moved = events(&service);
        let count = |text: &str| moved.iter().filter(|event| event.contains(text)).count();
        assert_eq!(count("is not AZ balanced with 0 tasks in away, 4 tasks in home."), 1);
        assert_eq!(count("has started 1 tasks in away to AZ Rebalance: (task "), 2);
        assert_eq!(
            count("has stopped 1 running tasks in home due to AZ rebalancing: (task "),
            2
        );
        let tasks = cluster.service_tasks("zoned")?;
        let there = tasks.iter().filter(|task| task["containerInstanceArn"] == json!(spare));
        assert_eq!((tasks.len(), there.count()), (DESIRED, 2), "{tasks:?}");

        // Not from samples: what each record of the journal has made of the service.
        let status = cluster.scheduler.terminate()?;
        ensure!(status.success(), "the scheduler ended with {status}");
        let looks = journal::of_service(cluster.scheduler.data_dir(), "zoned")?;
        cluster.scheduler.start_again()?;
        cluster.wait_connected(HOSTS.len() + 1)?;
        let during: Vec<_> = looks.iter().filter(|look| look.at >= joined).collect();
        ensure!(during.len() > 2, "the moves left no trace: {looks:?}");
        for look in during {
            ensure!(look.healthy >= DESIRED, "fewer than wanted: {look:?}");
            ensure!(look.wanted <= DESIRED + 1, "more than one on its way: {look:?}");
        }
        cluster.delete_service("zoned").map(drop)
    })
}

pub(super) fn a_host_that_is_drained_hands_its_tasks_over(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.alone();
    let checked = checked(&cluster, "moved", "exec sleep 600")?;
    cluster.create_service("moved", &checked, &json!({"desiredCount": 3}))?;
    cluster.wait_stable("moved")?;
    let drained = arn_of(&cluster, "b")?;
    assert!(instances(&cluster, "moved")?.contains(&drained));
    set_status(&cluster, &drained, "DRAINING")?;
    wait_until("the host is empty and the service whole", SOON, || {
        let tasks = cluster.service_tasks("moved")?;
        let moved = tasks.len() == 3
            && tasks
                .iter()
                .all(|task| task["lastStatus"] == "RUNNING" && task["containerInstanceArn"] != json!(drained));
        Ok(Seen::when(moved, || format!("{tasks:?}")))
    })?;
    cluster.delete_service("moved")?;
    set_status(&cluster, &drained, "ACTIVE")
}

fn set_status(cluster: &Cluster, instance: &str, status: &str) -> Result<()> {
    let input = json!({"cluster": CLUSTER, "containerInstances": [instance], "status": status});
    cluster.ecs().call("UpdateContainerInstancesState", &input).map(drop)
}

pub(super) fn the_tasks_of_a_lost_host_are_replaced_and_the_surplus_goes_on_its_return(hosts: &Hosts) -> Result<()> {
    let mut cluster = hosts.alone();
    let checked = checked(&cluster, "missed", "exec sleep 600")?;
    cluster.create_service("missed", &checked, &json!({"desiredCount": 3}))?;
    cluster.wait_stable("missed")?;
    let last = HOSTS.len() - 1;
    let lost = arn_of(&cluster, HOSTS[last])?;
    let on = |task: &Value| task["containerInstanceArn"] == json!(lost);
    let before = cluster.service_tasks("missed")?;
    let kept = before.iter().find(|task| on(task)).context("no task on the host")?;
    let kept = kept["taskArn"].clone();
    wait_healthy(&cluster)?;

    cluster.agents[last].daemon().kill()?;
    wait_until("three tasks run elsewhere", SOON, || {
        let tasks = cluster.service_tasks("missed")?;
        let elsewhere = tasks.iter().filter(|task| !on(task) && task["lastStatus"] == "RUNNING");
        Ok(Seen::when(elsewhere.count() == 3, || format!("{tasks:?}")))
    })?;
    cluster.agents[last].daemon().start_again()?;
    cluster.wait_connected(HOSTS.len())?;
    wait_until("three tasks are left", SOON, || {
        let tasks = cluster.service_tasks("missed")?;
        let running = tasks.iter().all(|task| task["lastStatus"] == "RUNNING");
        Ok(Seen::when(running && tasks.len() == 3, || format!("{tasks:?}")))
    })?;
    let after = cluster.service_tasks("missed")?;
    assert!(
        after.iter().any(|task| task["taskArn"] == kept),
        "the older one stays: {after:?}"
    );
    cluster.delete_service("missed").map(drop)
}

fn wait_healthy(cluster: &Cluster) -> Result<()> {
    wait_until("all tasks are healthy", SOON, || {
        let tasks = cluster.service_tasks("missed")?;
        let healthy = tasks.iter().all(|task| task["healthStatus"] == "HEALTHY");
        Ok(Seen::when(healthy, || format!("{tasks:?}")))
    })
}
