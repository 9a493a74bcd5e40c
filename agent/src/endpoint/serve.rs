//! One listening port: how many may speak, how long they may take, how much they may say.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::answer::Answer;

/// Connections at once. One that says nothing for [`HEADERS`] is closed, so that silent ones keep out nobody for long.
const CONNECTIONS: usize = 256;
/// For the next request's headers, from the end of the request before.
const HEADERS: Duration = Duration::from_secs(10);
/// Of a request's headers, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;
/// After a failure to accept, which seldom comes alone.
const PAUSE: Duration = Duration::from_millis(100);

/// Whoever asks: its address, and the address that it asked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) from: SocketAddr,
    pub(super) at: SocketAddr,
}

/// Answers requests at a port.
pub(super) trait Service: Send + Sync + 'static {
    /// Whether the peer is heard at all.
    fn admits(&self, peer: Peer) -> bool;

    /// The answer to one request.
    fn answer(&self, peer: Peer, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;
}

/// Serves for ever.
pub(super) async fn serve<S: Service>(listener: TcpListener, service: Arc<S>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (stream, peer) = match listener.accept().await {
            Ok((stream, from)) => match stream.local_addr() {
                Ok(at) => (stream, Peer { from, at }),
                Err(_) => continue,
            },
            Err(error) => {
                tracing::debug!(%error, "a connection to the endpoint was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if !service.admits(peer) {
            continue;
        }
        let service = Arc::clone(&service);
        drop(tokio::spawn(async move {
            let answering = service_fn(move |request| {
                let service = Arc::clone(&service);
                async move { Ok::<_, Infallible>(service.answer(peer, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS)
                .max_buf_size(LARGEST_HEAD)
                .serve_connection(TokioIo::new(stream), answering);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the endpoint broke off");
            }
            drop(place);
        }));
    }
}
