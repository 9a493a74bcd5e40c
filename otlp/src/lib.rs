//! A daemon's figures, sent to an OpenTelemetry collector: those of `/metrics`, under the same names, by OTLP over gRPC.
//!
//! What they mean in OpenTelemetry's terms is found out in `convert`, which is pure. A collector that is away costs a line in the
//! log: figures are sums since the start, so that the next answer that arrives has what was missed.

mod convert;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_daemon::chain;
use berth_daemon::metrics::Page;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

/// How often figures are sent.
const EVERY: Duration = Duration::from_secs(15);
/// For a connection, and for an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where a collector listens for OTLP over gRPC.
#[derive(Clone, PartialEq, Eq)]
pub struct Collector(String);

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collector").field(&self.0).finish()
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Collector {
    type Err = String;

    /// Reads `http://HOST:PORT`. The error is the rule: "must be ...".
    fn from_str(text: &str) -> Result<Self, String> {
        const RULE: &str = "must be http://HOST:PORT of a collector that takes OTLP over gRPC; one on this host can pass it on over TLS";
        let rule = || RULE.to_owned();
        let uri: http::Uri = text.parse().map_err(|_| rule())?;
        let is_whole = uri.scheme_str() == Some("http") && uri.port().is_some() && matches!(uri.path(), "" | "/");
        is_whole.then(|| Self(text.to_owned())).ok_or_else(rule)
    }
}

/// Who sends.
#[derive(Debug, Clone)]
pub struct Source {
    /// `service.name`: the program.
    pub program: &'static str,
    /// `service.version`
    pub version: &'static str,
    /// `service.instance.id`: which of those that run.
    pub instance: String,
    /// `berth.cluster`, where it is of one.
    pub cluster: Option<String>,
}

/// Sends what `figures` finds every 15 seconds, and once more when it is told to stop.
pub async fn keep_sending<F>(collector: Collector, source: Source, figures: impl Fn() -> F, stop: CancellationToken)
where
    F: Future<Output = Result<Page, String>>,
{
    let endpoint = match Endpoint::from_shared(collector.0.clone()) {
        Ok(endpoint) => endpoint.connect_timeout(DEADLINE).timeout(DEADLINE),
        Err(error) => {
            tracing::error!(%collector, %error, "figures are not sent");
            return;
        }
    };
    let mut client = MetricsServiceClient::new(endpoint.connect_lazy());
    let begun = now();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_heard = true;
    tracing::info!(%collector, "sending figures");
    loop {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            () = stop.cancelled() => true,
        };
        let sent = async {
            let page = figures().await?;
            let request = convert::request(page, &source, (begun, now()));
            let answer = client.export(request).await.map_err(|status| told(&status))?;
            match answer.into_inner().partial_success {
                Some(refused) if refused.rejected_data_points > 0 => Err(format!(
                    "{} figures were not taken: {}",
                    refused.rejected_data_points, refused.error_message
                )),
                Some(_) | None => Ok(()),
            }
        };
        let sent = timeout(DEADLINE, sent).await;
        let sent = sent.unwrap_or_else(|_| Err(format!("no answer within {} s", DEADLINE.as_secs())));
        match (&sent, is_heard) {
            (Err(error), true) => tracing::warn!(%collector, error, "figures not sent, trying on"),
            (Err(error), false) => tracing::debug!(%collector, error, "figures not sent"),
            (Ok(()), false) => tracing::info!(%collector, "figures are sent again"),
            (Ok(()), true) => {}
        }
        is_heard = sent.is_ok();
        if last {
            return;
        }
    }
}

/// What a collector, or the way to it, says.
fn told(status: &tonic::Status) -> String {
    let cause = std::error::Error::source(status).map(|cause| format!(": {}", chain(cause)));
    format!("{}{}", status.message(), cause.unwrap_or_default())
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
        MetricsService, MetricsServiceServer,
    };
    use opentelemetry_proto::tonic::collector::metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
    };
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Request, Response, Status};

    use super::*;

    struct Heard(mpsc::Sender<ExportMetricsServiceRequest>);

    #[tonic::async_trait]
    impl MetricsService for Heard {
        async fn export(
            &self,
            request: Request<ExportMetricsServiceRequest>,
        ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
            self.0.send(request.into_inner()).await.unwrap();
            Ok(Response::new(ExportMetricsServiceResponse::default()))
        }
    }

    #[tokio::test]
    async fn a_collector_hears_figures_at_once_and_at_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (heard, mut requests) = mpsc::channel(1);
        let server = tonic::transport::Server::builder().add_service(MetricsServiceServer::new(Heard(heard)));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let source = Source {
            program: "berth-test",
            version: "1",
            instance: "a".to_owned(),
            cluster: None,
        };
        let figures = || async {
            let mut page = Page::default();
            page.counter("berth_things_total", "Things.").only(2.0);
            Ok(page)
        };
        let stop = CancellationToken::new();
        let sending = tokio::spawn(keep_sending(collector, source, figures, stop.clone()));
        let first = requests.recv().await.unwrap();
        assert_eq!(
            first.resource_metrics[0].scope_metrics[0].metrics[0].name,
            "berth_things_total"
        );
        stop.cancel();
        assert!(requests.recv().await.is_some());
        sending.await.unwrap();
    }

    #[test]
    fn a_collector_is_a_url_of_a_host_and_a_port() {
        for wrong in [
            "collector:4317",
            "https://collector:4317",
            "http://collector",
            "http://collector:4317/v1/metrics",
        ] {
            let rule = wrong.parse::<Collector>().unwrap_err();
            assert!(rule.starts_with("must be http://HOST:PORT"), "{wrong}: {rule}");
        }
        assert_eq!(
            "http://[::1]:4317".parse::<Collector>().unwrap().to_string(),
            "http://[::1]:4317"
        );
    }
}
