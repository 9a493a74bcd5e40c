//! What every step of every service must keep.

use std::collections::BTreeSet;

use berth_model::service::{SchedulingStrategy, ServiceStatus};
use berth_model::status::HealthStatus;
use berth_scheduler_core::reconcile::{Phase, Step, TaskView, Timing};

use crate::world::World;

/// Takes the steps that the service needs now; each must be sound, and after the last there must be no more to do.
pub(crate) fn settle(world: &mut World) {
    let mut left = 4;
    loop {
        let step = world.look();
        check(world, &step);
        let placed = world.apply(&step);
        if step.is_empty() {
            return;
        }
        let next = world.look();
        if placed {
            assert!(
                next.is_empty(),
                "a step left something to do:\nfirst {step:?}\nthen {next:?}\nof {:?}",
                world.deployments
            );
        }
        left -= 1;
        assert!(left > 0, "steps follow each other without end: {next:#?}");
    }
}

/// Runs the service until it is steady. Nothing but tasks and the wake-ups that steps ask for moves time.
pub(crate) fn converge(world: &mut World) {
    for _ in 0..600 {
        settle(world);
        if world.is_steady() {
            return;
        }
        let next = world.next_event();
        let next = next.unwrap_or_else(|| panic!("nothing will ever happen again: {}", picture(world)));
        world.advance(next);
    }
    panic!("the service does not become steady: {}", picture(world));
}

fn picture(world: &World) -> String {
    let last = world.events.len().saturating_sub(10);
    format!(
        "{:#?}\n{:#?}\n{:#?}\n{:#?}",
        world.spec.configuration,
        world.deployments,
        world.tasks,
        &world.events[last..]
    )
}

fn check(world: &World, step: &Step) {
    let view = world.view();
    let ended: BTreeSet<_> = view
        .tasks
        .iter()
        .filter(|task| task.phase == Phase::Stopped)
        .map(|task| task.id)
        .collect();
    let accounted: BTreeSet<_> = step.accounted.iter().copied().collect();
    assert_eq!(ended, accounted, "ended tasks are accounted for at once");
    assert_eq!(accounted.len(), step.accounted.len(), "and once");
    for event in &step.events {
        assert!(is_known(event), "{event}");
    }
    if world.status != ServiceStatus::Active {
        assert_eq!(step.launches, [], "a deleted service launches nothing");
        return;
    }
    protection(world, step);
    match world.spec.scheduling {
        SchedulingStrategy::Replica => ceiling(world, step),
        SchedulingStrategy::Daemon => one_each(world, step),
    }
    floor(world, step);
}

fn is_unhealthy(world: &World, task: &TaskView) -> bool {
    let grace = world.spec.health_check_grace();
    let since = task.running_since.unwrap_or(task.created_at);
    task.health == HealthStatus::Unhealthy && since + grace <= world.now
}

fn protection(world: &World, step: &Step) {
    for stop in &step.stops {
        let task = &world.tasks[&stop.task].view;
        let protected = task.protected_until.is_some_and(|until| until > world.now);
        assert!(
            !protected || is_unhealthy(world, task),
            "a protected task is stopped: {task:?}"
        );
    }
}

/// Whether what is known of the task is true enough to count.
fn is_known_of(world: &World, task: &TaskView) -> bool {
    let away = world.hosts[&task.host.id].away_since;
    let grace = world.spec.lost_grace().unwrap_or(Timing::default().lost_grace);
    away.is_none_or(|since| since + grace > world.now)
}

fn ceiling(world: &World, step: &Step) {
    let launched: u32 = step.launches.iter().map(|launch| launch.place.count()).sum();
    if launched == 0 {
        return;
    }
    let counts = |task: &&TaskView| task.phase < Phase::Stopping && (is_known_of(world, task) || world.is_storm());
    let used = world.view().tasks.iter().filter(counts).count();
    let ceiling = world.spec.configuration.ceiling(world.spec.desired);
    let after = u32::try_from(used).unwrap() + launched;
    assert!(after <= ceiling, "{after} tasks are above the ceiling of {ceiling}");
}

fn one_each(world: &World, step: &Step) {
    for launch in &step.launches {
        let berth_scheduler_core::reconcile::Place::On(instances) = &launch.place else {
            panic!("a DAEMON's tasks have their places: {launch:?}");
        };
        for id in instances {
            let there = |task: &&TaskView| task.host.id == *id && task.phase != Phase::Stopped;
            assert_eq!(
                world.view().tasks.iter().find(there),
                None,
                "an instance has one task of a DAEMON"
            );
        }
    }
}

fn floor(world: &World, step: &Step) {
    let view = world.view();
    let healthy = |task: &&TaskView| {
        let passes = if task.has_check {
            task.health == HealthStatus::Healthy
        } else {
            task.running_since
                .is_some_and(|since| since + view.timing.stability <= world.now)
        };
        // Of a DAEMON, what runs where nothing is to run does not count.
        let in_place = view.spec.scheduling == SchedulingStrategy::Replica || view.places.contains(&task.host.id);
        task.phase == Phase::Running && task.wanted && passes && in_place && is_known_of(world, task)
    };
    let before = view.tasks.iter().filter(healthy).count();
    let stopped: BTreeSet<_> = step.stops.iter().map(|stop| stop.task).collect();
    let after = view
        .tasks
        .iter()
        .filter(healthy)
        .filter(|task| !stopped.contains(&task.id))
        .count();
    let desired = match view.spec.scheduling {
        SchedulingStrategy::Replica => view.spec.desired,
        SchedulingStrategy::Daemon => u32::try_from(view.places.len()).unwrap(),
    };
    let floor = usize::try_from(view.spec.configuration.floor(desired)).unwrap();
    assert!(
        after == before || after >= floor,
        "{after} healthy tasks of {before} are below the floor of {floor}"
    );
}

/// The texts of service events, without what is of the case.
fn is_known(event: &str) -> bool {
    let Some(text) = event.strip_prefix("(service web) ") else {
        return false;
    };
    let starts = [
        "has started ",
        "has stopped ",
        "is not AZ balanced with ",
        "is AZ balanced with ",
        "replaces no tasks of lost container instances: ",
    ];
    let exact = [
        "has reached a steady state.",
        "is unable to consistently start tasks successfully.",
        "stopped AZ Rebalancing.",
        "was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
    ];
    let ends = [
        ") deployment completed.",
        ") deployment failed: tasks failed to start.",
        ") failed container health checks.",
        " percent of the production traffic.",
        ") was unable to scale in. Reason: The number of protected tasks are more than the desired count of tasks.",
    ];
    exact.contains(&text)
        || starts.iter().any(|start| text.starts_with(start))
        || ends.iter().any(|end| text.ends_with(end))
}
