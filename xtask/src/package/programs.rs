//! Building what is shipped, without the paths of the machine that builds it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::root;
use crate::test::binaries::cargo;

/// For a task that builds on the way: on two cores the programs take half an hour.
pub(crate) const BUILT_WITHIN: Duration = Duration::from_secs(2 * 3600);

/// What a program needs of the machine that it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linkage {
    /// The machine's C library, which knows how names are looked up there.
    Shared,
    /// Nothing.
    Static,
}

/// What the programs are called.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    super::PACKAGES.iter().map(|package| package.name)
}

/// Builds the programs of this repository; returns the directory that they are in.
pub(crate) fn build(linkage: Linkage) -> anyhow::Result<PathBuf> {
    build_of(&root(), linkage)
}

/// Builds those of the repository whose directory is given.
pub(crate) fn build_of(source: &Path, linkage: Linkage) -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    build.current_dir(source);
    // With a target named, the flags are not for what runs during the build.
    let target = host()?;
    build.args(["build", "--locked", "--profile", "dist", "--target", &target]);
    for package in super::PACKAGES.iter().map(|package| package.crate_name) {
        build.args(["--package", package]);
    }
    // Flags decide what cargo may use again: two directories, or each build would begin from nothing.
    let into = source.join(match linkage {
        Linkage::Shared => "target",
        Linkage::Static => "target/static",
    });
    build.arg("--target-dir").arg(&into);
    build.env("RUSTFLAGS", flags(source, linkage)?);
    // Of mimalloc the C compiler writes down when it was built, and ahash's numbers are drawn while it is: both are asked for
    // the same each time.
    build.env("SOURCE_DATE_EPOCH", "0").env("CONST_RANDOM_SEED", "berth");
    ensure!(
        build.status()?.success(),
        "the programs cannot be built; the reason is above"
    );
    Ok(into.join(target).join("dist"))
}

/// What the compiler is told: no path of this machine ends up in a program.
fn flags(source: &Path, linkage: Linkage) -> anyhow::Result<String> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = match cargo_home {
        Some(home) => home,
        None => PathBuf::from(env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?).join(".cargo"),
    };
    let mut flags: Vec<String> = env::var("RUSTFLAGS").into_iter().collect();
    flags.push(format!("--remap-path-prefix={}=/berth", source.display()));
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
