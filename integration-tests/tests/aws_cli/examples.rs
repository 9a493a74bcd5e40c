//! The two example task definitions, unchanged, and the commands of the talks that they are from.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::files::example_path;
use berth_integration_tests::{Seen, http, wait_until};

use super::{CLUSTER, Demo, text};

/// Registers an example by its file, as a user does.
fn register(demo: &Demo, name: &str) -> Result<()> {
    let file = format!("file://{}", example_path(name).display());
    demo.aws.ecs(&["register-task-definition", "--cli-input-json", &file])?;
    Ok(())
}

pub(super) fn simple_demo_runs_as_it_is_and_its_page_moves(demo: &Demo) -> Result<()> {
    register(demo, "simple-demo.json")?;
    let aws = &demo.aws;
    let ran = aws.ecs(&["run-task", "--cluster", CLUSTER, "--task-definition", "simple-demo"])?;
    let task = text(&ran, "/tasks/0/taskArn")?;
    aws.ecs(&["wait", "tasks-running", "--cluster", CLUSTER, "--tasks", task])?;

    let address = SocketAddr::from((demo.bed.host("a")?.address(), 80));
    let page = || -> Result<String> {
        let answer = http::tcp(address, &http::request("GET", "/my-vol/date", &[], &[]))?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        Ok(answer.text())
    };
    let first = wait_until("the page answers a date", SOON, || {
        let page = page()?;
        // As in "Sat Nov 21 03:17:00 UTC 2026".
        let is_date = page.split_whitespace().count() == 6 && page.contains(':');
        Ok(if is_date { Seen::Done(page) } else { Seen::NotYet(page) })
    })?;
    wait_until("the date moves", SOON, || {
        let page = page()?;
        Ok(Seen::when(page.contains(':') && page != first, || page))
    })?;

    aws.ecs(&["stop-task", "--cluster", CLUSTER, "--task", task])?;
    aws.ecs(&["wait", "tasks-stopped", "--cluster", CLUSTER, "--tasks", task])?;
    ensure!(page().is_err(), "the page outlives its task");
    Ok(())
}

pub(super) fn curlers_exit_code_is_reported(demo: &Demo) -> Result<()> {
    register(demo, "curler.json")?;
    let aws = &demo.aws;
    let ran = aws.ecs(&["run-task", "--cluster", CLUSTER, "--task-definition", "curler"])?;
    let task = text(&ran, "/tasks/0/taskArn")?;
    aws.ecs(&["wait", "tasks-stopped", "--cluster", CLUSTER, "--tasks", task])?;
    let described = aws.ecs(&["describe-tasks", "--cluster", CLUSTER, "--tasks", task])?;
    let told = &described["tasks"][0];
    // A bed has no name server: curl cannot resolve example.com.
    assert_eq!(told["containers"][0]["exitCode"], 6, "{told}");
    assert_eq!(told["stopCode"], "EssentialContainerExited", "{told}");
    assert_eq!(told["stoppedReason"], "Essential container in task exited", "{told}");
    Ok(())
}

pub(super) fn the_examples_placement_commands_place_by_attribute(demo: &Demo) -> Result<()> {
    let definition = r#"[{"name": "main", "image": "busybox", "memory": 16, "command": ["true"]}]"#;
    let aws = &demo.aws;
    aws.ecs(&[
        "register-task-definition",
        "--family",
        "myapp",
        "--container-definitions",
        definition,
    ])?;
    let run = |count: &str, placement: &[&str]| {
        let mut args = vec![
            "run-task",
            "--cluster",
            CLUSTER,
            "--task-definition",
            "myapp",
            "--count",
            count,
        ];
        args.extend(placement);
        aws.ecs(&args)
    };
    let refused = run(
        "5",
        &[
            "--placement-constraints",
            r#"type="memberOf",expression="attribute:ecs.instance-type == g2.2xlarge""#,
        ],
    )?;
    assert_eq!(refused["tasks"].as_array().map(Vec::len), Some(0), "{refused}");
    assert_eq!(
        text(&refused, "/failures/0/reason")?,
        "MemberOf placement constraint unsatisfied."
    );
    let two_types = run(
        "5",
        &[
            "--placement-constraints",
            r#"type="memberOf",expression="(attribute:ecs.instance-type == t2.small or attribute:ecs.instance-type == t2.medium) and attribute:ecs.availability-zone != us-east-1d""#,
        ],
    )?;
    assert_eq!(two_types["tasks"].as_array().map(Vec::len), Some(5), "{two_types}");
    let spread = run(
        "9",
        &[
            "--placement-strategy",
            r#"type="spread",field="attribute:ecs.availability-zone""#,
        ],
    )?;
    assert_eq!(spread["tasks"].as_array().map(Vec::len), Some(9), "{spread}");
    Ok(())
}

pub(super) fn strategies_and_constraints_of_every_kind_reach_placement(demo: &Demo) -> Result<()> {
    let definition = r#"[{"name": "main", "image": "busybox", "memory": 16, "command": ["true"]}]"#;
    let aws = &demo.aws;
    let mut register = vec!["register-task-definition", "--family", "ruled"];
    register.extend([
        "--placement-constraints",
        "type=memberOf,expression=agentConnected == true",
    ]);
    register.extend(["--container-definitions", definition]);
    aws.ecs(&register)?;
    let run = |rules: &[&str]| {
        let mut args = vec!["run-task", "--cluster", CLUSTER, "--task-definition", "ruled"];
        args.extend(["--group", "pair", "--count", "2"]);
        args.extend(rules);
        aws.ecs(&args)
    };
    let chain = [
        "--placement-strategy",
        "type=spread,field=attribute:ecs.availability-zone",
        "type=spread,field=instanceId",
        "type=binpack,field=memory",
        "type=binpack,field=CPU",
        "type=random",
    ];
    let elsewhere = [
        "--placement-constraints",
        "type=memberOf,expression=not (task:group == nobody) and attribute:ecs.availability-zone =~ us-east-.*",
    ];
    for rules in [
        &chain[..],
        &chain[..2],
        &["--placement-strategy", "type=random"],
        &elsewhere,
    ] {
        let ran = run(rules)?;
        assert_eq!(ran["tasks"].as_array().map(Vec::len), Some(2), "{rules:?}: {ran}");
    }
    let alone = run(&["--placement-constraints", "type=distinctInstance"])?;
    assert!(
        alone["tasks"].as_array().is_some_and(|tasks| tasks.len() < 2),
        "{alone}"
    );
    assert_eq!(
        text(&alone, "/failures/0/reason")?,
        "DistinctInstance placement constraint unsatisfied."
    );
    Ok(())
}
