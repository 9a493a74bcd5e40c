//! Tasks that crash as soon as they run, each replaced at once, as a service's would be; and beside them a container
//! that crashes and is restarted in place by its restart policy.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use berth_integration_tests::Cluster;
use berth_integration_tests::cluster::{SOON, container_of};
use serde_json::json;

use crate::definition;

/// Tasks that crash at the same time.
const ALIVE: usize = 8;
const PAUSE: Duration = Duration::from_millis(50);
/// The shortest that ECS allows.
const RESTART_PERIOD_SECONDS: u64 = 60;
/// A round of the container that is restarted: a second longer than its period, so that each end counts.
const ROUND: Duration = Duration::from_secs(RESTART_PERIOD_SECONDS + 1);
/// What a round may take in all.
const ROUND_AT_MOST: Duration = Duration::from_secs(RESTART_PERIOD_SECONDS + 6);

/// What became of it.
#[derive(Debug)]
pub(crate) struct Crashes {
    pub(crate) span: Duration,
    /// Tasks that ended.
    pub(crate) ended: usize,
    /// Restarts in place.
    pub(crate) restarts: usize,
}

impl Crashes {
    /// Tasks that lived at the same time.
    pub(crate) fn alive(&self) -> usize {
        ALIVE + 1
    }

    /// What did not happen.
    pub(crate) fn problems(&self) -> Option<String> {
        let due = self.span.as_secs() / ROUND_AT_MOST.as_secs();
        let restarts = u64::try_from(self.restarts).unwrap_or(u64::MAX);
        (restarts < due).then(|| {
            format!(
                "{restarts} restarts in place in {:?}; at least {due} were due",
                self.span
            )
        })
    }
}

/// Crashes for the span; `look` is called at each quarter of it.
///
/// # Errors
///
/// If a task is lost, ends otherwise than it should, or is not told for a minute.
pub(crate) fn run(
    cluster: &Cluster,
    span: Duration,
    look: &mut dyn FnMut(&str, &Cluster) -> Result<()>,
) -> Result<Crashes> {
    eprintln!(
        "{ALIVE} tasks that crash and are replaced at once, for {} s",
        span.as_secs()
    );
    let restarted = restarted(cluster)?;
    let crashing = cluster.register(&definition("crashing", "exit 1"))?;
    let mut alive = BTreeSet::new();
    let mut ended = 0;
    let started = Instant::now();
    let mut last_end = started;
    let mut quarters = (1..=4_u32).peekable();
    while let Some(quarter) = quarters.peek().copied() {
        if alive.len() < ALIVE {
            alive.extend(cluster.run(&crashing, ALIVE - alive.len(), &json!({}))?);
        }
        let arns: Vec<String> = alive.iter().cloned().collect();
        for task in cluster.describe(&arns)? {
            if task["lastStatus"] == "STOPPED" {
                ensure!(container_of(&task, "app")?["exitCode"] == 1, "not exit code 1: {task}");
                task["taskArn"].as_str().map(|arn| alive.remove(arn));
                ended += 1;
                last_end = Instant::now();
            }
        }
        if last_end.elapsed() > SOON {
            bail!("no task has ended for {SOON:?}; alive: {alive:?}");
        }
        if started.elapsed() >= span * quarter / 4 {
            look(&format!("at {} %", quarter * 25), cluster)?;
            quarters.next();
        }
        thread::sleep(PAUSE);
    }
    let span = started.elapsed();
    let restarts = {
        let container = cluster.container(&restarted, "app")?;
        let printed = cluster.bed().host("a")?.engine().logs(container.id())?;
        printed.lines().count().saturating_sub(1)
    };
    cluster.wait_running(std::slice::from_ref(&restarted))?;
    cluster.stop_everything()?;
    Ok(Crashes { span, ended, restarts })
}

/// Runs the task whose container is restarted in place; it prints a line whenever it starts.
fn restarted(cluster: &Cluster) -> Result<String> {
    let script = format!(
        "trap 'exit 0' TERM; echo started; sleep {} & wait; exit 1",
        ROUND.as_secs()
    );
    let mut definition = definition("restarted", &script);
    definition["containerDefinitions"][0]["restartPolicy"] =
        json!({"enabled": true, "restartAttemptPeriod": RESTART_PERIOD_SECONDS});
    let arns = cluster.run(&cluster.register(&definition)?, 1, &json!({}))?;
    cluster.wait_running(&arns)?;
    arns.into_iter().next().context("no task")
}
