//! Docker's credential helpers: `docker-credential-NAME get` is told the server on its standard input and answers in
//! JSON. The ECR helper is one of them.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::config;
use crate::docker::Login;

const DEADLINE: Duration = Duration::from_secs(30);
/// What helpers say, by agreement, when they know of no credentials.
const NOT_FOUND: &str = "credentials not found";
/// Of what a helper says, as much goes into an error.
const LONGEST_WORDS: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The credentials that the helper has for the server. A helper that hangs is killed.
pub(super) async fn ask(helper: &str, server: &str) -> Result<Option<Login>, String> {
    let program = format!("docker-credential-{helper}");
    if helper.is_empty() || helper.contains('/') {
        return Err(format!("'{program}' is no name of a credential helper"));
    }
    answer(&program, server, DEADLINE).await
}

/// What the program answers within the time.
pub(super) async fn answer(program: &str, server: &str, deadline: Duration) -> Result<Option<Login>, String> {
    let output = match tokio::time::timeout(deadline, run(program, server)).await {
        Ok(output) => output.map_err(|error| format!("credential helper '{program}' cannot be run: {error}"))?,
        Err(_) => {
            return Err(format!(
                "credential helper '{program}' did not answer within {} s",
                deadline.as_secs()
            ));
        }
    };
    if !output.status.success() {
        // Helpers write errors to their standard output, and no secret with them.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if said.contains(NOT_FOUND) {
            return Ok(None);
        }
        let words: String = said.trim().chars().take(LONGEST_WORDS).collect();
        return Err(format!(
            "credential helper '{program}' failed, {}: {words}",
            output.status
        ));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("credential helper '{program}' did not answer with 'Username' and 'Secret'"))?;
    Ok(Some(config::login(&answer.username, &answer.secret)))
}

async fn run(program: &str, server: &str) -> std::io::Result<Output> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that has read enough may have closed it.
        let written = stdin.write_all(server.as_bytes()).await;
        tracing::trace!(?written, program, "asked");
    }
    child.wait_with_output().await
}
