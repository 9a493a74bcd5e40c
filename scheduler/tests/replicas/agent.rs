//! An agent without containers: keeps a stream to one scheduler after the other, and takes what it is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_proto::agent::v1::agent_link_client::AgentLinkClient;
use berth_proto::agent::v1::agent_message::Message as ToScheduler;
use berth_proto::agent::v1::scheduler_message::Message as FromScheduler;
use berth_proto::agent::v1::{AgentMessage, AssignmentsApplied, Heartbeat, Hello, HostFacts};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// By agent, the tasks that it was ever told to run.
pub(crate) type Given = Arc<Mutex<BTreeMap<usize, std::collections::BTreeSet<String>>>>;

/// Goes on until it is aborted.
pub(crate) async fn run(number: usize, memory_mib: u32, schedulers: Vec<String>, given: Given) {
    for nth in number.. {
        // Whatever ends the stream, the next scheduler is tried.
        attend(number, memory_mib, &schedulers[nth % schedulers.len()], &given)
            .await
            .unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn attend(number: usize, memory_mib: u32, url: &str, given: &Given) -> Option<()> {
    let channel = Endpoint::from_shared(url.to_owned()).unwrap();
    let channel = channel.connect_timeout(Duration::from_secs(2)).connect().await.ok()?;
    let (outbox, messages) = mpsc::channel(16);
    let say = async |message| outbox.send(AgentMessage { message: Some(message) }).await.ok();
    let hello = Hello {
        cluster: "default".to_owned(),
        instance_id: format!("{number:032x}"),
        facts: Some(HostFacts {
            cpu_units: 1 << 20,
            memory_mib,
            agent_version: "0.0.0".to_owned(),
            docker_version: "0.0.0".to_owned(),
            ..HostFacts::default()
        }),
        ..Hello::default()
    };
    say(ToScheduler::Hello(hello)).await?;
    let stream = AgentLinkClient::new(channel)
        .connect(ReceiverStream::new(messages))
        .await;
    let mut inbox = stream.ok()?.into_inner();
    let mut heartbeat = tokio::time::interval(Duration::from_secs(4));
    loop {
        tokio::select! {
            _ = heartbeat.tick() => say(ToScheduler::Heartbeat(Heartbeat {})).await?,
            message = inbox.message() => {
                let Some(FromScheduler::Assignments(set)) = message.ok()??.message else {
                    continue;
                };
                let tasks = set.assignments.into_iter().map(|assignment| assignment.task_arn);
                given.lock().unwrap().entry(number).or_default().extend(tasks);
                say(ToScheduler::Applied(AssignmentsApplied { version: set.results_in })).await?;
            }
        }
    }
}
