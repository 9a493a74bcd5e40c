//! A service holds its count.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::cluster::services::events;
use berth_integration_tests::{Cluster, Seen, wait_until};
use serde_json::{Value, json};

use super::{CLUSTER, HOSTS, Hosts, definition};

fn arns(tasks: &[Value]) -> BTreeSet<String> {
    let arns = tasks.iter().filter_map(|task| task["taskArn"].as_str());
    arns.map(str::to_owned).collect()
}

pub(super) fn a_service_reaches_its_count_and_replaces_what_crashes(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.shared();
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
    let cluster = hosts.shared();
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
    ensure!(!listed.to_string().contains("/scaled\""), "it is listed: {listed}");
    let refusal = cluster.ecs().refusal("UpdateService", &name)?;
    assert_eq!(
        (refusal.class.as_str(), refusal.message.as_str()),
        ("ServiceNotActiveException", "Service was not ACTIVE.")
    );
    Ok(())
}

/// The names of the hosts of a service's tasks, each as often as it has one.
fn names(cluster: &Cluster, service: &str) -> Result<Vec<&'static str>> {
    let tasks = cluster.service_tasks(service)?;
    let mut names = Vec::new();
    for host in HOSTS {
        let instance = cluster.instance_of(host)?["containerInstanceArn"].clone();
        let here = tasks.iter().filter(|task| task["containerInstanceArn"] == instance);
        names.extend(here.map(|_| host));
    }
    Ok(names)
}

pub(super) fn scale_in_leaves_a_service_spread_and_empties_hosts_of_one_that_is_packed(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.shared();
    let sleeper = definition(&cluster, "sleeper", "exec sleep 600")?;
    let spread = json!({"desiredCount": 6, "placementStrategy": [{"type": "spread", "field": "instanceId"}]});
    cluster.create_service("spread", &sleeper, &spread)?;
    // What other tests run there does not change which host is the fullest.
    let mut fillers = Vec::new();
    for (host, memory) in [(HOSTS[1], 2048), (HOSTS[2], 1024)] {
        let filler = cluster.register(&json!({"family": "filler", "containerDefinitions": [
            {"name": "app", "image": "busybox", "memory": memory, "command": ["sleep", "600"], "stopTimeout": 1},
        ]}))?;
        let there = json!({"placementConstraints": [
            {"type": "memberOf", "expression": format!("attribute:host == {host}")}]});
        fillers.extend(cluster.run(&filler, 1, &there)?);
    }
    let packed = json!({
        "desiredCount": 3,
        "placementStrategy": [{"type": "binpack", "field": "memory"}],
        "placementConstraints": [{"type": "distinctInstance"}],
    });
    cluster.create_service("packed", &sleeper, &packed)?;
    cluster.wait_stable("spread")?;
    cluster.wait_stable("packed")?;
    assert_eq!(names(&cluster, "spread")?, ["a", "a", "b", "b", "c", "c"]);
    assert_eq!(names(&cluster, "packed")?, HOSTS);
    for (desired, left) in [(2, &["b", "c"][..]), (1, &["b"][..])] {
        cluster.update_service("packed", &json!({"desiredCount": desired}))?;
        cluster.wait_stable("packed")?;
        assert_eq!(names(&cluster, "packed")?, left);
    }
    cluster.update_service("spread", &json!({"desiredCount": 3}))?;
    cluster.wait_stable("spread")?;
    assert_eq!(names(&cluster, "spread")?, HOSTS);
    cluster.delete_service("packed")?;
    cluster.delete_service("spread")?;
    cluster.stop(&fillers)
}
