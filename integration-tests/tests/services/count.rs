//! A service holds its count.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::cluster::services::events;
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{CLUSTER, HOSTS, Hosts, definition};

fn arns(tasks: &[Value]) -> BTreeSet<String> {
    let arns = tasks.iter().filter_map(|task| task["taskArn"].as_str());
    arns.map(str::to_owned).collect()
}

pub(super) fn a_service_reaches_its_count_and_replaces_what_crashes(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.whole()?;
    let sleeper = definition(&cluster, "sleeper", "exec sleep 600")?;
    let created = cluster.create_service("web", &sleeper, &json!({"desiredCount": 3}))?;
    assert_eq!(created["status"], "ACTIVE", "{created}");
    assert_eq!(created["deployments"][0]["status"], "PRIMARY", "{created}");
    assert_eq!(created["deployments"][0]["rolloutState"], "IN_PROGRESS", "{created}");
    let stable = cluster.wait_stable("web")?;
    ensure!(
        events(&stable)
            .iter()
            .any(|event| event.starts_with("(service web) has started 3 tasks: (task ")),
        "{stable}"
    );
    let before = cluster.service_tasks("web")?;
    let instances: BTreeSet<String> = before
        .iter()
        .map(|task| task["containerInstanceArn"].to_string())
        .collect();
    assert_eq!(instances.len(), HOSTS.len(), "one on each host: {before:?}");
    for task in &before {
        assert_eq!(task["group"], "service:web");
        assert_eq!(task["startedBy"], stable["deployments"][0]["id"], "{task}");
    }

    let crashed = arns(&before).first().cloned().unwrap_or_default();
    let container = cluster.container(&crashed, "app")?;
    for host in hosts.bed.hosts() {
        if host
            .engine()
            .task_containers(&crashed)?
            .iter()
            .any(|known| known.id() == container.id())
        {
            host.engine().signal(container.id(), "KILL")?;
        }
    }
    wait_until("another task runs in place of the one that crashed", SOON, || {
        let now = cluster.service_tasks("web")?;
        let replaced =
            now.len() == 3 && !arns(&now).contains(&crashed) && now.iter().all(|task| task["lastStatus"] == "RUNNING");
        Ok(Seen::when(replaced, || format!("{now:?}")))
    })?;
    assert_eq!(cluster.service("web")?["runningCount"], 3);
    cluster.delete_service("web").map(drop)
}

pub(super) fn a_service_is_scaled_out_and_in_and_deleted(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.whole()?;
    let sleeper = definition(&cluster, "sleeper", "exec sleep 600")?;
    cluster.create_service("scaled", &sleeper, &json!({"desiredCount": 1}))?;
    cluster.wait_stable("scaled")?;
    cluster.update_service("scaled", &json!({"desiredCount": 4}))?;
    let stable = cluster.wait_stable("scaled")?;
    assert_eq!(stable["runningCount"], 4, "{stable}");
    assert_eq!(
        stable["deployments"].as_array().map(Vec::len),
        Some(1),
        "no new deployment"
    );
    let all = arns(&cluster.service_tasks("scaled")?);

    cluster.update_service("scaled", &json!({"desiredCount": 2}))?;
    cluster.wait_stable("scaled")?;
    let left = arns(&cluster.service_tasks("scaled")?);
    let stopped: Vec<String> = all.difference(&left).cloned().collect();
    assert_eq!((left.len(), stopped.len()), (2, 2));
    for task in cluster.wait_stopped(&stopped)? {
        assert_eq!(task["stopCode"], "ServiceSchedulerInitiated", "{task}");
        let reason = task["stoppedReason"].as_str().unwrap_or_default();
        ensure!(
            reason.starts_with("Scaling activity initiated by (deployment ecs-svc/"),
            "{reason}"
        );
    }

    let name = json!({"cluster": CLUSTER, "service": "scaled"});
    let refusal = cluster.ecs().refusal("DeleteService", &name)?;
    assert_eq!(
        refusal.message,
        "The service cannot be stopped while it is scaled above 0."
    );
    let refusal = cluster.ecs().refusal("DeleteCluster", &json!({"cluster": CLUSTER}))?;
    ensure!(refusal.class.starts_with("ClusterContains"), "{refusal}");
    let gone = cluster.delete_service("scaled")?;
    assert_eq!(gone["deployments"], json!([]), "{gone}");
    let listed = cluster.ecs().call("ListServices", &json!({"cluster": CLUSTER}))?;
    assert_eq!(listed["serviceArns"], json!([]));
    let refusal = cluster.ecs().refusal("UpdateService", &name)?;
    assert_eq!(
        (refusal.class.as_str(), refusal.message.as_str()),
        ("ServiceNotActiveException", "Service was not ACTIVE.")
    );
    Ok(())
}
