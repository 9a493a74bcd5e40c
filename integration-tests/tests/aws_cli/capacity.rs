//! Capacity providers and Fargate through the AWS CLI.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{CLUSTER, Demo, text};

const SLEEPER: &str = r#"[{"name": "main", "image": "busybox", "command": ["sleep", "600"], "stopTimeout": 1}]"#;
const NETWORK: &str = "awsvpcConfiguration={subnets=[subnet-1],assignPublicIp=ENABLED}";

/// The host names no provider: it is of both of Fargate's, and of no other.
pub(super) fn providers_live_and_fargate_runs_through_the_cli(demo: &Demo) -> Result<()> {
    let aws = &demo.aws;
    let group = "autoScalingGroupArn=typed-group,managedScaling={status=DISABLED,targetCapacity=80}";
    let created = aws.ecs(&[
        "create-capacity-provider",
        "--name",
        "typed",
        "--auto-scaling-group-provider",
        group,
    ])?;
    assert_eq!(text(&created, "/capacityProvider/status")?, "ACTIVE");
    ensure!(
        text(&created, "/capacityProvider/capacityProviderArn")?.ends_with(":capacity-provider/typed"),
        "{created}"
    );
    let ask = ["describe-capacity-providers", "--capacity-providers", "typed"];
    assert_eq!(aws.ecs(&ask)?["capacityProviders"][0]["updateStatus"], Value::Null);
    let drained = "managedScaling={status=DISABLED,targetCapacity=80},managedDraining=DISABLED";
    let update = [
        "update-capacity-provider",
        "--name",
        "typed",
        "--auto-scaling-group-provider",
        drained,
    ];
    aws.ecs(&update)?;
    assert_eq!(
        text(&aws.ecs(&ask)?, "/capacityProviders/0/updateStatus")?,
        "UPDATE_COMPLETE",
        "Terraform waits for it"
    );
    let put = aws.ecs(&[
        "put-cluster-capacity-providers",
        "--cluster",
        CLUSTER,
        "--capacity-providers",
        "typed",
        "FARGATE",
        "FARGATE_SPOT",
        "--default-capacity-provider-strategy",
        "[]",
    ])?;
    assert_eq!(put["cluster"]["capacityProviders"][1], "FARGATE", "{put}");
    let described = aws.ecs(&[
        "describe-capacity-providers",
        "--capacity-providers",
        "typed",
        "FARGATE",
        "ghost",
    ])?;
    assert_eq!(
        described["capacityProviders"][0]["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"], 80,
        "{described}"
    );
    assert_eq!(text(&described, "/capacityProviders/1/type")?, "FARGATE");
    assert_eq!(text(&described, "/failures/0/reason")?, "MISSING");

    aws.ecs(&[
        "register-task-definition",
        "--family",
        "fargate",
        "--requires-compatibilities",
        "FARGATE",
        "--network-mode",
        "awsvpc",
        "--cpu",
        "256",
        "--memory",
        "512",
        "--container-definitions",
        SLEEPER,
    ])?;
    let run = |more: &[&str]| {
        let mut args = vec!["run-task", "--cluster", CLUSTER, "--task-definition", "fargate"];
        args.extend(["--network-configuration", NETWORK]);
        args.extend(more);
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let words = |args: Vec<String>| aws.ecs(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let ran = words(run(&["--launch-type", "FARGATE"]))?;
    let task = text(&ran, "/tasks/0/taskArn")?;
    assert_eq!(text(&ran, "/tasks/0/platformVersion")?, "1.4.0");
    aws.ecs(&["wait", "tasks-running", "--cluster", CLUSTER, "--tasks", task])?;
    let by_strategy = words(run(&[
        "--capacity-provider-strategy",
        "capacityProvider=FARGATE,weight=1",
    ]))?;
    assert_eq!(text(&by_strategy, "/tasks/0/capacityProviderName")?, "FARGATE");
    assert_eq!(text(&by_strategy, "/tasks/0/launchType")?, "FARGATE");
    let both = "capacityProvider=FARGATE,weight=1 capacityProvider=FARGATE_SPOT,weight=1";
    let mut args = run(&["--count", "2", "--capacity-provider-strategy"]);
    args.extend(both.split(' ').map(str::to_owned));
    let divided = words(args)?;
    let provider = |nth: usize| text(&divided, &format!("/tasks/{nth}/capacityProviderName"));
    assert_eq!((provider(0)?, provider(1)?), ("FARGATE", "FARGATE_SPOT"), "{divided}");

    a_service_goes_back_to_its_launch_type(demo)?;

    let empty = r#"[{"name": "main", "image": "busybox", "memory": 16}]"#;
    aws.ecs(&[
        "register-task-definition",
        "--family",
        "placed-nowhere",
        "--container-definitions",
        empty,
    ])?;
    let nowhere = aws.ecs(&[
        "run-task",
        "--cluster",
        CLUSTER,
        "--task-definition",
        "placed-nowhere",
        "--capacity-provider-strategy",
        "capacityProvider=typed,weight=1",
    ])?;
    assert_eq!(text(&nowhere, "/failures/0/reason")?, "EMPTY CAPACITY PROVIDER");

    let refused = aws.ecs_fails(&["delete-capacity-provider", "--capacity-provider", "typed"])?;
    ensure!(
        refused.stderr.contains("(ClientException)")
            && refused.stderr.contains("it is associated with cluster: ecs-demo"),
        "{}",
        refused.stderr
    );
    let [one, other] = ["/tasks/0/taskArn", "/tasks/1/taskArn"].map(|path| text(&divided, path));
    for task in [task, text(&by_strategy, "/tasks/0/taskArn")?, one?, other?] {
        aws.ecs(&["stop-task", "--cluster", CLUSTER, "--task", task])?;
        aws.ecs(&["wait", "tasks-stopped", "--cluster", CLUSTER, "--tasks", task])?;
    }
    aws.ecs(&[
        "put-cluster-capacity-providers",
        "--cluster",
        CLUSTER,
        "--capacity-providers",
        "[]",
        "--default-capacity-provider-strategy",
        "[]",
    ])?;
    let deleted = aws.ecs(&["delete-capacity-provider", "--capacity-provider", "typed"])?;
    assert_eq!(text(&deleted, "/capacityProvider/status")?, "INACTIVE");
    Ok(())
}

fn a_service_goes_back_to_its_launch_type(demo: &Demo) -> Result<()> {
    let aws = &demo.aws;
    let of = |operation: &str, more: &[&str]| aws.ecs(&[&[operation, "--cluster", CLUSTER], more].concat());
    let made = [
        "--service-name",
        "spot",
        "--task-definition",
        "fargate",
        "--desired-count",
        "0",
        "--network-configuration",
        NETWORK,
        "--capacity-provider-strategy",
        "capacityProvider=FARGATE_SPOT,weight=1",
        "--platform-version",
        "1.4.0",
    ];
    let created = of("create-service", &made)?;
    let service = &created["service"];
    assert_eq!(
        service["capacityProviderStrategy"][0]["capacityProvider"], "FARGATE_SPOT",
        "{service}"
    );
    assert_eq!(service["launchType"], Value::Null, "{service}");
    assert_eq!(service["platformVersion"], "1.4.0", "{service}");
    let vpc = &service["networkConfiguration"]["awsvpcConfiguration"];
    assert_eq!(vpc["assignPublicIp"], "ENABLED", "{service}");
    let back = of(
        "update-service",
        &["--service", "spot", "--capacity-provider-strategy", "[]"],
    )?;
    let service = &back["service"];
    assert_eq!(service["launchType"], "FARGATE", "{service}");
    assert_eq!(service["capacityProviderStrategy"], Value::Null, "{service}");
    of("delete-service", &["--service", "spot"])?;
    Ok(())
}
