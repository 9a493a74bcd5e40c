//! Services with task sets: each is held at its own part of the count, whatever happens to the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::id::DeploymentId;
use berth_model::service::{
    DeploymentController, DeploymentStatus, Scale, ServiceStatus, StabilityStatus, TaskSetStatus,
};
use berth_model::status::LaunchType;
use berth_scheduler_core::reconcile::{Phase, Step};
use berth_scheduler_core::service::{Deployment, TaskSet};

use crate::world::{Release, World, seconds, spec};

/// A service without task sets.
fn world(desired: u32, seed: u64) -> World {
    let mut spec = spec(desired, 100, 200);
    spec.controller = DeploymentController::External;
    let mut world = World::new(spec, 4, 12, seed);
    world.deployments.clear();
    world
}

/// What CreateTaskSet does.
fn add(world: &mut World, percent: f64, release: Release) -> DeploymentId {
    let id = world.deploy(release);
    let now = world.now;
    edit(world, id, |deployment| {
        deployment.status = DeploymentStatus::Active;
        deployment.task_set = Some(Arc::new(TaskSet {
            scale: Scale::parse(Some(percent), None).unwrap(),
            deleted: false,
            stability: StabilityStatus::Stabilizing,
            stability_at: now,
            external_id: None,
            launch_type: LaunchType::Ec2,
            capacity: Vec::new(),
            platform_version: None,
            network: None,
            client_token: None,
            tags: Vec::new(),
        }));
    });
    id
}

fn edit(world: &mut World, id: DeploymentId, edit: impl FnOnce(&mut Deployment)) {
    let mut sets = world.deployments.iter_mut();
    edit(sets.find(|deployment| deployment.id == id).unwrap());
}

fn set_of(world: &World, id: DeploymentId) -> Option<(&Deployment, &TaskSet)> {
    let deployment = world.deployments.iter().find(|deployment| deployment.id == id)?;
    Some((deployment, deployment.task_set.as_deref()?))
}

/// What UpdateTaskSet and DeleteTaskSet do.
fn change(world: &mut World, id: DeploymentId, change: impl FnOnce(&mut TaskSet)) {
    edit(world, id, |deployment| {
        let mut set = TaskSet::clone(deployment.task_set.as_ref().unwrap());
        change(&mut set);
        deployment.task_set = Some(Arc::new(set));
    });
}

fn scale(world: &mut World, id: DeploymentId, percent: f64) {
    change(world, id, |set| set.scale = Scale::parse(Some(percent), None).unwrap());
}

fn delete(world: &mut World, id: DeploymentId) {
    change(world, id, |set| set.deleted = true);
    edit(world, id, |deployment| deployment.status = DeploymentStatus::Active);
}

/// How many tasks each task set is to have, and has that are meant to run.
fn counts(world: &World) -> BTreeMap<DeploymentId, (u32, u32)> {
    let sets = world.deployments.iter().map(|deployment| {
        let set = deployment.task_set.as_ref().unwrap();
        let wanted = world.tasks.values().filter(|task| {
            let view = &task.view;
            view.deployment == deployment.id && view.wanted && view.phase < Phase::Stopping
        });
        let has = u32::try_from(wanted.count()).unwrap();
        (deployment.id, (set.count(world.spec.desired), has))
    });
    sets.collect()
}

/// What every step keeps: no task set goes above what its own count allows, and what one does is not another's matter.
fn check(world: &World, step: &Step) {
    for launch in &step.launches {
        let (deployment, set) = set_of(world, launch.deployment).expect("what launches is there");
        assert_eq!(
            world.status,
            ServiceStatus::Active,
            "a deleted service launches nothing"
        );
        assert_ne!(
            set.status(deployment),
            TaskSetStatus::Draining,
            "nor a deleted task set"
        );
        let counts_there = |phase: Phase| phase < Phase::Stopping;
        let there = world
            .tasks
            .values()
            .filter(|task| task.view.deployment == launch.deployment && counts_there(task.view.phase));
        let there = u32::try_from(there.count()).unwrap();
        let ceiling = world.spec.configuration.ceiling(set.count(world.spec.desired));
        let after = there + launch.place.count();
        assert!(
            after <= ceiling,
            "{after} tasks of {} are above {ceiling}",
            deployment.id
        );
    }
    for changed in &step.deployments {
        let (before, _) = set_of(world, changed.id).expect("a step changes what is there");
        let same = changed.status == before.status || changed.status == DeploymentStatus::Inactive;
        assert!(same, "a step makes no task set the primary");
    }
}

fn settle(world: &mut World) {
    for _ in 0..4 {
        let step = world.look();
        check(world, &step);
        world.apply(&step);
        if step.is_empty() {
            return;
        }
    }
    panic!("steps follow each other without end: {:#?}", world.look());
}

/// Runs until nothing is missing, and nothing too much.
fn converge(world: &mut World) {
    for _ in 0..600 {
        settle(world);
        let whole = counts(world).values().all(|(wanted, has)| wanted == has);
        let steady = world.deployments.iter().all(|deployment| {
            let set = deployment.task_set.as_ref().unwrap();
            set.stability == StabilityStatus::SteadyState
        });
        if whole && steady && world.tasks.values().all(|task| task.view.wanted) {
            return;
        }
        let Some(next) = world.next_event() else {
            panic!("nothing will ever happen again: {:#?}", world.deployments);
        };
        world.advance(next);
    }
    panic!("the task sets do not become steady: {:#?}", counts(world));
}

#[test]
fn each_task_set_has_its_part_of_the_count_rounded_up() {
    let mut world = world(5, 1);
    settle(&mut world);
    assert_eq!(world.tasks.len(), 0, "a service without task sets has no tasks");
    let all = add(&mut world, 100.0, Release::Good);
    let some = add(&mut world, 30.0, Release::Good);
    let none = add(&mut world, 0.0, Release::Good);
    converge(&mut world);
    assert_eq!(
        counts(&world),
        BTreeMap::from([(all, (5, 5)), (some, (2, 2)), (none, (0, 0))])
    );
    let said = format!("(service web, taskSet {all}) has reached a steady state.");
    assert!(world.events.contains(&said), "{:?}", world.events);
}

#[test]
fn traffic_goes_to_a_new_task_set_as_whoever_deploys_says() {
    let mut world = world(4, 2);
    let blue = add(&mut world, 100.0, Release::Good);
    edit(&mut world, blue, |set| set.status = DeploymentStatus::Primary);
    converge(&mut world);
    let green = add(&mut world, 50.0, Release::Good);
    settle(&mut world);
    assert_eq!(
        set_of(&world, blue).unwrap().1.stability,
        StabilityStatus::SteadyState,
        "what another task set does is not its matter"
    );
    assert_eq!(set_of(&world, green).unwrap().1.stability, StabilityStatus::Stabilizing);
    converge(&mut world);
    scale(&mut world, green, 100.0);
    converge(&mut world);
    edit(&mut world, blue, |set| set.status = DeploymentStatus::Active);
    edit(&mut world, green, |set| set.status = DeploymentStatus::Primary);
    scale(&mut world, blue, 0.0);
    converge(&mut world);
    assert_eq!(counts(&world), BTreeMap::from([(blue, (0, 0)), (green, (4, 4))]));
    delete(&mut world, blue);
    converge(&mut world);
    assert_eq!(counts(&world), BTreeMap::from([(green, (4, 4))]));
    assert!(set_of(&world, green).unwrap().0.is_primary());
}

#[test]
fn a_task_set_that_is_deleted_by_force_drains_and_then_is_gone() {
    let mut world = world(3, 3);
    let set = add(&mut world, 100.0, Release::Good);
    converge(&mut world);
    delete(&mut world, set);
    settle(&mut world);
    let (deployment, found) = set_of(&world, set).unwrap();
    assert_eq!(found.status(deployment), TaskSetStatus::Draining);
    assert_eq!(found.stability, StabilityStatus::Stabilizing);
    converge(&mut world);
    assert_eq!((world.deployments.len(), world.tasks.len()), (0, 0));
}

#[test]
fn what_cannot_start_in_one_task_set_does_not_hold_up_another() {
    let mut world = world(2, 4);
    let bad = add(&mut world, 100.0, Release::CannotStart);
    let good = add(&mut world, 100.0, Release::Good);
    for _ in 0..40 {
        settle(&mut world);
        let next = world.next_event().unwrap();
        world.advance(next);
    }
    let good = set_of(&world, good).unwrap();
    assert_eq!(good.1.stability, StabilityStatus::SteadyState);
    let (bad, set) = set_of(&world, bad).unwrap();
    assert_eq!(set.stability, StabilityStatus::Stabilizing);
    assert!(bad.back_off.is_some(), "it waits longer each time: {bad:?}");
}

#[test]
fn a_service_that_is_deleted_goes_with_all_its_task_sets() {
    let mut world = world(3, 5);
    add(&mut world, 100.0, Release::Good);
    add(&mut world, 50.0, Release::Good);
    converge(&mut world);
    world.status = ServiceStatus::Draining;
    for _ in 0..100 {
        settle(&mut world);
        if world.status == ServiceStatus::Inactive {
            break;
        }
        let next = world.next_event().unwrap_or(world.now + seconds(1));
        world.advance(next);
    }
    assert_eq!((world.status, world.tasks.len()), (ServiceStatus::Inactive, 0));
}

/// Task sets come, go and are scaled, tasks crash, hosts drain and are lost: no step breaks a rule, and when that ends
/// each has what it is to have.
#[test]
fn whatever_happens_each_task_set_comes_to_its_own_count() {
    for seed in 0..300 {
        let mut world = world(u32::try_from(seed % 7).unwrap(), seed);
        let mut sets = vec![add(&mut world, 100.0, Release::Good)];
        for _ in 0..40 {
            let part = world.random.pick(&[0.0, 10.0, 33.3, 50.0, 100.0]).unwrap();
            let set = world.random.pick(&sets);
            let set = set.filter(|id| set_of(&world, *id).is_some_and(|(_, set)| !set.deleted));
            let tasks: Vec<_> = world.tasks.keys().copied().collect();
            let task = world.random.pick(&tasks);
            match (world.random.below(8), set, task) {
                (0, _, _) if world.deployments.len() < 5 => {
                    let release = world.random.pick(&[Release::Good, Release::Crashes(3)]).unwrap();
                    sets.push(add(&mut world, part, release));
                }
                (1 | 2, Some(set), _) => scale(&mut world, set, part),
                (3, Some(set), _) => delete(&mut world, set),
                (4, _, Some(task)) => world.crash(task),
                (5, _, _) => world.spec.desired = u32::try_from(world.random.below(7)).unwrap(),
                (6, _, _) => {
                    let hosts: Vec<_> = world.hosts.keys().copied().collect();
                    let host = world.random.pick(&hosts).unwrap();
                    let known = world.hosts.get_mut(&host).unwrap();
                    known.draining = !known.draining;
                    world.room_since = Some(world.now);
                }
                _ => {
                    let to = world.next_event().unwrap_or(world.now + seconds(5));
                    world.advance(to);
                }
            }
            settle(&mut world);
        }
        for host in world.hosts.values_mut() {
            host.draining = false;
        }
        world.room_since = Some(world.now);
        for id in sets {
            if matches!(world.release_of(id), Release::Crashes(_)) && set_of(&world, id).is_some() {
                delete(&mut world, id);
            }
        }
        converge(&mut world);
    }
}
