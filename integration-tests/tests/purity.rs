//! The house's rules that the compiler does not check: which package may know which, and what the pure ones must not
//! reach.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_integration_tests::files::workspace;

const PURE: [&str; 7] = [
    "berth-model",
    "berth-trust",
    "berth-signature",
    "berth-data-channel",
    "berth-scheduler-core",
    "berth-agent-core",
    "berth-compose",
];

/// Async runtimes, I/O, clocks, entropy, wires and engines.
const IMPURE: [&str; 24] = [
    "async-std",
    "axum",
    "berth-proto",
    "bollard",
    "chrono",
    "futures",
    "futures-util",
    "getrandom",
    "h2",
    "hyper",
    "libc",
    "mio",
    "prost",
    "rand",
    "redb",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "sysinfo",
    "tempfile",
    "time",
    "tokio",
    "tonic",
];

/// Who may know whom, directly.
const ARROWS: [(&str, &[&str]); 19] = [
    ("berth-model", &[]),
    ("berth-proto", &[]),
    ("berth-daemon", &[]),
    ("berth-etcd", &[]),
    ("berth-otlp", &["berth-daemon"]),
    ("berth-data-channel", &[]),
    ("berth-signature", &["berth-model"]),
    ("berth-trust", &["berth-model"]),
    (
        "berth-tls",
        &["berth-daemon", "berth-model", "berth-proto", "berth-trust"],
    ),
    ("berth-scheduler-core", &["berth-model", "berth-trust"]),
    ("berth-agent-core", &["berth-model"]),
    (
        "berth-scheduler",
        &[
            "berth-daemon",
            "berth-data-channel",
            "berth-etcd",
            "berth-model",
            "berth-otlp",
            "berth-proto",
            "berth-scheduler-core",
            "berth-signature",
            "berth-tls",
            "berth-trust",
        ],
    ),
    (
        "berth-agent",
        &[
            "berth-agent-core",
            "berth-daemon",
            "berth-model",
            "berth-otlp",
            "berth-proto",
            "berth-tls",
            "berth-trust",
        ],
    ),
    (
        "berth-gateway",
        &[
            "berth-daemon",
            "berth-model",
            "berth-otlp",
            "berth-proto",
            "berth-tls",
            "berth-trust",
        ],
    ),
    ("berth-compose", &["berth-model"]),
    (
        "berth-cli",
        &[
            "berth-compose",
            "berth-daemon",
            "berth-model",
            "berth-proto",
            "berth-signature",
            "berth-tls",
            "berth-trust",
        ],
    ),
    (
        "berth-simulation",
        &["berth-agent-core", "berth-model", "berth-scheduler-core", "berth-trust"],
    ),
    (
        "berth-integration-tests",
        &[
            "berth-agent-core",
            "berth-compose",
            "berth-data-channel",
            "berth-model",
            "berth-proto",
            "berth-scheduler",
            "berth-scheduler-core",
            "berth-signature",
        ],
    ),
    ("xtask", &[]),
];

/// Names of the packages that a package is built with, itself left out.
fn dependencies(package: &str, more: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(workspace())
        .args([
            "tree",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != package).map(str::to_owned).collect()
}

#[test]
fn pure_packages_reach_no_clock_no_entropy_and_no_io() {
    for package in PURE {
        let reached = dependencies(package, &[]);
        let impure: Vec<_> = IMPURE.iter().filter(|name| reached.contains(**name)).collect();
        assert!(impure.is_empty(), "{package} reaches {impure:?}");
        assert!(!reached.is_empty(), "cargo tree said nothing of {package}");
    }
}

#[test]
fn packages_know_only_those_below_them() {
    for (package, allowed) in ARROWS {
        let known = dependencies(package, &["--depth", "1"]);
        let ours = known.iter().filter(|name| name.starts_with("berth-"));
        let wrong: Vec<_> = ours.filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{package} knows {wrong:?}");
    }
}

#[test]
fn pure_packages_have_the_same_bans() {
    let bans = |folder: &str| fs::read_to_string(workspace().join(folder).join("clippy.toml")).unwrap();
    assert_eq!(bans("model"), bans("signature"));
    assert_eq!(bans("model"), bans("data-channel"));
    assert_eq!(bans("model"), bans("scheduler/core"));
    assert_eq!(bans("model"), bans("agent/core"));
    assert_eq!(bans("model"), bans("simulation"));
    assert_eq!(bans("model"), bans("cli/compose"));
}

#[test]
fn only_the_docker_module_names_bollard() {
    let named = files_with("bollard", &workspace().join("agent/src"));
    assert!(!named.is_empty(), "nobody names bollard");
    for file in named {
        let inside = file
            .components()
            .any(|part| part.as_os_str() == "docker" || part.as_os_str() == "docker.rs");
        assert!(inside, "{} names bollard", file.display());
    }
}

#[test]
fn only_the_engine_appends_to_the_journal() {
    // Which way a plain file is opened is nothing that a journal is asked.
    let appends = |content: &str| content.replace(".append(true)", "").contains(".append(");
    for file in files_where(&appends, &workspace().join("scheduler/src")) {
        let inside = file.components().any(|part| {
            ["engine.rs", "engine", "journal.rs", "journal"]
                .iter()
                .any(|room| part.as_os_str() == *room)
        });
        assert!(inside, "{} appends", file.display());
    }
}

fn files_with(text: &str, folder: &Path) -> Vec<PathBuf> {
    files_where(&|content| content.contains(text), folder)
}

fn files_where(is_it: &impl Fn(&str) -> bool, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_where(is_it, &path));
        } else if fs::read_to_string(&path).is_ok_and(|content| is_it(&content)) {
            found.push(path);
        }
    }
    found
}
