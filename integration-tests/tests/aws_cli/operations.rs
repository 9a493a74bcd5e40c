//! Each operation once through the AWS CLI, in the order in which a cluster lives.

use anyhow::{Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::{SOON, start_agent};
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{CLUSTER, Demo, text};

const SLEEPER: &str = r#"[{"name": "main", "image": "busybox", "memory": 16, "cpu": 10,
    "command": ["sleep", "600"], "stopTimeout": 1}]"#;

/// Of its own: it is drained and deregistered here.
const LIFE: &str = "life";

fn strings(value: &Value) -> Vec<&str> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

pub(super) fn every_operation_answers_through_the_cli(demo: &Demo) -> Result<()> {
    let aws = &demo.aws;
    let life = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--cluster", LIFE]);
        aws.ecs(&all)
    };

    // Clusters.
    let made = aws.ecs(&["create-cluster", "--cluster-name", LIFE])?;
    assert_eq!(text(&made, "/cluster/status")?, "ACTIVE");
    let cluster_arn = text(&made, "/cluster/clusterArn")?;
    let listed = aws.ecs(&["list-clusters"])?;
    ensure!(strings(&listed["clusterArns"]).contains(&cluster_arn), "{listed}");
    let described = aws.ecs(&["describe-clusters", "--clusters", LIFE, "ghost"])?;
    assert_eq!(described["clusters"][0]["clusterArn"], cluster_arn);
    assert_eq!(text(&described, "/failures/0/reason")?, "MISSING");

    // Task definitions.
    let registered = aws.ecs(&[
        "register-task-definition",
        "--family",
        "sleeper",
        "--container-definitions",
        SLEEPER,
    ])?;
    assert_eq!(registered["taskDefinition"]["revision"], 1, "{registered}");
    let definition_arn = text(&registered, "/taskDefinition/taskDefinitionArn")?;
    let described = aws.ecs(&["describe-task-definition", "--task-definition", "sleeper"])?;
    assert_eq!(described["taskDefinition"], registered["taskDefinition"]);
    let listed = aws.ecs(&["list-task-definitions", "--family-prefix", "sleeper"])?;
    assert_eq!(strings(&listed["taskDefinitionArns"]), [definition_arn]);
    let families = aws.ecs(&["list-task-definition-families", "--family-prefix", "sleeper"])?;
    assert_eq!(strings(&families["families"]), ["sleeper"]);

    // Container instances.
    let mut agent = start_agent(&demo.bed, "b", &demo.cluster.scheduler, LIFE, &Settings::default())?;
    let instance = wait_until("host b is in the cluster", SOON, || {
        agent.daemon().check_running()?;
        let listed = life(&["list-container-instances"])?;
        Ok(match strings(&listed["containerInstanceArns"]).as_slice() {
            [instance] => Seen::Done((*instance).to_owned()),
            _ => Seen::NotYet(listed.to_string()),
        })
    })?;
    let described = life(&["describe-container-instances", "--container-instances", &instance])?;
    assert_eq!(
        described["containerInstances"][0]["agentConnected"], true,
        "{described}"
    );

    attributes_are_put_found_and_deleted(demo, &instance)?;

    // Tasks.
    let ran = life(&["run-task", "--task-definition", "sleeper", "--count", "2"])?;
    let (one, two) = (text(&ran, "/tasks/0/taskArn")?, text(&ran, "/tasks/1/taskArn")?);
    let started = life(&[
        "start-task",
        "--task-definition",
        "sleeper",
        "--container-instances",
        &instance,
    ])?;
    let three = text(&started, "/tasks/0/taskArn")?;
    assert_eq!(started["tasks"][0]["containerInstanceArn"], instance, "{started}");
    life(&["wait", "tasks-running", "--tasks", one, two, three])?;
    let listed = life(&["list-tasks", "--family", "sleeper"])?;
    assert_eq!(strings(&listed["taskArns"]).len(), 3, "{listed}");
    let stopped = life(&["stop-task", "--task", one, "--reason", "enough"])?;
    assert_eq!(text(&stopped, "/task/desiredStatus")?, "STOPPED");
    life(&["wait", "tasks-stopped", "--tasks", one])?;
    let described = life(&["describe-tasks", "--tasks", one, two])?;
    let of_one = described["tasks"].as_array().into_iter().flatten();
    let of_one: Vec<&Value> = of_one.filter(|task| task["taskArn"] == one).collect();
    assert_eq!(of_one[0]["stoppedReason"], "enough", "{described}");

    // The end of all of them.
    let drained = life(&[
        "update-container-instances-state",
        "--container-instances",
        &instance,
        "--status",
        "DRAINING",
    ])?;
    assert_eq!(text(&drained, "/containerInstances/0/status")?, "DRAINING");
    let nowhere = aws.ecs_fails(&["run-task", "--task-definition", "sleeper", "--cluster", LIFE])?;
    let says = "No Container Instances were found in your cluster.";
    ensure!(
        nowhere.stderr.contains(says),
        "not refused for want of an ACTIVE instance: {}",
        nowhere.stderr
    );
    for task in [two, three] {
        life(&["stop-task", "--task", task])?;
    }
    life(&["wait", "tasks-stopped", "--tasks", two, three])?;
    let gone = life(&["deregister-container-instance", "--container-instance", &instance])?;
    assert_eq!(text(&gone, "/containerInstance/status")?, "INACTIVE");
    agent.daemon().kill()?;
    let deregistered = aws.ecs(&["deregister-task-definition", "--task-definition", "sleeper:1"])?;
    assert_eq!(text(&deregistered, "/taskDefinition/status")?, "INACTIVE");
    let deleted = life(&["delete-cluster"])?;
    assert_eq!(text(&deleted, "/cluster/status")?, "INACTIVE");
    let listed = aws.ecs(&["list-clusters"])?;
    ensure!(!strings(&listed["clusterArns"]).contains(&cluster_arn), "{listed}");
    Ok(())
}

fn attributes_are_put_found_and_deleted(demo: &Demo, instance: &str) -> Result<()> {
    let life = |args: &[&str]| demo.aws.ecs(&[args, &["--cluster", LIFE]].concat());
    let of = |filter: &str| -> Result<usize> {
        let listed = life(&["list-container-instances", "--filter", filter])?;
        Ok(strings(&listed["containerInstanceArns"]).len())
    };
    let put = format!("name=stack,value=prod,targetId={instance}");
    let answer = life(&["put-attributes", "--attributes", &put])?;
    let expected = json!([{"name": "stack", "value": "prod", "targetId": instance}]);
    assert_eq!(answer["attributes"], expected);
    let list = [
        "list-attributes",
        "--target-type",
        "container-instance",
        "--attribute-name",
        "stack",
    ];
    assert_eq!(life(&list)?["attributes"], expected);
    assert_eq!((of("attribute:stack == prod")?, of("attribute:stack == test")?), (1, 0));
    let deleted = format!("name=stack,targetId={instance}");
    assert_eq!(
        life(&["delete-attributes", "--attributes", &deleted])?["attributes"],
        expected
    );
    assert_eq!(life(&list)?["attributes"], json!([]));
    Ok(())
}

pub(super) fn lists_come_in_pages_through_the_cli(demo: &Demo) -> Result<()> {
    let aws = &demo.aws;
    for _ in 0..5 {
        let definition: Value = serde_json::from_str(SLEEPER)?;
        let input = json!({"family": "pages", "containerDefinitions": definition});
        demo.cluster.register(&input)?;
    }
    let list = |more: &[&str]| {
        let mut args = vec!["list-task-definitions", "--family-prefix", "pages"];
        args.extend(more);
        aws.ecs(&args)
    };
    let whole = list(&[])?;
    let in_pages = list(&["--page-size", "2"])?;
    assert_eq!(strings(&whole["taskDefinitionArns"]).len(), 5);
    assert_eq!(in_pages["taskDefinitionArns"], whole["taskDefinitionArns"]);

    let begin = list(&["--page-size", "2", "--max-items", "3"])?;
    let token = text(&begin, "/NextToken")?;
    let rest = list(&["--page-size", "2", "--starting-token", token])?;
    let mut both = strings(&begin["taskDefinitionArns"]);
    assert_eq!(both.len(), 3);
    both.extend(strings(&rest["taskDefinitionArns"]));
    assert_eq!(both, strings(&whole["taskDefinitionArns"]));

    let backwards = list(&["--sort", "DESC", "--page-size", "2"])?;
    both.reverse();
    assert_eq!(strings(&backwards["taskDefinitionArns"]), both);
    let tasks = aws.ecs(&[
        "list-tasks",
        "--cluster",
        CLUSTER,
        "--family",
        "pages",
        "--page-size",
        "1",
    ])?;
    assert_eq!(tasks["taskArns"], json!([]));
    Ok(())
}
