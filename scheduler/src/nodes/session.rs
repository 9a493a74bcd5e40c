//! One agent's stream, from its Hello to its end.

use std::sync::Arc;
use std::time::Duration;

use berth_model::arn::Namespace;
use berth_model::fault::{Fault, FaultClass};
use berth_model::id::InstanceId;
use berth_model::name::ClusterName;
use berth_model::status::TaskStatus;
use berth_proto::agent::v1::agent_message::Message as FromAgent;
use berth_proto::agent::v1::protection_answer::Answer;
use berth_proto::agent::v1::scheduler_message::Message as ToAgent;
use berth_proto::agent::v1::{
    AgentMessage, DrainNotice, Heartbeat, Hello, OpenSession, ProtectionAnswer, ProtectionRequest, Refusal,
    ReportsRecorded, SchedulerMessage, StopConfirmation, StopProposal, TaskReport, Welcome,
};
use berth_scheduler_core::assign::Sent;
use berth_scheduler_core::command::Principal;
use berth_scheduler_core::decide::instance::{ConnectInstance, Reception, SetLeaving};
use berth_scheduler_core::decide::protection::{self, SetProtection};
use berth_scheduler_core::decide::report::{ConsiderStops, ReportTasks};
use berth_scheduler_core::keys::{InstanceKey, ReplicaId, TaskKey};
use berth_scheduler_core::observation::InstanceFacts;
use berth_trust::{Member, Role};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::field::display;

use super::{ASKED, Changes, HEARTBEAT, Handle, Link, Registry, SILENCE, assignments, wire};
use crate::api::describe;
use crate::clock;
use crate::engine::Engine;
use crate::replicas::shed::LET_GO;
use crate::trust::door::Door;

/// How long an agent may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// How long a message may wait for an agent that does not read.
const DELIVERY: Duration = Duration::from_secs(10);
/// Assignments of one agent are sent at least this far apart; the first after a pause goes at once.
const GATHER: Duration = Duration::from_millis(20);
/// An agent that was given tasks is busy for longer than this with each: what comes meanwhile shares a message.
const GATHER_PER_TASK: Duration = Duration::from_millis(50);
/// Nothing waits longer than this to be sent.
const LONGEST_GATHER: Duration = Duration::from_millis(250);
/// When an agent that was refused may try again.
const RETRY: Duration = Duration::from_secs(5);
/// When an agent may try again that has no certificate for what it says it is: somebody must act first, unless it has another
/// by then.
const RETRY_DENIED: Duration = Duration::from_secs(15);
/// When the agent of a deregistered instance may try again: somebody must act first.
const RETRY_DEREGISTERED: Duration = Duration::from_secs(60);

/// The end of a stream, and whose doing it was.
enum End {
    /// The agent closed it, or the connection broke.
    Closed,
    /// The agent was silent for too long.
    Silent,
    /// The agent does not read.
    Stuck,
    /// A newer stream took its place, or the scheduler stops.
    Superseded,
    /// Another scheduler is to have it.
    LetGo,
    /// The agent was refused.
    Refused(Fault),
}

pub(super) struct Session {
    engine: Engine,
    registry: Arc<Registry>,
    namespace: Arc<Namespace>,
    shutdown: CancellationToken,
    via: Option<ReplicaId>,
    door: Door,
    inbox: Streaming<AgentMessage>,
    outbox: mpsc::Sender<Result<SchedulerMessage, Status>>,
}

/// An agent that was let in.
struct Guest {
    member: Member,
    key: InstanceKey,
    cluster: ClusterName,
    by: Principal,
    handle: Handle,
    sent: Sent,
    /// Sessions that others ask it for.
    sessions: mpsc::Receiver<OpenSession>,
}

impl Session {
    pub(super) fn new(
        link: &Link,
        door: Door,
        inbox: Streaming<AgentMessage>,
        outbox: mpsc::Sender<Result<SchedulerMessage, Status>>,
    ) -> Self {
        Self {
            engine: link.engine.clone(),
            registry: Arc::clone(&link.registry),
            namespace: Arc::clone(&link.namespace),
            shutdown: link.shutdown.clone(),
            via: link.via,
            door,
            inbox,
            outbox,
        }
    }

    pub(super) async fn run(mut self) {
        let hello = match timeout(INTRODUCTION, self.inbox.message()).await {
            Ok(Ok(Some(AgentMessage {
                message: Some(FromAgent::Hello(hello)),
            }))) => hello,
            Ok(Ok(_)) => {
                let fault = Fault::client("The first message of an agent must be a Hello.");
                self.refuse(&fault, RETRY).await;
                return;
            }
            Ok(Err(_)) | Err(_) => return,
        };
        let instance = hello.instance_id.clone();
        match self.receive(hello).await {
            Ok(mut guest) => {
                self.registry.instruments.begun.increment();
                tracing::Span::current().record("instance", display(guest.key.instance));
                tracing::Span::current().record("cluster", display(&guest.cluster));
                tracing::info!(%instance, cluster = %guest.cluster, "agent connected");
                let end = self.attend(&mut guest).await;
                self.registry.leave(guest.key, &guest.handle);
                tracing::info!(%instance, reason = end.reason(), "agent's stream ended");
                if let End::Refused(fault) = &end {
                    tracing::warn!(%instance, error = %fault, "agent refused");
                }
                if let End::LetGo = end
                    && let Err(error) = self
                        .outbox
                        .send_timeout(Err(Status::unavailable(LET_GO)), DELIVERY)
                        .await
                {
                    tracing::debug!(%instance, %error, "agent not told that it is let go");
                }
            }
            Err((fault, retry)) => {
                self.registry.instruments.refused.increment();
                tracing::warn!(%instance, error = %fault, "agent refused");
                self.refuse(&fault, retry).await;
            }
        }
    }

    async fn refuse(&self, fault: &Fault, retry: Duration) {
        let refusal = Refusal {
            fault: fault.class.name().to_owned(),
            message: fault.message.clone(),
            retry_after_ms: u32::try_from(retry.as_millis()).unwrap_or(u32::MAX),
        };
        // It ends here either way.
        if self.send(ToAgent::Refusal(refusal)).await.is_err() {
            tracing::debug!("refusal not delivered");
        }
    }

    /// Lets the agent in: its instance joins, what it says of its tasks is recorded, and it is welcomed.
    async fn receive(&self, hello: Hello) -> Result<Guest, (Fault, Duration)> {
        let soon = |fault| (fault, RETRY);
        let (cluster, instance) = self.identify(&hello).map_err(soon)?;
        let facts = wire::facts(hello.facts.unwrap_or_default()).map_err(soon)?;
        let member = Member {
            role: Role::Instance,
            cluster: cluster.clone(),
            id: instance,
        };
        self.admit(&member, &facts).map_err(|fault| (fault, RETRY_DENIED))?;
        let by: Principal = format!("agent {instance}").into();
        let connect = ConnectInstance {
            cluster: cluster.clone(),
            instance,
            facts: Arc::new(facts),
            leaving: hello.drain.and_then(wire::leaving),
            via: self.via,
        };
        let runs_something = hello
            .tasks
            .iter()
            .any(|task| task.last_status != TaskStatus::Stopped.name());
        let key = match self.engine.submit(connect, Principal::clone(&by)).await.map_err(soon)? {
            Reception::Welcome(key) => key,
            Reception::Deregistered(key) if runs_something => key,
            Reception::Deregistered(_) => {
                let fault = Fault::new(
                    FaultClass::InvalidParameter,
                    format!(
                        "Container instance {instance} is INACTIVE: it was deregistered. Remove the agent's state to join as a new instance."
                    ),
                );
                return Err((fault, RETRY_DEREGISTERED));
            }
        };
        let (sessions, asked) = mpsc::channel(ASKED);
        let handle = Handle {
            changes: Arc::new(Changes::default()),
            end: self.shutdown.child_token(),
            let_go: (hello.schedulers > 1).then(CancellationToken::new),
            sessions,
        };
        let guest = Guest {
            member,
            key,
            cluster,
            by,
            handle,
            sent: Sent::default(),
            sessions: asked,
        };
        self.registry.arrive(key, guest.handle.clone());
        let welcome = Welcome {
            container_instance_arn: self.namespace.instance(&guest.cluster, instance),
            heartbeat_interval_ms: u32::try_from(HEARTBEAT.as_millis()).unwrap_or(u32::MAX),
        };
        let introduced = async {
            self.send(ToAgent::Welcome(welcome)).await?;
            let ended = self.record(&guest, hello.tasks).await?;
            self.send(ToAgent::Recorded(ReportsRecorded {
                sequence: 0,
                ended_task_arns: ended,
            }))
            .await?;
            self.tell_authorities().await
        };
        if let Err(end) = introduced.await {
            self.registry.leave(key, &guest.handle);
            return Err((end.into_fault(), RETRY));
        }
        Ok(guest)
    }

    /// Whether the stream's other side speaks for the instance, and may say of it what it says.
    fn admit(&self, member: &Member, facts: &InstanceFacts) -> Result<(), Fault> {
        let state = self.engine.view();
        match self.door.admit(&state, member)? {
            Some(enrollment) => enrollment.check_claims(facts),
            None => Ok(()),
        }
    }

    async fn tell_authorities(&self) -> Result<(), End> {
        match self.door.authorities() {
            Some(authorities) => self.send(ToAgent::Authorities(authorities)).await,
            None => Ok(()),
        }
    }

    fn identify(&self, hello: &Hello) -> Result<(ClusterName, InstanceId), Fault> {
        if hello.cluster.is_empty() {
            return Err(Fault::invalid(
                "cluster must be given: an agent has no default cluster.",
            ));
        }
        let cluster = self.namespace.parse_cluster(Some(&hello.cluster))?;
        let instance = self.namespace.parse_instance(&cluster, &hello.instance_id)?;
        Ok((cluster, instance))
    }

    async fn attend(&mut self, guest: &mut Guest) -> End {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let let_go = guest.handle.let_go.clone().unwrap_or_default();
        let mut heard = Instant::now();
        let mut next_update = Some(Instant::now());
        let mut earliest = Instant::now();
        loop {
            let due = next_update.unwrap_or_else(|| Instant::now() + SILENCE);
            let step = tokio::select! {
                () = guest.handle.end.cancelled() => Err(End::Superseded),
                () = let_go.cancelled() => Err(End::LetGo),
                message = self.inbox.message() => match message {
                    Ok(Some(message)) => {
                        heard = Instant::now();
                        self.hear(guest, message).await
                    }
                    Ok(None) | Err(_) => Err(End::Closed),
                },
                Some(asked) = guest.sessions.recv() => self.send(ToAgent::OpenSession(asked)).await,
                () = guest.handle.changes.wake.notified() => {
                    next_update = next_update.or(Some(earliest));
                    Ok(())
                }
                () = sleep_until(due), if next_update.is_some() => {
                    next_update = None;
                    self.assign(guest).await.map(|tasks| earliest = Instant::now() + gather(tasks))
                }
                () = self.door.changed() => self.tell_authorities().await,
                _ = heartbeat.tick() => {
                    let admitted = self.door.admit(&self.engine.view(), &guest.member).map(drop);
                    if let Err(fault) = admitted {
                        // It ended, or an operator removed the member, while the stream was there.
                        Err(End::Refused(fault))
                    } else if heard.elapsed() > SILENCE {
                        Err(End::Silent)
                    } else {
                        self.send(ToAgent::Heartbeat(Heartbeat {})).await
                    }
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn hear(&self, guest: &Guest, message: AgentMessage) -> Result<(), End> {
        match message.message {
            Some(FromAgent::Reports(reports)) => {
                self.record(guest, reports.tasks).await?;
                self.send(ToAgent::Recorded(ReportsRecorded {
                    sequence: reports.sequence,
                    ended_task_arns: Vec::new(),
                }))
                .await
            }
            Some(FromAgent::StopProposal(proposal)) => self.consider(guest, proposal).await,
            Some(FromAgent::Usage(usage)) => {
                self.registry.put_usage(guest.key, usage);
                Ok(())
            }
            Some(FromAgent::Drain(notice)) => self.drain(guest, notice).await,
            Some(FromAgent::Protection(request)) => {
                let answer = self.protect(guest, request).await;
                self.send(ToAgent::Protection(answer)).await
            }
            Some(FromAgent::Conditions(conditions)) => {
                self.registry.put_conditions(guest.key, conditions);
                Ok(())
            }
            Some(FromAgent::Applied(applied)) => {
                tracing::debug!(instance = %guest.key.instance, version = applied.version, "assignments applied");
                Ok(())
            }
            // A second Hello says nothing that the first did not.
            Some(FromAgent::Heartbeat(_) | FromAgent::Hello(_)) | None => Ok(()),
        }
    }

    /// The agent's host leaves, or stays after all.
    async fn drain(&self, guest: &Guest, notice: DrainNotice) -> Result<(), End> {
        let leaving = wire::leaving(notice);
        tracing::info!(instance = %guest.key.instance, reason = leaving.as_deref(), "agent says whether its host leaves");
        let command = SetLeaving {
            key: guest.key,
            leaving,
        };
        let set = self.engine.submit(command, Principal::clone(&guest.by)).await;
        set.map_err(End::Refused)
    }

    /// Records the reports; gives the ARNs of the tasks whose end is durable now.
    async fn record(&self, guest: &Guest, tasks: Vec<TaskReport>) -> Result<Vec<String>, End> {
        let mut reports = Vec::with_capacity(tasks.len());
        let mut ended = Vec::new();
        for report in tasks {
            let arn = report.task_arn.clone();
            let stopped = report.last_status == TaskStatus::Stopped.name();
            let read = self
                .namespace
                .parse_task(&guest.cluster, &arn)
                .and_then(|task| Ok((task, wire::observation(report)?)));
            match read {
                Ok((task, observation)) => reports.push((task, Arc::new(observation))),
                // One report that cannot be read must not keep the others from being heard.
                Err(fault) => {
                    tracing::warn!(instance = %guest.key.instance, task = arn, error = %fault, "report ignored")
                }
            }
            if stopped {
                ended.push(arn);
            }
        }
        if !reports.is_empty() {
            let command = ReportTasks {
                instance: guest.key,
                reports,
            };
            let begun = Instant::now();
            self.engine
                .submit(command, Principal::clone(&guest.by))
                .await
                .map_err(End::Refused)?;
            self.registry.instruments.reports.observe(begun.elapsed());
        }
        Ok(ended)
    }

    /// Sends what the agent does not know; gives the number of tasks.
    async fn assign(&self, guest: &mut Guest) -> Result<usize, End> {
        // What is touched from here on is looked at the next time; the state has all that is touched already.
        let (touched, since) = guest.handle.changes.take();
        let state = self.engine.view();
        match guest.sent.update(&state, guest.key, &touched) {
            None => Ok(0),
            Some(update) => {
                let tasks = update.tasks.len();
                let message = assignments::message(&update, &guest.cluster, &self.namespace);
                self.send(ToAgent::Assignments(message)).await?;
                if let Some(since) = since {
                    self.registry.instruments.assignments.observe(since.elapsed());
                }
                Ok(tasks)
            }
        }
    }

    /// Confirms the stop of those proposed tasks that are none of this instance's.
    async fn consider(&self, guest: &Guest, proposal: StopProposal) -> Result<(), End> {
        let named = |arn: &String| self.namespace.parse_task(&guest.cluster, arn).ok();
        let command = ConsiderStops {
            instance: guest.key,
            tasks: proposal.task_arns.iter().filter_map(named).collect(),
        };
        let foreign = self.engine.submit(command, Principal::clone(&guest.by)).await;
        let foreign = foreign.map_err(End::Refused)?;
        let mut task_arns = proposal.task_arns;
        // What has no name that this cluster could have given is none of its tasks.
        task_arns.retain(|arn| named(arn).is_none_or(|task| foreign.contains(&task)));
        if task_arns.is_empty() {
            return Ok(());
        }
        tracing::info!(instance = %guest.key.instance, tasks = ?task_arns, "stop of unknown tasks confirmed");
        self.send(ToAgent::StopConfirmation(StopConfirmation { task_arns }))
            .await
    }

    /// Asks for or sets the protection of a task that the agent runs, in the task's name.
    async fn protect(&self, guest: &Guest, request: ProtectionRequest) -> ProtectionAnswer {
        let number = request.number;
        let answer = match self.protection(guest, request).await {
            Ok(answer) => answer,
            Err(fault) => Answer::Fault(wire::fault(&fault)),
        };
        ProtectionAnswer {
            number,
            answer: Some(answer),
        }
    }

    async fn protection(&self, guest: &Guest, request: ProtectionRequest) -> Result<Answer, Fault> {
        let task = self.namespace.parse_task(&guest.cluster, &request.task_arn)?;
        let InstanceKey { cluster, instance } = guest.key;
        let state = self.engine.view();
        let runs_it = state
            .task(TaskKey { cluster, task })
            .is_some_and(|task| task.instance == instance);
        if !runs_it {
            return Ok(Answer::Failure(describe::missing(request.task_arn)));
        }
        let protections = match request.enabled {
            None => protection::look(&state, cluster, &[task], clock::now()),
            Some(enabled) => {
                let command = SetProtection {
                    cluster: guest.cluster.clone(),
                    tasks: vec![task],
                    span: protection::span(enabled, request.expires_in_minutes)?,
                };
                self.engine.submit(command, Principal::clone(&guest.by)).await?
            }
        };
        let (mut protected, mut failures) = describe::protections(protections, &guest.cluster, &self.namespace);
        let answer = protected.pop().map(Answer::Protection);
        answer
            .or_else(|| failures.pop().map(Answer::Failure))
            .ok_or_else(|| Fault::server("The task is neither protected nor not."))
    }

    async fn send(&self, message: ToAgent) -> Result<(), End> {
        let message = SchedulerMessage { message: Some(message) };
        match self.outbox.send_timeout(Ok(message), DELIVERY).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(End::Closed),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(End::Stuck),
        }
    }
}

/// How long the next assignments wait after these.
fn gather(tasks: usize) -> Duration {
    let busy = GATHER_PER_TASK.saturating_mul(u32::try_from(tasks).unwrap_or(u32::MAX));
    GATHER.saturating_add(busy).min(LONGEST_GATHER)
}

impl End {
    fn reason(&self) -> &str {
        match self {
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::Stuck => "does not read",
            Self::Superseded => "superseded",
            Self::LetGo => "another scheduler is to have it",
            Self::Refused(_) => "refused",
        }
    }

    fn into_fault(self) -> Fault {
        let text = format!("The agent's stream is {}.", self.reason());
        if let Self::Refused(fault) = self {
            return fault;
        }
        Fault::client(text)
    }
}
