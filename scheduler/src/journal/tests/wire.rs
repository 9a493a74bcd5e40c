//! A wire to etcd that can be cut, in one direction or both, without either end noticing.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Whole,
    /// What is asked arrives, and no answer comes back.
    LosesAnswers,
    /// What is asked waits on the way until the wire is whole again.
    HoldsRequests,
}

/// A wire to `etcd`; its near end, and what becomes of it.
pub(super) async fn lay(etcd: SocketAddr) -> (SocketAddr, watch::Sender<Wire>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let near = listener.local_addr().unwrap();
    let (state, wire) = watch::channel(Wire::Whole);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let wire = wire.clone();
            tokio::spawn(async move {
                let server = TcpStream::connect(etcd).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::join!(
                    carry(from_client, to_server, wire.clone(), Wire::HoldsRequests),
                    carry(from_server, to_client, wire, Wire::LosesAnswers),
                )
            });
        }
    });
    (near, state)
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut wire: watch::Receiver<Wire>,
    broken: Wire,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        if broken == Wire::LosesAnswers && *wire.borrow() == broken {
            continue;
        }
        if wire.wait_for(|state| *state != broken).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    // The other end hears of the end only when all that was held has gone.
    drop(to.shutdown().await);
}
