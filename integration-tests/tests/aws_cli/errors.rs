//! Errors as the AWS CLI shows them.

use anyhow::{Result, ensure};

use super::{CLUSTER, Demo};

/// What version 1 of the CLI exits with when the service refuses.
const REFUSED: i32 = 255;

pub(super) fn errors_reach_the_cli_under_their_names(demo: &Demo) -> Result<()> {
    let nobody = "0123456789abcdef0123456789abcdef";
    let cases: [(&[&str], &str); 6] = [
        (
            &["list-tasks", "--cluster", "ghost"],
            "(ClusterNotFoundException) when calling the ListTasks operation: Cluster not found.",
        ),
        (
            &["delete-cluster", "--cluster", CLUSTER],
            "(ClusterContainsContainerInstancesException) when calling the DeleteCluster operation",
        ),
        (
            &["stop-task", "--cluster", CLUSTER, "--task", nobody],
            "(InvalidParameterException) when calling the StopTask operation: The referenced task was not found.",
        ),
        (
            &["describe-task-definition", "--task-definition", "ghost"],
            "(ClientException) when calling the DescribeTaskDefinition operation: Unable to describe task definition.",
        ),
        (
            &["run-task", "--cluster", CLUSTER, "--task-definition", "ghost"],
            "(ClientException) when calling the RunTask operation: TaskDefinition not found.",
        ),
        (
            &["create-capacity-provider", "--name", "aws-mine"],
            "(ClientException) when calling the CreateCapacityProvider operation: The specified capacity provider name is invalid.",
        ),
    ];
    for (args, says) in cases {
        let failed = demo.aws.ecs_fails(args)?;
        assert_eq!(failed.code, Some(REFUSED), "{args:?}: {}", failed.stderr);
        ensure!(
            failed.stderr.contains(says),
            "{args:?} does not say {says:?}: {}",
            failed.stderr
        );
    }
    Ok(())
}
