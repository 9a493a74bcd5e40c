//! The port: accepts connections and leads each request to its mouth.

mod requests;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use berth_daemon::chain;
use berth_daemon::pages::{self, Observed};
use berth_proto::agent::v1::agent_link_server::AgentLinkServer;
use berth_proto::ecs::v1::ecs_server::EcsServer;
use berth_proto::gateway::v1::gateway_link_server::GatewayLinkServer;
use berth_proto::journal::v1::journal_server::JournalServer;
use berth_proto::replica::v1::replica_link_server::ReplicaLinkServer;
use berth_proto::replica::v1::session_link_server::SessionLinkServer;
use berth_proto::trust::v1::enrollment_server::EnrollmentServer;
use berth_proto::v1::access_keys_server::AccessKeysServer;
use berth_proto::v1::auto_scaling_server::AutoScalingServer;
use berth_proto::v1::berth_server::BerthServer;
use berth_proto::v1::schedules_server::SchedulesServer;
use berth_proto::v1::sessions_server::SessionsServer;
use berth_proto::v1::trust_server::TrustServer;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::TcpConnectInfo;
use tower::{ServiceExt, service_fn};

use crate::api::{self, Additions, Api, GrpcApi};
use crate::gateways;
use crate::journals;
use crate::nodes::{self, HEARTBEAT};
use crate::replicas;
use crate::sessions;
use crate::trust::peer::Peer;
use crate::trust::{self, Trust};
use crate::vitals::Vitals;
pub use requests::Requests;

/// How long a client may take to send the head of an HTTP/1 request.
const HEADER_DEADLINE: Duration = Duration::from_secs(30);
/// How long an HTTP/2 ping may go unanswered before the connection counts as dead.
const PING_DEADLINE: Duration = Duration::from_secs(8);
/// How long open requests get to end at shutdown.
const DRAIN: Duration = Duration::from_secs(5);
/// How long a client may take to begin TLS.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// To whoever speaks HTTP/1 in the clear to a port that speaks TLS.
const TLS_ONLY: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 31\r\nConnection: close\r\n\r\n\
This port speaks TLS: https://\n";
/// Bytes of one gRPC message from an agent or a gateway: its first names every task or target that it has.
const MAX_STREAM_MESSAGE: usize = 16 * 1024 * 1024;

/// Who answers requests.
#[derive(Debug, Clone)]
pub struct Mouths {
    /// The operations.
    pub api: Arc<Api>,
    /// How this scheduler is.
    pub vitals: Arc<Observed<Vitals>>,
    /// How requests went.
    pub requests: Arc<Requests>,
}

/// What is dialled by those that keep, or read, a stream.
#[derive(Debug)]
pub struct Links {
    /// By agents.
    pub agents: nodes::Link,
    /// By gateways.
    pub gateways: gateways::Link,
    /// By other schedulers.
    pub replicas: replicas::tell::Link,
    /// By other schedulers whose clients want sessions with agents that are here.
    pub sessions: sessions::carry::Link,
    /// By those who join, and those whose certificates end.
    pub enrollment: trust::link::Link,
    /// By those who copy the journal.
    pub journal: journals::Link,
}

/// Serves until `shutdown` is cancelled and open requests have ended, or their time is up; over TLS where somebody is trusted.
pub async fn serve(
    listener: TcpListener,
    mouths: Mouths,
    links: Links,
    trust: Option<Arc<Trust>>,
    shutdown: CancellationToken,
) {
    let grpc = grpc(&mouths.api, links);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let behind = Behind {
                    grpc: grpc.clone(),
                    mouths: mouths.clone(),
                    connections: connections.clone(),
                };
                connections.spawn(accept(stream, peer, behind, trust.clone(), shutdown.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others will close theirs.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections cut at shutdown");
    }
}

fn grpc(api: &Arc<Api>, links: Links) -> Router {
    let mut routes = tonic::service::Routes::builder();
    routes.add_service(EcsServer::new(GrpcApi(Arc::clone(api))));
    routes.add_service(BerthServer::new(Additions(Arc::clone(api))));
    routes.add_service(AccessKeysServer::new(Additions(Arc::clone(api))));
    routes.add_service(SchedulesServer::new(Additions(Arc::clone(api))));
    routes.add_service(SessionsServer::new(Additions(Arc::clone(api))));
    routes.add_service(TrustServer::new(Additions(Arc::clone(api))));
    routes.add_service(AutoScalingServer::new(Additions(Arc::clone(api))));
    routes.add_service(AgentLinkServer::new(links.agents).max_decoding_message_size(MAX_STREAM_MESSAGE));
    routes.add_service(GatewayLinkServer::new(links.gateways).max_decoding_message_size(MAX_STREAM_MESSAGE));
    routes.add_service(ReplicaLinkServer::new(links.replicas));
    routes.add_service(SessionLinkServer::new(links.sessions));
    routes.add_service(EnrollmentServer::new(links.enrollment));
    routes.add_service(JournalServer::new(links.journal));
    routes.routes().prepare().into_axum_router()
}

/// What is behind the port.
#[derive(Clone)]
struct Behind {
    grpc: Router,
    mouths: Mouths,
    connections: TaskTracker,
}

/// What one connection is known by.
#[derive(Clone)]
struct Known {
    info: TcpConnectInfo,
    address: SocketAddr,
    peer: Peer,
}

/// Takes a connection; where TLS is spoken, only that.
async fn accept(
    stream: TcpStream,
    address: SocketAddr,
    behind: Behind,
    trust: Option<Arc<Trust>>,
    shutdown: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    let mut known = Known {
        info: TcpConnectInfo {
            local_addr: stream.local_addr().ok(),
            remote_addr: Some(address),
        },
        address,
        peer: Peer::default(),
    };
    let Some(trust) = trust else {
        return connection(stream, known, behind, shutdown).await;
    };
    let handshake = tokio::time::timeout(HANDSHAKE_DEADLINE, handshake(stream, &trust));
    let shaken = tokio::select! {
        () = shutdown.cancelled() => return,
        shaken = handshake => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => {
            known.peer = Peer::encrypted(stream.get_ref().1.peer_certificates());
            connection(stream, known, behind, shutdown).await;
        }
        Ok(Err(error)) => tracing::warn!(peer = %address, error = chain(&error), "connection refused"),
        Err(_elapsed) => tracing::debug!(peer = %address, "no TLS handshake in time"),
    }
}

/// Begins TLS. Who speaks in the clear is told so where that can be understood.
async fn handshake(mut stream: TcpStream, trust: &Trust) -> io::Result<TlsStream<TcpStream>> {
    /// How a TLS connection begins (RFC 8446 section 5.1).
    const HANDSHAKE: u8 = 22;
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first[0] != HANDSHAKE {
        stream.write_all(TLS_ONLY).await?;
        stream.shutdown().await?;
        let text = "it was not encrypted, and this port speaks TLS only";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    trust.current().acceptor().accept(stream).await
}

async fn connection<S>(stream: S, known: Known, behind: Behind, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = known.address;
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(known.info.clone());
        request.extensions_mut().insert(known.peer.clone());
        lead(request.map(Body::new), known.address, behind.clone())
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEARTBEAT)
        .keep_alive_timeout(PING_DEADLINE);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// gRPC by its content type, what is asked of the scheduler itself by its path, everything else to the JSON mouth.
async fn lead(request: Request<Body>, peer: SocketAddr, behind: Behind) -> Result<Response, Infallible> {
    let Behind {
        grpc,
        mouths,
        connections,
    } = behind;
    let is_grpc = request
        .headers()
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"));
    let begun = Instant::now();
    if is_grpc {
        let answer = called(request, peer, grpc, &mouths.api).await?;
        mouths.requests.answered(true, begun, &answer);
        return Ok(answer);
    }
    let path = request.uri().path();
    if matches!(path, "/healthz" | "/readyz" | "/metrics") {
        let (parts, _body) = request.into_parts();
        return Ok(look(&parts, peer.ip(), &mouths).await);
    }
    if path == "/events" && request.method() == Method::GET {
        return Ok(api::server_sent(mouths.api, peer.ip(), request).await);
    }
    if api::session_of(path).is_some() && request.method() == Method::GET {
        // A connection that became a websocket is one still.
        return Ok(api::enter(mouths.api, request, connections.token()).await);
    }
    let answer = api::answer(mouths.api, peer.ip(), request).await;
    mouths.requests.answered(false, begun, &answer);
    Ok(answer)
}

async fn called(request: Request<Body>, peer: SocketAddr, grpc: Router, api: &Api) -> Result<Response, Infallible> {
    if let Some(refused) = api::refuse(request.uri().path()) {
        return Ok(refused);
    }
    match api::admit(api, peer.ip(), request).await {
        Ok(request) => grpc.oneshot(request).await.map(api::name_fault),
        Err(refusal) => Ok(refusal),
    }
}

/// How this scheduler is, for anybody; what it counts, which names clusters and services, for who may read it.
async fn look(parts: &Parts, peer: IpAddr, mouths: &Mouths) -> Response {
    let path = parts.uri.path();
    if path == "/metrics"
        && let Err(fault) = mouths.api.may_read_metrics(peer, parts)
    {
        let reason = format!(
            "{} Show the certificate of an access key, or see --metrics-listen.",
            fault.message
        );
        return pages::Answer::text(StatusCode::FORBIDDEN, &reason).into();
    }
    pages::answer(&*mouths.vitals, &parts.method, path).await.into()
}
