//! What happens to a connection of a client: HTTP through the proxy, all else byte by byte.

mod answer;
mod dial;
mod http;
mod tcp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::endpoints::Protocol;
use crate::group::Group;

/// Forwards the connections of one port.
pub(crate) enum Forward {
    Http(Box<http::Proxy>),
    Tcp(Arc<Group>),
}

impl Forward {
    pub(crate) fn new(group: Arc<Group>, speaks: Protocol, port: u16, idle_timeout: Duration) -> Self {
        match speaks {
            Protocol::Http | Protocol::Http2 => {
                Self::Http(Box::new(http::Proxy::new(group, speaks, port, idle_timeout)))
            }
            Protocol::Tcp => Self::Tcp(group),
        }
    }

    /// Serves a client up to its end. Where this is dropped the connection is cut.
    pub(crate) async fn connection(&self, stream: TcpStream, client: SocketAddr) {
        match self {
            Self::Http(proxy) => proxy.connection(stream, client).await,
            Self::Tcp(group) => tcp::connection(group, stream, client).await,
        }
    }

    /// No more requests are taken: connections end with what they have.
    pub(crate) async fn close(&self) {
        match self {
            Self::Http(proxy) => proxy.close().await,
            Self::Tcp(_) => {}
        }
    }
}
