//! A gateway that runs in this process, and its scheduler.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_daemon::log::LogFormat;
use berth_gateway::config::Options;
use berth_proto::gateway::v1::gateway_link_server::{GatewayLink, GatewayLinkServer};
use berth_proto::gateway::v1::{
    Endpoint, Endpoints, GatewayMessage, Health, HealthCheck, Port, Protocol, SchedulerMessage, Service, Target,
    TargetGroup, TargetState, gateway_message, scheduler_message,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming};

/// Generous: only a failure waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// States that were reported, by task.
type Reports = BTreeMap<String, Vec<(TargetState, String)>>;

/// A gateway, and what its scheduler knows and is told.
pub(crate) struct Bed {
    services: watch::Sender<Vec<Service>>,
    reports: watch::Receiver<Reports>,
    stop: CancellationToken,
    gateway: Option<JoinHandle<anyhow::Result<()>>>,
    _scheduler: AbortOnDropHandle<()>,
    _state: TempDir,
}

impl Bed {
    /// Of these services.
    pub(crate) async fn new(services: &[Service]) -> Self {
        Self::with(services, |_| {}).await
    }

    /// With other options.
    pub(crate) async fn with(services: &[Service], change: impl FnOnce(&mut Options)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (services, table) = watch::channel(services.to_vec());
        let (reported, reports) = watch::channel(Reports::new());
        let scheduler = FakeScheduler {
            table,
            reported: Arc::new(reported),
        };
        let server = tonic::transport::Server::builder()
            .add_service(GatewayLinkServer::new(scheduler))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { server.await.unwrap() });
        let state = tempfile::tempdir().unwrap();
        let mut options = Options {
            join_token_file: None,
            schedulers: vec![tonic::transport::Endpoint::from_shared(url).unwrap()],
            cluster: "prod".to_owned(),
            state_dir: state.path().to_owned(),
            listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            idle_timeout: 20,
            drain_timeout: 10,
            max_connections: None,
            dns_listen: None,
            http_listen: None,
            otlp_endpoint: None,
            log_format: LogFormat::Text,
        };
        change(&mut options);
        let stop = CancellationToken::new();
        let gateway = tokio::spawn(berth_gateway::serve(options, stop.clone()));
        Self {
            services,
            reports,
            stop,
            gateway: Some(gateway),
            _scheduler: AbortOnDropHandle::new(server),
            _state: state,
        }
    }

    /// From now on the scheduler says this.
    pub(crate) fn say(&self, services: &[Service]) {
        self.services.send_replace(services.to_vec());
    }

    /// Waits until the last report of a task is this state; gives the reason.
    pub(crate) async fn reported(&mut self, task: &str, state: TargetState) -> String {
        let last = |reports: &Reports| {
            let (last, reason) = reports.get(task)?.last()?;
            (*last == state).then(|| reason.clone())
        };
        let waited = self.reports.wait_for(|reports| last(reports).is_some());
        let waited = tokio::time::timeout(DEADLINE, waited).await;
        let said = waited.map(|reports| last(&reports.unwrap()).unwrap());
        match said {
            Ok(reason) => reason,
            Err(_) => panic!("{task} never {state:?}: {:?}", self.reports.borrow()),
        }
    }

    /// All states that were reported of a task, in turn.
    pub(crate) fn history(&self, task: &str) -> Vec<TargetState> {
        let reports = self.reports.borrow();
        let of = reports.get(task).into_iter().flatten();
        of.map(|(state, _)| *state).collect()
    }

    /// As SIGTERM does.
    pub(crate) fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// As SIGTERM does; ends with the gateway.
    pub(crate) async fn stop(&mut self) {
        self.begin_to_stop();
        let gateway = self.gateway.take().unwrap();
        tokio::time::timeout(DEADLINE, gateway).await.unwrap().unwrap().unwrap();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(gateway) = &self.gateway {
            gateway.abort();
        }
    }
}

#[derive(Clone)]
struct FakeScheduler {
    table: watch::Receiver<Vec<Service>>,
    reported: Arc<watch::Sender<Reports>>,
}

#[tonic::async_trait]
impl GatewayLink for FakeScheduler {
    type ConnectStream = ReceiverStream<Result<SchedulerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<GatewayMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (outbound, messages) = mpsc::channel(16);
        let mut inbound = request.into_inner();
        let mut table = self.table.clone();
        let reported = Arc::clone(&self.reported);
        tokio::spawn(async move {
            let mut version = 0;
            loop {
                version += 1;
                let message = endpoints(version, table.borrow_and_update().clone());
                if outbound.send(Ok(message)).await.is_err() {
                    return;
                }
                loop {
                    tokio::select! {
                        changed = table.changed() => match changed {
                            Ok(()) => break,
                            Err(_) => return,
                        },
                        message = inbound.message() => match message {
                            Ok(Some(GatewayMessage {
                                message: Some(gateway_message::Message::Goodbye(_)),
                            })) => return,
                            Ok(Some(message)) => note(&reported, message),
                            Ok(None) | Err(_) => return,
                        },
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

/// What the scheduler says. Tasks that name no target group are in all of their service.
fn endpoints(version: u64, mut services: Vec<Service>) -> SchedulerMessage {
    for service in &mut services {
        let unnamed = service.endpoints.iter_mut().filter(|one| one.targets.is_empty());
        for endpoint in unnamed {
            let target = |group: &TargetGroup| Target {
                target_group: group.arn.clone(),
                host_port: endpoint.ports[0].host_port,
            };
            endpoint.targets = service.target_groups.iter().map(target).collect();
        }
    }
    let endpoints = Endpoints {
        complete: true,
        version,
        services,
        gone: Vec::new(),
    };
    SchedulerMessage {
        message: Some(scheduler_message::Message::Endpoints(endpoints)),
    }
}

fn note(reported: &watch::Sender<Reports>, message: GatewayMessage) {
    let Some(gateway_message::Message::Reports(news)) = message.message else {
        return;
    };
    reported.send_modify(|reports| {
        for one in news.targets {
            let entry = (one.state(), one.reason);
            let history = reports.entry(one.task).or_default();
            // All of it is told again after each complete message.
            if history.last() != Some(&entry) {
                history.push(entry);
            }
        }
    });
}

static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());

/// A port of 127.0.0.1 that nobody listens on, and that no other test is given.
pub(crate) fn free_port() -> u16 {
    loop {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut given = GIVEN.lock().unwrap();
        if !given.contains(&port) {
            given.push(port);
            return port;
        }
    }
}

/// A service `web` whose tasks are reached at these ports of 127.0.0.1; healthy as the scheduler knows.
pub(crate) fn web(protocol: Protocol, listener_port: u16, ports: &[u16]) -> Service {
    Service {
        name: "web".to_owned(),
        arn: "arn:service/web".to_owned(),
        target_groups: vec![TargetGroup {
            arn: format!("arn:group/{listener_port}"),
            protocol: protocol.into(),
            listener_port: u32::from(listener_port),
            health_check: Some(HealthCheck {
                path: String::new(),
                interval_seconds: 1,
                timeout_seconds: 1,
                healthy_threshold: 2,
                unhealthy_threshold: 2,
            }),
            deregistration_delay_seconds: 30,
        }],
        endpoints: ports.iter().map(|port| task(*port)).collect(),
        shares: Vec::new(),
    }
}

/// The task at this port of 127.0.0.1, known to be healthy.
pub(crate) fn task(host_port: u16) -> Endpoint {
    Endpoint {
        task: task_arn(host_port),
        deployment: "one".to_owned(),
        instance: "arn:instance".to_owned(),
        address: "127.0.0.1".to_owned(),
        availability_zone: String::new(),
        ports: vec![Port {
            container_name: "app".to_owned(),
            container_port: 80,
            host_port: u32::from(host_port),
            protocol: "tcp".to_owned(),
            name: String::new(),
        }],
        health: Health::Healthy.into(),
        deregister_by: None,
        targets: Vec::new(),
    }
}

pub(crate) fn task_arn(host_port: u16) -> String {
    format!("arn:task/{host_port}")
}

/// So many seconds from now, since the epoch.
pub(crate) fn in_seconds(seconds: f64) -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() + seconds
}
