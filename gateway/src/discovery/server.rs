//! The gateway's own HTTP: `/sd` for Prometheus, `/healthz` for what stands in front of gateways.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::groups;
use crate::endpoints::Table;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// For the header of a request, also between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is asked about.
#[derive(Debug)]
struct Known {
    tables: watch::Receiver<Arc<Table>>,
    /// Its name.
    cluster: String,
    stop: CancellationToken,
}

/// Listens, and serves in the background for as long as the process lives: `/healthz` says that the gateway stops.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) async fn serve(
    address: SocketAddr,
    cluster: String,
    tables: watch::Receiver<Arc<Table>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("listen on {address}: use --http-listen"))?;
    tracing::info!(%address, "serving /sd and /healthz");
    let known = Arc::new(Known { tables, cluster, stop });
    drop(tokio::spawn(accept(listener, known)));
    Ok(())
}

async fn accept(listener: TcpListener, known: Arc<Known>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(room) = Arc::clone(&connections).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let known = Arc::clone(&known);
        tokio::spawn(async move {
            let answering = service_fn(|request: Request<Incoming>| {
                let answer = answer(&request, &known);
                async move { Ok::<_, Infallible>(answer) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), answering)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "connection broke");
            }
            drop(room);
        });
    }
}

fn answer<B>(request: &Request<B>, known: &Known) -> Response<Full<Bytes>> {
    let ready = known.tables.borrow().version > 0 && !known.stop.is_cancelled();
    let (status, kind, body) = match request.uri().path() {
        _ if request.method() != Method::GET && request.method() != Method::HEAD => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "GET and HEAD are answered.\n".into(),
        ),
        "/healthz" if ready => (StatusCode::OK, "text/plain", "ready\n".into()),
        "/healthz" => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "not ready\n".into()),
        "/sd" => {
            let table = Arc::clone(&known.tables.borrow());
            match serde_json::to_vec(&groups(&table, &known.cluster)) {
                Ok(json) => (StatusCode::OK, "application/json", json),
                Err(error) => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "text/plain",
                    format!("{error}\n").into(),
                ),
            }
        }
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "There are /sd and /healthz.\n".into(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
