//! What may happen to an agent, to its files and to its containers, and what is true afterwards.

mod alone;
mod clock;
mod docker;
mod interference;
mod points;
mod ports;
mod records;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use berth_integration_tests::ecs::Ecs;
use berth_integration_tests::scheduler::Scheduler;
use berth_integration_tests::suite::{self, Fixture, Test};
use berth_integration_tests::{TestBed, tests};

/// One scheduler for many clusters of one agent each, so that each test may do to its agent what it wants. The engine
/// of host `b` is for the test that freezes it.
struct Bed {
    ecs: Ecs,
    scheduler: Scheduler,
    bed: Arc<TestBed>,
}

impl Fixture for Bed {
    // They mostly wait.
    const AT_ONCE: Option<usize> = Some(10);

    fn start() -> Result<Self> {
        let bed = TestBed::new("recovery", &["a", "b"])?;
        let scheduler = bed.start_scheduler("scheduler");
        if scheduler.is_err() {
            bed.note_failure();
        }
        let scheduler = scheduler?;
        Ok(Self {
            ecs: scheduler.ecs(),
            scheduler,
            bed,
        })
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    let mut all: Vec<Test<Bed>> = tests![
        docker::a_docker_that_hangs_is_told_costs_no_heartbeat_and_no_task,
        clock::a_clock_that_is_set_forth_and_back_ends_no_task_and_holds_none_up,
        interference::a_container_that_somebody_removes_is_told_as_vanished,
        interference::a_container_that_somebody_stops_ends_its_task,
        interference::a_container_that_somebody_restarts_ends_its_task_and_runs_no_more,
        interference::a_container_restarted_while_the_agent_is_away_is_ended_in_good_order,
        interference::a_container_that_somebody_pauses_is_told_and_can_be_stopped,
        ports::the_second_of_two_tasks_on_one_static_port_waits_for_it_and_says_so_until_the_first_has_gone,
        records::records_that_are_lost_cut_or_flipped_are_made_again_from_labels,
        records::a_task_whose_record_and_containers_are_gone_is_reported_lost,
        records::an_agent_that_cannot_write_its_records_takes_no_step_until_it_can,
    ];
    all.extend(tests![points::the_agent_under_test_can_be_killed_at_its_fail_points]);
    all.extend(points::all());
    suite::main::<Bed>(all)
}
