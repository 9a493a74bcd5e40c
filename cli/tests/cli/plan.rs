//! `berth plan` and `berth run --dry-run`.

use berth_proto::v1::{
    Cause, Criterion, Explanation, Fullness, Gain, PlanResponse, PlannedCopy, PlannedInstance, PlannedZone, Resources,
};

use crate::berth::berth;
use crate::fake::{Fake, instance};

fn fullness(instances: u32, registered: u64, before: u64, after: u64) -> Fullness {
    let resources = |memory_mib| Resources {
        cpu_units: memory_mib / 2,
        memory_mib,
    };
    Fullness {
        instances,
        registered: Some(resources(registered)),
        before: Some(resources(before)),
        after: Some(resources(after)),
    }
}

/// Three of five copies fit, on two instances.
fn with_plan() -> anyhow::Result<Fake> {
    let fake = Fake::start()?;
    let hosts = [instance("aaaa"), instance("bbbb")];
    let arn = |at: usize| hosts[at].container_instance_arn().to_owned();
    let planned = |at, copies, fullness| PlannedInstance {
        container_instance_arn: arn(at),
        copies,
        fullness: Some(fullness),
    };
    let zone = |name: &str, fullness| PlannedZone {
        zone: Some(name.to_owned()),
        fullness: Some(fullness),
    };
    let packed = |memory| Criterion {
        rule: "binpack:memory".to_owned(),
        memory_mib: Some(memory),
        ..Default::default()
    };
    let spread = Criterion {
        rule: "spread:attribute:zone".to_owned(),
        value: Some("a".to_owned()),
        tasks: Some(0),
        ..Default::default()
    };
    let plan = PlanResponse {
        revision: 17,
        placed: 3,
        instances: vec![
            planned(0, 2, fullness(1, 1000, 250, 850)),
            planned(1, 1, fullness(1, 1000, 500, 800)),
        ],
        copies: vec![PlannedCopy {
            container_instance_arn: arn(0),
            score: vec![spread.clone(), packed(750)],
            decided_by: "binpack:memory".to_owned(),
            runner_up_arn: Some(arn(1)),
            runner_up_score: vec![spread, packed(900)],
        }],
        explanation: Some(Explanation {
            candidates: 2,
            eligible: 2,
            draining: 1,
            causes: vec![Cause {
                reason: "RESOURCE:MEMORY".to_owned(),
                text: "2 lack 300 MiB of memory, the closest, bbbb, lacks 100".to_owned(),
                instances: 2,
                nearest_arn: arn(1),
                missing: Some(100),
                task_arn: None,
            }],
            closest_arn: Some(arn(1)),
            closest_lacks: vec!["300 MiB of memory are needed, 200 are free, 100 are missing".to_owned()],
            ..Default::default()
        }),
        cluster: Some(fullness(2, 2000, 750, 1650)),
        zones: vec![
            zone("a", fullness(1, 1000, 250, 850)),
            zone("b", fullness(1, 1000, 500, 800)),
        ],
        one_more: Some(Gain {
            registered: Some(Resources {
                cpu_units: 500,
                memory_mib: 1000,
            }),
            copies: 3,
            at_least: false,
            lacks: Vec::new(),
        }),
        ..Default::default()
    };
    let mut state = fake.state();
    state.plan = Some(plan);
    state.instances = hosts.to_vec();
    drop(state);
    Ok(fake)
}

#[test]
fn a_plan_tells_where_why_and_how_full() -> anyhow::Result<()> {
    let fake = with_plan()?;
    let ran = berth(
        &fake.url,
        &[
            "plan",
            "web",
            "--count",
            "5",
            "--strategy",
            "binpack=memory",
            "--one-more-like",
            "aaaa",
        ],
    )?;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        ran.stdout,
        "\
3 of 5 tasks would be placed (as of revision 17)

Instances
INSTANCE  TASKS  CPU                          CPU %  MEMORY                       MEM %
aaaa0000     +2  [#####++++++++++++...]  25% -> 85%  [#####++++++++++++...]  25% -> 85%
bbbb0000     +1  [##########++++++....]  50% -> 80%  [##########++++++....]  50% -> 80%

Cluster
ZONE  INSTANCES  CPU                          CPU %  MEMORY                       MEM %
a             1  [#####++++++++++++...]  25% -> 85%  [#####++++++++++++...]  25% -> 85%
b             1  [##########++++++....]  50% -> 80%  [##########++++++....]  50% -> 80%
all           2  [########+++++++++...]  38% -> 83%  [########+++++++++...]  38% -> 83%

Why there
INSTANCE  SCORE                 DECIDED BY      RUNNER-UP  ITS SCORE
aaaa0000  0 in a; 750 MiB free  binpack:memory  bbbb0000   0 in a; 900 MiB free

Why not 2 more
INSTANCES  REASON           DETAIL
        2  RESOURCE:MEMORY  lack 300 MiB of memory, the closest, bbbb, lacks 100
        1  DRAINING         not considered
the closest is bbbb0000000000000000000000000000: 300 MiB of memory are needed, 200 are free, 100 are missing

0 more would fit
one more instance (500 CPU units, 1000 MiB) would take 3 more
"
    );
    let state = fake.state();
    let [asked] = state.plan_calls.as_slice() else {
        anyhow::bail!("{:?}", state.plan_calls)
    };
    let run = asked.run_task.clone().unwrap_or_default();
    assert_eq!((run.task_definition(), run.count(), asked.explain()), ("web", 5, 10));
    assert_eq!(run.placement_strategy[0].field(), "memory");
    let one_more = asked.one_more.clone().unwrap_or_default();
    assert_eq!(one_more.like(), state.instances[0].container_instance_arn());
    assert!(state.runs.is_empty());
    Ok(())
}

#[test]
fn a_dry_run_asks_for_a_plan_and_runs_nothing() -> anyhow::Result<()> {
    let fake = with_plan()?;
    let ran = berth(&fake.url, &["run", "web", "--count", "3", "--dry-run"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("3 of 3 tasks would be placed"), "{ran:?}");
    let state = fake.state();
    assert_eq!((state.plan_calls.len(), state.runs.len()), (1, 0));
    let waits = berth(&fake.url, &["run", "web", "--dry-run", "--wait"])?;
    assert_eq!(waits.code, Some(2), "{waits:?}");
    Ok(())
}

#[test]
fn programs_get_the_plan_as_json() -> anyhow::Result<()> {
    let fake = with_plan()?;
    let ran = berth(
        &fake.url,
        &["plan", "web", "--one-more", "cpu=1,memory=2,zone=c", "--output", "json"],
    )?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let json = ran.json()?;
    assert_eq!(json["instances"][0]["fullness"]["after"]["memoryMib"], 850, "{json}");
    assert_eq!(json["copies"][0]["decidedBy"], "binpack:memory");
    assert_eq!(json["oneMore"]["copies"], 3);
    let one_more = fake.state().plan_calls[0].one_more.clone().unwrap_or_default();
    assert_eq!((one_more.cpu(), one_more.memory(), one_more.like), (1, 2, None));
    assert_eq!(one_more.attributes[0].name(), "zone");
    Ok(())
}
