//! `make demo-stop`: the way back, from wherever `make demo` got to.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::place::{IMAGE, Place};
use super::{berth, docker, engine};

const STOP_WITHIN: Duration = Duration::from_secs(15);

/// Ends and removes all that the demonstration made; what is gone already is no failure.
///
/// # Errors
/// Something could not be removed; the rest is, as far as possible.
pub(crate) fn stop() -> anyhow::Result<()> {
    let place = Place::of_this_checkout()?;
    let scheduler = Daemon::named("scheduler", &place);
    let agent = Daemon::named("agent", &place);
    if scheduler.runs() && agent.runs() {
        // Without them the containers are removed below all the same.
        if let Err(error) = stop_tasks(&place) {
            println!("the tasks do not stop: {error:#}; removing their containers");
        }
    }
    for (daemon, name) in [(&agent, "agent"), (&scheduler, "scheduler")] {
        if daemon.stop(STOP_WITHIN)? {
            println!("stopped the {name}");
        }
    }
    if let Err(error) = docker::revive(&place) {
        println!("{error:#}");
    }
    if engine::answers()? {
        remove_from_docker(&place)?;
    }
    docker::stop(&place)?;
    docker::remove_tree(&place.root())?;
    println!("nothing of the demonstration is left");
    Ok(())
}

fn stop_tasks(place: &Place) -> anyhow::Result<()> {
    let answer = berth::json(place, &["ps"])?;
    let tasks = answer["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let arns: Vec<&str> = tasks.iter().filter_map(|task| task["taskArn"].as_str()).collect();
    if arns.is_empty() {
        return Ok(());
    }
    println!("stopping {} tasks", arns.len());
    let mut arguments = vec!["stop", "--wait", "--wait-timeout", "60s", "--reason", "make demo-stop"];
    arguments.extend(arns);
    berth::json(place, &arguments)?;
    Ok(())
}

/// Removes the containers of the demonstration's agent and of its image, and the image.
fn remove_from_docker(place: &Place) -> anyhow::Result<()> {
    let mut ids = Vec::new();
    if engine::has_image(IMAGE)? {
        ids.extend(engine::containers(&json!({"ancestor": [IMAGE]}))?);
    }
    if let Some(filters) = of_its_agent(place) {
        ids.extend(engine::containers(&filters)?);
    }
    ids.sort();
    ids.dedup();
    for id in &ids {
        engine::remove_container(id)?;
    }
    if !ids.is_empty() {
        println!("removed {} containers", ids.len());
    }
    engine::remove_image(IMAGE).with_context(|| format!("cannot remove {IMAGE}"))
}

/// What chooses the containers of the demonstration's agent, if it ever joined the cluster.
fn of_its_agent(place: &Place) -> Option<Value> {
    let instance = fs::read_to_string(place.instance_id()).ok()?;
    Some(json!({"label": [format!("berth.instance={instance}")]}))
}
