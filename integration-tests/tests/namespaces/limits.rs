//! Task-level `cpu` and `memory`: a control group around the containers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{Hosts, arn, definition, shell};

const ROOT: &str = "/sys/fs/cgroup";
const BUSY: &str = "while :; do :; done";

/// A container without limits of its own.
fn bare(name: &str, script: &str) -> Value {
    let mut container = shell(name, script);
    if let Some(members) = container.as_object_mut() {
        members.remove("memory");
        members.remove("cpu");
    }
    container
}

/// The directory of a task's group in the hierarchy of a controller, found through a process of the task.
fn group(bed: &Hosts, task: &Value, container: &str, controller: &str) -> Result<PathBuf> {
    let pid = &bed.container(task, container)?.inspect["State"]["Pid"];
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).context("read the groups of a process")?;
    let of_controller = |line: &&str| {
        line.split(':')
            .nth(1)
            .is_some_and(|names| names.split(',').any(|n| n == controller))
    };
    let line = groups.lines().find(of_controller);
    let own = line
        .and_then(|line| line.splitn(3, ':').nth(2))
        .context("no such controller")?;
    let task_group = Path::new(own.trim_start_matches('/')).parent().context("no parent")?;
    Ok(Path::new(ROOT).join(controller).join(task_group))
}

fn figure(path: &Path) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("{} holds {text}", path.display()))
}

/// The directories that are left of a task, in all hierarchies.
fn left_of(task: &str) -> Vec<PathBuf> {
    let id = task.rsplit('/').next().unwrap_or_default();
    let mut found = Vec::new();
    let mut unseen = vec![PathBuf::from(ROOT)];
    while let Some(directory) = unseen.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_str() == Some(id) {
                    found.push(entry.path());
                } else {
                    unseen.push(entry.path());
                }
            }
        }
    }
    found
}

fn wait_nothing_left(task: &str) -> Result<()> {
    wait_until("nothing is left of the task's group", SOON, || {
        let left = left_of(task);
        Ok(Seen::when(left.is_empty(), || format!("{left:?}")))
    })
}

pub(super) fn a_quarter_of_a_core_is_shared_by_all_containers_of_the_task(bed: &Hosts) -> Result<()> {
    const WORK: Duration = Duration::from_millis(400);
    let containers = json!([bare("one", BUSY), bare("two", BUSY)]);
    let tasks = bed.running(
        &definition("quota", containers, &json!({"cpu": "0.25 vCPU", "memory": "64"})),
        1,
    )?;
    assert_eq!(tasks[0]["cpu"], "256");
    let used = group(bed, &tasks[0], "one", "cpuacct")?.join("cpuacct.usage");
    let begin = Instant::now();
    let first = figure(&used)?;
    wait_until("the task has used its CPU", SOON, || {
        let spent = Duration::from_nanos(figure(&used)?.saturating_sub(first));
        Ok(Seen::when(spent >= WORK, || format!("{spent:?}")))
    })?;
    // A period's quota may be used at its begin, and the last look may be late: never early.
    let elapsed = begin.elapsed();
    ensure!(
        elapsed >= WORK * 3,
        "{WORK:?} of CPU in {elapsed:?} is more than a quarter of a core"
    );
    let held = group(bed, &tasks[0], "two", "cpu")?;
    assert_eq!(figure(&held.join("cpu.cfs_quota_us"))?, 25_000);
    let throttled = fs::read_to_string(held.join("cpu.stat"))?;
    ensure!(
        throttled
            .lines()
            .any(|line| line.strip_prefix("nr_throttled ").is_some_and(|times| times != "0")),
        "{throttled}"
    );
    assert_eq!(figure(&group(bed, &tasks[0], "one", "pids")?.join("pids.max"))?, 500);
    bed.stop(&tasks)?;
    wait_nothing_left(&arn(&tasks[0])?)
}

pub(super) fn a_container_without_a_limit_is_killed_at_the_tasks_memory(bed: &Hosts) -> Result<()> {
    let mut side = bare("side", "exec sleep 600");
    side["essential"] = json!(false);
    // It takes more than the task has, once its sibling runs.
    let mut hog = bare("hog", "exec dd if=/dev/zero of=/dev/null bs=200M count=1000");
    hog["dependsOn"] = json!([{"containerName": "side", "condition": "START"}]);
    let arns = bed.start_on("a", &definition("oom", json!([hog, side]), &json!({"memory": "32"})), 1)?;
    let ended = bed.cluster.wait_stopped(&arns)?.remove(0);
    let hog = container_of(&ended, "hog")?;
    assert_eq!(hog["exitCode"], 137, "{ended}");
    let reason = hog["reason"].as_str().unwrap_or_default();
    ensure!(reason.starts_with("OutOfMemoryError: "), "{ended}");
    let side = container_of(&ended, "side")?;
    assert_eq!((&side["exitCode"], side.get("reason")), (&json!(143), None), "{ended}");
    assert_eq!(ended["stopCode"], "EssentialContainerExited");
    wait_nothing_left(&arns[0])
}

pub(super) fn groups_that_a_killed_agent_left_are_swept(bed: &Hosts) -> Result<()> {
    let mut agent = bed.victim.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let arns = bed.start_on(
        "b",
        &definition(
            "swept",
            json!([bare("app", "exec sleep 600")]),
            &json!({"memory": "32"}),
        ),
        1,
    )?;
    let task = bed.cluster.wait_running(&arns)?.remove(0);
    let id = arns[0].rsplit('/').next().unwrap_or_default();
    let stale = group(bed, &task, "app", "memory")?;
    ensure!(stale.ends_with(id), "{}", stale.display());
    // As if a task had come and gone while no agent ran.
    let nobodys = stale.with_file_name("0123456789abcdef0123456789abcdef");
    agent.daemon().kill()?;
    fs::create_dir(&nobodys).with_context(|| format!("create {}", nobodys.display()))?;
    agent.daemon().start_again()?;
    wait_until("the group of no task is removed", SOON, || {
        Ok(Seen::when(!nobodys.exists(), || "it is there".to_owned()))
    })?;
    ensure!(stale.exists(), "the group of a living task was removed");
    bed.stop(&[task])?;
    wait_nothing_left(&arns[0])
}
