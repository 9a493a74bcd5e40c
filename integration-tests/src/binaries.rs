//! The daemons under test. Cargo does not build other packages' binaries for a package's tests, so this does, once a
//! test process; with `BERTH_BIN_DIR` set they are taken from there as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::command::run;
use crate::files;

const PACKAGES: [&str; 4] = ["berth-scheduler", "berth-agent", "berth-gateway", "berth-cli"];

/// A cold build of everything on a small machine.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// The path of a daemon's executable.
///
/// # Errors
///
/// If it cannot be built or is not where it should be.
pub fn path(name: &str) -> Result<PathBuf> {
    static DIR: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let dir = DIR
        .get_or_init(|| find_or_build().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("the daemons under test: {error}"))?;
    let path = dir.join(name);
    if !path.is_file() {
        bail!("there is no {}", path.display());
    }
    Ok(path)
}

/// Whether tests can have the program killed between its steps: the variable's name is part of it. No release may be.
///
/// # Errors
///
/// If the program cannot be read.
pub fn has_fail_points(program: &Path) -> Result<bool> {
    const VARIABLE: &[u8] = b"BERTH_FAIL_POINT";
    let bytes = fs::read(program).with_context(|| format!("read {}", program.display()))?;
    Ok(bytes.windows(VARIABLE.len()).any(|part| part == VARIABLE))
}

fn find_or_build() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("BERTH_BIN_DIR") {
        return Ok(PathBuf::from(dir));
    }
    let dir = files::profile_dir()?;
    let profile = match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => bail!("{} names no profile", dir.display()),
    };
    let target = files::target_dir()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(Path::new(&cargo));
    build
        .current_dir(files::workspace())
        .args(["build", "--quiet", "--profile", profile, "--target-dir"])
        .arg(&target);
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    files::alone(&target.join("berth-binaries.lock"), || run(&mut build, DEADLINE))?;
    Ok(dir)
}
