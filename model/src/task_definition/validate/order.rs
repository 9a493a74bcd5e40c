//! The rules of what containers expect of one another: `dependsOn`, and the order that it makes with links and
//! `volumesFrom`; and of what happens when one ends: `restartPolicy`.

use std::collections::BTreeSet;

use crate::fault::{Fault, shortened};
use crate::task_definition::{Condition, ContainerDefinition, Link, TaskDefinition};

/// Seconds of `restartAttemptPeriod` (ECS API, ContainerRestartPolicy).
const RESTART_PERIOD: std::ops::RangeInclusive<i32> = 60..=1800;
/// Entries of `ignoredExitCodes` (ECS API, ContainerRestartPolicy).
const MAX_IGNORED_CODES: usize = 50;

impl TaskDefinition {
    /// Checks what each container expects of others, then that an order of starts exists.
    pub(super) fn check_order(&self) -> Result<(), Fault> {
        for container in &self.container_definitions {
            self.check_dependencies(container)?;
            check_start_timeout(container)?;
            check_restart_policy(container)?;
        }
        self.check_no_circle()
    }

    fn check_dependencies(&self, container: &ContainerDefinition) -> Result<(), Fault> {
        for (at, dependency) in container.depends_on.iter().enumerate() {
            let field = format!("'dependsOn[{at}]");
            let Some(condition) = dependency.condition() else {
                return Err(fault(
                    container,
                    format_args!(
                        "{field}.condition' is '{}', it should be one of [START, COMPLETE, SUCCESS, HEALTHY].",
                        shortened(&dependency.condition)
                    ),
                ));
            };
            let name = &dependency.container_name;
            let Some(other) = self.container(name) else {
                return Err(fault(
                    container,
                    format_args!(
                        "{field}.containerName' is '{}', which is no container of the task.",
                        shortened(name)
                    ),
                ));
            };
            match condition {
                Condition::Complete | Condition::Success if other.is_essential() => {
                    return Err(fault(
                        container,
                        format_args!(
                            "{field}.condition' is '{condition}', and '{name}' is essential: the task would end with it. A dependency that is to end must have 'essential' false."
                        ),
                    ));
                }
                Condition::Healthy if !other.has_health_check() => {
                    return Err(fault(
                        container,
                        format_args!("{field}.condition' is 'HEALTHY', and '{name}' has no 'healthCheck'."),
                    ));
                }
                Condition::Start | Condition::Complete | Condition::Success | Condition::Healthy => {}
            }
        }
        Ok(())
    }

    /// `dependsOn`, links and `volumesFrom` make an order of starts; a circle has none.
    fn check_no_circle(&self) -> Result<(), Fault> {
        let mut started: BTreeSet<&str> = BTreeSet::new();
        loop {
            let ready: Vec<&str> = self
                .container_definitions
                .iter()
                .filter(|container| !started.contains(container.name.as_str()))
                .filter(|container| container.comes_after().all(|other| started.contains(other)))
                .map(|container| container.name.as_str())
                .collect();
            if ready.is_empty() {
                break;
            }
            started.extend(ready);
        }
        let stuck = self
            .container_definitions
            .iter()
            .find(|container| !started.contains(container.name.as_str()));
        match stuck {
            None => Ok(()),
            Some(container) => Err(Fault::client(format!(
                "Container '{}' depends on itself through dependsOn, links or volumesFrom: no order of starts exists.",
                container.name
            ))),
        }
    }
}

impl ContainerDefinition {
    /// The containers that must have come so far (`dependsOn`), been started (links) or been created (`volumesFrom`)
    /// before this one.
    fn comes_after(&self) -> impl Iterator<Item = &str> {
        let dependencies = self
            .depends_on
            .iter()
            .map(|dependency| dependency.container_name.as_str());
        let links = self.links.iter().map(|link| Link::parse(link).container);
        let volumes = self
            .volumes_from
            .iter()
            .filter_map(|from| from.source_container.as_deref());
        dependencies.chain(links).chain(volumes)
    }
}

fn check_start_timeout(container: &ContainerDefinition) -> Result<(), Fault> {
    match container.start_timeout {
        Some(seconds) if seconds < 0 => Err(fault(
            container,
            format_args!("'startTimeout' is {seconds} seconds, it must not be negative."),
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_restart_policy(container: &ContainerDefinition) -> Result<(), Fault> {
    let Some(policy) = &container.restart_policy else {
        return Ok(());
    };
    if policy.enabled.is_none() {
        return Err(fault(
            container,
            format_args!("'restartPolicy.enabled' must be given, true or false."),
        ));
    }
    if let Some(seconds) = policy.restart_attempt_period
        && !RESTART_PERIOD.contains(&seconds)
    {
        return Err(fault(
            container,
            format_args!(
                "'restartPolicy.restartAttemptPeriod' is {seconds} seconds, it must be {} to {}.",
                RESTART_PERIOD.start(),
                RESTART_PERIOD.end()
            ),
        ));
    }
    let codes = policy.ignored_exit_codes.len();
    if codes > MAX_IGNORED_CODES {
        return Err(fault(
            container,
            format_args!(
                "'restartPolicy.ignoredExitCodes' has {codes} entries, at most {MAX_IGNORED_CODES} are allowed."
            ),
        ));
    }
    Ok(())
}

fn fault(container: &ContainerDefinition, text: std::fmt::Arguments<'_>) -> Fault {
    Fault::client(format!("Invalid setting for container '{}'. {text}", container.name))
}
