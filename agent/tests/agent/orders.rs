//! Orders that come twice, late, out of order, or for a task that is lost.

use berth_proto::agent::v1::agent_message;

use super::Host;
use super::scheduler::{DEFINITION, TASK, complete, increment, seen_running};

#[tokio::test]
async fn an_order_that_comes_twice_is_carried_out_once() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let _agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    stream.assign(complete(1, Some("RUNNING"))).await?;
    stream.assign(complete(2, Some("RUNNING"))).await?;
    stream.assign(increment(2, 3, "RUNNING")).await?;
    stream.report("RUNNING").await?;
    assert_eq!(host.docker.counts(), (1, 1));
    stream.assign(increment(3, 4, "STOPPED")).await?;
    stream.assign(increment(4, 5, "STOPPED")).await?;
    let (sequence, report) = stream.report("STOPPED").await?;
    assert_eq!(report.containers[0].exit_code, Some(143));
    stream.recorded(sequence, &[]).await
}

#[tokio::test]
async fn a_stop_that_comes_before_the_start_starts_nothing() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let _agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    stream.assign(complete(1, None)).await?;
    stream.assign(increment(1, 2, "STOPPED")).await?;
    // Late, and overtaken by the stop: a task never goes back.
    stream.assign(increment(2, 3, "RUNNING")).await?;
    stream.report("STOPPED").await?;
    stream.assign(increment(3, 4, "RUNNING")).await?;
    stream.applied(4).await?;
    assert_eq!(host.docker.counts(), (0, 0));
    Ok(())
}

#[tokio::test]
async fn what_an_older_stream_still_says_is_not_heard() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let _agent = host.agent()?;
    let (old, _) = host.scheduler.welcome().await?;
    old.assign(complete(1, None)).await?;
    // A gap makes the agent connect anew.
    old.assign(increment(5, 6, "RUNNING")).await?;
    let (mut new, _) = host.scheduler.welcome().await?;
    old.assign(complete(7, Some("RUNNING"))).await.ok();
    new.assign(complete(1, None)).await?;
    new.applied(1).await?;
    assert_eq!(host.docker.counts(), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_task_that_ran_and_is_lost_is_reported_and_not_started() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let _agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    stream.assign(seen_running(complete(1, Some("RUNNING")))).await?;
    let (sequence, report) = stream.report("STOPPED").await?;
    assert_eq!(report.stop_code, "EssentialContainerExited");
    let reason = &report.containers[0].reason;
    assert!(reason.starts_with("ContainerVanishedError: "), "{reason}");
    assert_eq!(host.docker.counts(), (0, 0));
    stream.recorded(sequence, &[]).await
}

#[tokio::test]
async fn a_task_that_is_lost_but_for_its_containers_goes_on() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    stream.assign(complete(1, Some("RUNNING"))).await?;
    stream.report("RUNNING").await?;
    drop(agent);
    std::fs::remove_dir_all(super::tasks(host.directory.path()))?;
    let _agent = host.agent()?;
    let (mut stream, hello) = host.scheduler.welcome().await?;
    assert_eq!(hello.tasks[0].task_arn, TASK);
    stream.assign(seen_running(complete(1, Some("RUNNING")))).await?;
    stream.applied(1).await?;
    assert_eq!(host.docker.states(), ["running"]);
    stream.assign(increment(1, 2, "STOPPED")).await?;
    let (_, report) = stream.report("STOPPED").await?;
    assert_eq!(report.containers[0].exit_code, Some(143));
    assert_eq!(host.docker.counts(), (1, 1));
    Ok(())
}

#[tokio::test]
async fn ends_are_told_once_and_in_order_after_the_scheduler_was_away() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let _agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    stream.assign(complete(1, Some("RUNNING"))).await?;
    let (sequence, _) = stream.report("RUNNING").await?;
    stream.recorded(sequence, &[]).await?;
    drop(stream);
    host.docker.exit_all(5);
    let (mut stream, hello) = host.scheduler.welcome().await?;
    stream.assign(complete(1, Some("RUNNING"))).await?;
    let told = hello.tasks[0].last_status.clone();
    assert!(["RUNNING", "STOPPED"].contains(&told.as_str()), "{told}");
    let (sequence, report) = stream.report("STOPPED").await?;
    assert_eq!((sequence, report.containers[0].exit_code), (1, Some(5)));
    stream.recorded(sequence, &[]).await?;
    // Recorded, it is told no more.
    let next = stream.until(|message| {
        let heartbeat = matches!(message, agent_message::Message::Heartbeat(_)).then_some("heartbeat");
        let report = matches!(message, agent_message::Message::Reports(_)).then_some("report");
        heartbeat.or(report)
    });
    assert_eq!(next.await?, "heartbeat");
    Ok(())
}

#[tokio::test]
async fn a_definition_that_is_forgotten_must_be_carried_again() -> anyhow::Result<()> {
    let mut host = Host::new().await?;
    let _agent = host.agent()?;
    let (mut stream, _) = host.scheduler.welcome().await?;
    let mut forgotten = complete(1, None);
    forgotten.forgotten_task_definition_arns = vec![DEFINITION.to_owned()];
    stream.assign(forgotten).await?;
    let mut bare = increment(1, 2, "RUNNING");
    bare.task_definitions.clear();
    stream.assign(bare).await?;
    let (_, report) = stream.report("STOPPED").await?;
    assert!(
        report.stopped_reason.contains("without the definition"),
        "{}",
        report.stopped_reason
    );
    assert_eq!(host.docker.counts(), (0, 0));
    Ok(())
}
