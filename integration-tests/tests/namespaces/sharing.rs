//! `pidMode` and `ipcMode`.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{Hosts, PAUSE, arn, definition, shell};

/// Waits for a process that nothing else is called.
const WATCH: &str = "until ps -o args | grep -q '[s]leep 4321'; do sleep 0.2; done; echo seen; exec sleep 600";

pub(super) fn a_task_of_one_process_namespace_sees_all_its_processes(bed: &Hosts) -> Result<()> {
    let containers = json!([shell("watcher", WATCH), shell("watched", "exec sleep 4321")]);
    let tasks = bed.running(&definition("pid-task", containers, &json!({"pidMode": "task"})), 1)?;
    bed.wait_printed(&tasks[0], "watcher", "seen")?;
    let ended = bed.stop(&tasks)?;
    for container in ended[0]["containers"].as_array().into_iter().flatten() {
        assert_eq!(container["exitCode"], 143, "{container}");
    }
    Ok(())
}

pub(super) fn a_task_of_the_hosts_process_namespace_sees_the_hosts_processes(bed: &Hosts) -> Result<()> {
    let script = "ps -o comm | grep -q '^dockerd' && echo dockerd; exec sleep 600";
    let host = definition("pid-host", json!([shell("app", script)]), &json!({"pidMode": "host"}));
    let tasks = bed.running(&host, 1)?;
    bed.wait_printed(&tasks[0], "app", "dockerd")?;
    let containers = bed.host("a")?.engine().task_containers(&arn(&tasks[0])?)?;
    ensure!(containers.len() == 1, "the host's namespaces need no pause container");
    bed.stop(&tasks).map(drop)
}

pub(super) fn a_task_of_one_ipc_namespace_shares_its_memory(bed: &Hosts) -> Result<()> {
    let containers = json!([
        shell("writer", "echo berth > /dev/shm/said; exec sleep 600"),
        shell(
            "reader",
            "until grep berth /dev/shm/said; do sleep 0.2; done 2>/dev/null; exec sleep 600"
        ),
    ]);
    let tasks = bed.running(&definition("ipc-task", containers, &json!({"ipcMode": "task"})), 1)?;
    bed.wait_printed(&tasks[0], "reader", "berth")?;
    let pause = bed.container(&tasks[0], PAUSE)?;
    assert_eq!(pause.host_config("IpcMode"), "shareable");
    bed.stop(&tasks).map(drop)
}

pub(super) fn containers_share_nothing_that_is_not_asked_for(bed: &Hosts) -> Result<()> {
    let spy = "[ -e /dev/shm/said ] || echo nothing said; ps -o args | grep -q '[s]leep 4322' || echo nothing seen; \
               exec sleep 600";
    let mut after = shell("spy", spy);
    after["links"] = json!(["writer"]);
    let containers = json!([shell("writer", "echo berth > /dev/shm/said; exec sleep 4322"), after]);
    let tasks = bed.running(&definition("apart", containers, &json!({})), 1)?;
    bed.wait_printed(&tasks[0], "spy", "nothing said")?;
    bed.wait_printed(&tasks[0], "spy", "nothing seen")?;
    bed.stop(&tasks).map(drop)
}
