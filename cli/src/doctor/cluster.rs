//! What is wrong with a cluster. Pure.

#[cfg(test)]
mod tests;

use berth_model::time::Timestamp;
use berth_proto::ecs::v1::{ContainerInstance, Service, Task};
use berth_proto::v1::{Authority, ClusterUsage, Member};
use berth_trust::Life;

use super::gather::Shown;
use super::trust::{Unreached, Whose, advice_on, judge_life, judge_members, judge_name};
use super::{Finding, listed};
use crate::show::ids::of_arn;

/// How long a task may be on its way to RUNNING: pulls of large images take as long.
const STUCK_SECONDS: f64 = 600.0;
/// Difference between the clocks of this machine and the scheduler, in seconds: signatures are taken within five minutes.
const SKEW_SECONDS: f64 = 30.0;
/// Reservation, in percent, from which the loss of a host may find no room.
const FULL: f64 = 90.0;

/// What was seen of a cluster. What could not be seen is an error with its reason.
#[derive(Debug)]
pub(crate) struct ClusterFacts {
    /// The scheduler's URL.
    pub(crate) scheduler: String,
    /// Its answer to `/readyz`: the status and the text.
    pub(crate) ready: Result<(u16, String), Unreached>,
    /// The certificate that it has shown.
    pub(crate) shown: Option<Shown>,
    /// When the certificate is good that is shown to it.
    pub(crate) own: Option<Life>,
    /// By how many seconds the scheduler's clock is ahead of this machine's; none where it does not say.
    pub(crate) skew_seconds: Option<f64>,
    /// What it says of the cluster; none where it was not reached.
    pub(crate) cluster: Option<Result<Contents, String>>,
    /// Seconds since the epoch.
    pub(crate) now: f64,
}

/// What a cluster has.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) name: String,
    pub(crate) instances: Vec<ContainerInstance>,
    pub(crate) services: Vec<Service>,
    /// Those that are meant to run.
    pub(crate) tasks: Vec<Task>,
    pub(crate) usage: Option<ClusterUsage>,
    /// Who vouches for schedulers and members, and who has joined; nothing where that is not told.
    pub(crate) authorities: Vec<Authority>,
    pub(crate) members: Vec<Member>,
}

/// Judges a cluster.
pub(crate) fn judge(facts: &ClusterFacts) -> Vec<Finding> {
    let now = Timestamp::from_epoch_seconds(facts.now);
    let mut findings = vec![judge_scheduler(facts)];
    findings.extend(facts.skew_seconds.map(judge_clock));
    findings.extend(facts.own.map(|life| judge_life(Whose::Operators, life, now)));
    if let Some(shown) = &facts.shown {
        findings.push(judge_life(Whose::Schedulers, shown.life, now));
        findings.extend(judge_name(shown.unnamed_host.as_deref()));
    }
    match &facts.cluster {
        None => {}
        Some(Err(reason)) => findings.push(Finding::problem(
            "cluster",
            reason.clone(),
            "Name the cluster with --cluster; `berth clusters list` shows those that there are.",
        )),
        Some(Ok(cluster)) => {
            findings.extend(judge_members(
                &cluster.name,
                &cluster.authorities,
                &cluster.members,
                now,
            ));
            findings.extend(judge_instances(cluster));
            findings.extend(judge_services(cluster));
            findings.extend(judge_tasks(cluster, facts.now));
            findings.extend(judge_capacity(cluster));
        }
    }
    findings
}

fn judge_scheduler(facts: &ClusterFacts) -> Finding {
    let url = &facts.scheduler;
    match &facts.ready {
        Ok((200, _)) => Finding::ok(
            "scheduler",
            format!("The scheduler at {url} is ready, and reaches its journal."),
        ),
        Ok((400, reason)) => Finding::problem(
            "scheduler",
            format!("The scheduler at {url} does not take the request: {}", reason.trim()),
            "Where its port speaks TLS the URL begins with https://; docs/trust.md says what --ca names then.",
        ),
        Ok((_, reason)) => Finding::problem(
            "scheduler",
            format!("The scheduler at {url} is not ready: {}", reason.trim()),
            "Look at the disk of its data directory, or at etcd; its log is in `journalctl -u berth-scheduler`.",
        ),
        Err(Unreached::Unasked(reason)) => Finding::problem(
            "scheduler",
            format!("The scheduler at {url} cannot be asked: {reason}"),
            "docs/trust.md says where the files are from that --ca, --certificate and --certificate-key name, docs/authentication.md \
             where access keys are.",
        ),
        Err(Unreached::Distrusted(distrust, reason)) => Finding::problem(
            "scheduler",
            format!("The scheduler at {url} and this machine do not believe each other: {reason}"),
            advice_on(*distrust),
        ),
        Err(Unreached::Silent(reason)) => Finding::problem(
            "scheduler",
            format!("The scheduler at {url} does not answer: {reason}"),
            "Start it (`systemctl start berth-scheduler`), or name another with --scheduler. What runs goes on meanwhile.",
        ),
    }
}

fn judge_clock(ahead: f64) -> Finding {
    let finding = format!("The scheduler's clock is {ahead:.0} s ahead of this machine's.");
    if ahead.abs() > SKEW_SECONDS {
        Finding::problem(
            "clock",
            finding,
            "Keep both by NTP: signatures and schedules need the time.",
        )
    } else {
        Finding::ok("clock", "The scheduler's clock and this machine's agree.")
    }
}

fn judge_instances(cluster: &Contents) -> Vec<Finding> {
    let name = &cluster.name;
    if cluster.instances.is_empty() {
        return vec![Finding::warning(
            "instances",
            format!("Cluster {name} has no container instance."),
            "Start an agent on a host with --cluster set to it; where the scheduler speaks TLS it needs a join token: `berth tokens \
             create`.",
        )];
    }
    let away: Vec<String> = ids(cluster.instances.iter().filter(|instance| !instance.agent_connected()));
    let mut findings = Vec::new();
    if away.is_empty() {
        let count = cluster.instances.len();
        findings.push(Finding::ok(
            "instances",
            format!("All instances of cluster {name} are connected: {count}."),
        ));
    } else {
        findings.push(Finding::problem(
            "instances",
            format!("Instances of cluster {name} are disconnected: {}.", listed(&away)),
            "Run `berth doctor host` on them; one that is gone for good: `berth instances deregister ID --force`.",
        ));
    }
    for instance in &cluster.instances {
        for check in instance.health_status.iter().flat_map(|health| &health.details) {
            if check.status() == "IMPAIRED" {
                let id = of_arn(instance.container_instance_arn());
                findings.push(Finding::problem(
                    "instances",
                    format!(
                        "{} of instance {id} is impaired: {}",
                        check.r#type(),
                        check.status_reason()
                    ),
                    "Run `berth doctor host` on it.",
                ));
            }
        }
    }
    findings
}

fn judge_services(cluster: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    let active = cluster.services.iter().filter(|service| service.status() == "ACTIVE");
    let mut steady = 0;
    for service in active {
        let name = service.service_name();
        let newest = service.events.first().map(|event| event.message().to_owned());
        let said = newest
            .map(|event| format!(" Its newest event: {event}"))
            .unwrap_or_default();
        let advice = format!("`berth services show {name}` has its events and deployments.");
        let primary = service.deployments.iter().find(|one| one.status() == "PRIMARY");
        let (running, desired) = (service.running_count(), service.desired_count());
        if let Some(failed) = primary.filter(|one| one.rollout_state() == "FAILED") {
            let reason = failed.rollout_state_reason();
            let finding = format!("The newest deployment of service {name} has failed: {reason}");
            findings.push(Finding::problem("services", finding, &advice));
        }
        if running < desired {
            let finding = format!("Service {name} runs {running} of {desired} tasks.{said}");
            let deploys = primary.is_some_and(|one| one.rollout_state() == "IN_PROGRESS");
            findings.push(match deploys && running > 0 {
                true => Finding::warning("services", finding, &advice),
                false => Finding::problem("services", finding, &advice),
            });
        } else {
            steady += 1;
        }
    }
    if steady > 0 {
        let finding = format!(
            "Services of cluster {} that run all their tasks: {steady}.",
            cluster.name
        );
        findings.push(Finding::ok("services", finding));
    }
    findings
}

fn judge_tasks(cluster: &Contents, now: f64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let waiting: Vec<&Task> = cluster
        .tasks
        .iter()
        .filter(|task| queue_reason(task).is_some())
        .collect();
    if let Some(first) = waiting.first() {
        let reason = queue_reason(first).unwrap_or_default();
        let count = waiting.len();
        findings.push(Finding::warning(
            "tasks",
            format!("Tasks that wait for room: {count}. The first: {reason}"),
            "Add instances, or stop what is not needed; `berth plan` says what would fit where.",
        ));
    }
    let is_stuck = |task: &&Task| {
        let on_its_way = matches!(task.last_status(), "PENDING" | "ACTIVATING" | "PROVISIONING");
        on_its_way && queue_reason(task).is_none() && now - task.created_at() > STUCK_SECONDS
    };
    let stuck: Vec<String> = cluster
        .tasks
        .iter()
        .filter(is_stuck)
        .map(|task| of_arn(task.task_arn()).to_owned())
        .collect();
    if stuck.is_empty() {
        findings.push(Finding::ok(
            "tasks",
            "No task has been on its way for more than 10 minutes.",
        ));
    } else {
        findings.push(Finding::problem(
            "tasks",
            format!("Tasks have been on their way for more than 10 minutes: {}.", listed(&stuck)),
            "`berth history task ID` says how far each has come; a slow pull or a Docker that hangs are the usual reasons.",
        ));
    }
    findings
}

fn judge_capacity(cluster: &Contents) -> Vec<Finding> {
    let reservation = cluster.usage.as_ref().and_then(|usage| usage.reservation);
    let parts = reservation
        .into_iter()
        .flat_map(|percent| [("CPU", percent.cpu), ("memory", percent.memory)]);
    let judged = parts.filter_map(|(what, percent)| {
        let percent = percent?;
        let finding = format!(
            "Tasks reserve {percent:.0} % of the {what} of cluster {}.",
            cluster.name
        );
        Some(match percent >= FULL {
            true => Finding::warning(
                "capacity",
                finding,
                "Add instances: a deployment or the loss of one may find no room.",
            ),
            false => Finding::ok("capacity", finding),
        })
    });
    judged.collect()
}

/// What a task that waits for room lacks.
fn queue_reason(task: &Task) -> Option<&str> {
    let named = task
        .attributes
        .iter()
        .find(|attribute| attribute.name() == "berth.queue-reason");
    named.map(|attribute| attribute.value())
}

fn ids<'i>(instances: impl Iterator<Item = &'i ContainerInstance>) -> Vec<String> {
    instances
        .map(|instance| of_arn(instance.container_instance_arn()).to_owned())
        .collect()
}
