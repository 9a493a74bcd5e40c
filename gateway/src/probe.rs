//! One check of a target: whether a path is answered well, or whether TCP connects.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::endpoints::{HealthCheck, Protocol};

const USER_AGENT: &str = concat!("Berth-HealthChecker/", env!("CARGO_PKG_VERSION"));

/// Checks once, within the timeout.
///
/// # Errors
/// Why the target is not in good health, in a few words for people.
pub(crate) async fn check(address: SocketAddr, protocol: Protocol, rules: &HealthCheck) -> Result<(), Arc<str>> {
    let checked = tokio::time::timeout(rules.timeout, attempt(address, protocol, rules.path.as_deref())).await;
    checked.unwrap_or_else(|_| Err(format!("no answer within {} s", seconds(rules.timeout)).into()))
}

async fn attempt(address: SocketAddr, protocol: Protocol, path: Option<&str>) -> Result<(), Arc<str>> {
    let connected = TcpStream::connect(address).await;
    let stream = connected.map_err(|error| format!("connect to {address}: {}", error.kind()))?;
    let Some(path) = path else { return Ok(()) };
    let status = match protocol {
        Protocol::Http2 => over_http2(stream, address, path).await,
        Protocol::Http | Protocol::Tcp => over_http1(stream, address, path).await,
    };
    let status = status.map_err(|error| format!("GET {path}: {error}"))?;
    if (200..400).contains(&status.as_u16()) {
        return Ok(());
    }
    Err(format!("GET {path}: status {}, it must be between 200 and 399", status.as_u16()).into())
}

async fn over_http1(stream: TcpStream, address: SocketAddr, path: &str) -> Result<StatusCode, anyhow::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _driven = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?.status())
}

async fn over_http2(stream: TcpStream, address: SocketAddr, path: &str) -> Result<StatusCode, anyhow::Error> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let _driven = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(format!("http://{address}{path}"))
        .header(header::USER_AGENT, USER_AGENT)
        .body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?.status())
}

fn seconds(of: Duration) -> f64 {
    of.as_secs_f64()
}
