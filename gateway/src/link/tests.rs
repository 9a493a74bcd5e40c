use berth_proto::gateway::v1::gateway_link_server::{GatewayLink, GatewayLinkServer};
use berth_proto::gateway::v1::{Protocol, TargetState};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};

use super::*;
use crate::endpoints::tests::service;
use crate::report::{TargetId, TargetState as State};

/// Generous: only a failure waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

/// One gateway's stream, as its scheduler sees it.
struct Peer {
    inbound: Streaming<GatewayMessage>,
    outbound: mpsc::Sender<Result<SchedulerMessage, Status>>,
}

struct FakeScheduler(mpsc::Sender<Peer>);

#[tonic::async_trait]
impl GatewayLink for FakeScheduler {
    type ConnectStream = ReceiverStream<Result<SchedulerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<GatewayMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (outbound, messages) = mpsc::channel(16);
        let inbound = request.into_inner();
        let accepted = self.0.send(Peer { inbound, outbound }).await;
        accepted.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

impl Peer {
    async fn tell(&self, complete: bool, version: u64, names: &[&str]) {
        let of = |name: &&str| service(name, Protocol::Http, 8080, &[9000]);
        let endpoints = Endpoints {
            complete,
            version,
            services: names.iter().map(of).collect(),
            gone: Vec::new(),
        };
        let message = Some(scheduler_message::Message::Endpoints(endpoints));
        self.outbound.send(Ok(SchedulerMessage { message })).await.unwrap();
    }

    /// The next message that is neither a heartbeat nor of what goes to targets.
    async fn hear(&mut self) -> gateway_message::Message {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.inbound.message()).await;
            let message = message.unwrap().unwrap().unwrap().message.unwrap();
            let is_periodic = matches!(
                message,
                gateway_message::Message::Heartbeat(_) | gateway_message::Message::Load(_)
            );
            if !is_periodic {
                return message;
            }
        }
    }

    async fn hear_load(&mut self) -> Vec<(String, u32, u64)> {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.inbound.message()).await;
            let message = message.unwrap().unwrap().unwrap().message.unwrap();
            if let gateway_message::Message::Load(report) = message {
                let of =
                    |group: berth_proto::gateway::v1::TargetGroupLoad| (group.target_group, group.open, group.requests);
                return report.groups.into_iter().map(of).collect();
            }
        }
    }

    async fn hear_reports(&mut self) -> Vec<(String, TargetState)> {
        let message = self.hear().await;
        let gateway_message::Message::Reports(reports) = message else {
            panic!("{message:?}")
        };
        let of = |one: &berth_proto::gateway::v1::TargetReport| (one.task.clone(), one.state());
        reports.targets.iter().map(of).collect()
    }
}

/// A gateway's link, its scheduler, and what both share.
struct Bed {
    peers: mpsc::Receiver<Peer>,
    tables: watch::Receiver<Arc<Table>>,
    states: watch::Sender<Arc<States>>,
    loads: watch::Sender<Arc<Loads>>,
    stop: CancellationToken,
    _running: [AbortOnDropHandle<()>; 2],
}

impl Bed {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (accepted, peers) = mpsc::channel(4);
        let server = tonic::transport::Server::builder()
            .add_service(GatewayLinkServer::new(FakeScheduler(accepted)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let (table, tables) = watch::channel(Arc::new(Table::default()));
        let (loads, loads_of_link) = watch::channel(Arc::new(Loads::new()));
        let (states, of_link) = watch::channel(Arc::new(States::new()));
        let link = Link {
            membership: None,
            schedulers: vec![Endpoint::from_shared(url).unwrap()],
            cluster: "prod".to_owned(),
            gateway_id: "0123456789abcdef0123456789abcdef".to_owned(),
            table,
            states: of_link,
            loads: loads_of_link,
        };
        let server = tokio::spawn(async move { server.await.unwrap() });
        let stop = CancellationToken::new();
        let link = tokio::spawn(link.run(stop.clone()));
        Self {
            peers,
            tables,
            states,
            loads,
            stop,
            _running: [AbortOnDropHandle::new(server), AbortOnDropHandle::new(link)],
        }
    }

    /// The next stream, and that it begins with who the gateway is.
    async fn stream(&mut self) -> Peer {
        let mut peer = tokio::time::timeout(DEADLINE, self.peers.recv())
            .await
            .unwrap()
            .unwrap();
        let message = peer.hear().await;
        let gateway_message::Message::Hello(hello) = message else {
            panic!("{message:?}")
        };
        assert_eq!(hello.cluster, "prod");
        assert_eq!(hello.gateway_id, "0123456789abcdef0123456789abcdef");
        peer
    }

    async fn knows(&mut self, names: &[&str]) {
        let known = |table: &Arc<Table>| table.services.keys().map(AsRef::as_ref).eq(names.iter().copied());
        let reached = tokio::time::timeout(DEADLINE, self.tables.wait_for(known)).await;
        assert!(reached.is_ok(), "never knew {names:?}");
    }

    fn set(&self, targets: &[(&str, State)]) {
        let of = |(task, state): &(&str, State)| {
            let id = TargetId {
                group: "g".into(),
                task: (*task).into(),
            };
            (id, state.clone())
        };
        self.states.send_replace(Arc::new(targets.iter().map(of).collect()));
    }
}

#[tokio::test]
async fn what_the_scheduler_says_is_known_and_what_changes_is_told_once() {
    let mut bed = Bed::new().await;
    let mut peer = bed.stream().await;
    bed.set(&[("a", State::Initial), ("b", State::Healthy)]);
    peer.tell(true, 1, &["web"]).await;
    let all = [
        ("a".to_owned(), TargetState::Initial),
        ("b".to_owned(), TargetState::Healthy),
    ];
    assert_eq!(peer.hear_reports().await, all);
    bed.knows(&["web"]).await;
    peer.tell(false, 2, &["api"]).await;
    bed.knows(&["api", "web"]).await;
    bed.set(&[("a", State::Healthy), ("b", State::Healthy)]);
    assert_eq!(peer.hear_reports().await, [("a".to_owned(), TargetState::Healthy)]);
}

#[tokio::test]
async fn what_is_known_stays_while_the_scheduler_is_away_and_all_is_told_to_the_next() {
    let mut bed = Bed::new().await;
    bed.set(&[("a", State::Healthy)]);
    let mut first = bed.stream().await;
    first.tell(true, 9, &["web"]).await;
    assert_eq!(first.hear_reports().await.len(), 1);
    drop(first);
    let mut second = bed.stream().await;
    bed.knows(&["web"]).await;
    second.tell(true, 1, &["api"]).await;
    assert_eq!(second.hear_reports().await, [("a".to_owned(), TargetState::Healthy)]);
    bed.knows(&["api"]).await;
}

#[tokio::test]
async fn a_stream_that_begins_with_changes_is_ended() {
    let mut bed = Bed::new().await;
    bed.stream().await.tell(false, 1, &["web"]).await;
    let second = bed.stream().await;
    assert!(bed.tables.borrow().services.is_empty());
    second.tell(true, 1, &["web"]).await;
    bed.knows(&["web"]).await;
}

#[tokio::test]
async fn what_goes_to_targets_is_told_to_each_scheduler() {
    let mut bed = Bed::new().await;
    let load = report::Load { open: 3, requests: 14 };
    bed.loads.send_replace(Arc::new(Loads::from([("g".into(), load)])));
    for _ in 0..2 {
        let mut peer = bed.stream().await;
        peer.tell(true, 1, &["web"]).await;
        assert_eq!(peer.hear_load().await, [("g".to_owned(), 3, 14)]);
    }
}

#[tokio::test]
async fn a_gateway_that_stops_says_goodbye_and_nothing_after_that() {
    let mut bed = Bed::new().await;
    let mut peer = bed.stream().await;
    peer.tell(true, 1, &["a"]).await;
    bed.knows(&["a"]).await;
    bed.stop.cancel();
    let message = peer.hear().await;
    assert!(matches!(message, gateway_message::Message::Goodbye(_)), "{message:?}");
    drop(peer.outbound);
    let after = tokio::time::timeout(DEADLINE, peer.inbound.message()).await.unwrap();
    assert!(!matches!(after, Ok(Some(_))), "{after:?}");
    let again = tokio::time::timeout(Duration::from_millis(300), bed.peers.recv()).await;
    assert!(again.is_err(), "it comes back");
}
