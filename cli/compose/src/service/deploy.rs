//! `deploy`: how many tasks, where, and how they are replaced.

use berth_model::placement::{RawConstraint, RawStrategy};
use berth_model::task_definition::{MountPoint, TaskDefinition};

use super::{Draft, Failure, NO_MEMBER, UpdateConfig, resources};
use crate::Error;
use crate::fields::{At, Field, by, not, walk};
use crate::translation::{Note, Scheduling, Update};

pub(crate) const DEPLOY: &[Field<Draft>] = &[
    not("endpoint_mode", "gateways balance; DNS of gateways tells every task"),
    by("labels", "tags of the service", |draft, at, _| {
        for (name, at) in at.each_entry()? {
            let value = if at.node.is_null() { "" } else { at.text()? };
            draft.tags.insert(name.to_owned(), value.to_owned());
        }
        Ok(())
    }),
    by(
        "mode",
        "`replicated`; `global`: DAEMON; `replicated-job`: runs once",
        |draft, at, notes| {
            match at.text()? {
                "replicated" => {}
                "global" => draft.is_global = true,
                "replicated-job" => draft.is_job = true,
                "global-job" => {
                    draft.is_job = true;
                    notes.push(Note::lost(&at.path, "it runs once, and not on every host"));
                }
                _ => return Err(at.wrong("replicated, global, replicated-job or global-job")),
            }
            Ok(())
        },
    ),
    by("placement", "see below", |draft, at, notes| {
        walk(draft, at, PLACEMENT, notes)
    }),
    by("replicas", "`desiredCount`; 1 where absent", replicas),
    by("resources", "see below", |draft, at, notes| {
        walk(draft, at, RESOURCES, notes)
    }),
    by("restart_policy", "see below", |draft, at, notes| {
        walk(draft, at, RESTART_POLICY, notes)
    }),
    not("rollback_config", "a rollback goes as an update does"),
    by("update_config", "see below", |draft, at, notes| {
        walk(&mut draft.update, at, UPDATE_CONFIG, notes)
    }),
];

const RESOURCES: &[Field<Draft>] = &[
    by("limits", "see below", |draft, at, notes| {
        walk(draft, at, resources::LIMITS, notes)
    }),
    by("reservations", "see below", |draft, at, notes| {
        walk(draft, at, resources::RESERVATIONS, notes)
    }),
];

pub(crate) const PLACEMENT: &[Field<Draft>] = &[
    by(
        "constraints",
        "`memberOf`: `node.labels.X == V` as `attribute:X == V`, `node.platform.os`, `node.platform.arch`; others are not \
         honoured",
        constraints,
    ),
    by("max_replicas_per_node", "1: `distinctInstance`", |draft, at, notes| {
        if at.number::<u32>()? == 1 {
            draft.constraints.push(RawConstraint {
                kind: Some("distinctInstance".to_owned()),
                expression: None,
                ..RawConstraint::default()
            });
        } else {
            notes.push(Note::lost(
                &at.path,
                "ECS knows one task an instance (distinctInstance), and no other number",
            ));
        }
        Ok(())
    }),
    by(
        "preferences",
        "`spread: node.labels.X` as `spread` over `attribute:X`",
        preferences,
    ),
];

pub(crate) const RESTART_POLICY: &[Field<Draft>] = &[
    by("condition", "`any`: a service is kept running", |_, at, notes| {
        match at.text()? {
            "any" | "always" | "unless-stopped" => {}
            _ => notes.push(Note::lost(&at.path, KEPT)),
        }
        Ok(())
    }),
    not("delay", "pauses between launches that fail double from 1 s to 15 min"),
    not(
        "max_attempts",
        "the circuit breaker gives a deployment up, and nothing a service that ran",
    ),
    not("window", NO_MEMBER),
];

pub(crate) const UPDATE_CONFIG: &[Field<UpdateConfig>] = &[
    not("delay", "a task is replaced when the last one is healthy"),
    by(
        "failure_action",
        "`pause`: the circuit breaker; `rollback`: the same with rollback; `continue`: neither. `pause` where absent",
        |update, at, _| {
            update.failure = match at.text()? {
                "continue" => Failure::Continue,
                "pause" => Failure::Pause,
                "rollback" => Failure::Rollback,
                _ => return Err(at.wrong("continue, pause or rollback")),
            };
            Ok(())
        },
    ),
    not("max_failure_ratio", "the circuit breaker has ECS's own threshold"),
    not(
        "monitor",
        "a task counts when it is healthy, without a check after 40 s",
    ),
    by(
        "order",
        "`start-first`, `stop-first`, in `minimumHealthyPercent` and `maximumPercent`",
        |update, at, _| {
            update.start_first = match at.text()? {
                "start-first" => Some(true),
                "stop-first" => Some(false),
                _ => return Err(at.wrong("start-first or stop-first")),
            };
            Ok(())
        },
    ),
    by(
        "parallelism",
        "how far those percentages are from 100; 0 is all at once",
        |update, at, _| {
            update.parallelism = Some(at.number()?);
            Ok(())
        },
    ),
];

const KEPT: &str = "a service is kept running: what ends is started again, whatever its exit code";

pub(crate) fn deploy(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    walk(draft, at, DEPLOY, notes)
}

pub(crate) fn replicas(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    draft.replicas = Some(at.number()?);
    Ok(())
}

pub(crate) fn restart(_: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    match at.text()? {
        "always" | "unless-stopped" => {}
        _ => notes.push(Note::lost(&at.path, KEPT)),
    }
    Ok(())
}

/// The attribute that a property of Swarm's nodes is here.
fn attribute(property: &str) -> Option<String> {
    let of_label = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        (!label.is_empty() && label.chars().all(fits)).then(|| format!("attribute:{label}"))
    };
    match property {
        "node.platform.os" => Some("attribute:ecs.os-type".to_owned()),
        "node.platform.arch" => Some("attribute:ecs.cpu-architecture".to_owned()),
        property => of_label(property.strip_prefix("node.labels.")?),
    }
}

fn constraints(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    for at in at.items()? {
        let text = at.text()?;
        let operator = if text.contains("!=") { "!=" } else { "==" };
        let sides = text
            .split_once(operator)
            .map(|(left, right)| (left.trim(), right.trim()));
        let (property, value) = sides.ok_or_else(|| at.wrong("PROPERTY == VALUE or PROPERTY != VALUE"))?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let Some(attribute) = attribute(property).filter(|_| !value.is_empty() && value.chars().all(fits)) else {
            let says = "it is no attribute of instances: give hosts one, and name it as node.labels.NAME == VALUE";
            notes.push(Note::lost(&at.path, says));
            continue;
        };
        let value = match (property, value) {
            ("node.platform.arch", "amd64") => "x86_64",
            ("node.platform.arch", "aarch64") => "arm64",
            _ => value,
        };
        draft.constraints.push(RawConstraint {
            kind: Some("memberOf".to_owned()),
            expression: Some(format!("{attribute} {operator} {value}")),
            ..RawConstraint::default()
        });
    }
    Ok(())
}

fn preferences(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    for at in at.items()? {
        let spread = at
            .node
            .get("spread")
            .and_then(|node| node.as_text())
            .and_then(attribute);
        match spread {
            Some(field) => draft.strategy.push(RawStrategy {
                kind: Some("spread".to_owned()),
                field: Some(field),
            }),
            None => notes.push(Note::lost(&at.path, "it must be `spread: node.labels.NAME`")),
        }
    }
    Ok(())
}

/// Whether a second task of it beside the first may find its ports taken, or its data in use.
pub(crate) fn stands_alone(definition: &TaskDefinition) -> bool {
    let writes = |mount: &MountPoint| {
        let volume = definition
            .volumes
            .iter()
            .find(|volume| Some(&volume.name) == mount.source_volume.as_ref());
        mount.read_only != Some(true) && volume.is_some_and(|volume| !volume.is_own())
    };
    let mut mounts = definition
        .container_definitions
        .iter()
        .flat_map(|container| &container.mount_points);
    !definition.demand().ports.is_empty() || mounts.any(writes)
}

/// The percentages of a service's updates. Where a task stands alone the old one is stopped before the new one is
/// started, unless the file says otherwise: so does Compose.
pub(crate) fn update(config: UpdateConfig, scheduling: Scheduling, stands_alone: bool) -> Update {
    let circuit_breaker = config.failure != Failure::Continue;
    let rollback = config.failure == Failure::Rollback;
    let of = |minimum_healthy_percent, maximum_percent| Update {
        minimum_healthy_percent,
        maximum_percent,
        circuit_breaker,
        rollback,
    };
    let Scheduling::Replicas(count) = scheduling else {
        return of(0, 100);
    };
    let count = u32::from(count.max(1));
    let says_nothing = config.parallelism.is_none() && config.start_first.is_none();
    if says_nothing && !stands_alone {
        return of(100, 200);
    }
    let at_once = match config.parallelism {
        Some(0) => count,
        Some(parallelism) => u32::from(parallelism).min(count),
        None => 1,
    };
    let percent = |part: u32| u16::try_from(part).unwrap_or(u16::MAX);
    if config.start_first.unwrap_or(false) {
        of(100, percent(100 + (100 * at_once).div_ceil(count)))
    } else {
        of(percent(100 * (count - at_once) / count), 100)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(parallelism: Option<u16>, start_first: Option<bool>) -> UpdateConfig {
        UpdateConfig {
            parallelism,
            start_first,
            failure: Failure::Rollback,
        }
    }

    #[test]
    fn parallelism_and_order_become_percentages() {
        for (parallelism, start_first, count, fixed, expected) in [
            (None, None, 3, false, (100, 200)),
            (None, None, 1, true, (0, 100)),
            (None, None, 4, true, (75, 100)),
            (Some(1), Some(true), 4, false, (100, 125)),
            (Some(2), Some(false), 4, false, (50, 100)),
            (Some(0), Some(true), 4, false, (100, 200)),
            (Some(0), Some(false), 4, false, (0, 100)),
            (Some(9), Some(false), 4, false, (0, 100)),
            (Some(1), None, 3, false, (66, 100)),
        ] {
            let update = update(config(parallelism, start_first), Scheduling::Replicas(count), fixed);
            let percent = (update.minimum_healthy_percent, update.maximum_percent);
            assert_eq!(percent, expected, "{parallelism:?} {start_first:?} of {count}");
            assert!(update.circuit_breaker && update.rollback);
        }
    }

    proptest! {
        #[test]
        fn an_update_has_room_for_as_many_as_the_file_says(count in 1_u16..500, at_once in 1_u16..500, start in any::<bool>()) {
            let update = update(config(Some(at_once), Some(start)), Scheduling::Replicas(count), false);
            let (count, at_once) = (u32::from(count), u32::from(at_once.min(count)));
            let floor = (count * u32::from(update.minimum_healthy_percent)).div_ceil(100);
            let ceiling = count * u32::from(update.maximum_percent) / 100;
            if start {
                prop_assert!(floor == count && ceiling >= count + at_once);
                prop_assert!(ceiling <= count + at_once + count / 100 + 1);
            } else {
                prop_assert!(ceiling == count && floor <= count - at_once);
                prop_assert!(floor + at_once + count / 100 + 1 >= count);
            }
        }
    }
}
