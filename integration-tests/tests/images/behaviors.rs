//! When the registry is asked, and which image a task gets.

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::images::pullable;
use berth_integration_tests::registry::{Mood, Registry};
use berth_integration_tests::{Seen, wait_until};
use serde_json::json;

use super::{Hosts, brief, sleeper};

pub(super) fn default_asks_each_time_and_falls_back_on_the_copy(hosts: &Hosts) -> Result<()> {
    let registry = Registry::start(hosts.host(), None)?;
    let (old, new) = (pullable("default-old", 0)?, pullable("default-new", 0)?);
    registry.put("app:1", &old);
    let name = registry.name("app:1");
    assert_eq!(hosts.running("default", "default", &name)?.1, old.digest);
    registry.put("app:1", &new);
    assert_eq!(
        hosts.running("default", "default", &name)?.1,
        new.digest,
        "the tag moved"
    );
    assert_eq!(registry.pulls("app"), 2);

    registry.feel(Mood::Refusing(500));
    assert_eq!(
        hosts.running("default", "default", &name)?.1,
        new.digest,
        "there is a copy"
    );
    let missing = registry.name("other:1");
    let reason = hosts.refused("default", "default-missing", &brief("main", &missing))?;
    ensure!(reason.starts_with("CannotPullContainerError"), "{reason}");

    // In time it is asked again: what it has by then is what a task gets.
    registry.put("app:1", &old);
    registry.feel(Mood::Well);
    wait_until("the registry is asked again", SOON, || {
        let (_, digest) = hosts.running("default", "default", &name)?;
        Ok(Seen::when(digest == old.digest, || digest))
    })
}

pub(super) fn always_fails_without_the_registry(hosts: &Hosts) -> Result<()> {
    let registry = Registry::start(hosts.host(), None)?;
    let image = pullable("always", 0)?;
    registry.put("app:1", &image);
    let name = registry.name("app:1");
    assert_eq!(hosts.running("always", "always", &name)?.1, image.digest);
    registry.feel(Mood::Refusing(503));
    let reason = hosts.refused("always", "always", &brief("main", &name))?;
    let begin = format!(
        "CannotPullContainerError: image '{name}': registry '{}': ",
        registry.host()
    );
    ensure!(reason.starts_with(&begin), "{reason}");
    Ok(())
}

pub(super) fn once_asks_until_this_agent_has_pulled(hosts: &Hosts) -> Result<()> {
    let registry = Registry::start(hosts.host(), None)?;
    let (old, new) = (pullable("once-old", 0)?, pullable("once-new", 0)?);
    registry.put("app:1", &old);
    let name = registry.name("app:1");
    hosts.host().engine().pull(&name)?;
    registry.put("app:1", &new);
    assert_eq!(
        hosts.running("once", "once", &name)?.1,
        new.digest,
        "the copy is somebody else's"
    );
    registry.put("app:1", &old);
    assert_eq!(hosts.running("once", "once", &name)?.1, new.digest);
    assert_eq!(registry.pulls("app"), 2);
    Ok(())
}

pub(super) fn prefer_cached_never_asks_for_what_is_there(hosts: &Hosts) -> Result<()> {
    let registry = Registry::start(hosts.host(), None)?;
    let (old, new) = (pullable("cached-old", 0)?, pullable("cached-new", 0)?);
    registry.put("app:1", &old);
    let name = registry.name("app:1");
    hosts.host().engine().pull(&name)?;
    registry.put("app:1", &new);
    assert_eq!(hosts.running("cached", "cached", &name)?.1, old.digest);
    assert_eq!(registry.pulls("app"), 1);
    registry.put("app:2", &new);
    assert_eq!(
        hosts.running("cached", "cached", &registry.name("app:2"))?.1,
        new.digest
    );
    Ok(())
}

pub(super) fn ten_containers_of_one_image_are_one_pull(hosts: &Hosts) -> Result<()> {
    let registry = Registry::start(hosts.host(), None)?;
    let image = pullable("parallel", 1 << 20)?;
    registry.put("app:1", &image);
    let name = registry.name("app:1");
    let containers: Vec<_> = (0..10).map(|number| sleeper(&format!("c{number}"), &name)).collect();
    let arn = hosts.run("default", "parallel", json!(containers))?;
    let task = hosts.cluster.wait_running(std::slice::from_ref(&arn))?.remove(0);
    for number in 0..10 {
        assert_eq!(container_of(&task, &format!("c{number}"))?["imageDigest"], image.digest);
    }
    assert_eq!(registry.pulls("app"), 1);
    hosts.cluster.stop(&[arn])
}

/// The second container is made after the agent was killed and the tag has moved.
pub(super) fn the_containers_of_a_task_keep_one_image_while_its_tag_moves(hosts: &Hosts) -> Result<()> {
    let registry = Registry::start(hosts.host(), None)?;
    let (old, new) = (pullable("pin-old", 0)?, pullable("pin-new", 0)?);
    registry.put("app:1", &old);
    let name = registry.name("app:1");
    let mut first = sleeper("first", &name);
    first["essential"] = json!(false);
    let mut second = sleeper("second", &name);
    second["dependsOn"] = json!([{"containerName": "first", "condition": "COMPLETE"}]);
    let arn = hosts.run("pinning", "pinning", json!([first, second]))?;
    let container = |name: &str| {
        wait_until(&format!("the {name} container runs"), SOON, || {
            let found = hosts.cluster.container(&arn, name)?;
            Ok(match found.is_running() {
                true => Seen::Done(found),
                false => Seen::NotYet(found.inspect["State"].to_string()),
            })
        })
    };
    let first = container("first")?;
    {
        let mut agent = hosts.pinning();
        agent.daemon().kill()?;
        registry.put("app:1", &new);
        agent.daemon().start_again()?;
    }
    hosts.host().engine().signal(first.id(), "KILL")?;
    let second = container("second")?;
    assert_eq!(second.inspect["Image"], old.id, "made of another image");
    assert_eq!(second.inspect["Config"]["Image"], format!("{name}@{}", old.digest));
    let task = hosts.cluster.describe(std::slice::from_ref(&arn))?.remove(0);
    assert_eq!(container_of(&task, "second")?["imageDigest"], old.digest);

    let (_, digest) = hosts.running("pinning", "pinning-next", &name)?;
    assert_eq!(digest, new.digest, "the next task gets what the tag means now");
    hosts.cluster.stop(&[arn]).context("stop the task")
}
