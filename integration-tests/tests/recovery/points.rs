//! The agent is killed at every step that it takes for a task, before it and after it, and started again: no container
//! is started twice, none is left over, and the exit code is right.

use std::fs;

use anyhow::{Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::binaries;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::suite::Test;
use berth_integration_tests::{Seen, wait_until};
use serde_json::json;

use super::Bed;
use super::alone::{Alone, exit_code, starts, task};

macro_rules! points {
    ($($point:literal),+ $(,)?) => {
        vec![$((concat!("points::killed_", $point), (|bed| killed(bed, $point)) as fn(&Bed) -> Result<()>)),+]
    };
}

/// A test for each fail point of the agent; behind a colon, how often it is passed before.
pub(super) fn all() -> Vec<Test<Bed>> {
    points![
        "before-record-write:1",
        "after-record-write:1",
        "before-record-write:2",
        "after-record-write:2",
        "before-record-write:3",
        "after-record-write:4",
        "before-pull",
        "after-pull",
        "before-create",
        "after-create",
        "before-start",
        "after-start",
        "before-report:1",
        "after-report:1",
        "before-report:2",
        "after-report:3",
        "before-signal",
        "after-signal",
        "before-kill",
        "after-kill",
        "before-look",
        "after-look",
        "before-acknowledgement",
        "after-acknowledgement",
        "before-removal",
        "after-removal",
        "before-volume-removal",
        "after-volume-removal",
        "before-record-removal",
        "after-record-removal",
    ]
}

/// Otherwise the tests here would kill nothing, and what says that an agent has none would find none.
pub(super) fn the_agent_under_test_can_be_killed_at_its_fail_points(_: &Bed) -> Result<()> {
    ensure!(
        binaries::has_fail_points(&binaries::path("berth-agent")?)?,
        "no fail points"
    );
    Ok(())
}

fn killed(bed: &Bed, point: &str) -> Result<()> {
    let name = point.replace(':', "-");
    let settings = Settings::with_arguments(&["--stopped-container-retention", "0"]);
    let mut dying = settings.clone();
    dying
        .environment
        .push(("BERTH_FAIL_POINT".to_owned(), point.to_owned()));
    let directory = bed.bed.data_dir("points").join(&name);
    fs::create_dir_all(&directory)?;

    let mut alone = Alone::start(bed, "a", &name, &dying)?;
    let mut definition = task(&name, &directory);
    let deaf = point.ends_with("kill");
    if deaf {
        let script = "trap '' TERM; echo started >> /out/starts; while :; do sleep 1; done";
        definition["containerDefinitions"][0]["command"] = json!([script]);
        definition["containerDefinitions"][0]["stopTimeout"] = json!(1);
    }
    let arn = alone.run(&definition)?;
    let runs = || starts(&directory);

    let gone = wait_until("the agent is killed, or its task runs", SOON, || {
        if !alone.agent.daemon().is_running()? {
            return Ok(Seen::Done(true));
        }
        let task = alone.describe(&arn)?;
        let running = task["lastStatus"] == "RUNNING" && runs() == 1;
        Ok(if running {
            Seen::Done(false)
        } else {
            Seen::NotYet(task.to_string())
        })
    })?;
    if !gone {
        alone.order_stop(&arn)?;
        wait_until("the agent is killed", SOON, || {
            let lives = alone.agent.daemon().is_running()?;
            Ok(Seen::when(!lives, || {
                alone.describe(&arn).unwrap_or_default().to_string()
            }))
        })?;
    }

    alone.start_again(&settings)?;
    if gone {
        alone.wait(&arn, "RUNNING")?;
        Alone::wait_begun(&directory, 1)?;
        alone.order_stop(&arn)?;
    }
    let ended = alone.wait(&arn, "STOPPED")?;
    let code = exit_code(&ended)?;
    ensure!(code == if deaf { 137 } else { 7 }, "{ended}");
    ensure!(runs() == 1, "started {} times", runs());
    wait_until("nothing is left of the task", SOON, || {
        let containers = alone.engine()?.task_containers(&arn)?.len();
        let id = arn.rsplit('/').next().unwrap_or_default();
        let volumes = alone.engine()?.volumes()?;
        let volumes = volumes.iter().filter(|volume| volume.contains(id)).count();
        let records = fs::read_dir(alone.records())?.count();
        Ok(Seen::when((containers, volumes, records) == (0, 0, 0), || {
            format!("{containers} containers, {volumes} volumes, {records} records")
        }))
    })
}
