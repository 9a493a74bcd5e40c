//! What this machine's own programs say: systemd, the agent, the kernel.

use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::Context as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::PATIENCE;
use crate::dev::find_program;
use crate::doctor::host::UnitFacts;

const UNITS: [&str; 5] = [
    "berth-agent.service",
    "berth-agent-network.service",
    "berth-scheduler.service",
    "berth-gateway.service",
    "docker.service",
];

/// Runs a program to its end, within [`PATIENCE`]; one that takes longer is killed.
///
/// # Errors
/// It is not there, or takes too long.
pub(crate) async fn run(program: impl AsRef<Path>, arguments: &[&str]) -> anyhow::Result<Output> {
    let program = program.as_ref();
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(PATIENCE, output).await;
    let output = output.with_context(|| format!("{} takes longer than {} s", program.display(), PATIENCE.as_secs()))?;
    output.with_context(|| format!("run {}", program.display()))
}

/// Whether the agent takes its settings; none where there is no agent.
pub(super) async fn agent_config() -> Option<Result<(), String>> {
    let program = find_program("berth-agent").ok()?;
    Some(match run(program, &["--check-config"]).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = said
                .lines()
                .map(|line| line.trim_start_matches("berth-agent: "))
                .collect();
            Err(lines.join("; "))
        }
        Err(error) => Err(format!("{error:#}")),
    })
}

/// How full the file system of the directory is, in percent; none where there is no such directory.
pub(super) fn fullness(directory: &Path) -> Option<u64> {
    let of = rustix::fs::statvfs(directory).ok()?;
    let used = of.f_blocks.saturating_sub(of.f_bfree);
    // As df has it: what is kept for root is not there for others.
    let all = used.saturating_add(of.f_bavail);
    used.saturating_mul(100).checked_div(all)
}

/// Whether NTP keeps the clock; none where systemd does not say.
pub(super) async fn clock_synchronized() -> Option<bool> {
    let output = run("timedatectl", &["show", "--property=NTPSynchronized", "--value"])
        .await
        .ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// The units of Berth's and Docker's that are installed.
pub(super) async fn units() -> Vec<UnitFacts> {
    let mut found = Vec::new();
    for unit in UNITS {
        let properties = "--property=LoadState,ActiveState,Result,NRestarts";
        if let Ok(output) = run("systemctl", &["show", unit, properties]).await {
            found.extend(read(unit, &String::from_utf8_lossy(&output.stdout)));
        }
    }
    found
}

/// The unit, if it is installed, from what `systemctl show` says.
fn read(unit: &str, said: &str) -> Option<UnitFacts> {
    let property = |name: &str| {
        let mut lines = said.lines().filter_map(|line| line.split_once('='));
        Some(lines.find(|(key, _)| *key == name)?.1.to_owned())
    };
    let installed = property("LoadState")? == "loaded";
    installed.then(|| UnitFacts {
        name: unit.to_owned(),
        active: property("ActiveState").unwrap_or_default(),
        result: property("Result").unwrap_or_default(),
        restarts: property("NRestarts")
            .and_then(|text| text.parse().ok())
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_installed_is_told_with_its_state() {
        let said = "Result=exit-code\nNRestarts=7\nLoadState=loaded\nActiveState=failed\n";
        let unit = read("a.service", said).unwrap();
        assert_eq!(
            (unit.active.as_str(), unit.result.as_str(), unit.restarts),
            ("failed", "exit-code", 7)
        );
        assert!(read("a.service", "LoadState=not-found\nActiveState=inactive\n").is_none());
        assert!(read("a.service", "").is_none());
    }

    #[test]
    fn a_disk_is_somewhere_between_empty_and_full() {
        assert!(fullness(Path::new("/")).unwrap() <= 100);
        assert_eq!(fullness(Path::new("/there/is/no/such/place")), None);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = run("/no/such/program", &[]).await.unwrap_err();
        assert_eq!(error.to_string(), "run /no/such/program");
    }
}
