//! What may be killed, restarted and cut off on three hosts without a task being lost, run twice or forgotten.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use berth_integration_tests::cluster::{SOON, container_of};
use berth_integration_tests::docker::{NAME_LABEL, TASK_LABEL};
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, Seen, TestBed, tests, wait_until};
use serde_json::{Value, json};

/// Long enough for a heartbeat that is missed to be noticed: a silent agent is cut after 12 s.
const SILENCE: Duration = Duration::from_secs(20);

struct Hosts(Arc<TestBed>);

impl Fixture for Hosts {
    // They kill daemons that the others would need.
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        TestBed::new("three-hosts", &["a", "b", "c"]).map(Self)
    }

    fn note_failure(&self) {
        self.0.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Hosts>(tests![
        an_instance_has_the_address_under_which_other_hosts_reach_it,
        thirty_tasks_spread_over_three_hosts_and_stop_without_a_rest,
        killed_agents_find_their_containers_again,
        agents_killed_while_they_start_tasks_start_each_once,
        a_killed_scheduler_knows_everything_again,
        a_scheduler_killed_among_requests_keeps_every_task_it_acknowledged,
        dockers_that_are_restarted_or_killed_cost_no_task,
        a_frozen_docker_does_not_disconnect_its_agent,
        a_host_that_is_cut_off_keeps_its_tasks_and_none_runs_twice,
        a_task_that_ends_while_the_scheduler_is_down_has_its_exit_code_reported,
        a_task_that_ends_while_its_agent_is_down_has_its_exit_code_reported,
    ])
}

/// A task that runs until it is stopped, and then ends at once.
fn sleeper() -> Value {
    json!({
        "family": "sleeper",
        "containerDefinitions": [{
            "name": "sleeper",
            "image": "busybox",
            "cpu": 64,
            "memory": 32,
            "command": ["sleep", "3600"],
            "stopTimeout": 1,
        }],
    })
}

/// Runs so many sleepers, spread over the hosts, and waits until all run.
fn run_sleepers(cluster: &Cluster, count: usize) -> Result<Vec<String>> {
    let definition = cluster.register(&sleeper())?;
    let spread = json!({"placementStrategy": [{"type": "spread", "field": "instanceId"}]});
    let mut arns = Vec::new();
    while arns.len() < count {
        let next = (count - arns.len()).min(10);
        arns.extend(cluster.run(&definition, next, &spread)?);
    }
    cluster.wait_running(&arns)?;
    Ok(arns)
}

/// A container's id and when it was started.
type Run = (String, String);

/// The running containers of each task, on all hosts.
fn runs(cluster: &Cluster) -> Result<BTreeMap<String, Vec<Run>>> {
    let mut runs: BTreeMap<String, Vec<Run>> = BTreeMap::new();
    for container in cluster.containers()? {
        if container.is_running() {
            let task = container.label(TASK_LABEL).to_owned();
            let run = (container.id().to_owned(), container.started_at().to_owned());
            runs.entry(task).or_default().push(run);
        }
    }
    Ok(runs)
}

/// No task ever had a second container of the same name, and no container is of a task that nobody knows.
fn check_once_and_known(cluster: &Cluster) -> Result<()> {
    let mut seen: BTreeMap<(String, String), u32> = BTreeMap::new();
    for container in cluster.containers()? {
        let name = container.label(NAME_LABEL).to_owned();
        *seen.entry((container.label(TASK_LABEL).to_owned(), name)).or_default() += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    ensure!(twice.is_empty(), "more than one container each: {twice:?}");
    let tasks: Vec<String> = seen.into_keys().map(|(task, _)| task).collect();
    if !tasks.is_empty() {
        cluster.describe(&tasks)?;
    }
    Ok(())
}

/// The same containers run on, the scheduler says so, and nothing else runs.
fn check_undisturbed(cluster: &Cluster, arns: &[String], before: &BTreeMap<String, Vec<Run>>) -> Result<()> {
    cluster.wait_connected(cluster.agents.len())?;
    cluster.wait_running(arns)?;
    assert_eq!(&runs(cluster)?, before, "other containers run than before");
    check_once_and_known(cluster)
}

/// The index of the agent whose host runs a task.
fn host_of(cluster: &Cluster, task: &str) -> Result<usize> {
    for (index, host) in cluster.bed().hosts().iter().enumerate() {
        if !host.engine().task_containers(task)?.is_empty() {
            return Ok(index);
        }
    }
    Err(anyhow!("no host has a container of {task}"))
}

fn an_instance_has_the_address_under_which_other_hosts_reach_it(hosts: &Hosts) -> Result<()> {
    let cluster = Cluster::start(&hosts.0, "addresses")?;
    let definition = cluster.register(&sleeper())?;
    for host in hosts.0.hosts() {
        let instance = cluster.instance_of(host.name())?;
        let mut attributes = instance["attributes"].as_array().into_iter().flatten();
        let found = attributes.find(|attribute| attribute["name"] == "berth.address");
        let found = found.with_context(|| format!("no address: {instance}"))?;
        assert_eq!(found["value"], json!(host.address().to_string()));
        let there = json!({"placementConstraints": [{
            "type": "memberOf",
            "expression": format!("attribute:berth.address == {}", host.address()),
        }]});
        let task = cluster.run(&definition, 1, &there)?;
        let placed = cluster.describe(&task)?;
        assert_eq!(placed[0]["containerInstanceArn"], instance["containerInstanceArn"]);
    }
    cluster.stop_everything()
}

fn thirty_tasks_spread_over_three_hosts_and_stop_without_a_rest(hosts: &Hosts) -> Result<()> {
    let cluster = Cluster::start(&hosts.0, "thirty")?;
    let arns = run_sleepers(&cluster, 30)?;
    let running = runs(&cluster)?;
    assert_eq!(running.len(), 30, "tasks with a running container");
    ensure!(
        running.values().all(|containers| containers.len() == 1),
        "not one container a task: {running:?}"
    );
    check_once_and_known(&cluster)?;
    for instance in cluster.instances()? {
        assert_eq!(instance["runningTasksCount"], 10, "{instance}");
        assert_eq!(instance["pendingTasksCount"], 0, "{instance}");
    }
    cluster.stop(&arns)?;
    for task in cluster.wait_stopped(&arns)? {
        assert_eq!(task["stopCode"], "UserInitiated", "{task}");
    }
    cluster.stop_everything()?;
    for instance in cluster.instances()? {
        assert_eq!(
            instance["remainingResources"], instance["registeredResources"],
            "what the tasks had is free again"
        );
    }
    Ok(())
}

fn killed_agents_find_their_containers_again(hosts: &Hosts) -> Result<()> {
    let mut cluster = Cluster::start(&hosts.0, "agents")?;
    let arns = run_sleepers(&cluster, 6)?;
    let before = runs(&cluster)?;
    for agent in &mut cluster.agents {
        agent.daemon().kill()?;
    }
    cluster.wait_connected(0)?;
    assert_eq!(runs(&cluster)?, before, "containers end with their agent");
    for agent in &mut cluster.agents {
        agent.daemon().start_again()?;
    }
    check_undisturbed(&cluster, &arns, &before)?;
    cluster.stop_everything()
}

fn agents_killed_while_they_start_tasks_start_each_once(hosts: &Hosts) -> Result<()> {
    let mut cluster = Cluster::start(&hosts.0, "starting")?;
    let definition = cluster.register(&sleeper())?;
    let arns = cluster.run(&definition, 10, &json!({}))?;
    for round in 1..=3 {
        // Somewhere in the middle of ten starts, further on each time.
        wait_until("some containers exist", SOON, || {
            let count = cluster.containers()?.len();
            Ok(Seen::when(count >= round * 2, || format!("{count}")))
        })?;
        for agent in &mut cluster.agents {
            agent.daemon().kill()?;
            agent.daemon().start_again()?;
        }
    }
    cluster.wait_running(&arns)?;
    let running = runs(&cluster)?;
    ensure!(
        running.len() == 10 && running.values().all(|containers| containers.len() == 1),
        "not one container for each of ten tasks: {running:?}"
    );
    check_once_and_known(&cluster)?;
    cluster.stop_everything()
}

fn a_killed_scheduler_knows_everything_again(hosts: &Hosts) -> Result<()> {
    let mut cluster = Cluster::start(&hosts.0, "scheduler")?;
    let arns = run_sleepers(&cluster, 6)?;
    let before = runs(&cluster)?;
    let told = cluster.describe(&arns)?;

    cluster.scheduler.daemon().kill()?;
    cluster.scheduler.start_again()?;
    check_undisturbed(&cluster, &arns, &before)?;
    for (task, told) in cluster.describe(&arns)?.iter().zip(&told) {
        for member in ["createdAt", "startedAt", "containerInstanceArn", "containers"] {
            assert_eq!(task[member], told[member], "{member} of {}", task["taskArn"]);
        }
    }

    let status = cluster.scheduler.terminate()?;
    ensure!(status.success(), "SIGTERM ends the scheduler with {status}");
    cluster.scheduler.start_again()?;
    check_undisturbed(&cluster, &arns, &before)?;
    cluster.stop_everything()
}

fn a_scheduler_killed_among_requests_keeps_every_task_it_acknowledged(hosts: &Hosts) -> Result<()> {
    let mut cluster = Cluster::start(&hosts.0, "requests")?;
    // Few fit: however late the kill comes, not many are to be started afterwards.
    let mut large = sleeper();
    large["containerDefinitions"][0]["cpu"] = json!(512);
    let definition = cluster.register(&large)?;
    let ecs = cluster.ecs().clone();
    let input = json!({"cluster": cluster.name(), "taskDefinition": definition});
    let (began, beginning) = channel();
    let caller = thread::spawn(move || {
        let mut acknowledged = Vec::new();
        // Until the scheduler is gone.
        while let Ok(answer) = ecs.call("RunTask", &input) {
            if let Some(arn) = answer["tasks"][0]["taskArn"].as_str() {
                acknowledged.push(arn.to_owned());
            }
            // The receiver has what it waits for after the first.
            began.send(()).ok();
        }
        acknowledged
    });
    beginning.recv_timeout(SOON).context("no RunTask is answered")?;
    cluster.scheduler.daemon().kill()?;
    let acknowledged = caller.join().map_err(|_| anyhow!("the calling thread panicked"))?;
    ensure!(!acknowledged.is_empty(), "no task was acknowledged");
    cluster.scheduler.start_again()?;
    cluster.describe(&acknowledged)?;
    cluster.wait_running(&acknowledged)?;
    check_once_and_known(&cluster)?;
    cluster.stop_everything()
}

fn dockers_that_are_restarted_or_killed_cost_no_task(hosts: &Hosts) -> Result<()> {
    let cluster = Cluster::start(&hosts.0, "dockers")?;
    let arns = run_sleepers(&cluster, 6)?;
    let before = runs(&cluster)?;
    let bed = cluster.bed();
    bed.host("a")?.engine().restart()?;
    bed.host("b")?.engine().kill()?;
    bed.host("b")?.engine().start_again()?;
    check_undisturbed(&cluster, &arns, &before)?;

    // The agents must have noticed that their Docker is another process now, and go on working with it.
    let more = run_sleepers(&cluster, 3)?;
    let after = runs(&cluster)?;
    assert_eq!(after.len(), 9);
    ensure!(
        arns.iter().all(|task| after.get(task) == before.get(task)),
        "a container was started again"
    );
    cluster.stop(&more)?;
    cluster.wait_stopped(&more)?;
    cluster.stop_everything()
}

fn a_frozen_docker_does_not_disconnect_its_agent(hosts: &Hosts) -> Result<()> {
    let cluster = Cluster::start(&hosts.0, "frozen")?;
    let arns = run_sleepers(&cluster, 3)?;
    let before = runs(&cluster)?;
    let engine = hosts.0.host("a")?.engine();
    engine.daemon().freeze()?;
    // Long enough for a heartbeat that waits on Docker to be missed.
    let watched = watch_connected(&cluster, "a", SILENCE);
    engine.daemon().resume()?;
    watched?;
    check_undisturbed(&cluster, &arns, &before)?;
    cluster.stop_everything()
}

/// Fails if a host's agent is disconnected at any look in that time.
fn watch_connected(cluster: &Cluster, host: &str, time: Duration) -> Result<()> {
    let start = Instant::now();
    wait_until("the time is over", time + SOON, || {
        let instance = cluster.instance_of(host)?;
        if instance["agentConnected"] != true {
            return Ok(Seen::Done(Err(anyhow!(
                "{host} is disconnected after {:?}",
                start.elapsed()
            ))));
        }
        Ok(if start.elapsed() >= time {
            Seen::Done(Ok(()))
        } else {
            Seen::NotYet(format!("{:?}", start.elapsed()))
        })
    })?
}

fn a_host_that_is_cut_off_keeps_its_tasks_and_none_runs_twice(hosts: &Hosts) -> Result<()> {
    let cluster = Cluster::start(&hosts.0, "cut")?;
    let arns = run_sleepers(&cluster, 6)?;
    let before = runs(&cluster)?;
    let host = hosts.0.host("b")?;
    host.link().cut()?;
    let noticed = wait_until("the loss of b is noticed", SOON, || {
        let instance = cluster.instance_of("b")?;
        Ok(Seen::when(instance["agentConnected"] == false, || instance.to_string()))
    });
    let during = runs(&cluster);
    // Nothing may go where nobody listens.
    let placed = cluster.run("sleeper", 2, &json!({}));
    host.link().mend()?;
    noticed?;
    assert_eq!(during?, before, "containers end with the connection");
    let placed = placed?;
    cluster.wait_connected(3)?;
    cluster.wait_running(&arns)?;
    cluster.wait_running(&placed)?;
    for task in &placed {
        ensure!(host_of(&cluster, task)? != 1, "{task} was placed on a lost host");
    }
    let after = runs(&cluster)?;
    assert_eq!(after.len(), 8);
    ensure!(
        arns.iter().all(|task| after.get(task) == before.get(task)),
        "a container was started again"
    );
    check_once_and_known(&cluster)?;
    cluster.stop_everything()
}

/// A task that ends with code 42 when its container is told to, by a signal.
fn ender() -> Value {
    json!({
        "family": "ender",
        "containerDefinitions": [{
            "name": "ender",
            "image": "busybox",
            "memory": 32,
            "command": ["sh", "-c", "trap 'exit 42' USR1; echo ready; while :; do sleep 1; done"],
            "stopTimeout": 1,
        }],
    })
}

/// Ends an [`ender`] and waits until Docker says so.
fn end(cluster: &Cluster, task: &str) -> Result<()> {
    let host = &cluster.bed().hosts()[host_of(cluster, task)?];
    let container = cluster.container(task, "ender")?;
    host.engine().wait_printed(container.id(), "ready")?;
    host.engine().signal(container.id(), "USR1")?;
    assert_eq!(host.engine().wait_exit(container.id())?, 42);
    Ok(())
}

fn check_ended(cluster: &Cluster, arns: &[String]) -> Result<()> {
    for task in cluster.wait_stopped(arns)? {
        assert_eq!(container_of(&task, "ender")?["exitCode"], 42, "{task}");
        assert_eq!(task["stopCode"], "EssentialContainerExited", "{task}");
    }
    check_once_and_known(cluster)
}

fn a_task_that_ends_while_the_scheduler_is_down_has_its_exit_code_reported(hosts: &Hosts) -> Result<()> {
    let mut cluster = Cluster::start(&hosts.0, "ending")?;
    let arns = vec![cluster.run_one(&ender())?];
    cluster.wait_running(&arns)?;
    cluster.scheduler.daemon().kill()?;
    end(&cluster, &arns[0])?;
    cluster.scheduler.start_again()?;
    check_ended(&cluster, &arns)
}

fn a_task_that_ends_while_its_agent_is_down_has_its_exit_code_reported(hosts: &Hosts) -> Result<()> {
    let mut cluster = Cluster::start(&hosts.0, "agentless")?;
    let arns = vec![cluster.run_one(&ender())?];
    cluster.wait_running(&arns)?;
    let host = host_of(&cluster, &arns[0])?;
    cluster.agents[host].daemon().kill()?;
    end(&cluster, &arns[0])?;
    cluster.agents[host].daemon().start_again()?;
    check_ended(&cluster, &arns)
}
