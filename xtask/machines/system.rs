//! Root file systems: a Debian, and layers over it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::machines;
use crate::shell::{line, run};

/// Debian's release, and what a host of it has before anything of ours.
const RELEASE: &str = "bookworm";
const FIRST: &str = "systemd,systemd-sysv,dbus,ca-certificates,kmod,procps";
const PACKAGES: &str = "iproute2 nftables iptables docker.io apparmor cloud-init openssh-server";

/// Debian without anything of ours: made once, and not changed.
///
/// # Errors
/// debootstrap or apt-get cannot make it; with their words.
pub fn debian() -> Result<PathBuf> {
    let base = machines().join("debian");
    let done = machines().join("debian.done");
    let content = content();
    if fs::read_to_string(&done).is_ok_and(|done| done == content) {
        return Ok(base);
    }
    if base.exists() {
        fs::remove_dir_all(&base)?;
    }
    fs::create_dir_all(machines())?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &format!("--include={FIRST}"), RELEASE]);
    run(debootstrap.arg(&base)).context("make a Debian (without debootstrap: cargo xtask prepare)")?;
    install(&base, PACKAGES).context("install what a host has")?;
    fs::write(done, content)?;
    Ok(base)
}

/// What [`debian`] has: where that changes it is made anew, and so is what was made of it.
#[must_use]
pub fn content() -> String {
    format!("{RELEASE},{FIRST} {PACKAGES}")
}

/// Installs Debian's packages, with spaces between them, in a root; nothing of them is started.
///
/// # Errors
/// Those of apt-get, with its words.
pub fn install(root: &Path, packages: &str) -> Result<()> {
    let install = format!(
        "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 0755 /usr/sbin/policy-rc.d; \
         apt-get --quiet --yes --no-install-recommends install {packages}; apt-get clean; rm /usr/sbin/policy-rc.d"
    );
    let mut chroot = Command::new("chroot");
    chroot.env("DEBIAN_FRONTEND", "noninteractive").arg(root);
    run(chroot.args(["sh", "-ec", &install])).map(drop)
}

/// A directory over another one: what is written stays in it.
///
/// # Errors
/// It cannot be mounted.
pub fn layer(over: &Path, directory: &Path) -> Result<PathBuf> {
    let part = |name: &str| -> Result<PathBuf> {
        let part = directory.join(name);
        fs::create_dir_all(&part)?;
        Ok(part)
    };
    let (upper, work, root) = (part("upper")?, part("work")?, part("root")?);
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        over.display(),
        upper.display(),
        work.display()
    );
    run(Command::new("mount")
        .args(["-t", "overlay", "overlay", "-o", &options])
        .arg(&root))?;
    Ok(root)
}

/// Unmounts everything below the directory, the last first.
///
/// # Errors
/// Something cannot be unmounted.
pub fn unmount_below(directory: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let points = mounts.lines().filter_map(|mount| mount.split(' ').nth(1));
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf());
    let mut points: Vec<&str> = points
        .filter(|point| Path::new(point).starts_with(&directory))
        .collect();
    points.reverse();
    for point in points {
        line(&format!("umount --lazy {point}"))?;
    }
    Ok(())
}
