//! HTTP: a proxy for each port, whose requests are each given a target of their own.
//!
//! pingora speaks the protocol; which target, what is tried again, and what is said when nothing helps is decided here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ServerApp as _};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::protocols::{Digest, GetSocketDigest as _, SocketDigest, Stream};
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::{ALPN, HttpPeer};
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session, http_proxy};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::answer;
use super::dial::{self, Dial};
use crate::endpoints::Protocol;
use crate::group::Group;
use crate::target::Lease;

/// For a client to send the header of a request, from its first byte on.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// For requests that are on their way when the port closes.
const GRACE: Duration = Duration::from_secs(1);
/// Connections to a target that nothing uses end after this: before servers that keep them for five seconds, as many
/// do, close them in the moment in which a request is sent.
const UPSTREAM_IDLE: Duration = Duration::from_secs(4);
/// Idle connections to the targets of one port.
const UPSTREAM_POOL: usize = 4096;
/// Requests at once on a connection of HTTP/2 to a target.
const UPSTREAM_STREAMS: usize = 100;
/// Attempts at one request, whatever fails.
const ATTEMPTS: usize = 4;
/// How often a request is sent again whose connection broke.
const RESENT: u32 = 2;
/// With which a client that knows the server begins HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between looks at a preface of which only a part is there.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// The proxy of one port.
pub(crate) struct Proxy {
    proxy: Arc<HttpProxy<Rules>>,
    idle_timeout: Duration,
    closing: watch::Sender<bool>,
}

impl Proxy {
    pub(super) fn new(group: Arc<Group>, speaks: Protocol, port: u16, idle_timeout: Duration) -> Self {
        let conf = ServerConf {
            max_retries: ATTEMPTS,
            upstream_keepalive_pool_size: UPSTREAM_POOL,
            ..ServerConf::default()
        };
        let rules = Rules {
            group,
            speaks,
            port,
            idle_timeout,
        };
        let mut proxy = http_proxy(&Arc::new(conf), rules);
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(idle_timeout);
        proxy.server_options = Some(options);
        Self {
            proxy: Arc::new(proxy),
            idle_timeout,
            closing: watch::Sender::new(false),
        }
    }

    /// Serves a client up to its end.
    pub(super) async fn connection(&self, stream: TcpStream, client: SocketAddr) {
        let options = stream
            .set_nodelay(true)
            .and_then(|()| dial::notice_loss(&stream, dial::CLIENT));
        let begun = match options {
            Ok(()) => self.begins_http2(&stream).await,
            Err(_) => None,
        };
        let Some(http2) = begun else {
            return;
        };
        let mut closing = self.closing.subscribe();
        if *closing.borrow() {
            // HTTP/2 waits for the change.
            closing.mark_changed();
        }
        let stream = wrapped(stream, client);
        if http2 {
            self.proxy.process_new(stream, &closing).await;
        } else {
            self.http1(stream, &closing).await;
        }
    }

    /// Whether the client begins with HTTP/2; `None` where it says nothing or ends.
    async fn begins_http2(&self, stream: &TcpStream) -> Option<bool> {
        let mut buffer = [0; PREFACE.len()];
        let mut closing = self.closing.subscribe();
        let patience = if *closing.borrow() { GRACE } else { self.idle_timeout };
        let mut deadline = Instant::now() + patience;
        let mut seen = 0;
        loop {
            let open = !*closing.borrow_and_update();
            let read = tokio::select! {
                read = timeout_at(deadline, stream.peek(&mut buffer)) => read.ok()?.ok()?,
                _ = closing.changed(), if open => {
                    deadline = deadline.min(Instant::now() + GRACE);
                    continue;
                }
            };
            if read == 0 {
                return None;
            }
            if !PREFACE.starts_with(&buffer[..read]) {
                return Some(false);
            }
            if read == PREFACE.len() {
                return Some(true);
            }
            if seen == 0 {
                deadline = deadline.min(Instant::now() + HEADER_TIMEOUT);
            }
            seen = read;
            timeout_at(deadline, tokio::time::sleep(PREFACE_PAUSE)).await.ok()?;
        }
    }

    /// One request after the other.
    async fn http1(&self, stream: Stream, closing: &watch::Receiver<bool>) {
        let mut next: Option<(Stream, Option<HttpPersistentSettings>)> = Some((stream, None));
        let mut within = HEADER_TIMEOUT;
        while let Some((stream, settings)) = next.take() {
            let mut session = ServerSession::new_http1(stream);
            match settings {
                Some(settings) => settings.apply_to_session(&mut session),
                None => session.set_keepalive(Some(self.idle_timeout.as_secs().max(1))),
            }
            if *closing.borrow() {
                session.set_keepalive(None);
            }
            session.set_read_timeout(Some(self.idle_timeout));
            session.set_write_timeout(Some(self.idle_timeout));
            let header = Arc::new(Notify::new());
            session.set_connection_user_context(Some(Box::new(Arc::clone(&header))));
            let served = tokio::select! {
                served = self.proxy.process_new_http(session, closing) => served,
                () = late(&header, within) => None,
            };
            next = served.map(pingora_core::apps::ReusedHttpStream::consume);
            within = self.idle_timeout + HEADER_TIMEOUT;
        }
    }

    /// Connections end with the request that they have, or with the next one that comes at once; its answer says so.
    pub(super) async fn close(&self) {
        self.closing.send_replace(true);
        tokio::time::sleep(GRACE).await;
        self.proxy.http_cleanup().await;
    }
}

/// Waits until it is too late for the header of a request, and for ever where that has come.
async fn late(header: &Notify, within: Duration) {
    if timeout(within, header.notified()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

fn wrapped(stream: TcpStream, client: SocketAddr) -> Stream {
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&stream);
    let mut stream = L4Stream::from(stream);
    let digest = SocketDigest::from_raw_fd(descriptor);
    // It is new, so nothing is set.
    drop(digest.peer_addr.set(Some(client.into())));
    stream.set_socket_digest(digest);
    Box::new(stream)
}

/// How requests of one port are forwarded.
struct Rules {
    group: Arc<Group>,
    speaks: Protocol,
    port: u16,
    idle_timeout: Duration,
}

/// What is known of a request.
#[derive(Default)]
struct Attempt {
    lease: Option<Lease>,
    /// Targets that failed it.
    tried: Vec<u64>,
    /// How often it was sent again.
    resent: u32,
}

impl Attempt {
    /// The target has failed the request.
    fn failed(&mut self) -> Option<Lease> {
        let lease = self.lease.take()?;
        self.tried.push(lease.target.number);
        Some(lease)
    }
}

#[async_trait]
impl ProxyHttp for Rules {
    type CTX = Attempt;

    fn new_ctx(&self) -> Attempt {
        Attempt::default()
    }

    /// The header is there; pingora hands over what was given to the session.
    fn on_connection_reuse(
        &self,
        _session: &mut Session,
        _attempt: &mut Attempt,
        given: Box<dyn std::any::Any + Send + Sync>,
    ) {
        if let Some(header) = given.downcast_ref::<Arc<Notify>>() {
            header.notify_one();
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, attempt: &mut Attempt) -> Result<Box<HttpPeer>> {
        let lease = self.group.lease(&attempt.tried);
        let lease = lease.ok_or_else(|| Error::new_in(ErrorType::HTTPStatus(503)))?;
        let target = &lease.target;
        let mut peer = HttpPeer::new(target.address, false, String::new());
        peer.group_key = target.number;
        let options = &mut peer.options;
        options.custom_l4 = Some(Arc::new(Dial(Arc::clone(target))));
        options.read_timeout = Some(self.idle_timeout);
        options.write_timeout = Some(self.idle_timeout);
        options.idle_timeout = Some(UPSTREAM_IDLE);
        match self.speaks {
            Protocol::Http2 => {
                options.alpn = ALPN::H2;
                options.max_h2_streams = UPSTREAM_STREAMS;
            }
            Protocol::Http | Protocol::Tcp => options.alpn = ALPN::H1,
        }
        attempt.lease = Some(lease);
        Ok(Box::new(peer))
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        descriptor: std::os::fd::RawFd,
        _digest: Option<&Digest>,
        attempt: &mut Attempt,
    ) -> Result<()> {
        if let Some(lease) = &mut attempt.lease {
            lease.uses(descriptor);
        }
        Ok(())
    }

    /// What an Application Load Balancer adds ("HTTP headers and Application Load Balancers").
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _attempt: &mut Attempt,
    ) -> Result<()> {
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            let before = request.headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
            let mut chain = before.collect::<Vec<_>>().join(&b", "[..]);
            if !chain.is_empty() {
                chain.extend_from_slice(b", ");
            }
            chain.extend_from_slice(client.ip().to_string().as_bytes());
            request.insert_header(FORWARDED_FOR, chain)?;
        }
        request.insert_header(FORWARDED_PROTO, "http")?;
        request.insert_header(FORWARDED_PORT, self.port.to_string())?;
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        attempt: &mut Attempt,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let Some(lease) = attempt.failed() {
            self.log(&lease, &error);
            lease.target.refused();
        }
        // Nothing of the request was sent.
        error.set_retry(true);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        attempt: &mut Attempt,
        reused: bool,
    ) -> Box<Error> {
        error.retry.decide_reuse(reused);
        // pingora says so where a target has refused a stream of HTTP/2 before it did anything for it.
        let untouched = self.speaks == Protocol::Http2 && error.retry();
        let timed_out = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
        let again = *error.esource() == ErrorSource::Upstream
            && !timed_out
            && (untouched || session.req_header().method.is_idempotent())
            && !session.as_ref().retry_buffer_truncated()
            && session.response_written().is_none()
            && attempt.resent < RESENT;
        if *error.esource() == ErrorSource::Upstream
            && let Some(lease) = attempt.failed()
        {
            self.log(&lease, &error);
            if timed_out_by_kernel(&error) {
                lease.target.refused();
            }
        }
        if again {
            attempt.resent += 1;
        }
        error.set_retry(again);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, _attempt: &mut Attempt) -> FailToProxy {
        let (status, sent) = match answer(error, &self.group.service, self.idle_timeout) {
            Some(answer) => (answer.status, own(session, answer.status, answer.text).await),
            None if matches!(
                error.etype(),
                ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed
            ) =>
            {
                (0, Ok(()))
            }
            None => (400, session.respond_error(400).await),
        };
        if let Err(error) = sent {
            tracing::debug!(service = &*self.group.service, %error, "client not told of the failure");
        }
        if status >= 500 {
            tracing::debug!(service = &*self.group.service, status, %error, "request failed");
        }
        FailToProxy {
            error_code: status,
            can_reuse_downstream: false,
        }
    }

    // What fails is said here, in our words.
    fn suppress_error_log(&self, _session: &Session, _attempt: &Attempt, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Attempt, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}

impl Rules {
    fn log(&self, lease: &Lease, error: &Error) {
        tracing::debug!(
            service = &*self.group.service,
            task = &*lease.target.id.task,
            address = %lease.target.address,
            %error,
            "target failed a request"
        );
    }
}

/// Whether nobody acknowledged what was sent, or answered probes: the host is away, with all its connections.
fn timed_out_by_kernel(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                std::io::ErrorKind::TimedOut | std::io::ErrorKind::HostUnreachable
            );
        }
        cause = inner.source();
    }
    false
}

/// An answer of the gateway's own.
async fn own(session: &mut Session, status: u16, text: String) -> Result<()> {
    let mut header = ResponseHeader::build(status, Some(4))?;
    header.insert_header(header::CONTENT_TYPE, "text/plain; charset=utf-8")?;
    header.insert_header(header::CONTENT_LENGTH, text.len().to_string())?;
    header.insert_header(header::CACHE_CONTROL, "no-store")?;
    session.write_error_response(header, Bytes::from(text)).await
}
