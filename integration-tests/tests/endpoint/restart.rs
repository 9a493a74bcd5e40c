//! The agent goes and comes; its containers go on asking.

use std::sync::PoisonError;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{ENDPOINT, Hosts, ROLE, asking, ensure_status, wait_status};

/// A task with a role on `b`: the paths of its metadata and of its credentials.
fn task(hosts: &Hosts, family: &str) -> Result<(String, String)> {
    let mut definition = asking(family, "");
    definition["taskRoleArn"] = json!(ROLE);
    let arn = hosts.run("b", &definition, &json!({}))?;
    hosts.printed("b", &arn)?;
    let own = hosts.environment(&arn, "ECS_CONTAINER_METADATA_URI_V4")?;
    let metadata = own.strip_prefix("http://169.254.170.2").context("another address")?;
    Ok((
        metadata.to_owned(),
        hosts.environment(&arn, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?,
    ))
}

pub(super) fn names_are_the_same_after_a_restart_of_the_agent(hosts: &Hosts) -> Result<()> {
    let mut agent = hosts.b.lock().unwrap_or_else(PoisonError::into_inner);
    let (metadata, credentials) = task(hosts, "restarted")?;
    agent.daemon().kill()?;
    ensure!(
        hosts.ask("b", ENDPOINT, "GET", &metadata).is_err(),
        "somebody answers for the agent"
    );
    agent.daemon().start_again()?;
    wait_status(hosts, "b", &metadata, 200)?;
    wait_status(hosts, "b", &credentials, 200)?;
    // Nothing is loading any more.
    wait_status(hosts, "b", "/v2/credentials/guess", 400)
}

/// Docker hangs while the agent starts: what it has in its records it answers, the rest may come to be known.
pub(super) fn an_agent_that_loads_says_to_ask_again(hosts: &Hosts) -> Result<()> {
    let mut agent = hosts.b.lock().unwrap_or_else(PoisonError::into_inner);
    let (metadata, credentials) = task(hosts, "loading")?;
    let engine = hosts.host("b")?.engine();
    engine.daemon().freeze()?;
    let looked = (|| {
        agent.daemon().kill()?;
        agent.daemon().start_again()?;
        wait_status(hosts, "b", &credentials, 200)?;
        wait_status(hosts, "b", &format!("{metadata}/task"), 200)?;
        for (path, code) in [
            ("/v2/credentials/guess", "CredentialsUninitialized"),
            ("/v4/guess/task", ""),
        ] {
            let answer = hosts.ask("b", ENDPOINT, "GET", path)?;
            ensure_status(&answer, 503)?;
            ensure!(answer.header("retry-after").is_some(), "no Retry-After");
            let body: Value = serde_json::from_slice(&answer.body)?;
            ensure!(code.is_empty() || body["code"] == code, "{body}");
        }
        Ok(())
    })();
    engine.daemon().resume()?;
    looked?;
    // Nothing is loading any more.
    wait_status(hosts, "b", "/v2/credentials/guess", 400)
}
