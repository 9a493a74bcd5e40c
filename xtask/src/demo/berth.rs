//! The `berth` program, as the demonstration uses it.

use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use super::place::{CLUSTER, Place, URL};

/// Runs `berth` and reads the JSON that it prints.
pub(super) fn json(place: &Place, arguments: &[&str]) -> anyhow::Result<Value> {
    let program = place.program("berth");
    let output = command(place)
        .args(["--output", "json", "--color", "never"])
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("berth {}: {}{stdout}", arguments.join(" "), stderr.trim_end());
    }
    serde_json::from_str(&stdout).with_context(|| format!("berth {} printed no JSON: {stdout}", arguments.join(" ")))
}

/// Runs `berth` for people to read.
pub(super) fn show(place: &Place, arguments: &[&str]) -> anyhow::Result<()> {
    let status = command(place).args(arguments).status()?;
    if !status.success() {
        bail!("berth {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

fn command(place: &Place) -> Command {
    let mut command = Command::new(place.program("berth"));
    command.args(["--scheduler", URL, "--cluster", CLUSTER]);
    command
}
