use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use berth_proto::gateway::v1::Protocol;
use hyper::StatusCode;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::bed::{Bed, free_port, web};
use crate::clients::Client;
use crate::targets::Target;

/// A server that takes requests and answers none: it closes.
struct Breaks {
    port: u16,
    requests: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

impl Breaks {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    if stream.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self {
            port,
            requests,
            _serving: AbortOnDropHandle::new(serving),
        }
    }
}

#[tokio::test]
async fn no_request_fails_because_a_task_takes_no_connections() {
    let (works, nobody) = (Target::new().await, free_port());
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[nobody, works.port])]).await;
    let mut client = Client::new(port).await;
    for method in ["GET", "POST"].repeat(4) {
        let answer = client.send(method, "/", "").await.unwrap();
        assert_eq!(answer, (StatusCode::OK, works.port.to_string()));
    }
}

#[tokio::test]
async fn an_idempotent_request_whose_connection_broke_goes_to_another_task() {
    let (works, breaks) = (Target::new().await, Breaks::new().await);
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[breaks.port, works.port])]).await;
    let mut client = Client::new(port).await;
    for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        let (status, _) = client.send(method, "/", "body").await.unwrap();
        assert_eq!(status, StatusCode::OK, "{method}");
    }
    let (_, echoed) = client.send("PUT", "/echo", "all of it").await.unwrap();
    assert_eq!(echoed, "all of it");
    assert!(breaks.requests.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn a_request_that_may_have_done_something_is_not_sent_again() {
    let breaks = Breaks::new().await;
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[breaks.port])]).await;
    let (status, text) = Client::new(port).await.send("POST", "/", "pay").await.unwrap();
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(
        text,
        "The service web broke the connection before its answer was complete.\n"
    );
    assert_eq!(breaks.requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_request_that_breaks_everywhere_is_given_up() {
    let breaks = Breaks::new().await;
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[breaks.port])]).await;
    let (status, _) = Client::new(port).await.get("/").await.unwrap();
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(breaks.requests.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_task_whose_host_says_nothing_is_passed_over_after_a_second() {
    // Nobody accepts, and the queue of one is full: what comes then is dropped, as by a host that has vanished.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = socket.listen(0).unwrap();
    let at = silent.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(at)).await {
        queued.push(stream);
    }
    let works = Target::new().await;
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Http, port, &[at.port(), works.port])]).await;
    let mut client = Client::new(port).await;
    let begun = Instant::now();
    for _ in 0..6 {
        let answer = client.send("POST", "/", "").await.unwrap();
        assert_eq!(answer, (StatusCode::OK, works.port.to_string()));
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(2500), "{took:?}");
}
