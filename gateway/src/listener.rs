//! The ports of a cluster's services: opened and closed as groups come and go, each on its own.
//!
//! A port that cannot be bound is tried again with growing pauses. Connections are accepted only while there is room
//! for them; what waits is in the kernel's queue, which is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::endpoints::Protocol;
use crate::forward::Forward;
use crate::group::Group;
use berth_daemon::Backoff;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;
/// After an error of accept that is not the connection's own, such as no descriptor being left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is listened with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// On which address; the unspecified one of IPv6 means every address of both kinds.
    pub(crate) address: IpAddr,
    /// Of clients, over all listeners.
    pub(crate) connections: Arc<Semaphore>,
    /// See `--idle-timeout`.
    pub(crate) idle_timeout: Duration,
}

/// All ports.
#[derive(Debug)]
pub(crate) struct Listeners {
    settings: Settings,
    /// By port.
    open: BTreeMap<u16, Port>,
    /// Ports with the groups that wanted them and did not get them.
    disputed: BTreeSet<(u16, Arc<str>)>,
    /// What runs here: ports and connections.
    tasks: TaskTracker,
    /// Connections end at once.
    end: CancellationToken,
}

#[derive(Debug)]
struct Port {
    group: Arc<Group>,
    speaks: Protocol,
    close: CancellationToken,
}

impl Listeners {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            open: BTreeMap::new(),
            disputed: BTreeSet::new(),
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
        }
    }

    /// Listens for exactly these groups. Where two want a port the one that has it keeps it.
    pub(crate) fn follow<'a>(&mut self, groups: impl Iterator<Item = &'a Arc<Group>>) {
        if self.tasks.is_closed() {
            return;
        }
        let mut wanted: BTreeMap<u16, Vec<&Arc<Group>>> = BTreeMap::new();
        for group in groups {
            wanted.entry(group.settings().listener_port).or_default().push(group);
        }
        self.open.retain(|port, open| {
            let stays = wanted.get(port).is_some_and(|groups| {
                let has = |group: &&&Arc<Group>| Arc::ptr_eq(group, &open.group);
                groups
                    .iter()
                    .find(has)
                    .is_some_and(|group| group.settings().protocol == open.speaks)
            });
            if !stays {
                tracing::info!(port, service = &*open.group.service, "port closes");
                open.close.cancel();
            }
            stays
        });
        let mut disputed = BTreeSet::new();
        for (port, groups) in wanted {
            let Some(first) = groups.first() else { continue };
            let owner = self.open.entry(port).or_insert_with(|| {
                let close = CancellationToken::new();
                let speaks = first.settings().protocol;
                let listener = Listener {
                    port,
                    group: Arc::clone(first),
                    speaks,
                    settings: self.settings.clone(),
                    tasks: self.tasks.clone(),
                    close: close.clone(),
                    end: self.end.clone(),
                };
                self.tasks.spawn(listener.run());
                Port {
                    group: Arc::clone(first),
                    speaks,
                    close,
                }
            });
            for other in groups.iter().filter(|group| !Arc::ptr_eq(group, &owner.group)) {
                let settings = other.settings();
                if !self.disputed.contains(&(port, Arc::clone(&settings.arn))) {
                    tracing::error!(
                        port,
                        service = &*other.service,
                        owner = &*owner.group.service,
                        "port is another service's and not listened on for this one"
                    );
                }
                disputed.insert((port, Arc::clone(&settings.arn)));
            }
        }
        self.disputed = disputed;
    }

    /// Closes every port, for good. What is given back waits for what is open, at most this long, and then ends it.
    pub(crate) fn close(&mut self, within: Duration) -> impl Future<Output = ()> + use<> {
        for port in std::mem::take(&mut self.open).into_values() {
            port.close.cancel();
        }
        self.tasks.close();
        let (tasks, end) = (self.tasks.clone(), self.end.clone());
        async move {
            if tokio::time::timeout(within, tasks.wait()).await.is_err() {
                tracing::warn!(open = tasks.len(), "time to drain is over; ending what is open");
                end.cancel();
                tasks.wait().await;
            }
        }
    }
}

/// One port.
struct Listener {
    port: u16,
    group: Arc<Group>,
    speaks: Protocol,
    settings: Settings,
    tasks: TaskTracker,
    close: CancellationToken,
    end: CancellationToken,
}

impl Listener {
    async fn run(self) {
        let bound = tokio::select! {
            () = self.close.cancelled() => None,
            bound = self.bound() => bound,
        };
        let Some(socket) = bound else { return };
        let forward = Arc::new(Forward::new(
            Arc::clone(&self.group),
            self.speaks,
            self.port,
            self.settings.idle_timeout,
        ));
        tracing::info!(port = self.port, service = &*self.group.service, protocol = ?self.speaks, "listening");
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.close.cancelled() => break,
                accepted = self.accept(&socket) => accepted,
            };
            match accepted {
                Ok((stream, client, room)) => self.serve(&forward, stream, client, room),
                Err(error) => {
                    tracing::warn!(port = self.port, %error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Whoever is in the queue was told that they are connected.
        while let Ok(room) = Arc::clone(&self.settings.connections).try_acquire_owned()
            && let Ok(Ok((stream, client))) = tokio::time::timeout(Duration::ZERO, socket.accept()).await
        {
            self.serve(&forward, stream, client, room);
        }
        drop(socket);
        forward.close().await;
    }

    /// The socket, once it can be had.
    async fn bound(&self) -> Option<TcpListener> {
        let mut backoff = Backoff::default();
        for attempt in 1_u32.. {
            match bind(self.settings.address, self.port) {
                Ok(socket) => return Some(socket),
                Err(error) => {
                    // The first may be for the sake of a listener of ours that is about to close.
                    if attempt == 2 {
                        tracing::error!(
                            port = self.port,
                            address = %self.settings.address,
                            service = &*self.group.service,
                            %error,
                            "port cannot be listened on; trying again"
                        );
                    }
                }
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
        None
    }

    async fn accept(&self, socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let room = Arc::clone(&self.settings.connections).acquire_owned().await;
        let room = room.map_err(io::Error::other)?;
        let (stream, client) = socket.accept().await?;
        Ok((stream, client, room))
    }

    fn serve(&self, forward: &Arc<Forward>, stream: TcpStream, client: SocketAddr, room: OwnedSemaphorePermit) {
        let forward = Arc::clone(forward);
        let end = self.end.clone();
        self.tasks.spawn(async move {
            let client = SocketAddr::new(client.ip().to_canonical(), client.port());
            tokio::select! {
                () = end.cancelled() => {}
                () = forward.connection(stream, client) => {}
            }
            drop(room);
        });
    }
}

/// A socket that listens. Where there is no IPv6, every address means those of IPv4.
fn bind(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let every = address == IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED);
    let without_ipv6 = |error: &io::Error| {
        let error = rustix::io::Errno::from_io_error(error);
        matches!(
            error,
            Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL)
        )
    };
    match listen(address, port) {
        Err(error) if every && without_ipv6(&error) => listen(Ipv4Addr::UNSPECIFIED.into(), port),
        bound => bound,
    }
}

fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let socket = match address {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            rustix::net::sockopt::set_ipv6_v6only(&socket, !address.is_unspecified())?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(address, port))?;
    socket.listen(BACKLOG)
}
