//! Clients of HTTP.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::bed::DEADLINE;

/// A connection of HTTP/1.1 to the gateway, kept from request to request.
pub(crate) struct Client {
    port: u16,
    sender: http1::SendRequest<Full<Bytes>>,
    _driven: AbortOnDropHandle<()>,
}

impl Client {
    /// Waits for the port to be listened on.
    pub(crate) async fn new(port: u16) -> Self {
        Self::over(connect(port).await).await
    }

    /// Over this connection.
    pub(crate) async fn over(stream: TcpStream) -> Self {
        let port = stream.peer_addr().unwrap().port();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driven = tokio::spawn(async move { drop(connection.await) });
        Self {
            port,
            sender,
            _driven: AbortOnDropHandle::new(driven),
        }
    }

    /// Whether the last answer has left it open.
    pub(crate) async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<(StatusCode, String), hyper::Error> {
        self.send("GET", path, "").await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<(StatusCode, String), hyper::Error> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", format!("127.0.0.1:{}", self.port))
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        self.request(request).await
    }

    pub(crate) async fn request(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, String), hyper::Error> {
        let answered = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok((status, String::from_utf8(body.to_vec()).unwrap()))
        };
        tokio::time::timeout(DEADLINE, answered).await.unwrap()
    }
}

/// One request of HTTP/1.1 on a connection of its own.
pub(crate) async fn get(port: u16, path: &str) -> (StatusCode, String) {
    Client::new(port).await.get(path).await.unwrap()
}

/// One request over HTTP/2 that is begun with without asking.
pub(crate) async fn get_http2(port: u16, path: &str) -> (StatusCode, String) {
    let io = TokioIo::new(connect(port).await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let _driven = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(format!("http://127.0.0.1:{port}{path}"));
    let answered = async {
        let response = sender
            .send_request(request.body(Full::<Bytes>::default()).unwrap())
            .await
            .unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    tokio::time::timeout(DEADLINE, answered).await.unwrap()
}

/// Connects as soon as somebody listens.
pub(crate) async fn connect(port: u16) -> TcpStream {
    let connected = async {
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, connected).await.unwrap()
}
