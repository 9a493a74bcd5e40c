//! `kill -9` at any moment: what was acknowledged is there after the next start.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_proto::ecs::v1 as ecs;
use berth_proto::ecs::v1::ecs_client::EcsClient;
use tonic::transport::{Channel, Endpoint};

const ROUNDS: u64 = 5;
const CLIENTS: usize = 4;

struct Scheduler {
    child: Child,
    address: SocketAddr,
}

impl Scheduler {
    fn start(data: &Path) -> Self {
        // A port that is chosen here might be another's by then: the scheduler says which it was given.
        let mut child = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"))
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .env("BERTH_LOG", "info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut said = Vec::new();
        let address = loop {
            let line = lines.next();
            assert!(line.is_some(), "the scheduler does not listen: {said:#?}");
            let line = line.unwrap();
            if let Some((_, address)) = line.split_once("serving address=") {
                break address.parse().unwrap();
            }
            said.push(line);
        };
        // What it says besides is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    async fn client(&self) -> EcsClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        EcsClient::new(endpoint.connect().await.unwrap())
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn definition(family: String) -> ecs::RegisterTaskDefinitionRequest {
    ecs::RegisterTaskDefinitionRequest {
        family: Some(family),
        container_definitions: vec![ecs::ContainerDefinition {
            name: Some("app".to_owned()),
            image: Some("busybox".to_owned()),
            memory: Some(16),
            ..ecs::ContainerDefinition::default()
        }],
        ..ecs::RegisterTaskDefinitionRequest::default()
    }
}

/// Writes until the scheduler is gone; gives the ARNs that were acknowledged.
async fn write(mut client: EcsClient<Channel>, round: u64, number: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for turn in 0.. {
        let arn = if turn % 3 == 0 {
            let request = ecs::CreateClusterRequest {
                cluster_name: Some(format!("c{round}-{number}-{turn}")),
                ..ecs::CreateClusterRequest::default()
            };
            let answer = client.create_cluster(request).await;
            answer.map(|answer| answer.into_inner().cluster.unwrap().cluster_arn)
        } else {
            let answer = client.register_task_definition(definition(format!("f{number}"))).await;
            answer.map(|answer| answer.into_inner().task_definition.unwrap().task_definition_arn)
        };
        match arn {
            Ok(arn) => acknowledged.push(arn.unwrap()),
            Err(_) => break,
        }
    }
    acknowledged
}

async fn everything(client: &mut EcsClient<Channel>) -> BTreeSet<String> {
    let mut arns = BTreeSet::new();
    let mut next_token = None;
    loop {
        let request = ecs::ListTaskDefinitionsRequest {
            next_token,
            ..ecs::ListTaskDefinitionsRequest::default()
        };
        let page = client.list_task_definitions(request).await.unwrap().into_inner();
        arns.extend(page.task_definition_arns);
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    loop {
        let request = ecs::ListClustersRequest {
            next_token,
            ..ecs::ListClustersRequest::default()
        };
        let page = client.list_clusters(request).await.unwrap().into_inner();
        arns.extend(page.cluster_arns);
        next_token = page.next_token;
        if next_token.is_none() {
            return arns;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_scheduler_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let scheduler = Scheduler::start(data.path());
        let kept = everything(&mut scheduler.client().await).await;
        let lost: Vec<_> = acknowledged.difference(&kept).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?}");

        let mut writers = Vec::new();
        for number in 0..CLIENTS {
            writers.push(tokio::spawn(write(scheduler.client().await, round, number)));
        }
        // Another moment in each round, somewhere in the stream of commits.
        tokio::time::sleep(Duration::from_millis(60 + 37 * round)).await;
        scheduler.kill();
        let before = acknowledged.len();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        assert!(acknowledged.len() > before, "round {round}: nothing was written");
    }
}
