//! `berth clusters`.

use crate::berth::berth;
use crate::fake::Fake;

#[test]
fn clusters_are_listed_from_all_pages() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    fake.state().clusters = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
    let ran = berth(&fake.url, &["clusters", "list"])?;
    assert_eq!(
        ran.stdout,
        "CLUSTER  STATUS  INSTANCES  RUNNING  PENDING\n\
         a        ACTIVE          0        0        0\n\
         b        ACTIVE          0        0        0\n\
         c        ACTIVE          0        0        0\n\
         d        ACTIVE          0        0        0\n\
         e        ACTIVE          0        0        0\n"
    );
    assert_eq!(ran.code, Some(0));
    Ok(())
}

#[test]
fn json_is_the_shape_of_ecs() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let ran = berth(&fake.url, &["--output", "json", "clusters", "show"])?;
    let cluster = &ran.json()?["clusters"][0];
    assert_eq!(cluster["clusterName"], "default");
    assert_eq!(
        cluster["clusterArn"],
        "arn:aws:ecs:us-east-1:000000000000:cluster/default"
    );
    assert_eq!(ran.json()?["failures"], serde_json::json!([]));
    Ok(())
}

#[test]
fn a_cluster_is_created_and_deleted() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let created = berth(&fake.url, &["clusters", "create", "staging"])?;
    assert_eq!(created.code, Some(0), "{created:?}");
    assert_eq!(fake.state().clusters, ["default", "staging"]);
    let deleted = berth(&fake.url, &["clusters", "delete", "staging"])?;
    assert!(deleted.stdout.contains("INACTIVE"), "{deleted:?}");
    assert_eq!(fake.state().clusters, ["default"]);
    Ok(())
}

#[test]
fn a_cluster_that_does_not_exist_is_an_error() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let shown = berth(&fake.url, &["clusters", "show", "nowhere"])?;
    assert_eq!(shown.code, Some(1));
    assert_eq!(shown.stderr, "error: cluster \"nowhere\": MISSING\n");
    assert_eq!(shown.stdout, "");
    Ok(())
}

#[test]
fn a_fault_is_told_with_its_class_its_text_and_a_way_out() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let ran = berth(&fake.url, &["ps", "--cluster", "nowhere"])?;
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        "error: ClusterNotFoundException: Cluster not found.\n\
         hint: create it with `berth clusters create nowhere`\n"
    );
    Ok(())
}
