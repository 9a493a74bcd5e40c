//! Registries that are slow, busy or not there.

use anyhow::{Context, Result, ensure};
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
    let (beside, digest) = hosts.running("hasty", "beside", &well.name("app:1"))?;
    ensure!(!digest.is_empty());
    let task = hosts.cluster.wait_stopped(&[hanging])?.remove(0);
    let reason = task["stoppedReason"].as_str().unwrap_or_default();
    ensure!(
        reason.starts_with("CannotPullContainerError") && reason.contains("showed no progress for 3 s"),
        "{task}"
    );
    let beside = hosts.cluster.describe(&[beside])?.remove(0);
    let pulled = beside["pullStoppedAt"].as_f64().context("no pullStoppedAt")?;
    let given_up = task["pullStoppedAt"].as_f64().or(task["executionStoppedAt"].as_f64());
    let given_up = given_up.or(task["stoppedAt"].as_f64()).context("no stoppedAt")?;
    ensure!(
        pulled < given_up,
        "the image of another registry came at {pulled}, the pull that hung was given up at {given_up}"
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
    for _ in 0..3 {
        let (arn, _) = hosts.running("default", "loaded", "busybox")?;
        let task = hosts.cluster.describe(&[arn])?.remove(0);
        let at = |member: &str| task[member].as_f64().with_context(|| format!("no {member}"));
        // The registry cannot be reached and says so at once; the pauses before it is asked again are not waited for.
        let took = at("pullStoppedAt")? - at("pullStartedAt")?;
        ensure!(took < 10.0, "the copy was taken after {took} s");
    }
    Ok(())
}
