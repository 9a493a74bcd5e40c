//! A service changes what it runs.

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::services::events;
use berth_integration_tests::journal;
use serde_json::json;

use super::{Hosts, checked, definition};

/// Bounds of the update: 4 tasks, of which half stay healthy and of which there are half more at most.
const DESIRED: usize = 4;
const FLOOR: usize = 2;
const CEILING: usize = 6;

pub(super) fn a_rolling_update_keeps_its_bounds_though_the_scheduler_is_killed(hosts: &Hosts) -> Result<()> {
    let mut cluster = hosts.alone();
    let old = checked(&cluster, "release", "exec sleep 600")?;
    let bounds = json!({"desiredCount": DESIRED, "deploymentConfiguration": {
        "minimumHealthyPercent": 50, "maximumPercent": 150,
    }});
    cluster.create_service("rolled", &old, &bounds)?;
    cluster.wait_service("rolled", "completed", |service| {
        service["deployments"][0]["rolloutState"] == "COMPLETED"
    })?;

    let new = checked(&cluster, "release", "exec sleep 601")?;
    let updated = cluster.update_service("rolled", &json!({"taskDefinition": new}))?;
    assert_eq!(updated["deployments"].as_array().map(Vec::len), Some(2), "{updated}");
    cluster.wait_service("rolled", "on its way", |service| {
        service["deployments"][0]["pendingCount"] != json!(0) || service["deployments"][0]["runningCount"] != json!(0)
    })?;
    cluster.scheduler.daemon().kill()?;
    cluster.scheduler.start_again()?;
    let stable = cluster.wait_stable("rolled")?;
    ensure!(
        stable["taskDefinition"].as_str().is_some_and(|arn| arn.ends_with(&new)),
        "{stable}"
    );
    let completed = cluster.wait_service("rolled", "completed", |service| {
        service["deployments"][0]["rolloutState"] == "COMPLETED"
    })?;
    ensure!(
        events(&completed)
            .iter()
            .any(|event| event.ends_with("deployment completed.")),
        "{completed}"
    );

    // Not from samples: what each record of the journal has made of the service.
    let status = cluster.scheduler.terminate()?;
    ensure!(status.success(), "the scheduler ended with {status}");
    let seen = journal::of_service(cluster.scheduler.data_dir(), "rolled")?;
    cluster.scheduler.start_again()?;
    let complete = seen.iter().position(|look| look.healthy == DESIRED);
    let during: Vec<_> = seen.iter().skip(complete.unwrap_or(usize::MAX)).collect();
    ensure!(
        during.len() > DESIRED,
        "the service was not whole before the update: {seen:?}"
    );
    for look in during {
        ensure!(look.healthy >= FLOOR, "below the floor: {look:?}");
        ensure!(look.wanted <= CEILING, "above the ceiling: {look:?}");
    }
    cluster.delete_service("rolled").map(drop)
}

pub(super) fn a_release_that_cannot_start_is_rolled_back(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.shared();
    let good = checked(&cluster, "good", "exec sleep 600")?;
    let guarded = json!({"desiredCount": 2, "deploymentConfiguration": {"deploymentCircuitBreaker": {
        "enable": true, "rollback": true, "thresholdConfiguration": {"type": "COUNT", "value": 2},
    }}});
    cluster.create_service("guarded", &good, &guarded)?;
    cluster.wait_service("guarded", "completed", |service| {
        service["deployments"][0]["rolloutState"] == "COMPLETED"
    })?;
    let container = json!({"name": "app", "image": "no-such-image:ever", "memory": 16});
    let bad = cluster.register(&json!({"family": "bad", "containerDefinitions": [container]}))?;
    let updated = cluster.update_service("guarded", &json!({"taskDefinition": bad}))?;
    let failing = updated["deployments"][0]["id"].as_str().unwrap_or_default().to_owned();
    let back = cluster.wait_service("guarded", "back at the good release", |service| {
        let definition = service["taskDefinition"].as_str().unwrap_or_default();
        let deployments = service["deployments"].as_array().map_or(0, Vec::len);
        definition.ends_with(&good) && deployments == 1 && service["runningCount"] == json!(2)
    })?;
    let says = format!("(service guarded) (deployment {failing}) deployment failed: tasks failed to start.");
    ensure!(events(&back).contains(&says), "{back}");
    cluster.delete_service("guarded")?;

    // A service without a breaker tries on, with pauses that grow.
    let patient = definition(&cluster, "patient", "exec sleep 600")?;
    cluster.create_service("patient", &patient, &json!({"desiredCount": 1}))?;
    cluster.wait_stable("patient")?;
    cluster.update_service("patient", &json!({"taskDefinition": bad}))?;
    cluster.wait_service("patient", "failing", |service| {
        service["deployments"][0]["failedTasks"].as_i64() >= Some(1)
    })?;
    assert_eq!(cluster.service("patient")?["runningCount"], 1, "what runs goes on");
    cluster.delete_service("patient").map(drop)
}
