//! Programs that a task needs of the machine, and how they get there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::steps::Steps;

const INSTALL_WITHIN: Duration = Duration::from_secs(240);
const DISABLE_WITHIN: Duration = Duration::from_secs(30);

/// What Debian's packages ask before they start a service (invoke-rc.d, "policy-rc.d"), and the answer "no".
const POLICY: &str = "/usr/sbin/policy-rc.d";
const NO_STARTS: &str = "#!/bin/sh\nexit 101\n";

/// A program that must be there, and the Debian package that brings it.
pub(crate) type Need = (&'static str, &'static str);

/// Those whose program is missing.
pub(crate) fn absent(needed: &[Need]) -> Vec<Need> {
    let absent = needed.iter().filter(|(program, _)| find(program).is_none());
    absent.copied().collect()
}

/// The Debian packages of the programs that are missing.
pub(crate) fn missing(needed: &[Need]) -> Vec<&'static str> {
    absent(needed).into_iter().map(|(_, package)| package).collect()
}

/// Installs the packages.
///
/// # Errors
/// It may not or cannot be done here; the error says what to install instead.
pub(crate) fn install(packages: &[&str], steps: &Steps) -> anyhow::Result<()> {
    update(packages, steps)?;
    get(packages, &[], steps)
}

/// Installs packages of one source that go together in one version alone: where one of them is there already, of somewhere
/// else, it takes the version of the first, be it an older one.
///
/// # Errors
/// As those of [`install`].
pub(crate) fn install_alike(packages: &[&str], steps: &Steps) -> anyhow::Result<()> {
    update(packages, steps)?;
    let first = packages.first().context("no packages are named")?;
    let mut show = Command::new("apt-cache");
    let shown = steps.ask(show.args(["show", "--no-all-versions", first]))?;
    let version = shown.lines().find_map(|line| line.strip_prefix("Version: "));
    let version = version.with_context(|| format!("apt-cache names no version of {first}"))?;
    let alike: Vec<String> = packages.iter().map(|package| format!("{package}={version}")).collect();
    let alike: Vec<&str> = alike.iter().map(String::as_str).collect();
    get(&alike, &["--allow-downgrades"], steps)
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
    apt
}

/// Reads the package lists, if packages may be installed here at all.
fn update(packages: &[&str], steps: &Steps) -> anyhow::Result<()> {
    let list = packages.join(" ");
    let by_hand =
        format!("install {list} (on Debian and Ubuntu: apt-get install --no-install-recommends {list}) and try again");
    if find("apt-get").is_none() {
        bail!("this is not Debian or one of its kin: {by_hand}");
    }
    if !is_root()? {
        bail!("only root may install packages: {by_hand}");
    }
    steps
        .run(apt().arg("update"), INSTALL_WITHIN)
        .context("cannot read the package lists")
}

fn get(packages: &[&str], options: &[&str], steps: &Steps) -> anyhow::Result<()> {
    let mut install = apt();
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(options)
        .args(packages);
    steps
        .run(&mut install, INSTALL_WITHIN)
        .with_context(|| format!("cannot install {}", packages.join(" ")))
}

/// Installs what brings services that nobody asked for: they are neither started now nor with the machine. Each has the
/// name of its program.
///
/// # Errors
/// As those of [`install`].
pub(crate) fn install_quietly(needed: &[Need], steps: &Steps) -> anyhow::Result<()> {
    let packages: Vec<&str> = needed.iter().map(|(_, package)| *package).collect();
    if !is_root()? || Path::new(POLICY).exists() {
        // It cannot be done, or the machine has said what may start.
        return install(&packages, steps).and_then(|()| disable(needed, steps));
    }
    let policy = || format!("cannot say in {POLICY} that no service starts");
    fs::write(POLICY, NO_STARTS).with_context(policy)?;
    let installed = fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
        .with_context(policy)
        .and_then(|()| install(&packages, steps));
    fs::remove_file(POLICY).with_context(|| format!("cannot remove {POLICY}"))?;
    installed.and_then(|()| disable(needed, steps))
}

fn disable(needed: &[Need], steps: &Steps) -> anyhow::Result<()> {
    if find("systemctl").is_none() {
        return Ok(());
    }
    let services = needed.iter().map(|(program, _)| program);
    steps.run(Command::new("systemctl").arg("disable").args(services), DISABLE_WITHIN)
}

/// Whether this is root.
pub(crate) fn is_root() -> anyhow::Result<bool> {
    let own = fs::metadata("/proc/self").context("cannot tell who runs this")?;
    Ok(own.uid() == 0)
}

/// The program in PATH, or where Debian keeps the programs of the administrator.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let administrator = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(administrator)
        .map(|directory| directory.join(program))
        .find(|it| Path::is_file(it))
}
