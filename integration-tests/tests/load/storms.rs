//! More events than Docker keeps for those that come late, while tasks start, run and end.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::storm::Storm;
use berth_integration_tests::{Seen, wait_until};

use super::Hosts;

const STEADY: usize = 6;
const SHORT: usize = 20;

pub(crate) fn every_state_is_right_after_an_event_storm(hosts: &Hosts) -> Result<()> {
    let host = hosts.host("b")?;
    let engine = host.engine();
    let steady = hosts.register("steady", "trap '' USR1; echo ready; while :; do sleep 1; done")?;
    let short = hosts.register("short", "sleep 1; exit 7")?;
    let steady = hosts.run_on("b", &steady, STEADY)?;
    hosts.cluster.wait_running(&steady)?;
    let containers = steady
        .iter()
        .map(|arn| Ok(hosts.cluster.container(arn, "app")?.id().to_owned()))
        .collect::<Result<Vec<String>>>()?;
    containers.iter().try_for_each(|id| engine.wait_printed(id, "ready"))?;
    let instance = hosts.cluster.instance_of("b")?;
    let arn = instance["containerInstanceArn"].as_str().unwrap_or_default();
    let (signalled, frozen) = containers.split_at(STEADY / 2);
    let storm = Storm {
        instance: arn.rsplit('/').next().unwrap_or_default(),
        strangers: 150,
        signalled,
        frozen,
        rounds: 30,
    };

    let ended = thread::scope(|scope| {
        let storm = scope.spawn(|| storm.blow(engine));
        let mut ended = hosts.run_on("b", &short, SHORT / 2)?;
        ended.extend(hosts.run_on("b", &short, SHORT / 2)?);
        storm.join().map_err(|_| anyhow!("the storm panicked"))??;
        anyhow::Ok(ended)
    })?;
    // Most of those that run go behind the agent's back, in the storm's wake.
    let (killed, living): (Vec<_>, Vec<_>) = steady.iter().cloned().enumerate().partition(|(at, _)| at % 3 < 2);
    let [killed, living] = [killed, living].map(|tasks| tasks.into_iter().map(|(_, arn)| arn).collect::<Vec<_>>());
    for (at, container) in containers.iter().enumerate() {
        match at % 3 {
            0 => engine.remove(container)?,
            1 => engine.signal(container, "KILL")?,
            _ => {}
        }
    }

    for task in hosts.cluster.wait_stopped(&ended)? {
        let container = container_of(&task, "app")?;
        ensure!(container["exitCode"] == 7, "not exit code 7: {task}");
    }
    hosts.cluster.wait_stopped(&killed)?;
    let living_now = hosts.cluster.describe(&living)?;
    for task in &living_now {
        ensure!(
            task["lastStatus"] == "RUNNING" && container_of(task, "app")?["lastStatus"] == "RUNNING",
            "does not run: {task}"
        );
    }
    hosts.cluster.stop(&living)?;
    hosts.cluster.wait_stopped(&living)?;
    wait_until("no container is left", SOON, || {
        let left = engine.stock()?.containers;
        Ok(Seen::when(left == 0, || format!("{left} containers")))
    })?;
    ensure!(
        hosts.cluster.instance_of("b")?["runningTasksCount"] == 0,
        "tasks still count as running"
    );
    Ok(())
}
