//! Tasks that wait for room, on real agents and through the real AWS CLI.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::slice;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::aws::Aws;
use berth_integration_tests::cluster::{SOON, arns, list, start_agent};
use berth_integration_tests::definition::{definition, shell};
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, Seen, TestBed, tests, wait_until};
use serde_json::{Value, json};

struct Hosts(Arc<TestBed>);

impl Fixture for Hosts {
    // A bed has one cluster at a time.
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        TestBed::new("waiting", &["a", "b"]).map(Self)
    }

    fn note_failure(&self) {
        self.0.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Hosts>(tests![
        a_task_that_the_cli_lets_wait_runs_when_another_stops,
        a_host_that_joins_takes_what_waits_and_a_deadline_ends_the_rest,
        what_waits_is_there_after_the_scheduler_was_killed,
        hosts_that_a_program_is_told_to_start_take_what_waits_for_their_provider,
    ])
}

/// Registers a task that takes all of a host, and fills the only host with one. Returns its ARN.
fn fill(cluster: &Cluster) -> Result<String> {
    let instance = cluster.instance_of("a")?;
    let resources = list(&instance, "registeredResources")?;
    let cpu = resources.iter().find(|resource| resource["name"] == "CPU");
    let cpu = cpu.context("no CPU")?["integerValue"].clone();
    let whole_host = json!({
        "family": "whole-host",
        "containerDefinitions": [{
            "name": "app",
            "image": "busybox",
            "cpu": cpu,
            "memory": 16,
            "command": ["sleep", "3600"],
            "stopTimeout": 1,
        }],
    });
    let task = cluster.run_one(&whole_host)?;
    cluster.wait_running(slice::from_ref(&task))?;
    Ok(task)
}

/// Runs tasks that may wait so long, and sees that they do.
fn wait_for_room(cluster: &Cluster, count: usize, patience: &str) -> Result<Vec<String>> {
    let tags = json!({"tags": [{"key": "berth:queue", "value": patience}]});
    let tasks = cluster.run("whole-host", count, &tags)?;
    for task in cluster.describe(&tasks)? {
        check_waits(&task)?;
    }
    Ok(tasks)
}

fn check_waits(task: &Value) -> Result<()> {
    ensure!(task["lastStatus"] == "PROVISIONING", "{task}");
    ensure!(task["desiredStatus"] == "RUNNING", "{task}");
    ensure!(task.get("containerInstanceArn").is_none(), "{task}");
    let attributes = list(task, "attributes")?;
    let reason = attributes
        .iter()
        .find(|attribute| attribute["name"] == "berth.queue-reason");
    ensure!(reason.is_some_and(|reason| reason["value"] == "RESOURCE:CPU"), "{task}");
    Ok(())
}

fn a_task_that_the_cli_lets_wait_runs_when_another_stops(hosts: &Hosts) -> Result<()> {
    let cluster = Cluster::start_on(&hosts.0, "cli", &["a"], &Settings::default())?;
    let running = fill(&cluster)?;
    let aws = Aws::new(cluster.ecs())?;
    let cli = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--cluster", cluster.name()]);
        aws.ecs(&all)
    };
    let tag = "key=berth:queue,value=30m";
    let run = ["run-task", "--task-definition", "whole-host", "--tags", tag];
    let answer = cli(&run)?;
    ensure!(answer["failures"] == json!([]), "{answer}");
    let waiting = arns(&list(&answer, "tasks")?)?;
    let described = cli(&["describe-tasks", "--tasks", &waiting[0], "--include", "TAGS"])?;
    check_waits(&described["tasks"][0])?;
    ensure!(described["tasks"][0]["tags"][0]["value"] == "30m", "{described}");
    let listed = arns_of(&cli(&["list-tasks"])?)?;
    ensure!(listed.len() == 2 && listed.contains(&waiting[0]), "{listed:?}");
    let clusters = aws.ecs(&["describe-clusters", "--clusters", cluster.name()])?;
    ensure!(clusters["clusters"][0]["pendingTasksCount"] == 1, "{clusters}");

    let given_up = arns(&list(&cli(&run)?, "tasks")?)?;
    cli(&["stop-task", "--task", &given_up[0]])?;
    let stopped = &cluster.describe(&given_up)?[0];
    ensure!(stopped["lastStatus"] == "STOPPED", "{stopped}");
    ensure!(stopped["stopCode"] == "UserInitiated", "{stopped}");

    cli(&["stop-task", "--task", &running])?;
    cluster.wait_running(&waiting)?;
    cluster.stop_everything()
}

fn arns_of(listed: &Value) -> Result<Vec<String>> {
    let arns = list(listed, "taskArns")?;
    Ok(arns.iter().filter_map(|arn| arn.as_str().map(str::to_owned)).collect())
}

fn a_host_that_joins_takes_what_waits_and_a_deadline_ends_the_rest(hosts: &Hosts) -> Result<()> {
    let mut cluster = Cluster::start_on(&hosts.0, "joining", &["a"], &Settings::default())?;
    fill(&cluster)?;
    let first = wait_for_room(&cluster, 1, "30m")?;
    let late = wait_for_room(&cluster, 2, "2s")?;
    for task in cluster.wait_stopped(&late)? {
        ensure!(task["stopCode"] == "TaskFailedToStart", "{task}");
        ensure!(task["stoppedReason"] == "TaskFailedToStart: RESOURCE:CPU", "{task}");
    }
    let agent = start_agent(&hosts.0, "b", &cluster.scheduler, cluster.name(), &Settings::default())?;
    cluster.agents.push(agent);
    let placed = &cluster.wait_running(&first)?[0];
    let joined = cluster.instance_of("b")?;
    ensure!(
        placed["containerInstanceArn"] == joined["containerInstanceArn"],
        "{placed}"
    );
    cluster.stop_everything()
}

fn what_waits_is_there_after_the_scheduler_was_killed(hosts: &Hosts) -> Result<()> {
    let mut cluster = Cluster::start_on(&hosts.0, "killed", &["a"], &Settings::default())?;
    let running = fill(&cluster)?;
    let waiting = wait_for_room(&cluster, 2, "30m")?;
    let before = cluster.describe(&waiting)?;
    cluster.scheduler.daemon().kill()?;
    cluster.scheduler.start_again()?;
    cluster.wait_connected(1)?;
    assert_eq!(cluster.describe(&waiting)?, before);
    cluster.stop(slice::from_ref(&running))?;
    cluster.wait_stopped(slice::from_ref(&running))?;
    // They came together: either may be first.
    wait_until("one of them runs", SOON, || {
        let tasks = cluster.describe(&waiting)?;
        let running = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING").count();
        Ok(Seen::when(running == 1, || format!("{running} run")))
    })?;
    cluster.stop_everything()
}

/// The program writes down what it is told, and this test starts the hosts, as an Auto Scaling group would.
fn hosts_that_a_program_is_told_to_start_take_what_waits_for_their_provider(hosts: &Hosts) -> Result<()> {
    let bed = &hosts.0;
    let directory = bed.data_dir("group");
    fs::create_dir_all(&directory)?;
    let (program, told) = (directory.join("program"), directory.join("told"));
    let script = format!("#!/bin/sh\ncat > {0}.new && mv {0}.new {0}\n", told.display());
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let program = program.display().to_string();
    let scheduler = bed.start_scheduler_with("scheduler-scaled", &["--capacity-command", &program])?;
    let mut cluster = Cluster::start_under(scheduler, bed, "scaled", &[], &Settings::default())?;
    let group = json!({
        "autoScalingGroupArn": "own-group",
        "managedScaling": {"status": "ENABLED", "targetCapacity": 100},
    });
    let provider = json!({"name": "own", "autoScalingGroupProvider": group});
    cluster.ecs().call("CreateCapacityProvider", &provider)?;
    let strategy = json!([{"capacityProvider": "own", "weight": 1}]);
    let put = json!({"cluster": "scaled", "capacityProviders": ["own"], "defaultCapacityProviderStrategy": strategy});
    cluster.ecs().call("PutClusterCapacityProviders", &put)?;

    let definition = cluster.register(&definition("apart", json!([shell("app", "sleep 3600")])))?;
    let apart = json!({"placementConstraints": [{"type": "distinctInstance"}]});
    let tasks = cluster.run(&definition, 2, &apart)?;
    let mut names = ["a", "b"].iter();
    let message = wait_until("there are as many hosts as are wanted", SOON, || {
        let Ok(told) = fs::read_to_string(&told) else {
            return Ok(Seen::NotYet("nothing was told".to_owned()));
        };
        let message: Value = serde_json::from_str(&told)?;
        let wanted = usize::try_from(message["wanted"].as_u64().context("no number")?)?;
        ensure!(wanted <= 2, "{message}");
        while cluster.agents.len() < wanted {
            let settings = Settings {
                attributes: vec![("berth.capacity-provider".to_owned(), "own".to_owned())],
                ..Settings::default()
            };
            let host = names.next().context("there are two hosts")?;
            let agent = start_agent(bed, host, &cluster.scheduler, cluster.name(), &settings)?;
            cluster.agents.push(agent);
        }
        Ok(if wanted == 2 {
            Seen::Done(message)
        } else {
            Seen::NotYet(told)
        })
    })?;
    ensure!(message["autoScalingGroup"] == "own-group", "{message}");
    ensure!(message["forecast"]["waitingTasks"] == 1, "{message}");
    let running = cluster.wait_running(&tasks)?;
    ensure!(
        running.iter().all(|task| task["capacityProviderName"] == "own"),
        "{running:?}"
    );
    ensure!(
        running[0]["containerInstanceArn"] != running[1]["containerInstanceArn"],
        "{running:?}"
    );
    cluster.stop_everything()
}
