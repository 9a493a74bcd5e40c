//! The alert rules of `packaging/monitoring`, looked at by the tool that they are for. That the daemons have what they name is
//! for `integration-tests/tests/monitoring`.

#![expect(clippy::expect_used, reason = "this is a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/monitoring")
}

fn promtool(arguments: &[&str]) {
    let mut promtool = Command::new("promtool");
    let output = promtool.args(arguments).current_dir(directory()).output();
    let output = output.expect("promtool: its package is prometheus");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("FAILED"), "{said}");
}

#[test]
fn prometheus_takes_the_alert_rules() {
    promtool(&["check", "rules", "alerts.yml"]);
}

#[test]
fn each_alert_comes_when_it_should_and_not_before() {
    promtool(&["test", "rules", "alerts_test.yml"]);
}

#[test]
fn no_alert_is_without_a_test_in_which_it_comes() {
    let read = |name: &str| std::fs::read_to_string(directory().join(name)).unwrap();
    let (rules, tests) = (read("alerts.yml"), read("alerts_test.yml"));
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        // One that must not come is written in one line.
        let comes = format!("        alertname: {alert}\n        exp_alerts:\n          - exp_labels");
        assert!(tests.contains(&comes), "{alert}");
    }
}
