//! A scheduler process that speaks TLS, and who dials it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use berth_model::id::InstanceId;
use berth_model::name::ClusterName;
use berth_proto::agent::v1::agent_link_client::AgentLinkClient;
use berth_proto::agent::v1::agent_message::Message as ToScheduler;
use berth_proto::agent::v1::scheduler_message::Message as FromScheduler;
use berth_proto::agent::v1::{AgentMessage, Hello, HostAttribute, HostFacts, SchedulerMessage};
use berth_proto::ecs::v1::CreateClusterRequest;
use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_proto::v1::trust_client::TrustClient;
use berth_proto::v1::{CreateJoinTokenRequest, CreateJoinTokenResponse};
use berth_tls::{Client, Membership, connect, files};
use berth_trust::{Member, Role};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Scheduler {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) data: PathBuf,
    log: Arc<Mutex<String>>,
}

impl Scheduler {
    /// On a loopback address, with TLS all the same; calls are asked who makes them or not.
    pub(crate) async fn start(data: &Path, auth: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--tls",
                "always",
                "--auth",
                auth,
                "--data-dir",
            ])
            .arg(data)
            .env("BERTH_LOG", "debug")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| kept.lock().unwrap().push_str(&(line + "\n")));
        });
        let deadline = Instant::now() + PATIENCE;
        let address = loop {
            let said = log.lock().unwrap().clone();
            let serving = said.lines().find_map(|line| line.split_once("serving address="));
            if let Some((_, address)) = serving {
                break address.trim().parse().unwrap();
            }
            assert!(Instant::now() < deadline, "it does not serve: {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        Self {
            child,
            address,
            data: data.to_owned(),
            log,
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("https://{}", self.address)).unwrap()
    }

    /// Whoever trusts the cluster's authority and shows nothing.
    pub(crate) async fn anonymous(&self) -> Channel {
        let authorities = std::fs::read_to_string(self.data.join("ca.pem")).unwrap();
        let client = Client::trusting(&files::certificates(&authorities).unwrap(), None).unwrap();
        connect(&self.endpoint(), Some(&client), PATIENCE).await.unwrap()
    }

    pub(crate) async fn create_cluster(&self) {
        let request = CreateClusterRequest {
            cluster_name: Some("prod".to_owned()),
            ..CreateClusterRequest::default()
        };
        EcsClient::new(self.anonymous().await)
            .create_cluster(request)
            .await
            .unwrap();
    }

    pub(crate) async fn token(&self, request: CreateJoinTokenRequest) -> CreateJoinTokenResponse {
        let request = CreateJoinTokenRequest {
            cluster: Some("prod".to_owned()),
            ..request
        };
        let mut client = TrustClient::new(self.anonymous().await);
        client.create_join_token(request).await.unwrap().into_inner()
    }

    /// `berth-scheduler ca ...` on its files.
    pub(crate) fn ca(&self, what: &str) -> String {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"))
            .args(["ca", what, "--data-dir"])
            .arg(&self.data)
            .output()
            .unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    pub(crate) fn said(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log has all of these words in one line.
    pub(crate) async fn says(&self, words: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.said();
            if said.lines().any(|line| words.iter().all(|word| line.contains(word))) {
                return;
            }
            assert!(Instant::now() < deadline, "the log has no line with {words:?}: {said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub(crate) fn instance(bits: u128) -> Member {
    Member {
        role: Role::Instance,
        cluster: ClusterName::parse("prod").unwrap(),
        id: InstanceId::from_bits(bits),
    }
}

/// A host's certificate in a directory of its own.
pub(crate) fn membership(directory: &Path, member: &Member, token: Option<&str>) -> Membership {
    let token = token.map(|token| token.parse().unwrap());
    Membership::open(&directory.join(member.id.to_string()), member.clone(), token).unwrap()
}

/// An agent's stream.
pub(crate) struct Stream {
    pub(crate) inbox: Streaming<SchedulerMessage>,
    outbox: mpsc::Sender<AgentMessage>,
}

impl Stream {
    /// Opens a stream and says that it is the instance.
    pub(crate) async fn open(channel: Channel, instance: &Member, attributes: &[(&str, &str)]) -> Self {
        let (outbox, messages) = mpsc::channel(4);
        let attribute = |(name, value): &(&str, &str)| HostAttribute {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
        };
        let hello = Hello {
            cluster: "prod".to_owned(),
            instance_id: instance.id.to_string(),
            facts: Some(HostFacts {
                cpu_units: 1024,
                memory_mib: 1024,
                attributes: attributes.iter().map(attribute).collect(),
                ..HostFacts::default()
            }),
            ..Hello::default()
        };
        let message = Some(ToScheduler::Hello(hello));
        outbox.send(AgentMessage { message }).await.unwrap();
        let request = Request::new(ReceiverStream::new(messages));
        let answer = AgentLinkClient::new(channel).connect(request).await.unwrap();
        Self {
            inbox: answer.into_inner(),
            outbox,
        }
    }

    /// The next message; nothing where the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<FromScheduler> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.inbox.message()).await.unwrap();
            match message.ok().flatten()?.message {
                Some(FromScheduler::Heartbeat(_)) => {
                    let message = Some(ToScheduler::Heartbeat(berth_proto::agent::v1::Heartbeat {}));
                    let _ended = self.outbox.send(AgentMessage { message }).await;
                }
                Some(message) => return Some(message),
                None => {}
            }
        }
    }

    pub(crate) async fn is_welcome(&mut self) {
        let first = self.next().await;
        assert!(matches!(first, Some(FromScheduler::Welcome(_))), "{first:?}");
    }

    /// Waits for the message, whatever comes before it.
    pub(crate) async fn until<T>(&mut self, wanted: impl Fn(FromScheduler) -> Option<T>) -> T {
        loop {
            let message = self.next().await.expect("the stream goes on");
            if let Some(found) = wanted(message) {
                return found;
            }
        }
    }

    pub(crate) async fn is_refused(&mut self, says: &str) {
        match self.next().await {
            Some(FromScheduler::Refusal(refusal)) => {
                assert_eq!(refusal.fault, "AccessDeniedException");
                assert!(refusal.message.contains(says), "{}", refusal.message);
            }
            other => panic!("{other:?}"),
        }
    }
}
