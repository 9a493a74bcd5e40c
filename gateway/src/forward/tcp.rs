//! Connections of TCP: bytes both ways until one side ends, or the target's time is up.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::dial;
use crate::group::Group;
use crate::target::Lease;

/// Targets that are tried for one connection.
const ATTEMPTS: usize = 4;

pub(super) async fn connection(group: &Group, mut client: TcpStream, from: SocketAddr) {
    let service = &*group.service;
    let Some((lease, mut upstream)) = connected(group).await else {
        tracing::warn!(service, client = %from, "no target took the connection");
        return;
    };
    let options = client
        .set_nodelay(true)
        .and_then(|()| dial::notice_loss(&client, dial::CLIENT));
    if let Err(error) = options {
        tracing::debug!(service, client = %from, %error, "connection gone before it began");
        return;
    }
    let ended = tokio::select! {
        () = lease.target.cut.cancelled() => return,
        ended = tokio::io::copy_bidirectional(&mut client, &mut upstream) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(service, client = %from, target = %lease.target.address, %error, "connection broke");
    }
}

/// The first target that takes a connection.
async fn connected(group: &Group) -> Option<(Lease, TcpStream)> {
    let mut tried = Vec::new();
    for _ in 0..ATTEMPTS {
        let lease = group.lease(&tried)?;
        match dial::connect(lease.target.address).await {
            Ok(upstream) => return Some((lease, upstream)),
            Err(error) => {
                tracing::debug!(
                    service = &*group.service,
                    task = &*lease.target.id.task,
                    %error,
                    "target took no connection"
                );
                lease.target.refused();
                tried.push(lease.target.number);
            }
        }
    }
    None
}
