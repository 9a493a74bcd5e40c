//! A package for distributions with RPM, by `rpmbuild`, which packs what is there and looks into nothing.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;

use super::tree::Tree;
use super::{Order, WITHIN};
use crate::steps::Steps;

/// Of the packaging; versions of the same program differ in the version.
const RELEASE: &str = "1";

/// Makes the package; returns where it is.
pub(super) fn make(tree: &Tree, order: &Order, steps: &Steps) -> anyhow::Result<PathBuf> {
    let package = tree.package;
    let architecture = std::env::consts::ARCH;
    let requires: Vec<String> = package
        .rpm_requires
        .iter()
        .map(|need| format!("Requires: {need}"))
        .collect();
    let files = files(tree)?;
    let words = [
        ("VERSION", order.version.as_str()),
        ("RELEASE", RELEASE),
        ("SUMMARY", package.summary),
        ("DESCRIPTION", package.description),
        ("ARCHITECTURE", architecture),
        ("REQUIRES", &requires.join("\n")),
        ("FILES", &files),
    ];
    let mut text = tree.fill("rpm/template.spec", &words)?;
    if !package.units.is_empty() {
        text.push_str(&tree.fill("rpm/scripts.spec", &words)?);
    }
    let spec = tree.work.join("package.spec");
    fs::write(&spec, text).with_context(|| format!("cannot write {}", spec.display()))?;
    let defined = [
        format!("_topdir {}", tree.work.join("rpm").display()),
        format!("_rpmdir {}", order.into.display()),
        "_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm".to_owned(),
        "_buildhost berth.example".to_owned(),
        format!("_binary_payload {}", if order.quick { "w1.gzdio" } else { "w9.xzdio" }),
    ];
    let mut build = Command::new("rpmbuild");
    build
        .env("SOURCE_DATE_EPOCH", order.date.to_string())
        .args(["-bb", "--quiet", "--noclean", "--buildroot"])
        .arg(&tree.files)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for definition in defined {
        build.args(["--define", &definition]);
    }
    steps.run(build.arg(&spec), WITHIN)?;
    let file = format!("{}-{}-{RELEASE}.{architecture}.rpm", package.name, order.version);
    Ok(order.into.join(file))
}

/// The section `%files`: every file by name, with its mode and root as its owner.
fn files(tree: &Tree) -> anyhow::Result<String> {
    use std::os::unix::fs::PermissionsExt;
    let mut lines = Vec::new();
    for path in tree.paths()?.into_iter().filter(|path| path.is_file()) {
        let installed = tree.installed(&path)?;
        let mode = fs::metadata(&path)?.permissions().mode() & 0o7777;
        let kept = if installed.starts_with("etc/") {
            "%config(noreplace) "
        } else {
            ""
        };
        lines.push(format!("%attr({mode:04o}, root, root) {kept}\"/{installed}\""));
    }
    Ok(lines.join("\n"))
}
