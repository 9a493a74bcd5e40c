//! Plan: what a RunTask would do, from one published state. Nothing is submitted, so nothing changes.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::{Fault, FaultClass};
use berth_model::name::ClusterName;
use berth_model::placement::PackBy;
use berth_model::quantity::{CpuUnits, MemoryMib};
use berth_proto::ecs::v1::Attribute;
use berth_proto::v1 as wire;
use berth_scheduler_core::decide::plan::{self, Fullness, Gain, MOST_COPIES, Plan, Planned, Share, Size};
use berth_scheduler_core::place::{Cause, Choice, Criterion, Decided, Explanation, Misfit};

use super::request::{given, required};
use super::{Api, tasks};

/// Copies in one plan.
const MAX_COUNT: i32 = 10_000;
/// Copies that are explained: where nothing is said, and at most.
const EXPLAINED: i32 = 10;
const MAX_EXPLAINED: i32 = 100;
/// Instances and zones that are listed.
const MAX_INSTANCES: usize = 1000;
const MAX_ZONES: usize = 100;
/// Plans that are made at the same time, as each reads the whole cluster; and how long a caller waits for its turn.
pub(super) const AT_ONCE: usize = 2;
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn answer(api: &Api, request: wire::PlanRequest) -> Result<wire::PlanResponse, Fault> {
    let question = read(api, request)?;
    let turn = tokio::time::timeout(PATIENCE, Arc::clone(&api.planning).acquire_owned()).await;
    let turn = turn.map_err(|_elapsed| Fault::new(FaultClass::Throttling, "Rate exceeded"))?;
    let turn = turn.map_err(|error| Fault::server(format!("nothing is planned: {error}")))?;
    let api = api.clone();
    let planned = tokio::task::spawn_blocking(move || {
        let state = api.view();
        let planned = question.answer(&state).map(|planned| {
            let name = &question.run.call.cluster;
            View { api: &api, name }.response(planned)
        });
        drop(turn);
        planned
    });
    let planned = planned.await;
    planned.unwrap_or_else(|error| Err(Fault::server(format!("the plan was not made: {error}"))))
}

fn read(api: &Api, request: wire::PlanRequest) -> Result<Plan, Fault> {
    let run = request
        .run_task
        .ok_or_else(|| Fault::invalid("runTask must be given."))?;
    if given(run.client_token.as_ref()).is_some() {
        return Err(Fault::invalid(
            "runTask.clientToken has no meaning in Plan, which starts nothing.",
        ));
    }
    let explained = request.explain.unwrap_or(EXPLAINED);
    let explained = u32::try_from(explained)
        .ok()
        .filter(|_| explained <= MAX_EXPLAINED)
        .ok_or_else(|| Fault::invalid(format!("explain {explained} should be between 0 and {MAX_EXPLAINED}.")))?;
    let run = tasks::command(api, run, MAX_COUNT)?;
    let one_more = request
        .one_more
        .map(|wish| one_more(api, &run.call.cluster, wish))
        .transpose()?;
    Ok(Plan {
        run,
        explained,
        one_more,
    })
}

fn one_more(api: &Api, cluster: &ClusterName, wish: wire::OneMore) -> Result<plan::OneMore, Fault> {
    let size = |name: &str, value: Option<i32>| {
        let read = |value: i32| {
            u32::try_from(value).map_err(|_| Fault::invalid(format!("oneMore.{name} {value} should not be negative.")))
        };
        value.map(read).transpose()
    };
    let attribute = |attribute: Attribute| {
        let name = required("oneMore.attributes.name", attribute.name.as_ref())?.to_owned();
        Ok((name, attribute.value))
    };
    let like = given(wish.like.as_ref());
    Ok(plan::OneMore {
        like: like
            .map(|text| api.namespace.parse_instance(cluster, text))
            .transpose()?,
        cpu: size("cpu", wish.cpu)?.map(CpuUnits),
        memory: size("memory", wish.memory)?.map(MemoryMib),
        attributes: wish
            .attributes
            .into_iter()
            .map(attribute)
            .collect::<Result<_, Fault>>()?,
    })
}

/// What an answer is told with.
struct View<'a> {
    api: &'a Api,
    name: &'a ClusterName,
}

impl View<'_> {
    fn response(&self, planned: Planned) -> wire::PlanResponse {
        let mut shares = planned.outlook.shares;
        shares.sort_by_key(|share| (std::cmp::Reverse(share.copies), share.instance));
        let zones = planned.outlook.zones.iter().take(MAX_ZONES);
        wire::PlanResponse {
            revision: planned.revision.0,
            placed: count(planned.placed.len()),
            left_out: count(shares.len().saturating_sub(MAX_INSTANCES)),
            instances: shares
                .iter()
                .take(MAX_INSTANCES)
                .map(|share| self.instance(share))
                .collect(),
            copies: planned.choices.iter().map(|choice| self.copy(choice)).collect(),
            explanation: planned.explanation.map(|explanation| self.explanation(&explanation)),
            cluster: Some(fullness(&planned.outlook.cluster)),
            zones: zones
                .map(|(zone, full)| wire::PlannedZone {
                    zone: zone.clone(),
                    fullness: Some(fullness(full)),
                })
                .collect(),
            more: planned.more,
            more_at_least: planned.more == MOST_COPIES,
            one_more: planned.one_more.map(|one_more| gain(&one_more)),
        }
    }

    fn arn(&self, instance: berth_model::id::InstanceId) -> String {
        self.api.namespace.instance(self.name, instance)
    }

    fn instance(&self, share: &Share) -> wire::PlannedInstance {
        wire::PlannedInstance {
            container_instance_arn: self.arn(share.instance),
            copies: share.copies,
            fullness: Some(fullness(&share.fullness)),
        }
    }

    fn copy(&self, choice: &Choice) -> wire::PlannedCopy {
        let score: Vec<wire::Criterion> = choice.score.iter().map(criterion).collect();
        let decided_by = match choice.decided {
            Decided::Alone => "ONLY_ONE".to_owned(),
            Decided::Chance => "CHANCE".to_owned(),
            Decided::Id => "ID".to_owned(),
            Decided::Criterion(at) => score
                .get(at)
                .map(|criterion| criterion.rule.clone())
                .unwrap_or_default(),
        };
        let second = choice.runner_up.as_ref();
        wire::PlannedCopy {
            container_instance_arn: self.arn(choice.instance),
            score,
            decided_by,
            runner_up_arn: second.map(|second| self.arn(second.instance)),
            runner_up_score: second.map_or_else(Vec::new, |second| second.score.iter().map(criterion).collect()),
        }
    }

    fn explanation(&self, explanation: &Explanation) -> wire::Explanation {
        let closest = explanation.closest.as_ref();
        wire::Explanation {
            candidates: explanation.candidates,
            eligible: explanation.eligible,
            draining: explanation.draining,
            causes: explanation.causes.iter().map(|cause| self.cause(cause)).collect(),
            closest_arn: closest.map(|closest| self.arn(closest.instance)),
            closest_lacks: closest.map_or_else(Vec::new, |closest| words(&closest.misfits)),
            summary: explanation.summary(),
            text: explanation.to_string(),
        }
    }

    fn cause(&self, cause: &Cause) -> wire::Cause {
        wire::Cause {
            reason: cause.misfit.reason().to_owned(),
            text: cause.to_string(),
            instances: cause.instances,
            nearest_arn: self.arn(cause.nearest),
            missing: cause.misfit.missing(),
            task_arn: cause.holder.map(|task| self.api.namespace.task(self.name, task)),
        }
    }
}

fn criterion(criterion: &Criterion) -> wire::Criterion {
    match criterion {
        Criterion::Domain {
            attribute,
            value,
            tasks,
        } => wire::Criterion {
            rule: format!("spread:attribute:{attribute}"),
            value: value.clone(),
            tasks: Some(*tasks),
            ..wire::Criterion::default()
        },
        Criterion::Instance { tasks } => wire::Criterion {
            rule: "spread:instanceId".to_owned(),
            tasks: Some(*tasks),
            ..wire::Criterion::default()
        },
        Criterion::Packed { by: PackBy::Cpu, free } => wire::Criterion {
            rule: "binpack:cpu".to_owned(),
            cpu_units: Some(*free),
            ..wire::Criterion::default()
        },
        Criterion::Packed {
            by: PackBy::Memory,
            free,
        } => wire::Criterion {
            rule: "binpack:memory".to_owned(),
            memory_mib: Some(*free),
            ..wire::Criterion::default()
        },
        Criterion::Free { most, cpu, memory } => wire::Criterion {
            rule: if *most { "most-free" } else { "least-free" }.to_owned(),
            cpu_units: Some(*cpu),
            memory_mib: Some(*memory),
            ..wire::Criterion::default()
        },
    }
}

fn fullness(fullness: &Fullness) -> wire::Fullness {
    wire::Fullness {
        instances: fullness.instances,
        registered: Some(resources(fullness.registered)),
        before: Some(resources(fullness.before)),
        after: Some(resources(fullness.after)),
    }
}

const fn resources(size: Size) -> wire::Resources {
    wire::Resources {
        cpu_units: size.cpu,
        memory_mib: size.memory,
    }
}

fn gain(gain: &Gain) -> wire::Gain {
    wire::Gain {
        registered: Some(wire::Resources {
            cpu_units: gain.cpu.0.into(),
            memory_mib: gain.memory.0.into(),
        }),
        copies: gain.copies,
        at_least: gain.copies == MOST_COPIES,
        lacks: words(&gain.misfits),
    }
}

fn words(misfits: &[Misfit]) -> Vec<String> {
    misfits.iter().map(ToString::to_string).collect()
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
