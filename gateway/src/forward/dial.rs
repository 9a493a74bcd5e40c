//! Connections to targets: made in about a second or not at all, and noticed within seconds where the host has vanished.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::ErrorType;
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::upstreams::peer::{Tracer, Tracing};
use rustix::net::sockopt;
use tokio::net::TcpStream;

use crate::target::Target;

/// For a target to take a connection: it is on the same network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// When a peer counts as gone that says nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Before the first probe of an idle connection, and between probes.
    probe: Duration,
    /// For what was sent to be acknowledged, and for probes to be answered; in milliseconds.
    unanswered_ms: u32,
}

/// It is on the same network: a host that has vanished is noticed in seconds.
const TARGET: Patience = Patience {
    probe: Duration::from_secs(1),
    unanswered_ms: 3_000,
};
/// May be far away, behind a network that loses something now and then.
pub(super) const CLIENT: Patience = Patience {
    probe: Duration::from_secs(30),
    unanswered_ms: 60_000,
};

/// Connects.
///
/// # Errors
/// It was refused, or nobody answered in time (`TimedOut`).
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    notice_loss(&stream, TARGET)?;
    Ok(stream)
}

/// A peer that has vanished without a word ends the connection.
///
/// # Errors
/// The kernel knows no such options.
pub(super) fn notice_loss(stream: &TcpStream, patience: Patience) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, patience.probe)?;
    sockopt::set_tcp_keepintvl(stream, patience.probe)?;
    sockopt::set_tcp_user_timeout(stream, patience.unanswered_ms)?;
    Ok(())
}

/// Connects the proxy of HTTP to one target, and tells the target of its connections.
#[derive(Debug)]
pub(super) struct Dial(pub(super) Arc<Target>);

#[async_trait]
impl L4Connect for Dial {
    async fn connect(&self, _address: &PeerAddress) -> pingora_core::Result<Stream> {
        let failed = |error: io::Error| {
            let kind = if error.kind() == io::ErrorKind::TimedOut {
                ErrorType::ConnectTimedout
            } else if error.kind() == io::ErrorKind::ConnectionRefused {
                ErrorType::ConnectRefused
            } else {
                ErrorType::ConnectError
            };
            pingora_core::Error::because(kind, "connect to a target", error)
        };
        let stream = connect(self.0.address).await.map_err(failed)?;
        self.0.connected(&stream).map_err(failed)?;
        let descriptor = stream.as_raw_fd();
        let mut stream = Stream::from(stream);
        stream.tracer = Some(Tracer(Box::new(Closing {
            target: Arc::clone(&self.0),
            descriptor,
        })));
        Ok(stream)
    }
}

/// Tells the target when the connection is about to be closed.
#[derive(Debug)]
struct Closing {
    target: Arc<Target>,
    descriptor: RawFd,
}

impl Tracing for Closing {
    fn on_connected(&self) {}

    fn on_disconnected(&self) {
        self.target.closed(self.descriptor);
    }

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(Self {
            target: Arc::clone(&self.target),
            descriptor: self.descriptor,
        })
    }
}
