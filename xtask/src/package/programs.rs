//! Building what is shipped, without the paths of the machine that builds it.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use super::root;
use crate::test::binaries::cargo;

/// What a program needs of the machine that it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linkage {
    /// The machine's C library, which knows how names are looked up there.
    Shared,
    /// Nothing.
    Static,
}

/// Builds the programs; returns the directory that they are in.
pub(crate) fn build(linkage: Linkage) -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    // With a target named, the flags are not for what runs during the build.
    let target = host()?;
    build.args(["build", "--locked", "--profile", "dist", "--target", &target]);
    for package in super::PACKAGES.iter().map(|package| package.crate_name) {
        build.args(["--package", package]);
    }
    // Flags decide what cargo may use again: two directories, or each build would begin from nothing.
    let into = root().join(match linkage {
        Linkage::Shared => "target",
        Linkage::Static => "target/static",
    });
    build.arg("--target-dir").arg(&into);
    build.env("RUSTFLAGS", flags(linkage)?);
    ensure!(
        build.status()?.success(),
        "the programs cannot be built; the reason is above"
    );
    Ok(into.join(target).join("dist"))
}

/// What the compiler is told: no path of this machine ends up in a program.
fn flags(linkage: Linkage) -> anyhow::Result<String> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = match cargo_home {
        Some(home) => home,
        None => PathBuf::from(env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?).join(".cargo"),
    };
    let mut flags: Vec<String> = env::var("RUSTFLAGS").into_iter().collect();
    flags.push(format!("--remap-path-prefix={}=/berth", root().display()));
    flags.push(format!("--remap-path-prefix={}=/cargo", cargo_home.display()));
    if linkage == Linkage::Static {
        flags.push("-C target-feature=+crt-static".to_owned());
    }
    Ok(flags.join(" "))
}

/// The name that the compiler has for this machine.
fn host() -> anyhow::Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("-vV").output().context("cannot run rustc")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}
