//! `berth logs`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::definition::{definition, shell};
use berth_integration_tests::{Seen, wait_until};
use serde_json::json;

use super::{OneHost, SOON};

pub(super) fn the_containers_of_a_task_are_told_in_the_order_of_time(bed: &OneHost) -> Result<()> {
    // Each waits for the other's line, so that the order is known.
    let say = |own: &str, first: bool| {
        let turn = if first { "" } else { "sleep 0.5; " };
        format!("{turn}for n in 1 2 3; do echo {own} $n; sleep 1; done; sleep 3600")
    };
    let containers = json!([shell("one", &say("one", true)), shell("two", &say("two", false))]);
    let task = bed.running("merged", containers, false)?;
    let lines = wait_until("all lines are told", SOON, || {
        let printed = bed.printed(&["logs", &task, "--output", "json"])?;
        let count = printed.lines().count();
        Ok(if count == 6 {
            Seen::Done(printed)
        } else {
            Seen::NotYet(printed)
        })
    })?;
    let times = lines.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line)?;
        line["timeNs"].as_i64().context("no time")
    });
    let times: Vec<i64> = times.collect::<Result<_>>()?;
    ensure!(times.is_sorted(), "{lines}");
    let text = bed.printed(&["logs", &task])?;
    ensure!(
        text.contains("/one | one 1\n") && text.contains("/two | two 3\n"),
        "{text}"
    );
    let only = bed.printed(&["logs", &task, "--container", "two", "--no-prefix"])?;
    assert_eq!(only, "two 1\ntwo 2\ntwo 3\n");
    bed.stop(&task)
}

pub(super) fn the_tail_and_the_time_choose_lines(bed: &OneHost) -> Result<()> {
    let script = "for n in 1 2 3 4 5; do echo line $n; done; printf unfinished; sleep 3600";
    let task = bed.running("tail", json!([shell("app", script)]), false)?;
    wait_until("the lines are there", SOON, || {
        let printed = bed.printed(&["logs", &task, "--no-prefix"])?;
        Ok(if printed.contains("line 5") {
            Seen::Done(())
        } else {
            Seen::NotYet(printed)
        })
    })?;
    let last = bed.printed(&["logs", &task, "--no-prefix", "--tail", "2"])?;
    ensure!(!last.contains("line 3") && last.contains("line 5"), "{last}");
    let none = bed.printed(&["logs", &task, "--since", "2100-01-01T00:00:00Z"])?;
    assert_eq!(none, "");
    let gone = bed.output(&["logs", "00000000000000000000000000000000"])?;
    ensure!(!gone.status.success(), "{gone:?}");
    bed.stop(&task)
}

pub(super) fn a_service_is_followed_into_tasks_that_it_starts_later(bed: &OneHost) -> Result<()> {
    let script = "while true; do echo I am $HOSTNAME; sleep 0.2; done";
    let registered = bed
        .cluster
        .register(&definition("followed", json!([shell("app", script)])))?;
    let cluster = bed.cluster.name();
    let create = json!({
        "cluster": cluster, "serviceName": "followed", "taskDefinition": registered, "desiredCount": 1,
    });
    bed.cluster.ecs().call("CreateService", &create)?;
    let mut child = bed
        .berth(&["logs", "-f", "--service", "followed"])?
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("no output")?;
    let (said, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                return;
            }
        }
    });
    let mut tasks = std::collections::BTreeSet::new();
    let mut hear = |count: usize| -> Result<()> {
        while tasks.len() < count {
            let line = lines.recv_timeout(SOON).context("nothing more is told")?;
            tasks.extend(line.split('/').next().map(str::to_owned));
        }
        Ok(())
    };
    let followed = hear(1).and_then(|()| {
        let more = json!({"cluster": cluster, "service": "followed", "desiredCount": 2});
        bed.cluster.ecs().call("UpdateService", &more)?;
        hear(2)
    });
    child.kill()?;
    child.wait()?;
    let delete = json!({"cluster": cluster, "service": "followed", "force": true});
    bed.cluster.ecs().call("DeleteService", &delete)?;
    followed
}
