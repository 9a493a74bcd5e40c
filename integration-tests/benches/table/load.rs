//! Calls of RunTask, one after the other or by many clients together.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_proto::ecs::v1::{ContainerDefinition, CreateClusterRequest, RegisterTaskDefinitionRequest, RunTaskRequest};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

/// CPU units and MiB that a task takes.
pub(crate) const CPU: u32 = 1;
pub(crate) const MEMORY: u32 = 6;

/// What the calls took.
#[derive(Debug)]
pub(crate) struct Load {
    /// Each call's time, shortest first.
    times: Vec<Duration>,
    wall: Duration,
}

impl Load {
    fn new(mut times: Vec<Duration>, wall: Duration) -> Self {
        times.sort_unstable();
        Self { times, wall }
    }

    /// The time that this share of the calls did not exceed.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of a few million"
    )]
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let at = ((self.times.len() as f64 * share) as usize).min(self.times.len().saturating_sub(1));
        self.times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }

    /// How many calls were answered.
    #[expect(clippy::cast_precision_loss, reason = "a few million")]
    pub(crate) fn calls(&self) -> f64 {
        self.times.len() as f64
    }

    /// Calls a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.calls() / self.wall.as_secs_f64()
    }
}

async fn client(url: &str) -> Result<EcsClient<Channel>> {
    let channel = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await;
    Ok(EcsClient::new(channel.context("connect")?))
}

/// Makes the cluster and the definition that all calls use.
///
/// # Errors
///
/// If the scheduler refuses.
pub(crate) async fn prepare(url: &str) -> Result<()> {
    let mut client = client(url).await?;
    client.create_cluster(CreateClusterRequest::default()).await?;
    let container = ContainerDefinition {
        name: Some("app".to_owned()),
        image: Some("busybox".to_owned()),
        cpu: Some(CPU.cast_signed()),
        memory: Some(MEMORY.cast_signed()),
        ..ContainerDefinition::default()
    };
    let definition = RegisterTaskDefinitionRequest {
        family: Some("bench".to_owned()),
        container_definitions: vec![container],
        ..RegisterTaskDefinitionRequest::default()
    };
    client.register_task_definition(definition).await?;
    Ok(())
}

async fn call(client: &mut EcsClient<Channel>, count: i32) -> Result<Duration> {
    let request = RunTaskRequest {
        task_definition: Some("bench".to_owned()),
        count: Some(count),
        ..RunTaskRequest::default()
    };
    let started = Instant::now();
    let answer = client.run_task(request).await?.into_inner();
    let time = started.elapsed();
    ensure!(answer.failures.is_empty(), "not placed: {:?}", answer.failures);
    ensure!(
        i32::try_from(answer.tasks.len()) == Ok(count),
        "{} tasks",
        answer.tasks.len()
    );
    Ok(time)
}

/// Calls over one connection, each after the answer of the one before.
///
/// # Errors
///
/// If a call fails or does not place all.
pub(crate) async fn one_by_one(url: &str, calls: usize) -> Result<Load> {
    let mut client = client(url).await?;
    for _ in 0..calls / 10 {
        call(&mut client, 1).await?;
    }
    let started = Instant::now();
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        times.push(call(&mut client, 1).await?);
    }
    Ok(Load::new(times, started.elapsed()))
}

/// Calls over one connection, each after the answer of the one before, until `is_over` or the span is.
///
/// # Errors
///
/// If a call fails or does not place all.
pub(crate) async fn one_by_one_for(url: &str, is_over: impl Fn() -> bool, span: Duration) -> Result<Load> {
    let mut client = client(url).await?;
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < span && !(times.len() % 100 == 0 && is_over()) {
        times.push(call(&mut client, 1).await?);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(Load::new(times, started.elapsed()))
}

/// Clients with a connection each, all making so many calls one after the other.
///
/// # Errors
///
/// If a call fails or does not place all.
pub(crate) async fn so_many(url: &str, clients: usize, count: i32, calls: usize) -> Result<Load> {
    let urls = [url.to_owned()];
    run(&urls, clients, count, move |_, made| made < calls).await
}

/// Clients with a connection each, at one scheduler after the other, all calling one after the other for the span.
///
/// # Errors
///
/// If a call fails or does not place all.
pub(crate) async fn together(urls: &[String], clients: usize, count: i32, span: Duration) -> Result<Load> {
    run(urls, clients, count, move |elapsed, _| elapsed < span).await
}

async fn run(
    urls: &[String],
    clients: usize,
    count: i32,
    goes_on: impl Fn(Duration, usize) -> bool + Copy + Send + 'static,
) -> Result<Load> {
    let mut running = JoinSet::new();
    let started = Instant::now();
    for url in urls.iter().cycle().take(clients) {
        let mut client = client(url).await?;
        running.spawn(async move {
            let mut times = Vec::new();
            while goes_on(started.elapsed(), times.len()) {
                times.push(call(&mut client, count).await?);
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(finished) = running.join_next().await {
        times.extend(finished??);
    }
    Ok(Load::new(times, started.elapsed()))
}
