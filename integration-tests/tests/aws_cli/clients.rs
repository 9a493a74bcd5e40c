//! Tools of others that are made for ECS, as PyPI has them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{CLUSTER, Demo, text};

/// A task of Luigi's that is an ECS task, registered and run by Luigi and waited for.
const WORKFLOW: &str = r#"
import luigi
from luigi.contrib.ecs import ECSTask

class Step(ECSTask):
    cluster = "ecs-demo"
    task_def_arn = None
    task_def = {
        "family": "luigi",
        "volumes": [],
        "containerDefinitions": [
            {"name": "step", "image": "busybox", "memory": 16, "essential": True, "command": ["false"]}
        ],
    }

    @property
    def command(self):
        return [{"name": "step", "command": ["sh", "-c", "exit 0"]}]

assert luigi.build([Step()], local_scheduler=True)
"#;

pub(super) fn ecs_deploy_runs_scales_and_deploys(demo: &Demo) -> Result<()> {
    let aws = &demo.aws;
    let container = json!([{
        "name": "app", "image": "busybox", "memory": 16, "command": ["sh", "-c", "trap exit TERM; while :; do sleep 1; done"],
        "environment": [{"name": "COLOUR", "value": "blue"}],
    }]);
    let registered = aws.ecs(&[
        "register-task-definition",
        "--family",
        "deployed",
        "--container-definitions",
        &container.to_string(),
    ])?;
    aws.ecs(&[
        "create-service",
        "--cluster",
        CLUSTER,
        "--service-name",
        "deployed",
        "--task-definition",
        "deployed",
        "--desired-count",
        "1",
    ])?;
    aws.run("ecs", &["scale", CLUSTER, "deployed", "2", "--timeout", "60"])?;
    let printed = aws.run(
        "ecs",
        &[
            "deploy",
            CLUSTER,
            "deployed",
            "-e",
            "app",
            "COLOUR",
            "green",
            "--timeout",
            "90",
        ],
    )?;
    ensure!(printed.contains("Deployment successful"), "{printed}");

    let described = aws.ecs(&["describe-services", "--cluster", CLUSTER, "--services", "deployed"])?;
    let service = &described["services"][0];
    ensure!(service["runningCount"] == 2, "{service}");
    let (old, new) = (
        text(&registered, "/taskDefinition/taskDefinitionArn")?,
        text(service, "/taskDefinition")?,
    );
    ensure!(new != old, "{service}");
    let state = |definition: &str| aws.ecs(&["describe-task-definition", "--task-definition", definition]);
    let deployed = state(new)?;
    assert_eq!(
        deployed["taskDefinition"]["containerDefinitions"][0]["environment"],
        json!([{"name": "COLOUR", "value": "green"}])
    );
    assert_eq!(
        text(&state(old)?, "/taskDefinition/status")?,
        "INACTIVE",
        "it deregisters the one before"
    );

    let printed = aws.run("ecs", &["run", CLUSTER, new.rsplit('/').next().context("no id")?])?;
    ensure!(
        printed.contains("Successfully started 1 instances of task"),
        "{printed}"
    );
    let arn = printed.split_whitespace().find(|word| word.contains(":task/"));
    aws.ecs(&["stop-task", "--cluster", CLUSTER, "--task", arn.context("no task")?])?;
    aws.ecs(&[
        "delete-service",
        "--cluster",
        CLUSTER,
        "--service",
        "deployed",
        "--force",
    ])?;
    Ok(())
}

pub(super) fn luigi_runs_a_task_to_its_end(demo: &Demo) -> Result<()> {
    demo.aws.run("python", &["-c", WORKFLOW])?;
    let stopped = demo.aws.ecs(&[
        "list-tasks",
        "--cluster",
        CLUSTER,
        "--family",
        "luigi",
        "--desired-status",
        "STOPPED",
    ])?;
    let tasks = stopped["taskArns"].as_array().context("no list")?;
    let arn = tasks.first().and_then(|task| task.as_str()).context("no task")?;
    let described = demo
        .aws
        .ecs(&["describe-tasks", "--cluster", CLUSTER, "--tasks", arn])?;
    assert_eq!(described["tasks"][0]["containers"][0]["exitCode"], 0, "{described}");
    Ok(())
}

pub(super) fn the_sdk_for_javascript_pages_waits_and_throws(demo: &Demo) -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws_cli/javascript/client.cjs");
    let printed = demo.aws.javascript(&script)?;
    ensure!(printed.ends_with("all checked\n"), "the script printed {printed}");
    Ok(())
}
