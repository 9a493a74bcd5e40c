//! An agent without containers: keeps a stream to one scheduler after the other, takes what it is given, and says that it
//! runs it where it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_proto::agent::v1::agent_link_client::AgentLinkClient;
use berth_proto::agent::v1::agent_message::Message as ToScheduler;
use berth_proto::agent::v1::scheduler_message::Message as FromScheduler;
use berth_proto::agent::v1::{
    AgentMessage, Assignment, AssignmentsApplied, ContainerReport, ContainerUsage, Heartbeat, Hello, HostFacts,
    TaskReport, TaskReports, Usage,
};
use berth_proto::ecs::v1::NetworkBinding;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// By agent, the tasks that it was ever told to run.
pub(crate) type Given = Arc<Mutex<BTreeMap<usize, BTreeSet<String>>>>;
/// By agent, where its stream is: the place of the scheduler in its list. None while it has none.
pub(crate) type Places = Arc<Mutex<BTreeMap<usize, usize>>>;

pub(crate) struct Agent {
    pub(crate) number: usize,
    pub(crate) memory_mib: u32,
    /// Tried in turn, from the one on that its number says.
    pub(crate) schedulers: Vec<String>,
    pub(crate) given: Given,
    pub(crate) places: Places,
    /// What each container uses, in CPU units; where this is absent none is ever started.
    pub(crate) cpu_units: Option<Arc<AtomicU32>>,
    /// The report of each task that it runs.
    pub(crate) tasks: BTreeMap<String, TaskReport>,
}

impl Agent {
    /// One that only takes what it is given.
    pub(crate) fn new(number: usize, memory_mib: u32, schedulers: Vec<String>) -> Self {
        Self {
            number,
            memory_mib,
            schedulers,
            given: Given::default(),
            places: Places::default(),
            cpu_units: None,
            tasks: BTreeMap::new(),
        }
    }

    /// Goes on until it is aborted.
    pub(crate) async fn run(mut self) {
        let schedulers = self.schedulers.clone();
        for nth in self.number.. {
            // Whatever ends the stream, the next scheduler is tried.
            let place = nth % schedulers.len();
            self.attend(place, &schedulers[place]).await.unwrap_or_default();
            self.places.lock().unwrap().remove(&self.number);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn attend(&mut self, place: usize, url: &str) -> Option<()> {
        let channel = Endpoint::from_shared(url.to_owned()).unwrap();
        let channel = channel.connect_timeout(Duration::from_secs(2)).connect().await.ok()?;
        let (outbox, messages) = mpsc::channel(16);
        let say = async |message| outbox.send(AgentMessage { message: Some(message) }).await.ok();
        say(ToScheduler::Hello(self.hello())).await?;
        let stream = AgentLinkClient::new(channel)
            .connect(ReceiverStream::new(messages))
            .await;
        let mut inbox = stream.ok()?.into_inner();
        let mut heartbeat = tokio::time::interval(Duration::from_secs(4));
        let mut usage = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = heartbeat.tick() => say(ToScheduler::Heartbeat(Heartbeat {})).await?,
                _ = usage.tick() => {
                    if let Some(usage) = self.usage() {
                        say(ToScheduler::Usage(usage)).await?;
                    }
                }
                message = inbox.message() => match message.ok()??.message {
                    Some(FromScheduler::Welcome(_)) => {
                        self.places.lock().unwrap().insert(self.number, place);
                    }
                    Some(FromScheduler::Assignments(set)) => {
                        let reports = self.take(set.assignments);
                        say(ToScheduler::Applied(AssignmentsApplied { version: set.results_in })).await?;
                        if let Some(reports) = reports {
                            say(ToScheduler::Reports(reports)).await?;
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            cluster: "default".to_owned(),
            instance_id: format!("{:032x}", self.number),
            facts: Some(HostFacts {
                cpu_units: 1 << 20,
                memory_mib: self.memory_mib,
                agent_version: "0.0.0".to_owned(),
                docker_version: "0.0.0".to_owned(),
                address: format!("10.0.0.{}", self.number + 1),
                ..HostFacts::default()
            }),
            tasks: self.tasks.values().cloned().collect(),
            schedulers: u32::try_from(self.schedulers.len()).unwrap(),
            ..Hello::default()
        }
    }

    /// Takes in what it must run; says what has become of that, where it does anything.
    fn take(&mut self, assignments: Vec<Assignment>) -> Option<TaskReports> {
        let arns = assignments.iter().map(|assignment| assignment.task_arn.clone());
        self.given.lock().unwrap().entry(self.number).or_default().extend(arns);
        self.cpu_units.as_ref()?;
        let mut reports = Vec::new();
        for assignment in assignments {
            let stops = assignment.desired_status == "STOPPED";
            let host_port = 20_000 + u32::try_from(self.tasks.len()).unwrap();
            let status = if stops { "STOPPED" } else { "RUNNING" };
            let known = self.tasks.entry(assignment.task_arn.clone());
            let report = known.or_insert_with(|| TaskReport {
                task_arn: assignment.task_arn,
                containers: vec![ContainerReport {
                    name: "app".to_owned(),
                    network_bindings: vec![NetworkBinding {
                        bind_ip: Some("0.0.0.0".to_owned()),
                        container_port: Some(8080),
                        host_port: i32::try_from(host_port).ok(),
                        protocol: Some("tcp".to_owned()),
                        ..NetworkBinding::default()
                    }],
                    ..ContainerReport::default()
                }],
                // Long ago: nobody waits for what it uses.
                started_at: Some(1000.0),
                ..TaskReport::default()
            });
            if report.last_status == status {
                continue;
            }
            status.clone_into(&mut report.last_status);
            for container in &mut report.containers {
                status.clone_into(&mut container.last_status);
                container.exit_code = stops.then_some(0);
            }
            reports.push(report.clone());
        }
        Some(TaskReports {
            sequence: 1,
            tasks: reports,
        })
    }

    fn usage(&self) -> Option<Usage> {
        let cpu_units = f64::from(self.cpu_units.as_ref()?.load(Ordering::Relaxed));
        let running = self.tasks.values().filter(|task| task.last_status == "RUNNING");
        let container = |task: &TaskReport| ContainerUsage {
            task_id: task.task_arn.rsplit('/').next().unwrap().to_owned(),
            name: "app".to_owned(),
            cpu_units: Some(cpu_units),
            memory_bytes: 1 << 20,
            ..ContainerUsage::default()
        };
        Some(Usage {
            cpu_units: 1 << 20,
            containers: running.map(container).collect(),
            interval_ms: 1000,
            ..Usage::default()
        })
    }
}
