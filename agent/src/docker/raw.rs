//! What the client library cannot do as it is needed here: streams of bytes, both ways and as they come. It takes the
//! output of a terminal for its own framing where that begins with certain bytes, and waits for whole lines of logs however
//! long they are.

use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use berth_daemon::chain;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{Call, Calls};

/// Until Docker's answer begins.
const ANSWER: Duration = Duration::from_secs(30);
/// Bytes of what Docker says to be wrong.
const LARGEST_REFUSAL: usize = 16 * 1024;

/// A connection that has become a stream of bytes, both ways.
pub(super) type Hijacked = TokioIo<Upgraded>;

/// Sends a request whose answer is a stream both ways.
pub(super) async fn hijack(
    socket: &str,
    calls: &Calls,
    call: Call,
    path: &str,
    body: String,
) -> Result<Hijacked, Failure> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, "docker")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "tcp")
        .body(Full::from(body));
    let stream = Box::pin(async {
        let answer = send(socket, request).await?;
        let upgraded = hyper::upgrade::on(answer).await;
        upgraded.map(TokioIo::new).map_err(|error| lost(&error))
    });
    calls.timed(call, ANSWER, stream).await
}

/// Sends a request whose answer is a stream.
pub(super) async fn get(socket: &str, calls: &Calls, call: Call, path: &str) -> Result<Incoming, Failure> {
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, "docker")
        .body(Full::default());
    let answer = Box::pin(send(socket, request));
    Ok(calls.timed(call, ANSWER, answer).await?.into_body())
}

async fn send(socket: &str, request: http::Result<Request<Full<Bytes>>>) -> Result<http::Response<Incoming>, Failure> {
    let request = request.map_err(|error| Failure::new(FailureKind::Refused, chain(&error)))?;
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| Failure::new(FailureKind::Lost, chain(&error)))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| lost(&error))?;
    // It ends with the answer's body, or with the stream that it becomes.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(error = chain(&error), "a connection to Docker broke");
        }
    });
    let answer = sender.send_request(request).await.map_err(|error| lost(&error))?;
    let status = answer.status();
    if status == StatusCode::SWITCHING_PROTOCOLS || status == StatusCode::OK {
        return Ok(answer);
    }
    let text = Limited::new(answer.into_body(), LARGEST_REFUSAL).collect().await;
    let text = text.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Err(refused(status, &text))
}

fn lost(error: &hyper::Error) -> Failure {
    Failure::new(FailureKind::Lost, chain(error))
}

fn refused(status: StatusCode, body: &[u8]) -> Failure {
    let kind = match status.as_u16() {
        404 => FailureKind::NotFound,
        400..=499 => FailureKind::Refused,
        _ => FailureKind::Faltered,
    };
    let said: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = said.as_ref().and_then(|said| said["message"].as_str());
    let text = message.map_or_else(|| format!("Docker answers {status}"), str::to_owned);
    Failure::new(kind, text)
}
