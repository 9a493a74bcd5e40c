//! A scheduler that says only what the test tells it to.

use std::time::Duration;

use anyhow::Context as _;
use berth_proto::agent::v1::agent_link_server::{AgentLink, AgentLinkServer};
use berth_proto::agent::v1::{
    AgentMessage, Assignment, Assignments, Hello, ReportsRecorded, SchedulerMessage, TaskReport, Welcome,
    agent_message, scheduler_message,
};
use berth_proto::ecs::v1::{ContainerDefinition, PortMapping, TaskDefinition};
use berth_proto::session::v1::{FromContainer, ToContainer};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming};

const DEADLINE: Duration = Duration::from_secs(60);
/// Between the agent's heartbeats. Three of the scheduler's that it misses are silence: long enough for a busy machine.
const HEARTBEAT: Duration = Duration::from_secs(1);
pub(crate) const TASK: &str = "arn:aws:ecs:us-east-1:000000000000:task/prod/0000000000000000000000000000002a";
pub(crate) const DEFINITION: &str = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1";

/// Waits for agents.
pub(crate) struct FakeScheduler {
    pub(crate) url: String,
    streams: mpsc::Receiver<Stream>,
}

/// The stream of one agent.
pub(crate) struct Stream {
    inbound: Streaming<AgentMessage>,
    outbound: mpsc::Sender<Result<SchedulerMessage, Status>>,
    /// Shows the agent that the scheduler lives, whatever the test does meanwhile.
    alive: Option<AbortOnDropHandle<()>>,
}

struct Service {
    streams: mpsc::Sender<Stream>,
}

#[tonic::async_trait]
impl AgentLink for Service {
    type ConnectStream = ReceiverStream<Result<SchedulerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (outbound, messages) = mpsc::channel(16);
        let stream = Stream {
            inbound: request.into_inner(),
            outbound,
            alive: None,
        };
        self.streams
            .send(stream)
            .await
            .map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    type SessionStream = ReceiverStream<Result<ToContainer, Status>>;

    async fn session(
        &self,
        _request: Request<Streaming<FromContainer>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Err(Status::unimplemented("nobody asks for sessions here"))
    }
}

impl FakeScheduler {
    pub(crate) async fn serve() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (sender, streams) = mpsc::channel(4);
        let server = tonic::transport::Server::builder().add_service(AgentLinkServer::new(Service { streams: sender }));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(Self { url, streams })
    }

    /// The next agent that connects, with its Hello, welcomed.
    pub(crate) async fn welcome(&mut self) -> anyhow::Result<(Stream, Hello)> {
        let accepted = tokio::time::timeout(DEADLINE, self.streams.recv())
            .await
            .context("no agent connected")?;
        let mut stream = accepted.context("the server is gone")?;
        let hello = stream
            .until(|message| {
                if let agent_message::Message::Hello(hello) = message {
                    Some(hello)
                } else {
                    None
                }
            })
            .await?;
        let welcome = Welcome {
            container_instance_arn: "arn:instance".to_owned(),
            heartbeat_interval_ms: u32::try_from(HEARTBEAT.as_millis())?,
        };
        stream.say(scheduler_message::Message::Welcome(welcome)).await?;
        stream.alive = Some(AbortOnDropHandle::new(tokio::spawn(beat(stream.outbound.clone()))));
        Ok((stream, hello))
    }
}

impl Stream {
    pub(crate) async fn say(&self, message: scheduler_message::Message) -> anyhow::Result<()> {
        let message = SchedulerMessage { message: Some(message) };
        self.outbound.send(Ok(message)).await.context("the stream is over")
    }

    /// Says nothing any more by itself.
    pub(crate) fn fall_silent(&mut self) {
        self.alive = None;
    }

    /// The next message that is what is looked for.
    pub(crate) async fn until<T>(&mut self, wanted: impl Fn(agent_message::Message) -> Option<T>) -> anyhow::Result<T> {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => anyhow::bail!("the agent did not say what was waited for"),
                message = self.inbound.message() => {
                    let message = message?.context("the agent closed the stream")?;
                    if let Some(found) = message.message.and_then(&wanted) {
                        return Ok(found);
                    }
                }
            }
        }
    }

    /// The first report of the task in the status, with the number of its message.
    pub(crate) async fn report(&mut self, status: &str) -> anyhow::Result<(u64, TaskReport)> {
        let found = self.until(|message| {
            if let agent_message::Message::Reports(reports) = message {
                let sequence = reports.sequence;
                let report = reports
                    .tasks
                    .into_iter()
                    .find(|task| task.task_arn == TASK && task.last_status == status);
                report.map(|report| (sequence, report))
            } else {
                None
            }
        });
        found.await.with_context(|| format!("waiting for {status}"))
    }

    pub(crate) async fn applied(&mut self, version: u64) -> anyhow::Result<()> {
        let wanted = |message| {
            if let agent_message::Message::Applied(applied) = message {
                (applied.version == version).then_some(())
            } else {
                None
            }
        };
        self.until(wanted).await
    }

    pub(crate) async fn recorded(&self, sequence: u64, ended: &[&str]) -> anyhow::Result<()> {
        let ended_task_arns = ended.iter().map(|arn| (*arn).to_owned()).collect();
        self.say(scheduler_message::Message::Recorded(ReportsRecorded {
            sequence,
            ended_task_arns,
        }))
        .await
    }

    pub(crate) async fn assign(&self, assignments: Assignments) -> anyhow::Result<()> {
        self.say(scheduler_message::Message::Assignments(assignments)).await
    }
}

/// Sends heartbeats until the stream is over.
async fn beat(outbound: mpsc::Sender<Result<SchedulerMessage, Status>>) {
    loop {
        let heartbeat = scheduler_message::Message::Heartbeat(berth_proto::agent::v1::Heartbeat {});
        let message = SchedulerMessage {
            message: Some(heartbeat),
        };
        if outbound.send(Ok(message)).await.is_err() {
            return;
        }
        tokio::time::sleep(HEARTBEAT / 5).await;
    }
}

/// A complete set: the task in the desired status, or nothing.
pub(crate) fn complete(version: u64, desired: Option<&str>) -> Assignments {
    let mapping = PortMapping {
        container_port: Some(80),
        ..PortMapping::default()
    };
    let container = ContainerDefinition {
        name: Some("app".to_owned()),
        image: Some("busybox".to_owned()),
        memory: Some(16),
        port_mappings: vec![mapping],
        ..ContainerDefinition::default()
    };
    let definition = TaskDefinition {
        task_definition_arn: Some(DEFINITION.to_owned()),
        family: Some("web".to_owned()),
        revision: Some(1),
        container_definitions: vec![container],
        ..TaskDefinition::default()
    };
    let assignment = |desired: &str| Assignment {
        task_arn: TASK.to_owned(),
        task_definition_arn: DEFINITION.to_owned(),
        desired_status: desired.to_owned(),
        ..Assignment::default()
    };
    Assignments {
        complete: true,
        applies_to: 0,
        results_in: version,
        task_definitions: vec![definition],
        assignments: desired.map(assignment).into_iter().collect(),
        ..Assignments::default()
    }
}

/// The set with the task as one that has been RUNNING.
pub(crate) fn seen_running(mut set: Assignments) -> Assignments {
    for assignment in &mut set.assignments {
        assignment.seen_running = true;
    }
    set
}

/// An increment.
pub(crate) fn increment(applies_to: u64, results_in: u64, desired: &str) -> Assignments {
    Assignments {
        complete: false,
        applies_to,
        ..complete(results_in, Some(desired))
    }
}
