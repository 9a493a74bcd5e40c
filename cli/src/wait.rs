//! Waiting for tasks to get somewhere. Ctrl-C ends the wait, never the tasks.

use std::time::Duration;

use anyhow::{Context, bail};
use berth_proto::ecs::v1::Task;
use clap::ValueEnum;
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::output::Output;
use crate::show::ids;

/// Between two looks at the tasks.
const PAUSE: Duration = Duration::from_millis(500);

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Goal {
    /// All tasks run; one that stops ends the wait
    Running,
    /// All tasks have stopped
    Stopped,
}

/// How a wait ended.
#[derive(Debug)]
pub(crate) enum Waited {
    /// The goal was met, or for `Running` a task has stopped: the tasks as they are now.
    Settled(Vec<Task>),
    /// The user pressed Ctrl-C.
    Interrupted,
}

/// Looks at the tasks until `goal` is met, for at most `limit`, and tells each change on standard error.
///
/// # Errors
/// A call fails, `limit` passes, or the scheduler does not know one of the tasks.
pub(crate) async fn for_tasks(
    api: &Api,
    output: &mut Output,
    arns: &[String],
    goal: Goal,
    limit: Duration,
) -> anyhow::Result<Waited> {
    let settled = tokio::select! {
        settled = until_settled(api, output, arns, goal, limit) => Some(settled?),
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.context("cannot listen for Ctrl-C")?;
            None
        }
    };
    if let Some(tasks) = settled {
        return Ok(Waited::Settled(tasks));
    }
    output.progress(match goal {
        Goal::Running => "interrupted: no longer waiting, the tasks go on; `berth ps` shows them",
        Goal::Stopped => "interrupted: no longer waiting, nothing else changes; `berth ps` shows the tasks",
    })?;
    Ok(Waited::Interrupted)
}

/// The same without an ear for Ctrl-C.
pub(crate) async fn until_settled(
    api: &Api,
    output: &mut Output,
    arns: &[String],
    goal: Goal,
    limit: Duration,
) -> anyhow::Result<Vec<Task>> {
    let deadline = Instant::now() + limit;
    let mut told = String::new();
    loop {
        let described = api.describe_tasks(arns).await?;
        if let Some(failure) = described.failures.first() {
            bail!(
                "task {}: the scheduler no longer knows it ({})",
                ids::of_arn(failure.arn()),
                failure.reason()
            );
        }
        let counts = counts(&described.tasks);
        if counts != told {
            output.progress(&format!("waiting for {}: {counts}", noun(goal)))?;
            told = counts;
        }
        if is_settled(&described.tasks, goal) {
            return Ok(described.tasks);
        }
        if Instant::now() >= deadline {
            bail!("the tasks were not {} within {} s: {told}", noun(goal), limit.as_secs());
        }
        sleep(PAUSE).await;
    }
}

fn noun(goal: Goal) -> &'static str {
    match goal {
        Goal::Running => "RUNNING",
        Goal::Stopped => "STOPPED",
    }
}

fn is_settled(tasks: &[Task], goal: Goal) -> bool {
    let all = |status| tasks.iter().all(|task| task.last_status() == status);
    match goal {
        Goal::Running => all("RUNNING") || tasks.iter().any(|task| task.last_status() == "STOPPED"),
        Goal::Stopped => all("STOPPED"),
    }
}

/// `1 PENDING, 2 RUNNING`, in the order in which tasks live.
fn counts(tasks: &[Task]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for task in tasks {
        match counts.iter_mut().find(|(status, _)| *status == task.last_status()) {
            Some((_, count)) => *count += 1,
            None => counts.push((task.last_status(), 1)),
        }
    }
    counts.sort_by_key(|(status, _)| {
        const LIFE: [&str; 5] = ["PROVISIONING", "PENDING", "RUNNING", "STOPPING", "STOPPED"];
        LIFE.iter().position(|it| it == status)
    });
    let told: Vec<_> = counts
        .iter()
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use berth_proto::ecs::v1::Task;

    use super::{Goal, counts, is_settled};

    fn tasks(statuses: &[&str]) -> Vec<Task> {
        let task = |&status: &&str| Task {
            last_status: Some(status.to_owned()),
            ..Default::default()
        };
        statuses.iter().map(task).collect()
    }

    #[test]
    fn statuses_are_counted_in_the_order_of_a_tasks_life() {
        let tasks = tasks(&["STOPPED", "RUNNING", "PENDING", "RUNNING"]);
        assert_eq!(counts(&tasks), "1 PENDING, 2 RUNNING, 1 STOPPED");
    }

    #[test]
    fn waiting_for_running_ends_when_all_run_or_one_stops() {
        let settled = |statuses: &[&str]| is_settled(&tasks(statuses), Goal::Running);
        assert!(settled(&["RUNNING", "RUNNING"]));
        assert!(settled(&["PENDING", "STOPPED"]));
        assert!(!settled(&["RUNNING", "PENDING"]));
    }

    #[test]
    fn waiting_for_stopped_ends_when_all_have_stopped() {
        let settled = |statuses: &[&str]| is_settled(&tasks(statuses), Goal::Stopped);
        assert!(settled(&["STOPPED", "STOPPED"]));
        assert!(!settled(&["STOPPED", "RUNNING"]));
    }
}
