//! Health as the gateways find it.

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::cluster::services::events;
use berth_integration_tests::web::{CHECK, behind, web};
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{Hosts, get, wait_served};

pub(super) fn a_target_that_begins_to_fail_its_checks_is_replaced(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let definition = web(&cluster, "sickly", "sickly", "")?;
    cluster.create_service("sickly", &definition, &behind("http-8086", 2, CHECK, "1s"))?;
    cluster.wait_completed("sickly")?;
    let listener = hosts.listener("a", 8086)?;
    wait_served(&[listener])?;
    // It says which container it is.
    let ill = get(listener, "/cgi-bin/ill")?;
    let tasks = cluster.service_tasks("sickly")?;
    let is_ill = |task: &&Value| {
        let id = task["containers"][0]["runtimeId"].as_str();
        id.is_some_and(|id| id.starts_with(ill.trim()))
    };
    let ill = tasks
        .iter()
        .find(is_ill)
        .with_context(|| format!("no task has container {ill}"))?;
    let ill = ill["taskArn"].as_str().unwrap_or_default().to_owned();
    wait_until("it is replaced", SOON, || {
        let tasks = cluster.service_tasks("sickly")?;
        let running = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING").count();
        let there = tasks.iter().any(|task| task["taskArn"] == json!(ill));
        Ok(Seen::when(running == 2 && !there, || format!("{tasks:?}")))
    })?;
    let stopped = cluster.wait_stopped(std::slice::from_ref(&ill))?.remove(0);
    let reason = stopped["stoppedReason"].as_str().unwrap_or_default();
    ensure!(
        reason.starts_with("Task failed ELB health checks in (target-group arn:"),
        "{reason}"
    );
    let said = events(&cluster.service("sickly")?);
    let says = said
        .iter()
        .any(|event| event.contains("is unhealthy in (target-group") && event.contains("404"));
    ensure!(says, "{said:#?}");
    cluster.delete_service("sickly").map(drop)
}

pub(super) fn a_release_that_never_turns_healthy_is_rolled_back_with_the_reason(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let good = web(&cluster, "released", "good", "")?;
    let mut spec = behind("http-8087", 2, CHECK, "1s");
    spec["deploymentConfiguration"] = json!({"deploymentCircuitBreaker": {
        "enable": true, "rollback": true, "thresholdConfiguration": {"type": "COUNT", "value": 2},
    }});
    cluster.create_service("released", &good, &spec)?;
    cluster.wait_completed("released")?;
    wait_served(&[hosts.listener("c", 8087)?])?;
    let bad = web(&cluster, "released", "bad", "rm /www/healthz &&")?;
    let updated = cluster.update_service("released", &json!({"taskDefinition": bad}))?;
    let failing = updated["deployments"][0]["id"].as_str().unwrap_or_default().to_owned();
    let back = cluster.wait_service("released", "back at the good release", |service| {
        let definition = service["taskDefinition"].as_str().unwrap_or_default();
        let deployments = service["deployments"].as_array().map_or(0, Vec::len);
        definition.ends_with(&good) && deployments == 1 && service["runningCount"] == json!(2)
    })?;
    let said = events(&back);
    let failed = format!("(service released) (deployment {failing}) deployment failed: tasks failed to start.");
    ensure!(said.contains(&failed), "{said:#?}");
    let says = said
        .iter()
        .any(|event| event.contains("is unhealthy in (target-group") && event.contains("404"));
    ensure!(says, "{said:#?}");
    cluster.delete_service("released").map(drop)
}
