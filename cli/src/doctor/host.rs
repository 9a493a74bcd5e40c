//! What is wrong with a host. Pure.

use berth_model::time::Timestamp;
use berth_trust::Life;

use super::Finding;
use super::trust::{Whose, advice_on_refusal, judge_life};

/// The oldest version of Docker's API that has all that tasks need: that of Docker 20.10.
const OLDEST_API: (u32, u32) = (1, 41);
/// Fullness of a disk, in percent, from which the agent refuses tasks unless told otherwise.
const FULL: u64 = 90;
/// Fullness from which it is close to that: where the agent begins to remove images.
const NEARLY_FULL: u64 = 80;
/// Restarts of a unit since boot that are too many.
const RESTARTS: u64 = 5;

/// What was seen of a host. What could not be seen is an error with its reason.
#[derive(Debug, Clone)]
pub(crate) struct HostFacts {
    pub(crate) docker: Result<DockerFacts, String>,
    /// Answers of the agent to `/healthz` and `/readyz`: the status and the text.
    pub(crate) agent_health: Result<(u16, String), String>,
    pub(crate) agent_ready: Result<(u16, String), String>,
    /// The certificates that it tells of.
    pub(crate) agent_certificates: Vec<(Whose, Life)>,
    /// What `berth-agent --check-config` said; none where there is no such program.
    pub(crate) agent_config: Option<Result<(), String>>,
    /// Directories with how full their disks are, in percent.
    pub(crate) disks: Vec<(String, u64)>,
    /// Whether the clock is kept by NTP; none where nobody says.
    pub(crate) clock_synchronized: Option<bool>,
    /// Units of Berth's that are installed.
    pub(crate) units: Vec<UnitFacts>,
    /// Seconds since the epoch.
    pub(crate) now: f64,
}

/// What Docker says of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct DockerFacts {
    pub(crate) version: String,
    /// Such as `1.41`.
    pub(crate) api_version: String,
    pub(crate) storage_driver: String,
    pub(crate) cgroup_driver: String,
    pub(crate) cgroup_version: String,
    pub(crate) live_restore: bool,
    /// What Docker itself warns of.
    pub(crate) warnings: Vec<String>,
}

/// What systemd says of a unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnitFacts {
    pub(crate) name: String,
    /// Such as `active`, `failed` or `activating`.
    pub(crate) active: String,
    /// Such as `success` or `exit-code`.
    pub(crate) result: String,
    pub(crate) restarts: u64,
}

/// Judges a host.
pub(crate) fn judge(facts: &HostFacts) -> Vec<Finding> {
    let mut findings = match &facts.docker {
        Ok(docker) => judge_docker(docker),
        Err(reason) => vec![Finding::problem(
            "docker",
            reason.clone(),
            "Start it (`systemctl start docker`), and see that this user may use its socket (group docker), or name the socket \
             with --docker.",
        )],
    };
    findings.push(judge_config(facts.agent_config.as_ref()));
    findings.extend(judge_agent(facts));
    let now = Timestamp::from_epoch_seconds(facts.now);
    let certificates = facts.agent_certificates.iter();
    findings.extend(certificates.map(|(whose, life)| judge_life(*whose, *life, now)));
    findings.extend(
        facts
            .disks
            .iter()
            .map(|(directory, percent)| judge_disk(directory, *percent)),
    );
    findings.extend(judge_clock(facts.clock_synchronized));
    findings.extend(facts.units.iter().map(judge_unit));
    findings
}

fn judge_docker(docker: &DockerFacts) -> Vec<Finding> {
    let mut findings = vec![Finding::ok(
        "docker",
        format!("Docker {} answers, with API {}.", docker.version, docker.api_version),
    )];
    let mut parts = docker.api_version.split('.').map(str::parse::<u32>);
    let api = parts.next().and_then(Result::ok).zip(parts.next().and_then(Result::ok));
    if api.is_none_or(|api| api < OLDEST_API) {
        findings.push(Finding::problem(
            "docker version",
            format!("Docker's API is {}, it must be 1.41 or newer.", docker.api_version),
            "Install Docker 20.10 or newer.",
        ));
    }
    findings.push(match docker.storage_driver.as_str() {
        "vfs" | "devicemapper" | "aufs" => Finding::warning(
            "docker storage",
            format!("Docker's storage driver is {}.", docker.storage_driver),
            "Use overlay2: every container is a whole copy of its image with vfs, and the others are no longer kept up.",
        ),
        driver => Finding::ok("docker storage", format!("Docker's storage driver is {driver}.")),
    });
    findings.push(match docker.cgroup_driver.as_str() {
        "none" => Finding::problem(
            "control groups",
            "Docker has no control groups: no limit of a task holds.",
            "Run Docker as root, or with systemd and control groups v2.",
        ),
        driver => Finding::ok(
            "control groups",
            format!("Docker uses control groups v{} by {driver}.", docker.cgroup_version),
        ),
    });
    if !docker.live_restore {
        findings.push(Finding::warning(
            "docker live-restore",
            "A restart of Docker ends all containers: live-restore is off.",
            "Set \"live-restore\": true in /etc/docker/daemon.json and reload Docker.",
        ));
    }
    for warning in &docker.warnings {
        findings.push(Finding::warning("docker", format!("Docker warns: {warning}"), ""));
    }
    findings
}

fn judge_config(config: Option<&Result<(), String>>) -> Finding {
    match config {
        None => Finding::warning(
            "agent configuration",
            "There is no berth-agent on this host.",
            "Install the package berth-agent where tasks are to run.",
        ),
        Some(Ok(())) => Finding::ok("agent configuration", "The agent takes its settings."),
        Some(Err(said)) => Finding::problem(
            "agent configuration",
            format!("The agent does not take its settings: {said}"),
            "Correct what is named; `berth-agent --check-config` tries it.",
        ),
    }
}

fn judge_agent(facts: &HostFacts) -> Vec<Finding> {
    match (&facts.agent_health, &facts.agent_ready) {
        (Err(reason), _) | (_, Err(reason)) => vec![Finding::problem(
            "agent",
            format!("The agent does not answer: {reason}"),
            "Start it (`systemctl start berth-agent`), or say where it answers with --agent; its log is in `journalctl -u \
             berth-agent`.",
        )],
        (Ok((200, _)), Ok((200, _))) => vec![Finding::ok(
            "agent",
            "The agent is well: Docker answers it and a scheduler has it.",
        )],
        (Ok((200, _)), Ok((_, reason))) => vec![Finding::problem(
            "agent",
            format!("The agent lives and cannot work: {}", reason.trim()),
            advice_on_refusal(reason),
        )],
        (Ok((_, reason)), Ok(_)) => vec![Finding::problem(
            "agent",
            format!("The agent hangs: {}", reason.trim()),
            "Keep `berth support-bundle`, then `systemctl restart berth-agent`: containers go on.",
        )],
    }
}

fn judge_disk(directory: &str, percent: u64) -> Finding {
    let subject = format!("disk of {directory}");
    let finding = format!("The disk of {directory} is {percent} % full.");
    if percent >= FULL {
        Finding::problem(
            &subject,
            finding,
            "Make room: `docker system df` says what takes it, and logs of containers lie below Docker's directory too.",
        )
    } else if percent >= NEARLY_FULL {
        Finding::warning(&subject, finding, "Above 90 % the agent refuses new tasks.")
    } else {
        Finding::ok(&subject, finding)
    }
}

fn judge_clock(synchronized: Option<bool>) -> Option<Finding> {
    Some(match synchronized? {
        true => Finding::ok("clock", "The clock is kept by NTP."),
        false => Finding::warning(
            "clock",
            "The clock is kept by nobody.",
            "Start an NTP client (`systemctl start systemd-timesyncd`): signatures and certificates need the time.",
        ),
    })
}

fn judge_unit(unit: &UnitFacts) -> Finding {
    let UnitFacts {
        name, active, result, ..
    } = unit;
    let subject = format!("unit {name}");
    let log = format!("`journalctl -u {name}` says why.");
    match active.as_str() {
        "failed" => Finding::problem(&subject, format!("{name} has failed: {result}."), &log),
        "active" if unit.restarts >= RESTARTS => Finding::warning(
            &subject,
            format!("{name} runs, and was restarted {} times.", unit.restarts),
            &log,
        ),
        "active" => Finding::ok(&subject, format!("{name} runs.")),
        other => Finding::warning(
            &subject,
            format!("{name} is installed and {other}."),
            &format!("Start it with `systemctl start {name}` where it should run."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::moments::{NOW, hours};
    use super::*;

    fn well() -> HostFacts {
        HostFacts {
            docker: Ok(DockerFacts {
                version: "28.0.1".to_owned(),
                api_version: "1.48".to_owned(),
                storage_driver: "overlay2".to_owned(),
                cgroup_driver: "systemd".to_owned(),
                cgroup_version: "2".to_owned(),
                live_restore: true,
                warnings: Vec::new(),
            }),
            agent_health: Ok((200, "ok\n".to_owned())),
            agent_ready: Ok((200, "ok\n".to_owned())),
            agent_certificates: vec![(Whose::Agents, hours(-1, 23))],
            now: NOW,
            agent_config: Some(Ok(())),
            disks: vec![("/var/lib/docker".to_owned(), 40)],
            clock_synchronized: Some(true),
            units: vec![UnitFacts {
                name: "berth-agent.service".to_owned(),
                active: "active".to_owned(),
                result: "success".to_owned(),
                restarts: 0,
            }],
        }
    }

    /// What is not as it should be, when this is done to a host that is well.
    fn wrong(change: impl FnOnce(&mut HostFacts)) -> Vec<(Verdict, String)> {
        let mut facts = well();
        change(&mut facts);
        let findings = judge(&facts)
            .into_iter()
            .filter(|finding| finding.verdict != Verdict::Ok);
        findings.map(|finding| (finding.verdict, finding.finding)).collect()
    }

    fn docker(facts: &mut HostFacts) -> &mut DockerFacts {
        facts.docker.as_mut().unwrap()
    }

    #[test]
    fn a_host_that_is_well_has_nothing_wrong() {
        assert_eq!(wrong(|_| {}), []);
    }

    #[test]
    fn what_keeps_tasks_from_running_is_a_problem() {
        for (finding, change) in [
            (
                "Docker does not answer.",
                (|facts| facts.docker = Err("Docker does not answer.".to_owned())) as fn(&mut HostFacts),
            ),
            ("Docker's API is 1.40, it must be 1.41 or newer.", |facts| {
                docker(facts).api_version = "1.40".to_owned();
            }),
            ("Docker has no control groups: no limit of a task holds.", |facts| {
                docker(facts).cgroup_driver = "none".to_owned();
            }),
            ("The agent does not take its settings: cluster is missing", |facts| {
                facts.agent_config = Some(Err("cluster is missing".to_owned()));
            }),
            ("The agent does not answer: connection refused", |facts| {
                facts.agent_health = Err("connection refused".to_owned());
            }),
            (
                "The agent lives and cannot work: There is no stream to a scheduler.",
                |facts| facts.agent_ready = Ok((503, "There is no stream to a scheduler.\n".to_owned())),
            ),
            (
                "The agent hangs: The driver has done nothing for 31 seconds.",
                |facts| {
                    facts.agent_health = Ok((503, "The driver has done nothing for 31 seconds.\n".to_owned()));
                },
            ),
            (
                "The agent lives and cannot work: There is no stream to a scheduler: the scheduler gives no certificate: Join token \
                 0123456789abcdef was revoked.",
                |facts| {
                    let said = "There is no stream to a scheduler: the scheduler gives no certificate: Join token 0123456789abcdef was \
                                revoked.\n";
                    facts.agent_ready = Ok((503, said.to_owned()));
                },
            ),
            ("The agent's certificate ended at 2027-01-15T08:00:00.000Z.", |facts| {
                facts.agent_certificates[0].1 = hours(-24, 0);
            }),
            ("The disk of /var/lib/docker is 90 % full.", |facts| {
                facts.disks[0].1 = 90
            }),
            ("berth-agent.service has failed: exit-code.", |facts| {
                facts.units[0].active = "failed".to_owned();
                facts.units[0].result = "exit-code".to_owned();
            }),
        ] {
            assert_eq!(wrong(change), [(Verdict::Problem, finding.to_owned())]);
        }
    }

    #[test]
    fn what_may_become_a_problem_is_a_warning() {
        for (finding, change) in [
            (
                "Docker's storage driver is vfs.",
                (|facts| docker(facts).storage_driver = "vfs".to_owned()) as fn(&mut HostFacts),
            ),
            (
                "A restart of Docker ends all containers: live-restore is off.",
                |facts| {
                    docker(facts).live_restore = false;
                },
            ),
            ("The disk of /var/lib/docker is 80 % full.", |facts| {
                facts.disks[0].1 = 80
            }),
            ("The clock is kept by nobody.", |facts| {
                facts.clock_synchronized = Some(false)
            }),
            ("berth-agent.service runs, and was restarted 5 times.", |facts| {
                facts.units[0].restarts = 5;
            }),
            ("berth-agent.service is installed and inactive.", |facts| {
                facts.units[0].active = "inactive".to_owned();
            }),
        ] {
            assert_eq!(wrong(change), [(Verdict::Warning, finding.to_owned())]);
        }
    }

    #[test]
    fn whatever_is_a_problem_comes_with_advice() {
        let mut facts = well();
        facts.agent_ready = Ok((503, "no".to_owned()));
        facts.disks[0].1 = 99;
        facts.units[0].active = "failed".to_owned();
        docker(&mut facts).cgroup_driver = "none".to_owned();
        let problems = judge(&facts)
            .into_iter()
            .filter(|finding| finding.verdict == Verdict::Problem);
        assert!(problems.map(|finding| finding.advice.is_empty()).eq([false; 4]));
    }
}
