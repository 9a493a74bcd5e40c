//! An OpenTelemetry collector on a host of the bed, which remembers the names of what it hears.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use berth_integration_tests::network::inside;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// The figures that each service has sent, by its name.
type Heard = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

/// It ends when it is dropped.
pub(super) struct Collector {
    heard: Heard,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<Result<()>>>,
}

impl Collector {
    /// Listens at the address, which is of this network namespace.
    pub(super) fn start(namespace: &str, address: SocketAddr) -> Self {
        let heard = Heard::default();
        let (stop, stopped) = oneshot::channel();
        let (service, namespace) = (Service(Arc::clone(&heard)), namespace.to_owned());
        let server = std::thread::spawn(move || {
            inside(&namespace, || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let listener = TcpListener::bind(address).await.context("listen as a collector")?;
                    let server = tonic::transport::Server::builder().add_service(MetricsServiceServer::new(service));
                    let stopped = async { drop(stopped.await) };
                    let served = server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped);
                    served.await.context("serve as a collector")
                })
            })
        });
        Self {
            heard,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// Of which figures a service has told.
    pub(super) fn names(&self, service: &str) -> BTreeSet<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(service).cloned().unwrap_or_default()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            drop(server.join());
        }
    }
}

struct Service(Heard);

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for told in &request.get_ref().resource_metrics {
            let metrics = told.scope_metrics.iter().flat_map(|scope| &scope.metrics);
            let names = metrics.map(|metric| metric.name.clone());
            heard.entry(service_of(told)).or_default().extend(names);
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// The attribute `service.name` of who tells.
fn service_of(told: &ResourceMetrics) -> String {
    let attributes = told.resource.iter().flat_map(|resource| &resource.attributes);
    let mut names = attributes.filter(|attribute| attribute.key == "service.name");
    match names.next().and_then(|name| name.value.clone()?.value) {
        Some(Value::StringValue(name)) => name,
        Some(_) | None => String::new(),
    }
}
