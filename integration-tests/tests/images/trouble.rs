//! Registries that are slow, busy or not there.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use berth_integration_tests::images::pullable;
use berth_integration_tests::registry::{Mood, Registry};

use super::{Hosts, brief};

pub(super) fn a_pull_that_hangs_ends_and_delays_no_other_registry(hosts: &Hosts) -> Result<()> {
    let (stuck, silent, well) = (
        Registry::start(hosts.host(), None)?,
        Registry::start(hosts.host(), None)?,
        Registry::start(hosts.host(), None)?,
    );
    stuck.put("app:1", &pullable("stuck", 1 << 20)?);
    stuck.feel(Mood::StuckInLayer);
    silent.feel(Mood::Silent);
    well.put("app:1", &pullable("well", 0)?);
    let hanging = hosts.run(
        "hasty",
        "hanging",
        serde_json::json!([brief("main", &stuck.name("app:1"))]),
    )?;
    let mut waiting = Vec::new();
    for number in 0..5 {
        let name = silent.name(&format!("app:{number}"));
        waiting.push(hosts.run("hasty", "silent", serde_json::json!([brief("main", &name)]))?);
    }
    let start = Instant::now();
    let (_, digest) = hosts.running("hasty", "beside", &well.name("app:1"))?;
    ensure!(!digest.is_empty());
    ensure!(
        start.elapsed() < Duration::from_secs(20),
        "the image of another registry took {:?}",
        start.elapsed()
    );
    let task = hosts.cluster.wait_stopped(&[hanging])?.remove(0);
    let reason = task["stoppedReason"].as_str().unwrap_or_default();
    ensure!(
        reason.starts_with("CannotPullContainerError") && reason.contains("showed no progress for 3 s"),
        "{task}"
    );
    hosts.cluster.stop(&waiting)
}

pub(super) fn a_busy_registry_is_asked_again_after_a_pause(hosts: &Hosts) -> Result<()> {
    let registry = Registry::start(hosts.host(), None)?;
    let image = pullable("busy", 0)?;
    registry.put("app:1", &image);
    registry.feel_for(2, Mood::Refusing(429));
    let (_, digest) = hosts.running("always", "busy", &registry.name("app:1"))?;
    assert_eq!(digest, image.digest);
    Ok(())
}

/// BusyBox is loaded on the host, and Docker Hub out of reach.
pub(super) fn an_image_without_a_registry_starts_at_once_from_its_copy(hosts: &Hosts) -> Result<()> {
    hosts.running("default", "loaded", "busybox")?;
    let start = Instant::now();
    for _ in 0..3 {
        hosts.running("default", "loaded", "busybox")?;
    }
    ensure!(
        start.elapsed() < Duration::from_secs(20),
        "three starts took {:?}",
        start.elapsed()
    );
    Ok(())
}
