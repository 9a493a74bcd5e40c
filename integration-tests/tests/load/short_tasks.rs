//! Short tasks, started and ended as fast as the host can.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::process::Holding;
use berth_integration_tests::{Seen, wait_until};
use serde_json::Value;

use super::Hosts;

const TASKS: usize = 200;
/// Tasks that run before anything is measured.
const FIRST: usize = 40;
/// Tasks of one RunTask, the largest number that ECS takes.
const BATCH: usize = 10;
/// Tasks that have not stopped yet, at most: more than are started at once, so that the agent always has work.
const UNDERWAY: usize = 30;
/// What resident memory may grow by: the allocator keeps what the first peak needed, and the state of tasks is gone.
const GROWTH_KIB: u64 = 4 * 1024;
/// Idle threads of the runtime end by themselves after 10 s.
const THREADS_LINGER: Duration = Duration::from_secs(25);

pub(crate) fn two_hundred_short_tasks_leave_nothing_behind(hosts: &Hosts) -> Result<()> {
    let host = hosts.host("a")?;
    let pid = hosts.pid("a")?;
    let stock = host.engine().stock()?;
    // The first tasks make what is made once.
    churn(hosts, FIRST)?;
    wait_nothing_left(hosts)?;
    let before = Holding::of(pid)?;

    churn(hosts, TASKS - FIRST)?;
    wait_nothing_left(hosts)?;
    let after = host.engine().stock()?;
    ensure!(after == stock, "left on Docker: {after}; before: {stock}");
    wait_until("the agent holds no more than before", THREADS_LINGER, || {
        let now = Holding::of(pid)?;
        let fits = now.threads <= before.threads
            && now.files <= before.files
            && now.resident_kib <= before.resident_kib + GROWTH_KIB;
        Ok(Seen::when(fits, || format!("{now}; before: {before}")))
    })
}

/// Runs that many tasks, of which every second exits with 3, and sees that each is told as it was.
fn churn(hosts: &Hosts, tasks: usize) -> Result<()> {
    let codes = [0, 3];
    let definitions: Vec<String> = codes
        .iter()
        .map(|code| hosts.register(&format!("exits-with-{code}"), &format!("exit {code}")))
        .collect::<Result<_>>()?;
    let mut started = 0;
    let mut underway: BTreeMap<String, i64> = BTreeMap::new();
    let mut last_end = Instant::now();
    while started < tasks || !underway.is_empty() {
        while started < tasks && underway.len() + BATCH <= UNDERWAY {
            let turn = started / BATCH % codes.len();
            let arns = hosts.run_on("a", &definitions[turn], BATCH)?;
            underway.extend(arns.into_iter().map(|arn| (arn, codes[turn])));
            started += BATCH;
        }
        let arns: Vec<String> = underway.keys().cloned().collect();
        for task in hosts.cluster.describe(&arns)? {
            if task["lastStatus"] == "STOPPED" {
                let arn = task["taskArn"].as_str().unwrap_or_default();
                let code = underway.remove(arn);
                check(&task, code)?;
                last_end = Instant::now();
            }
        }
        if last_end.elapsed() > SOON {
            bail!("no task has ended for {SOON:?}; underway: {underway:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn check(task: &Value, code: Option<i64>) -> Result<()> {
    let container = container_of(task, "app")?;
    ensure!(
        container["exitCode"].as_i64() == code && task["stopCode"] == "EssentialContainerExited",
        "not exit code {code:?}: {task}"
    );
    Ok(())
}

/// Waits until Docker has no container and the agent no record of a task.
fn wait_nothing_left(hosts: &Hosts) -> Result<()> {
    let host = hosts.host("a")?;
    let records = host.state_dir(hosts.cluster.name()).join("tasks");
    wait_until("nothing is left of the tasks", SOON, || {
        let containers = host.engine().stock()?.containers;
        let records = fs::read_dir(&records)?.count();
        Ok(Seen::when(containers == 0 && records == 0, || {
            format!("{containers} containers, {records} records")
        }))
    })
}
