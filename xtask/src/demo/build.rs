//! What is built: the three programs, and an image that holds nothing but the web server.

use std::env;
use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::engine;
use super::place::{IMAGE, Place};
use crate::steps::Steps;

const BUILD_WITHIN: Duration = Duration::from_secs(540);
const SERVER: &str = "demo-web";

/// Builds `berth`, `berth-scheduler` and `berth-agent`.
pub(super) fn programs(place: &Place, steps: &Steps) -> anyhow::Result<()> {
    let packages = ["berth-cli", "berth-scheduler", "berth-agent"];
    let mut build = cargo(place);
    build.arg("build");
    for package in packages {
        build.args(["--package", package]);
    }
    steps.run(build.arg("--release"), BUILD_WITHIN)
}

/// Builds the web server and makes an image of it; one that is there is used.
pub(super) fn image(place: &Place, steps: &Steps) -> anyhow::Result<()> {
    if engine::has_image(IMAGE)? {
        steps.note(&format!("{IMAGE} is there already"));
        return Ok(());
    }
    let mut build = cargo(place);
    build
        .args(["rustc", "--release", "--package", "xtask", "--bin", SERVER])
        // For the server alone: all that it needs must be in the one file.
        .args(["--", "-C", "target-feature=+crt-static"]);
    steps.run(&mut build, BUILD_WITHIN)?;
    let server = place.program(SERVER);
    let directory = server.parent().context("the server lies in no directory")?;
    let archive = Command::new("tar")
        .args(["--create", "--file=-", "--owner=0", "--group=0", "--directory"])
        .arg(directory)
        .arg(SERVER)
        .output()
        .context("cannot run tar")?;
    let words = String::from_utf8_lossy(&archive.stderr);
    ensure!(archive.status.success(), "tar ended with {}: {words}", archive.status);
    let changes = [format!("CMD [\"/{SERVER}\"]"), "EXPOSE 80".to_owned()];
    engine::import(IMAGE, &archive.stdout, &changes)
}

/// The cargo that runs this.
fn cargo(place: &Place) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut cargo = Command::new(program);
    cargo.current_dir(place.workspace());
    cargo
}
