//! `berth drain` that waits.

use std::io::{BufRead, BufReader};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::berth::{berth, command};
use crate::fake::{Fake, instance, task};

/// An instance with a task that does not end by itself.
fn with_a_task() -> anyhow::Result<Fake> {
    let fake = Fake::start()?;
    let mut state = fake.state();
    state.instances = vec![instance("1234567890")];
    state.tasks = vec![task("aaaa", "RUNNING")];
    state.stuck = true;
    drop(state);
    Ok(fake)
}

#[test]
fn ctrl_c_leaves_the_instance_draining_and_says_how_to_take_it_back() -> anyhow::Result<()> {
    let fake = with_a_task()?;
    let mut child = command(&fake.url, &["drain", "1234", "--deadline", "15m"]).spawn()?;
    let mut stderr = BufReader::new(child.stderr.take().context("no standard error")?).lines();
    let mut next = || anyhow::Ok(stderr.next().transpose()?.unwrap_or_default());
    let left = next()?;
    assert!(
        left.starts_with("draining 12345678") && left.contains(": 1 task left, to be stopped in "),
        "{left}"
    );
    let pid = Pid::from_raw(child.id().cast_signed()).context("no process id")?;
    kill_process(pid, Signal::INT)?;
    let id = "12345678900000000000000000000000";
    assert_eq!(
        next()?,
        format!(
            "interrupted: {id} stays DRAINING, and nothing more is stopped; `berth instances activate {id}` takes it back"
        )
    );
    assert_eq!(next()?, "", "it says more than that");
    assert_eq!(child.wait()?.code(), Some(130));
    assert_eq!(fake.state().instances[0].status(), "DRAINING");
    assert_eq!(fake.state().tasks[0].desired_status(), "RUNNING", "it was stopped");
    let back = berth(&fake.url, &["instances", "activate", id])?;
    assert_eq!(back.code, Some(0), "{back:?}");
    assert_eq!(fake.state().instances[0].status(), "ACTIVE");
    Ok(())
}

#[test]
fn what_is_left_at_the_deadline_is_stopped_and_told() -> anyhow::Result<()> {
    let fake = with_a_task()?;
    fake.state().stuck = false;
    let ran = berth(&fake.url, &["drain", "1234", "--deadline", "1s"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told = "the deadline of 1 s has passed: stopping 1 task\n";
    assert!(ran.stderr.contains(told), "{ran:?}");
    assert!(ran.stderr.ends_with(", and nothing is placed there\n"), "{ran:?}");
    assert_eq!(fake.state().tasks[0].last_status(), "STOPPED");
    Ok(())
}
