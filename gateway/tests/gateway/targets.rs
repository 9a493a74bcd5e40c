//! Tasks: servers of HTTP whose answers say who they are.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// One task. Paths: `/healthz` answers as it is told; `/slow/MS` waits; `/headers` lists those of the request; `/echo`
/// gives the body back; all else is answered with the port.
pub(crate) struct Target {
    pub(crate) port: u16,
    seen: Arc<Seen>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    /// Connections that had requests which are no health checks.
    connections: AtomicUsize,
    /// Status of `/healthz`; 0: 200.
    health: AtomicU16,
}

impl Target {
    pub(crate) async fn new() -> Self {
        Self::listening("127.0.0.1").await
    }

    /// On this address.
    pub(crate) async fn listening(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        let serving = tokio::spawn(serve(listener, port, Arc::clone(&seen)));
        Self {
            port,
            seen,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Requests that are no health checks.
    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// Connections that had such requests.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// From now on `/healthz` is answered with this status.
    pub(crate) fn health(&self, status: u16) {
        self.seen.health.store(status, Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, port: u16, seen: Arc<Seen>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(connection(stream, port, Arc::clone(&seen)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, port: u16, seen: Arc<Seen>) {
    let used = AtomicBool::new(false);
    let answering = service_fn(|request: Request<Incoming>| {
        if request.uri().path() != "/healthz" && !used.swap(true, Ordering::Relaxed) {
            seen.connections.fetch_add(1, Ordering::Relaxed);
        }
        answer(request, port, Arc::clone(&seen))
    });
    let served = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), answering)
        .await;
    drop(served);
}

async fn answer(request: Request<Incoming>, port: u16, seen: Arc<Seen>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/healthz" {
        let status = match seen.health.load(Ordering::Relaxed) {
            0 => 200,
            status => status,
        };
        return Ok(Response::builder().status(status).body(Full::default()).unwrap());
    }
    seen.requests.fetch_add(1, Ordering::Relaxed);
    if let Some(wait) = path.strip_prefix("/slow/") {
        tokio::time::sleep(Duration::from_millis(wait.parse().unwrap())).await;
    }
    let body = match path.as_str() {
        "/headers" => {
            let one = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
                format!("{name}: {}\n", value.to_str().unwrap())
            };
            Bytes::from(request.headers().iter().map(one).collect::<String>())
        }
        "/echo" => request
            .into_body()
            .collect()
            .await
            .map_or_else(|_| Bytes::new(), |body| body.to_bytes()),
        _ => Bytes::from(port.to_string()),
    };
    Ok(Response::new(Full::new(body)))
}
