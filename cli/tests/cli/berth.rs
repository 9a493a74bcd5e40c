//! Running `berth` as a user would.

use std::process::{Command, Output, Stdio};

use anyhow::Context;

/// What a run of `berth` left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:?}"))
    }
}

impl TryFrom<Output> for Ran {
    type Error = anyhow::Error;

    fn try_from(output: Output) -> anyhow::Result<Self> {
        Ok(Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }
}

/// A `berth` that means the scheduler at `url`, with nothing of this process's environment that it would read.
pub(crate) fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command
        .args(arguments)
        .env("BERTH_SCHEDULER", url)
        .env_remove("BERTH_CLUSTER")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs `berth` to its end.
pub(crate) fn berth(url: &str, arguments: &[&str]) -> anyhow::Result<Ran> {
    command(url, arguments).output()?.try_into()
}
