//! The units of `systemd/` and the templates of `packaging/image`, looked at by the tools that they are for: nothing runs.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The most that `systemd-analyze security` may find exposed, in tenths.
const EXPOSURE: &str = "20";

fn units(ending: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut units: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|own| own == ending))
        .collect();
    units.sort();
    assert!(!units.is_empty(), "there is no .{ending}");
    units
}

fn analyze(arguments: &[&str], paths: &[&Path]) -> (bool, String) {
    let mut analyze = Command::new("systemd-analyze");
    let output = analyze.arg("--no-pager").args(arguments).args(paths).output();
    let output = output.expect("systemd-analyze: its package is systemd");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn no_service_is_exposed_by_more_than_two_of_ten() {
    for unit in units("service") {
        let threshold = format!("--threshold={EXPOSURE}");
        let (within, said) = analyze(&["security", "--offline=true", &threshold], &[&unit]);
        assert!(within, "{}:\n{said}", unit.display());
    }
}

#[test]
fn no_service_is_root() {
    for unit in units("service") {
        let text = fs::read_to_string(&unit).unwrap();
        let users = ["User=berth-agent\n", "DynamicUser=yes\n"];
        assert!(users.iter().any(|user| text.contains(user)), "{}", unit.display());
    }
}

#[test]
fn nothing_waits_for_cloud_init_or_goes_with_docker() {
    for unit in units("service").into_iter().chain(units("path")) {
        let text = fs::read_to_string(&unit).unwrap();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let bound = ["PartOf=", "BindsTo=", "Requires=", "Requisite="];
            let bound = bound.iter().any(|word| line.starts_with(word));
            assert!(!bound && !line.contains("cloud-"), "{}: {line}", unit.display());
        }
    }
}

/// Of the unit's own lines; that programs and manual pages are not installed here is no fault of theirs.
#[test]
fn systemd_understands_every_line() {
    let (units, paths) = (units("service"), units("path"));
    let all: Vec<&Path> = units.iter().chain(&paths).map(PathBuf::as_path).collect();
    let (_, said) = analyze(&["verify", "--man=no", "--recursive-errors=no"], &all);
    let wrong: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("/systemd/berth-") || line.starts_with("berth-"))
        .filter(|line| !line.contains("is not executable"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn packer_takes_the_template_of_the_image() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let place = std::env::temp_dir().join(format!("berth-packer-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    for file in ["user-data", "meta-data", "key", "base.qcow2"] {
        fs::write(place.join(file), "").unwrap();
    }
    let mut packer = Command::new("packer");
    packer.arg("validate").current_dir(&root);
    for (name, value) in [
        ("packages", place.clone()),
        ("seed", place.clone()),
        ("base_image", place.join("base.qcow2")),
    ] {
        packer.arg("-var").arg(format!("{name}={}", value.display()));
    }
    let output = packer.arg("packaging/image/host.pkr.hcl").output();
    fs::remove_dir_all(&place).unwrap();
    let output = output.expect("packer: its package is packer");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// A script that a shell cannot read is found out when the image is made, which takes long.
#[test]
fn shells_can_read_every_script() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    for directory in [root.join("image/scripts"), root.join("deb")] {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let read = Command::new("sh").arg("-n").arg(&path).status().unwrap();
            assert!(read.success(), "{}", path.display());
        }
    }
}
