//! The agent as a process, between a scheduler that says what the test wants and a Docker that is only its socket.

mod docker;
mod orders;
mod scheduler;

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use berth_proto::agent::v1::{StopConfirmation, agent_message, scheduler_message};
use docker::FakeDocker;
use rustix::process::{Pid, Signal, kill_process};
use scheduler::{FakeScheduler, Stream, TASK, complete, increment};

const DEADLINE: Duration = Duration::from_secs(60);

/// A host: its directory, its Docker and its scheduler.
struct Host {
    directory: tempfile::TempDir,
    docker: FakeDocker,
    scheduler: FakeScheduler,
}

/// A process of the agent; killed when it is dropped, as a crash would.
struct Agent(Child);

impl Host {
    async fn new() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let docker = FakeDocker::serve(&directory.path().join("docker.sock"))?;
        Ok(Self {
            docker,
            scheduler: FakeScheduler::serve().await?,
            directory,
        })
    }

    fn agent(&self) -> anyhow::Result<Agent> {
        self.agent_of("prod")
    }

    fn agent_of(&self, cluster: &str) -> anyhow::Result<Agent> {
        let socket = self.directory.path().join("docker.sock");
        let child = Command::new(env!("CARGO_BIN_EXE_berth-agent"))
            .args(["--cluster", cluster, "--stopped-container-retention", "0"])
            .args(["--config", "/dev/null", "--ecs-config", "/dev/null"])
            // The machine's network is not the test's to change.
            .args([
                "--endpoint-address",
                "off",
                "--introspection-address",
                "off",
                "--metrics-address",
                "off",
            ])
            .args(["--address", "192.0.2.7"])
            .args(["--scheduler", &self.scheduler.url])
            .arg("--state-dir")
            .arg(self.directory.path().join("state"))
            .args(["--docker", &format!("unix://{}", socket.display())])
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Agent(child))
    }

    fn records(&self) -> usize {
        std::fs::read_dir(tasks(self.directory.path())).map_or(0, Iterator::count)
    }
}

fn tasks(directory: &Path) -> std::path::PathBuf {
    directory.join("state/tasks")
}

impl Agent {
    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.0);
        Ok(kill_process(pid, signal)?)
    }

    async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            anyhow::ensure!(begun.elapsed() < DEADLINE, "the agent did not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

async fn wait_for(what: &str, holds: impl Fn() -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !holds() {
        anyhow::ensure!(begun.elapsed() < DEADLINE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_task_runs_ends_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let _agent = host.agent()?;
    let (mut stream, hello) = host.scheduler.welcome().await?;
    assert_eq!((hello.cluster.as_str(), hello.tasks.len()), ("prod", 0));
    let facts = hello.facts.unwrap_or_default();
    assert_eq!((facts.cpu_units, facts.address.as_str()), (2048, "192.0.2.7"));
    stream.assign(complete(1, None)).await?;
    stream.applied(1).await?;
    stream.assign(increment(1, 2, "RUNNING")).await?;
    let (_, report) = stream.report("RUNNING").await?;
    let container = &report.containers[0];
    assert_eq!(
        (container.runtime_id.as_str(), container.image_digest.as_str()),
        ("id1", "sha256:image")
    );
    assert_eq!(container.network_bindings.len(), 1, "{:?}", container.network_bindings);
    assert_eq!(container.network_bindings[0].host_port, Some(32768));
    assert_eq!(host.records(), 1);
    host.docker.exit_all(3);
    let (sequence, report) = stream.report("STOPPED").await?;
    assert_eq!(report.stop_code, "EssentialContainerExited");
    assert_eq!(report.containers[0].exit_code, Some(3));
    assert_eq!(report.containers[0].log_tail, ["begins", "fails"]);
    assert_eq!(host.docker.states(), ["exited"], "kept until its end is recorded");
    stream.recorded(sequence, &[]).await?;
    wait_for("container removed", || host.docker.states().is_empty()).await?;
    wait_for("record removed", || host.records() == 0).await
}

#[tokio::test]
async fn an_end_is_told_until_it_is_recorded_over_kills_of_the_agent() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    stream.assign(complete(1, Some("RUNNING"))).await?;
    stream.report("RUNNING").await?;
    drop(agent);
    // It ends while nobody watches.
    host.docker.exit_all(9);
    let agent = host.agent()?;
    let (mut stream, hello) = host.scheduler.welcome().await?;
    assert_eq!(hello.tasks.len(), 1);
    stream.assign(complete(1, Some("RUNNING"))).await?;
    let (_, report) = stream.report("STOPPED").await?;
    assert_eq!(report.containers[0].exit_code, Some(9));
    drop(agent);
    let _agent = host.agent()?;
    let (mut stream, hello) = host.scheduler.welcome().await?;
    assert_eq!(hello.tasks[0].last_status, "STOPPED");
    // Assigned once more, it is answered by its report, not started.
    stream.assign(complete(1, Some("RUNNING"))).await?;
    stream.report("STOPPED").await?;
    assert_eq!(host.docker.counts(), (1, 1));
    stream.recorded(0, &[TASK]).await?;
    wait_for("record removed", || host.records() == 0).await
}

#[tokio::test]
async fn what_is_not_assigned_runs_on_until_its_stop_is_confirmed() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    stream.assign(complete(1, Some("RUNNING"))).await?;
    stream.report("RUNNING").await?;
    drop(agent);
    // Of its record nothing is left either: the labels tell.
    std::fs::remove_dir_all(tasks(host.directory.path()))?;
    let _agent = host.agent()?;
    let (mut stream, hello) = host.scheduler.welcome().await?;
    assert_eq!(hello.tasks[0].task_arn, TASK);
    stream.assign(complete(7, None)).await?;
    let proposed = stream
        .until(|message| {
            if let agent_message::Message::StopProposal(proposal) = message {
                Some(proposal.task_arns)
            } else {
                None
            }
        })
        .await?;
    assert_eq!(proposed, [TASK]);
    assert_eq!(host.docker.states(), ["running"]);
    let confirmation = StopConfirmation { task_arns: proposed };
    stream
        .say(scheduler_message::Message::StopConfirmation(confirmation))
        .await?;
    let (_, report) = stream.report("STOPPED").await?;
    assert_eq!(
        (report.stop_code.as_str(), report.containers[0].exit_code),
        ("", Some(143))
    );
    assert!(report.containers[0].log_tail.is_empty(), "{:?}", report.containers);
    Ok(())
}

#[tokio::test]
async fn a_gap_leads_to_a_new_stream_and_silence_too() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let _agent = host.agent()?;
    let (stream, first) = host.scheduler.welcome().await?;
    stream.assign(complete(1, None)).await?;
    stream.assign(increment(5, 6, "RUNNING")).await?;
    let (mut silent, second) = host.scheduler.welcome().await?;
    silent.fall_silent();
    assert_eq!(first.instance_id, second.instance_id);
    let (_stream, third) = host.scheduler.welcome().await?;
    assert_eq!(first.instance_id, third.instance_id);
    drop(silent);
    assert_eq!(host.docker.counts(), (0, 0), "what came after the gap was not run");
    Ok(())
}

#[tokio::test]
async fn heartbeats_go_on_while_docker_hangs() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let _agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    stream.assign(complete(1, Some("RUNNING"))).await?;
    stream.report("RUNNING").await?;
    host.docker.hang();
    stream.assign(increment(1, 2, "STOPPED")).await?;
    let (_, report) = stream.report("STOPPING").await?;
    assert_eq!(report.stop_code, "");
    for _ in 0..5 {
        stream
            .until(|message| {
                if let agent_message::Message::Heartbeat(_) = message {
                    Some(())
                } else {
                    None
                }
            })
            .await?;
    }
    Ok(())
}

/// What the agent says next of its Docker.
async fn runtime_status(stream: &mut Stream) -> anyhow::Result<(String, String)> {
    let told = |message| {
        if let agent_message::Message::Conditions(all) = message {
            let mut of_docker = all.conditions.into_iter().filter(|c| c.r#type == "CONTAINER_RUNTIME");
            of_docker.next().map(|condition| (condition.status, condition.reason))
        } else {
            None
        }
    };
    stream.until(told).await
}

#[tokio::test]
async fn a_docker_that_hangs_is_told_and_that_it_goes_on_too() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let _agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    assert_eq!(
        runtime_status(&mut stream).await?,
        ("OK".to_owned(), String::new()),
        "after the Welcome"
    );
    host.docker.hang();
    let (status, reason) = runtime_status(&mut stream).await?;
    assert_eq!(status, "IMPAIRED");
    assert!(reason.starts_with("Docker was asked to"), "{reason}");
    host.docker.go_on();
    assert_eq!(runtime_status(&mut stream).await?.0, "OK");
    Ok(())
}

#[tokio::test]
async fn told_to_stop_it_ends_well_and_containers_run_on() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let mut agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    stream.assign(complete(1, Some("RUNNING"))).await?;
    stream.report("RUNNING").await?;
    agent.signal(Signal::TERM)?;
    assert_eq!(agent.ended().await?.code(), Some(0));
    assert_eq!(host.docker.states(), ["running"]);
    Ok(())
}

#[tokio::test]
async fn exit_codes_say_whether_another_start_helps() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let agent = host.agent()?;
    host.scheduler.welcome().await?;
    assert_eq!(
        host.agent()?.ended().await?.code(),
        Some(5),
        "the state directory is in use"
    );
    drop(agent);
    assert_eq!(
        host.agent_of("test")?.ended().await?.code(),
        Some(5),
        "it is another cluster's"
    );
    assert_eq!(host.agent_of("")?.ended().await?.code(), Some(2), "no cluster");
    Ok(())
}
