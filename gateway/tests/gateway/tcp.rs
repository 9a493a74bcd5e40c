use berth_proto::gateway::v1::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::bed::{Bed, free_port, web};
use crate::clients::connect;

/// A server that gives back what it gets, after a greeting.
pub(crate) struct Echo {
    pub(crate) port: u16,
    _serving: AbortOnDropHandle<()>,
}

impl Echo {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    if write.write_all(b"hello").await.is_ok() {
                        drop(tokio::io::copy(&mut read, &mut write).await);
                    }
                });
            }
        });
        Self {
            port,
            _serving: AbortOnDropHandle::new(serving),
        }
    }
}

#[tokio::test]
async fn bytes_go_both_ways_and_so_does_the_end() {
    let echo = Echo::new().await;
    let port = free_port();
    let _bed = Bed::new(&[web(Protocol::Tcp, port, &[echo.port])]).await;
    let mut stream = connect(port).await;
    stream.write_all(b" there").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "hello there");
}

#[tokio::test]
async fn a_connection_goes_to_a_task_that_takes_it() {
    let echo = Echo::new().await;
    let port = free_port();
    let nobody = free_port();
    let _bed = Bed::new(&[web(Protocol::Tcp, port, &[nobody, echo.port])]).await;
    for _ in 0..4 {
        let mut greeting = [0; 5];
        connect(port).await.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"hello");
    }
}
