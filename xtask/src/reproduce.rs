//! `cargo xtask reproduce`: whether the static programs come out the same, byte by byte, when somebody else builds them.
//!
//! Somebody else is a clone of what is committed, in another directory, with nothing built. What stays the same is what
//! `Cargo.lock` and `Cargo.toml` pin, and the compiler.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::package::programs::{self, Linkage};
use crate::package::root;
use crate::steps::Steps;

/// Where the clone goes, in the repository.
const CLONE: &str = "target/reproduce";

/// Builds twice, compares, and says how large the programs are.
///
/// # Errors
/// Something is not committed, a build fails, or a program differs.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut steps = Steps::begin_within(4, 2 * programs::BUILT_WITHIN);
    let root = root();
    let open = steps.ask(git(&root).args(["status", "--porcelain"]))?;
    ensure!(
        open.is_empty(),
        "a clone has only what is committed, and these are not:\n{open}"
    );
    steps.next("programs, here");
    let here = programs::build(Linkage::Static)?;
    steps.next("a clone in another directory");
    let clone = root.join(CLONE);
    if clone.exists() {
        fs::remove_dir_all(&clone).with_context(|| format!("cannot remove {}", clone.display()))?;
    }
    steps.ask(git(&root).args(["clone", "--quiet", "."]).arg(&clone))?;
    steps.next("programs, there");
    let there = programs::build_of(&clone, Linkage::Static)?;
    steps.next("whether they are the same");
    let mut differ = Vec::new();
    for name in programs::names() {
        let [one, other] = [&here, &there].map(|built| digest(&built.join(name), &steps));
        let (one, other) = (one?, other?);
        let bytes = fs::metadata(here.join(name))?.len();
        let tenths = (bytes + 50_000) / 100_000;
        let (whole, tenth) = (tenths / 10, tenths % 10);
        steps.note(&format!("{name:<16} {whole:>3}.{tenth} MB  {one}"));
        if one != other {
            differ.push(format!("{name} ({other} there)"));
        }
    }
    if !differ.is_empty() {
        bail!(
            "not the same: {}; both are kept, here in {} and there in {}",
            differ.join(", "),
            here.display(),
            there.display()
        );
    }
    fs::remove_dir_all(&clone).with_context(|| format!("cannot remove {}", clone.display()))?;
    println!("\nthe same in both directories, after {} s", steps.elapsed().as_secs());
    Ok(())
}

fn git(root: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(root);
    git
}

/// SHA-256 of a file, in hex.
fn digest(file: &Path, steps: &Steps) -> anyhow::Result<String> {
    let said = steps.ask(Command::new("sha256sum").arg("--").arg(file))?;
    let digest = said.split_whitespace().next();
    Ok(digest.context("sha256sum says nothing")?.to_owned())
}
