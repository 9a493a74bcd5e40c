//! What `berth doctor` finds of a cluster with an authority and of its hosts.

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::{Seen, TestBed, wait_until};
use serde_json::Value;

use super::place::Place;

/// The findings of the verdict on the subject.
fn findings(report: &Value, subject: &str, verdict: &str) -> Vec<String> {
    let all = report["findings"].as_array().into_iter().flatten();
    let of = all.filter(|finding| finding["subject"] == subject && finding["verdict"] == verdict);
    of.map(|finding| format!("{} {}", finding["finding"], finding["advice"]))
        .collect()
}

#[test]
fn berth_doctor_says_of_a_cluster_over_tls_what_is_well_and_what_is_not() -> Result<()> {
    TestBed::with("joining-doctor", &["a", "b"], |bed| {
        let place = Place::start(bed)?;
        let token = place.berth(&["tokens", "create", "--uses", "2"])?.trim().to_owned();
        let figures = |host: &str| anyhow::Ok(format!("{}:51680", bed.host(host)?.address()));
        let (agent_a, agent_b) = (figures("a")?, figures("b")?);
        let _agent = place.start_agent("a", &token, &["--metrics-address", &agent_a])?;
        place.wait_connected(1)?;

        // All is well, and the certificates of all three are seen.
        let (code, report) = place.doctor(&place.url, &["cluster"])?;
        ensure!(code == Some(0) && report["problems"] == 0, "{report:#}");
        let seen = findings(&report, "certificates", "OK").concat();
        for whose in ["The scheduler's certificate", "the cluster's authority"] {
            ensure!(seen.contains(whose), "{whose}: {report:#}");
        }
        ensure!(findings(&report, "members", "OK").len() == 1, "{report:#}");
        ensure!(findings(&report, "clock", "OK").len() == 1, "{report:#}");
        let docker = bed.host("a")?.engine().url();
        let (_, report) = place.doctor(&place.url, &["host", "--docker", &docker, "--agent", &agent_a])?;
        let seen = findings(&report, "certificates", "OK").concat();
        ensure!(seen.contains("The agent's certificate is good until"), "{report:#}");

        // A host that may not join is told why, and what helps.
        let revoked = place.berth(&["tokens", "create"])?;
        let id = revoked.split('.').nth(1).context("a token has four parts")?;
        place.berth(&["tokens", "revoke", id])?;
        let _other = place.start_agent("b", &revoked, &["--metrics-address", &agent_b])?;
        let docker = bed.host("b")?.engine().url();
        wait_until("it is said why host b has not joined", SOON, || {
            let (code, report) = place.doctor(&place.url, &["host", "--docker", &docker, "--agent", &agent_b])?;
            let found = findings(&report, "agent", "PROBLEM").concat();
            let said = found.contains(id) && found.contains("was revoked") && found.contains("berth tokens create");
            Ok(Seen::when(said && code == Some(1), || format!("{report:#}")))
        })?;

        // Whoever speaks in the clear, or believes somebody else, is told that.
        let (code, report) = place.doctor(&place.url.replace("https://", "http://"), &["cluster"])?;
        let found = findings(&report, "scheduler", "PROBLEM").concat();
        ensure!(code == Some(1) && found.contains("https://"), "{report:#}");
        Ok(())
    })
}
