//! Credentials of task roles.

use std::sync::PoisonError;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{ENDPOINT, Hosts, ROLE, asking, ensure_status, read, wait_status};

const ASK: &str = r#"wget -qO- "http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI""#;

pub(super) fn a_task_with_a_role_gets_its_credentials_in_every_network_mode(hosts: &Hosts) -> Result<()> {
    for mode in ["bridge", "host", "awsvpc"] {
        let role = format!("{ROLE}-{mode}");
        let more = json!({"networkMode": mode, "taskRoleArn": role});
        let lines = hosts.script(&format!("role-{mode}"), ASK, &more)?;
        let given = read(lines.first()).context(mode)?;
        ensure!(
            given["RoleArn"] == json!(role)
                && given["AccessKeyId"] == json!(format!("key of web-{mode}"))
                && given["SecretAccessKey"] == "secret"
                && given["Token"] == "token"
                && given["Expiration"].is_string(),
            "{mode}: {given}"
        );
    }
    Ok(())
}

pub(super) fn nobody_gets_credentials_without_the_id(hosts: &Hosts) -> Result<()> {
    let mut definition = asking("secretive", "");
    definition["taskRoleArn"] = json!(ROLE);
    let (one, other) = (
        hosts.run("a", &definition, &json!({}))?,
        hosts.run("a", &definition, &json!({}))?,
    );
    hosts.printed("a", &one)?;
    hosts.printed("a", &other)?;
    let path = |arn: &str| hosts.environment(arn, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let (one_path, other_path) = (path(&one)?, path(&other)?);
    ensure!(one_path != other_path, "two tasks have one id");
    ensure_status(&hosts.ask("a", ENDPOINT, "GET", &one_path)?, 200)?;
    let task = one.rsplit('/').next().unwrap_or_default();
    for guess in [format!("/v2/credentials/{task}"), format!("/v1/credentials?id={task}")] {
        let answer = hosts.ask("a", ENDPOINT, "GET", &guess)?;
        ensure_status(&answer, 400)?;
        let refusal: Value = serde_json::from_slice(&answer.body)?;
        ensure!(
            refusal["code"] == "InvalidIdInRequest" && refusal["HTTPErrorCode"] == 400,
            "{refusal}"
        );
    }
    {
        // Nor does another host's agent know it.
        let _b = hosts.b.lock().unwrap_or_else(PoisonError::into_inner);
        wait_status(hosts, "b", &one_path, 400)?;
    }
    let id = one_path.rsplit('/').next().unwrap_or_default();
    ensure_status(
        &hosts.ask("a", ENDPOINT, "GET", &format!("/v1/credentials?id={id}"))?,
        200,
    )?;
    // A task that has stopped has no role any more.
    hosts.cluster.stop(std::slice::from_ref(&one))?;
    hosts.cluster.wait_stopped(&[one])?;
    wait_status(hosts, "a", &one_path, 400)
}
