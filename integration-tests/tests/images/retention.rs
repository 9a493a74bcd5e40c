//! What goes in the course of time: containers of ended tasks, and images.

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::images::pullable;
use berth_integration_tests::registry::Registry;
use berth_integration_tests::{Seen, wait_until};

use super::{Hosts, brief};

pub(super) fn ended_tasks_beyond_the_number_go_first_come_first(hosts: &Hosts) -> Result<()> {
    let mut arns = Vec::new();
    for _ in 0..4 {
        let task = hosts.ended("few", "few", &brief("main", "busybox"))?;
        arns.push(task["taskArn"].as_str().unwrap_or_default().to_owned());
    }
    let engine = hosts.host().engine();
    wait_until("the containers of the last two tasks are left", SOON, || {
        let mut left = Vec::new();
        for arn in &arns {
            left.push(engine.task_containers(arn)?.len());
        }
        Ok(Seen::when(left == [0, 0, 1, 1], || format!("{left:?}")))
    })
}

pub(super) fn images_unused_for_long_go_and_those_in_use_stay(hosts: &Hosts) -> Result<()> {
    let registry = Registry::start(hosts.host(), None)?;
    let (used, unused) = (pullable("tidy-used", 0)?, pullable("tidy-unused", 0)?);
    registry.put("used:1", &used);
    registry.put("unused:1", &unused);
    registry.put("unused:2", &unused);
    hosts.running("tidy", "tidy-used", &registry.name("used:1"))?;
    for tag in ["unused:1", "unused:2"] {
        hosts.ended("tidy", "tidy-unused", &brief("main", &registry.name(tag)))?;
    }
    let engine = hosts.host().engine();
    wait_until("the unused image is gone with all its tags", SOON, || {
        let left = engine.image(&unused.id)?;
        Ok(Seen::when(left.is_none(), || format!("{left:?}")))
    })?;
    ensure!(
        engine.image(&registry.name("used:1"))? == Some(used.id),
        "an image in use is gone"
    );
    ensure!(
        engine.image("busybox")?.is_some(),
        "an image that no registry has is gone"
    );
    Ok(())
}
