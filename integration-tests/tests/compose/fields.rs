//! What users are told of fields that are not honoured.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::files::workspace;
use serde_json::{Value, json};

use super::project::Project;
use super::{CLUSTER, Hosts};

/// A file in which nearly all fields stand.
const EVERYTHING: &str = "cli/compose/tests/golden/everything";

pub(super) fn every_field_that_is_not_honoured_is_named_and_strict_does_nothing(hosts: &Hosts) -> Result<()> {
    let read = |file: &str| {
        let path = workspace().join(EVERYTHING).join(file);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let everything = Project::new(hosts, "everything", &read("compose.yaml")?)?;
    let expected: Value = serde_json::from_str(&read("expected.json")?)?;
    let lost = expected["notes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|note| note["lost"] == true);
    let lost: BTreeSet<String> = lost
        .map(|note| Some(format!("{}: {}", note["path"].as_str()?, note["says"].as_str()?)))
        .collect::<Option<_>>()
        .context("a note without words")?;
    ensure!(lost.len() > 30, "only {} fields", lost.len());
    let ran = everything.berth(&["compose", "up", "--strict"])?;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    ran.said(&format!("{} field(s) are not honoured: nothing was done", lost.len()))?;
    let told: BTreeSet<String> = ran.not_honoured().into_iter().map(str::to_owned).collect();
    assert_eq!(told, lost);
    let families = json!({"familyPrefix": "everything-"});
    let families = hosts.cluster.ecs().call("ListTaskDefinitionFamilies", &families)?;
    ensure!(families["families"] == json!([]), "{families}");
    let services = hosts
        .cluster
        .ecs()
        .call("ListServices", &json!({"cluster": CLUSTER, "maxResults": 100}))?;
    ensure!(!services.to_string().contains("everything-"), "{services}");
    Ok(())
}
