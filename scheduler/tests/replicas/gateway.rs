//! A gateway without listeners: all that it is told of is healthy, and what leaves has connections for as long as is said.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_proto::gateway::v1::gateway_link_client::GatewayLinkClient;
use berth_proto::gateway::v1::gateway_message::Message as ToScheduler;
use berth_proto::gateway::v1::scheduler_message::Message as FromScheduler;
use berth_proto::gateway::v1::{
    GatewayMessage, Heartbeat, Hello, LoadReport, Service, TargetReport, TargetReports, TargetState,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

pub(crate) struct Gateway {
    pub(crate) number: usize,
    pub(crate) scheduler: String,
    /// Whether targets that leave have connections.
    pub(crate) holds: Arc<AtomicBool>,
}

impl Gateway {
    /// Goes on until it is aborted.
    pub(crate) async fn run(self) {
        loop {
            self.attend().await.unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn attend(&self) -> Option<()> {
        let channel = Endpoint::from_shared(self.scheduler.clone()).unwrap();
        let channel = channel.connect_timeout(Duration::from_secs(2)).connect().await.ok()?;
        let (outbox, messages) = mpsc::channel(16);
        let say = async |message| outbox.send(GatewayMessage { message: Some(message) }).await.ok();
        let hello = Hello {
            cluster: "default".to_owned(),
            gateway_id: format!("{:032x}", self.number),
            version: "0.0.0".to_owned(),
            schedulers: 1,
        };
        say(ToScheduler::Hello(hello)).await?;
        let stream = GatewayLinkClient::new(channel)
            .connect(ReceiverStream::new(messages))
            .await;
        let mut inbox = stream.ok()?.into_inner();
        let mut heartbeat = tokio::time::interval(Duration::from_secs(4));
        let mut look = tokio::time::interval(Duration::from_millis(100));
        let mut services = BTreeMap::<String, Service>::new();
        let mut told = Vec::new();
        loop {
            tokio::select! {
                _ = heartbeat.tick() => say(ToScheduler::Heartbeat(Heartbeat {})).await?,
                _ = look.tick() => {
                    let targets = self.reports(&services);
                    if targets != told {
                        told.clone_from(&targets);
                        say(ToScheduler::Reports(TargetReports { targets })).await?;
                    }
                }
                message = inbox.message() => {
                    let Some(FromScheduler::Endpoints(endpoints)) = message.ok()??.message else {
                        continue;
                    };
                    if endpoints.complete {
                        services.clear();
                        say(ToScheduler::Load(LoadReport::default())).await?;
                    }
                    services.extend(endpoints.services.into_iter().map(|service| (service.name.clone(), service)));
                }
            }
        }
    }

    fn reports(&self, services: &BTreeMap<String, Service>) -> Vec<TargetReport> {
        let leaves = if self.holds.load(Ordering::Relaxed) {
            TargetState::Draining
        } else {
            TargetState::Drained
        };
        let endpoints = services.values().flat_map(|service| &service.endpoints);
        let reports = endpoints.flat_map(|endpoint| {
            let state = endpoint.deregister_by.map_or(TargetState::Healthy, |_| leaves);
            endpoint.targets.iter().map(move |target| TargetReport {
                task: endpoint.task.clone(),
                target_group: target.target_group.clone(),
                state: state.into(),
                reason: String::new(),
            })
        });
        reports.collect()
    }
}
