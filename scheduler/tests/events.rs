//! Events over `kill -9`: who says how far it was is told the rest, on every wire, without a gap and without a repeat.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_proto::ecs::v1 as ecs;
use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_proto::v1::WatchRequest;
use berth_proto::v1::berth_client::BerthClient;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

const ROUNDS: u64 = 4;

struct Scheduler {
    child: Child,
    address: SocketAddr,
}

impl Scheduler {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"))
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .arg("--events-file")
            .arg(data.join("events.jsonl"))
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

    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What a reader was told, over all rounds.
#[derive(Debug, Default)]
struct Reader {
    events: Vec<String>,
    after: Option<String>,
}

impl Reader {
    /// Reads gRPC's stream until it breaks.
    async fn watch(mut self, channel: Channel) -> Self {
        let request = WatchRequest {
            from: self.after.is_none().then_some(0),
            after: self.after.clone(),
            ..WatchRequest::default()
        };
        let mut stream = BerthClient::new(channel).watch(request).await.unwrap().into_inner();
        while let Ok(Some(message)) = stream.message().await {
            self.events.extend(message.events.into_iter().map(|event| event.json));
            self.after = Some(message.position);
        }
        self
    }

    /// Reads server-sent events until the connection breaks.
    async fn listen(mut self, address: SocketAddr) -> Self {
        let resume = match &self.after {
            Some(after) => format!("Last-Event-ID: {after}\r\n"),
            None => String::new(),
        };
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /events?from=0 HTTP/1.1\r\nHost: x\r\n{resume}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = tokio::io::BufReader::new(stream).lines();
        let (mut id, mut data) = (None, None);
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(last) = line.strip_prefix("id: ") {
                id = Some(last.to_owned());
            } else if let Some(event) = line.strip_prefix("data: ") {
                data = Some(event.to_owned());
            } else if line.is_empty() {
                // As a browser does: an event counts once it has come to its end.
                self.events.extend(data.take());
                self.after = id.take().or(self.after);
            }
        }
        self
    }
}

/// Starts tasks that wait for room and stops them, until the scheduler is gone.
async fn write(mut client: EcsClient<Channel>) {
    loop {
        let request = ecs::RunTaskRequest {
            task_definition: Some("web".to_owned()),
            count: Some(3),
            tags: vec![ecs::Tag {
                key: Some("berth:queue".to_owned()),
                value: Some("10m".to_owned()),
            }],
            ..ecs::RunTaskRequest::default()
        };
        let Ok(answer) = client.run_task(request).await else {
            return;
        };
        for task in answer.into_inner().tasks {
            let request = ecs::StopTaskRequest {
                task: task.task_arn,
                ..ecs::StopTaskRequest::default()
            };
            if client.stop_task(request).await.is_err() {
                return;
            }
        }
    }
}

async fn prepare(mut client: EcsClient<Channel>) {
    client
        .create_cluster(ecs::CreateClusterRequest::default())
        .await
        .unwrap();
    let definition = ecs::RegisterTaskDefinitionRequest {
        family: Some("web".to_owned()),
        container_definitions: vec![ecs::ContainerDefinition {
            name: Some("app".to_owned()),
            image: Some("busybox".to_owned()),
            memory: Some(16),
            ..ecs::ContainerDefinition::default()
        }],
        ..ecs::RegisterTaskDefinitionRequest::default()
    };
    client.register_task_definition(definition).await.unwrap();
}

/// All events of the journal, as a new reader is told them.
async fn all(scheduler: &Scheduler) -> Vec<String> {
    let request = WatchRequest {
        from: Some(1),
        ..WatchRequest::default()
    };
    let mut client = BerthClient::new(scheduler.channel().await);
    let mut stream = client.watch(request).await.unwrap().into_inner();
    let mut events = Vec::new();
    loop {
        let message = stream.message().await.unwrap().unwrap();
        events.extend(message.events.into_iter().map(|event| event.json));
        if message.revision >= message.head {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_out_and_nothing_told_twice_when_the_scheduler_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let (mut grpc, mut http) = (Reader::default(), Reader::default());
    for round in 0..ROUNDS {
        let scheduler = Scheduler::start(data.path());
        let client = EcsClient::new(scheduler.channel().await);
        if round == 0 {
            prepare(client.clone()).await;
        }
        let before = (grpc.events.len(), http.events.len());
        let by_grpc = tokio::spawn(grpc.watch(scheduler.channel().await));
        let by_http = tokio::spawn(http.listen(scheduler.address));
        let writer = tokio::spawn(write(client));
        // Another moment in each round, somewhere in the stream.
        tokio::time::sleep(Duration::from_millis(500 + 37 * round)).await;
        scheduler.kill();
        writer.await.unwrap();
        (grpc, http) = (by_grpc.await.unwrap(), by_http.await.unwrap());
        assert!(
            grpc.events.len() > before.0,
            "round {round}: nothing was told over gRPC"
        );
        assert!(
            http.events.len() > before.1,
            "round {round}: nothing was told over HTTP"
        );
    }

    let scheduler = Scheduler::start(data.path());
    let all = all(&scheduler).await;
    let distinct: BTreeSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    for (wire, told) in [("gRPC", &grpc.events), ("HTTP", &http.events)] {
        assert!(all.starts_with(told), "{wire}: {} of {}", told.len(), all.len());
    }

    let path = data.path().join("events.jsonl");
    let lines = || -> Vec<String> {
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while lines().last() != all.last() {
        assert!(
            std::time::Instant::now() < deadline,
            "{} of {}",
            lines().len(),
            all.len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(lines(), all, "the file has each event once");
    scheduler.kill();
}
