//! A host that leaves its cluster.

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::{Cluster, Seen, TestBed, wait_until};
use serde_json::json;

#[test]
fn a_deregistered_host_stops_what_it_runs_and_is_refused_until_it_is_new() -> Result<()> {
    TestBed::with("deregister", &["a"], |bed| {
        let cluster = Cluster::start(bed, "leaving")?;
        let task = cluster.run_one(&json!({
            "family": "sleeper",
            "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 16, "command": ["sleep", "1000"]}],
        }))?;
        cluster.wait_running(std::slice::from_ref(&task))?;
        let instance = cluster.instance_of("a")?["containerInstanceArn"].clone();
        let input = json!({"cluster": cluster.name(), "containerInstance": instance});
        let refusal = cluster.ecs().refusal("DeregisterContainerInstance", &input)?;
        ensure!(refusal.message == "Found running tasks on the instance.", "{refusal}");

        let input = json!({"cluster": cluster.name(), "containerInstance": instance, "force": true});
        let answer = cluster.ecs().call("DeregisterContainerInstance", &input)?;
        ensure!(answer["containerInstance"]["status"] == "INACTIVE", "{answer}");
        let stopped = cluster.describe(&[task])?;
        ensure!(stopped[0]["lastStatus"] == "STOPPED", "{stopped:?}");
        ensure!(
            stopped[0]["stoppedReason"] == "Container instance deregistration forced by user",
            "{stopped:?}"
        );

        wait_until("the host runs nothing of the cluster any more", SOON, || {
            let running = cluster.containers()?;
            let left = running.iter().filter(|container| container.is_running()).count();
            Ok(Seen::when(left == 0, || format!("{left} containers run")))
        })
    })
}
