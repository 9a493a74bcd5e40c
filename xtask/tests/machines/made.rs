//! What is installed on the machines: packages and images of the programs under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask_machines::machines;
use xtask_machines::shell::run;

/// What is packaged.
const PROGRAMS: [&str; 4] = ["berth", "berth-scheduler", "berth-agent", "berth-gateway"];

/// The directory of the programs under test: BERTH_BIN_DIR, else where cargo has built them.
pub(crate) fn programs() -> Result<PathBuf> {
    let beside = || Path::new(env!("CARGO_BIN_EXE_xtask")).parent().map(PathBuf::from);
    let directory = std::env::var_os("BERTH_BIN_DIR").map(PathBuf::from).or_else(beside);
    let directory = directory.context("there is no directory with the programs")?;
    for program in PROGRAMS {
        ensure!(
            directory.join(program).is_file(),
            "there is no {program} in {}: cargo build -p berth-cli -p berth-scheduler -p berth-agent -p berth-gateway",
            directory.display()
        );
    }
    Ok(directory)
}

/// Makes packages of the programs under test.
pub(crate) fn package(version: &str) -> Result<PathBuf> {
    let into = machines().join("packages").join(version);
    if into.exists() {
        fs::remove_dir_all(&into)?;
    }
    let mut package = Command::new(env!("CARGO_BIN_EXE_xtask"));
    package.args(["package", "--quick", "--version", version, "--programs"]);
    run(package.arg(programs()?).arg("--into").arg(&into))?;
    Ok(into)
}

/// Makes images of a static program that is none of ours, which says what it was called as: ours would have to be built anew.
pub(crate) fn images() -> Result<PathBuf> {
    let into = machines().join("images");
    if into.exists() {
        fs::remove_dir_all(&into)?;
    }
    let programs = into.join("programs");
    fs::create_dir_all(&programs)?;
    for program in PROGRAMS {
        fs::copy("/bin/busybox", programs.join(program)).context("/bin/busybox: Debian's busybox-static")?;
    }
    let mut images = Command::new(env!("CARGO_BIN_EXE_xtask"));
    images.args(["images", "--version", "0.1.0", "--programs"]);
    run(images.arg(&programs).arg("--into").arg(&into))?;
    fs::remove_dir_all(&programs)?;
    Ok(into)
}
