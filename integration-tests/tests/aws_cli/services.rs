//! Services through the AWS CLI, as the examples have them.

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::{Seen, wait_until};
use serde_json::json;

use super::{Demo, text};

/// The example's command names no cluster: it goes to `default`, which has no instance here.
pub(super) fn the_examples_service_is_created_and_says_what_it_lacks(demo: &Demo) -> Result<()> {
    let aws = &demo.aws;
    aws.ecs(&["create-cluster"])?;
    let container = json!([{"name": "main", "image": "busybox", "memory": 16, "command": ["sleep", "600"]}]);
    aws.ecs(&[
        "register-task-definition",
        "--family",
        "ecs-demo",
        "--container-definitions",
        &container.to_string(),
    ])?;
    let created = aws.ecs(&[
        "create-service",
        "--service-name",
        "ecs-simple-service",
        "--task-definition",
        "ecs-demo",
        "--desired-count",
        "10",
    ])?;
    assert_eq!(text(&created, "/service/status")?, "ACTIVE");
    assert_eq!(created["service"]["desiredCount"], 10, "{created}");
    wait_until("an event says that there is no instance", SOON, || {
        let described = aws.ecs(&["describe-services", "--services", "ecs-simple-service"])?;
        let event = described["services"][0]["events"][0]["message"].as_str();
        let says = "(service ecs-simple-service) was unable to place a task because no container instance met all of its requirements.";
        Ok(Seen::when(event.is_some_and(|event| event.starts_with(says)), || {
            described.to_string()
        }))
    })?;
    let listed = aws.ecs(&["list-services"])?;
    assert_eq!(listed["serviceArns"][0], created["service"]["serviceArn"]);
    let failed = aws.ecs_fails(&["delete-cluster", "--cluster", "default"])?;
    ensure!(
        failed.stderr.contains("(ClusterContainsServicesException)"),
        "{}",
        failed.stderr
    );

    let scaled = aws.ecs(&[
        "update-service",
        "--service",
        "ecs-simple-service",
        "--desired-count",
        "0",
    ])?;
    assert_eq!(scaled["service"]["desiredCount"], 0, "{scaled}");
    aws.ecs(&["delete-service", "--service", "ecs-simple-service"])?;
    aws.ecs(&["wait", "services-inactive", "--services", "ecs-simple-service"])?;
    aws.ecs(&["delete-cluster", "--cluster", "default"])?;
    Ok(())
}
