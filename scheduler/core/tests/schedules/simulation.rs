//! Random schedules, clocks that are set forward and back, restarts, hours in which nothing ran, and two schedulers on one
//! journal: each time at which a schedule is due runs at most once, and none is lost that could still run.

use std::collections::BTreeSet;

use berth_model::schedule::{FlexibleTimeWindow, OverlapPolicy, RunOutcome};
use berth_model::time::Timestamp;
use berth_scheduler_core::change::Change;
use berth_scheduler_core::command::nth_draw;
use berth_scheduler_core::decide::schedule::run::FireSchedule;
use berth_scheduler_core::fold::fold_record;
use berth_scheduler_core::keys::ScheduleKey;
use berth_scheduler_core::schedule::{Run, ScheduleSpec};
use berth_scheduler_core::snapshot::{Restoration, pieces};
use berth_scheduler_core::state::State;

use super::world::{MINUTE, World, run_task, spec};

/// Numbers that follow from a seed.
struct Draws {
    seed: u64,
    drawn: u64,
}

impl Draws {
    fn below(&mut self, bound: u64) -> i64 {
        self.drawn += 1;
        i64::try_from(nth_draw(self.seed, self.drawn) % bound).unwrap()
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        let count = u64::try_from(items.len()).unwrap();
        items[usize::try_from(self.below(count)).unwrap()]
    }
}

fn random_spec(draws: &mut Draws) -> ScheduleSpec {
    const EXPRESSIONS: [&str; 7] = [
        "rate(1 minute)",
        "rate(7 minutes)",
        "rate(1 hour)",
        "cron(*/10 * * * ? *)",
        "cron(15,45 8-20 ? * MON-SAT *)",
        "cron(30 2 * * ? *)",
        "at(2026-11-21T14:00:00)",
    ];
    let mut spec = spec(draws.one_of(&EXPRESSIONS));
    spec.timing.zone = draws.one_of(&["UTC", "Europe/Berlin", "America/New_York"]).into();
    spec.window = match draws.below(3) {
        0 => FlexibleTimeWindow::Minutes(u32::try_from(1 + draws.below(30)).unwrap()),
        _ => FlexibleTimeWindow::Off,
    };
    spec.overlap = draws.one_of(OverlapPolicy::ALL);
    spec.retry.maximum_event_age = draws.one_of(&[60, 600, 86_400]);
    spec.retry.maximum_attempts = draws.one_of(&[0, 2, 185]);
    spec.target.run = run_task(draws.one_of(&[1, 2]));
    spec
}

/// The state as another process finds it: from the journal, or from a snapshot.
fn restarted(world: &World, from_snapshot: bool) -> State {
    if from_snapshot {
        let mut restoration = Restoration::default();
        for piece in pieces(&world.state) {
            let bytes = serde_json::to_vec(&piece).unwrap();
            restoration.add(serde_json::from_slice(&bytes).unwrap());
        }
        return restoration.finish(world.state.revision());
    }
    let mut state = State::default();
    world.records.iter().for_each(|record| fold_record(&mut state, record));
    state
}

fn due_by(state: &State, now: i64) -> Vec<ScheduleKey> {
    let due = state.schedules().due();
    due.take_while(|(at, _)| at.as_millis() <= now)
        .map(|(_, key)| key.clone())
        .collect()
}

/// One history; `seed` names it.
fn simulate(seed: u64) -> World {
    let mut draws = Draws { seed, drawn: 0 };
    let mut world = World::with_room_for(u32::try_from(draws.below(4)).unwrap());
    for number in 0..4 {
        let spec = random_spec(&mut draws);
        // What is never due in another zone is refused.
        drop(world.create(&format!("s{number}"), spec));
    }
    let mut seen: Vec<ScheduleKey> = Vec::new();
    for _ in 0..60 {
        // Time passes; at times much of it, and at times a clock is set back.
        world.now += match draws.below(10) {
            0 => -draws.below(20 * 60) * 1000,
            1 => draws.below(48 * 60) * MINUTE,
            2..=4 => draws.below(30) * MINUTE,
            _ => draws.below(90_000),
        };
        if draws.below(8) == 0 {
            world.state = restarted(&world, draws.below(2) == 0);
        }
        if draws.below(4) == 0 {
            end_one(&mut world, &mut draws);
        }
        // One scheduler acts on what it sees now, another on what it saw before, by a clock of its own.
        let skew = draws.below(4000) - 2000;
        let stale = std::mem::replace(&mut seen, due_by(&world.state, world.now + skew));
        let now = world.now;
        let fires = due_by(&world.state, now).into_iter().map(|key| (now, key));
        let others = stale.into_iter().map(|key| (now + skew, key));
        for (at, key) in fires.chain(others).collect::<Vec<_>>() {
            world.submit_at(at, &FireSchedule { key }).unwrap();
        }
        assert_eq!(
            due_by(&world.state, now),
            Vec::new(),
            "seed {seed}: something is due and was not done"
        );
    }
    world
}

fn end_one(world: &mut World, draws: &mut Draws) {
    let tasks: Vec<_> = world
        .state
        .tasks_of(berth_scheduler_core::keys::ClusterKey(1), None)
        .collect();
    let live: Vec<_> = tasks
        .iter()
        .filter(|task| !task.is_stopped())
        .map(|task| task.id)
        .collect();
    if !live.is_empty() {
        let task = draws.one_of(&live);
        let code = i32::try_from(draws.below(2)).unwrap();
        world.end(task, [Some(code), None]);
    }
}

/// The runs of a schedule with the time at which each was decided.
fn runs(world: &World, key: &ScheduleKey) -> Vec<(Timestamp, Run)> {
    let entries = world.records.iter().flat_map(|record| &record.entries);
    let changes = entries.flat_map(|entry| entry.changes.iter().map(|change| (entry.at, change)));
    let of_schedule = |(at, change): (Timestamp, &Change)| {
        let Change::ScheduleRan {
            cluster, schedule, run, ..
        } = change
        else {
            return None;
        };
        let is_its = *cluster == key.cluster && *schedule == key.schedule;
        is_its.then(|| (at, Run::clone(run)))
    };
    changes.filter_map(of_schedule).collect()
}

#[test]
fn each_time_runs_at_most_once_and_none_is_lost_that_could_still_run() {
    let (mut started, mut missed, mut late) = (0, 0, 0);
    for seed in 0..100 {
        let world = simulate(seed);
        for schedule in world.state.schedules().iter() {
            let spec = &schedule.spec;
            let recurrence = spec.timing.recurrence(schedule.anchor).unwrap();
            let patience = spec.retry.patience(spec.window);
            let runs = runs(&world, &schedule.key());
            let first = Timestamp::from_millis(schedule.anchor.as_millis() - 1);
            let until = schedule.next.map(|next| next.due);
            let times: Vec<Timestamp> = recurrence
                .occurrences(first)
                .take_while(|at| until.is_none_or(|until| *at < until))
                .collect();
            let context = format!("seed {seed}, schedule {}: {spec:?}", schedule.name);

            let due: Vec<Timestamp> = runs.iter().filter_map(|(_, run)| run.due).collect();
            let once: BTreeSet<Timestamp> = due.iter().copied().collect();
            assert_eq!(due.len(), once.len(), "{context}: a time ran twice");
            assert!(
                once.iter().all(|at| times.contains(at)),
                "{context}: it ran when it was not due"
            );

            // Each time has run or is counted as missed.
            let ran = runs.iter().filter(|(_, run)| run.outcome != RunOutcome::Missed).count();
            let counted: u32 = runs.iter().map(|(_, run)| run.missed).sum();
            let counted = usize::try_from(counted).unwrap();
            let exact = runs.iter().all(|(_, run)| run.missed < 1000);
            assert!(
                ran + counted == times.len() || !exact,
                "{context}: {ran} + {counted} of {}",
                times.len()
            );

            for (at, run) in &runs {
                let due = run.due.unwrap();
                let in_time = *at <= due + patience;
                assert_eq!(in_time, run.outcome != RunOutcome::Missed, "{context}: {run:?}");
                // Only a newer one, which ran in its place, takes its chance from a time that could still run.
                let newer = times
                    .iter()
                    .find(|time| **time > due && **time + spec.retry.latest_begin(spec.window) <= *at);
                let found = newer.is_none() || run.missed >= 1000;
                assert!(found, "{context}: {run:?} was not the newest");
                started += usize::from(run.outcome == RunOutcome::Started);
                late += usize::from(run.missed > 0);
            }
            missed += counted;
        }
    }
    assert!(started > 500 && missed > 500 && late > 200, "{started} {missed} {late}");
}
