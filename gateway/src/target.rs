//! A target as it lives here: its health, what is open on it, and the sockets of its connections.
//!
//! Forwarding takes leases and registers connections; the task of the target checks, drains and cuts. A lock is held
//! for a few instructions and never across a wait.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::balance::{Candidate, Standing};
use crate::endpoints::HealthCheck;
use crate::health::{Condition, Health};
use crate::report::TargetId;

/// For how long a target that refused a connection is passed over.
const PASSED_OVER: Duration = Duration::from_secs(3);
/// How long a target that has become healthy takes to get as much as the others.
const FILLS_UP: Duration = Duration::from_secs(10);

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// One task as a member of one target group, at one address.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: TargetId,
    /// Of no other target of this process: connections of one are never used for another.
    pub(crate) number: u64,
    pub(crate) deployment: Arc<str>,
    pub(crate) address: std::net::SocketAddr,
    /// When it has to be empty; `None` while it is registered.
    pub(crate) leave_by: watch::Sender<Option<Instant>>,
    /// What is open on it ends.
    pub(crate) cut: CancellationToken,
    /// Told whenever nothing is open any more.
    emptied: Notify,
    /// Another has taken its place: what becomes of it is nobody's news.
    superseded: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    health: Health,
    healthy_since: Option<Instant>,
    refused_at: Option<Instant>,
    /// Since when it has left and nothing is open on it.
    drained_at: Option<Instant>,
    /// Requests and TCP connections.
    open: u32,
    /// Those of them that have no connection of HTTP yet, and may be about to take an idle one.
    unbound: u32,
    /// Connections are there that are not to be used again.
    retiring: bool,
    /// Connections of HTTP, by the descriptor of the socket that the proxy has.
    connections: HashMap<RawFd, Connection>,
}

/// A connection of HTTP, in use or idle.
#[derive(Debug)]
struct Connection {
    /// A second descriptor of its socket.
    socket: OwnedFd,
    /// Descriptors are used again, these are not.
    number: u64,
    requests: u32,
    /// It is not to be used again.
    last_use: bool,
}

impl Target {
    pub(crate) fn new(id: TargetId, deployment: Arc<str>, address: std::net::SocketAddr, health: Health) -> Self {
        let healthy = *health.condition() == Condition::Healthy;
        Self {
            id,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            deployment,
            address,
            leave_by: watch::Sender::new(None),
            cut: CancellationToken::new(),
            emptied: Notify::new(),
            superseded: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                health,
                // What was healthy before this gateway began is not new.
                healthy_since: healthy.then(Instant::now).and_then(|now| now.checked_sub(FILLS_UP)),
                refused_at: None,
                drained_at: None,
                open: 0,
                unbound: 0,
                retiring: false,
                connections: HashMap::new(),
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn condition(&self) -> Condition {
        self.inner().health.condition().clone()
    }

    pub(crate) fn leaves(&self) -> bool {
        self.leave_by.borrow().is_some()
    }

    /// From now on it gets nothing new, and at `by` what is still open ends. Idle connections end at once.
    pub(crate) fn leave(&self, by: Instant) {
        self.leave_by.send_if_modified(|known| known.replace(by) != Some(by));
        self.retire_connections();
    }

    pub(crate) fn supersede(&self) {
        self.superseded.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Relaxed)
    }

    /// As the balancer sees it; `None` where it gets nothing new.
    pub(crate) fn candidate(&self, now: Instant, tried: bool) -> Option<Candidate> {
        if self.leaves() {
            return None;
        }
        let inner = self.inner();
        let healthy = *inner.health.condition() == Condition::Healthy;
        let refusing = inner.refused_at.is_some_and(|at| now < at + PASSED_OVER);
        let standing = match (healthy, tried, refusing) {
            (true, true, _) => Standing::Tried,
            (true, false, true) => Standing::Refusing,
            (true, false, false) => Standing::Healthy,
            (false, true, _) => Standing::DoubtfulAndTried,
            (false, false, _) => Standing::Doubtful,
        };
        let age = inner.healthy_since.map_or(FILLS_UP, |since| now - since);
        Some(Candidate {
            deployment: Arc::clone(&self.deployment),
            standing,
            open: inner.open,
            fresh: 1.0 - age.div_duration_f32(FILLS_UP).min(1.0),
        })
    }

    /// Takes the outcome of a check; says whether that changed what it is.
    pub(crate) fn checked(&self, outcome: Result<(), Arc<str>>, rules: &HealthCheck) -> bool {
        let mut inner = self.inner();
        let works = outcome.is_ok();
        let changed = inner.health.checked(outcome, rules);
        if works {
            inner.refused_at = None;
        }
        if changed {
            let healthy = *inner.health.condition() == Condition::Healthy;
            inner.healthy_since = healthy.then(Instant::now);
            drop(inner);
            if !healthy {
                self.retire_connections();
            }
        }
        changed
    }

    /// It did not take a connection: it is passed over for a moment, and what it has of idle connections ends.
    pub(crate) fn refused(&self) {
        self.inner().refused_at = Some(Instant::now());
        self.retire_connections();
    }

    /// Requests and connections that it has.
    pub(crate) fn open(&self) -> u32 {
        self.inner().open
    }

    /// Waits until nothing is open. Cancellation safe.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// It has left, and nothing is open.
    pub(crate) fn drained(&self) {
        self.inner().drained_at = Some(Instant::now());
    }

    pub(crate) fn drained_at(&self) -> Option<Instant> {
        self.inner().drained_at
    }

    /// Ends all that is open.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
        for connection in self.inner().connections.values() {
            connection.end();
        }
    }

    /// Keeps hold of a connection that was made to it, until [`Self::closed`].
    ///
    /// # Errors
    /// No descriptor is left.
    pub(crate) fn connected(&self, stream: &TcpStream) -> std::io::Result<()> {
        let socket = stream.as_fd().try_clone_to_owned()?;
        // Under the lock: who leaves or cuts says so first and then looks at the connections.
        let mut inner = self.inner();
        let connection = Connection {
            socket,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            requests: 0,
            last_use: self.leaves(),
        };
        if self.cut.is_cancelled() {
            connection.end();
        }
        inner.retiring |= connection.last_use;
        inner.connections.insert(stream.as_raw_fd(), connection);
        Ok(())
    }

    /// Before the descriptor is closed: after that it may be another's.
    pub(crate) fn closed(&self, descriptor: RawFd) {
        self.inner().connections.remove(&descriptor);
    }

    /// Connections are not used again: those that are idle end now, the others when they are.
    fn retire_connections(&self) {
        let mut inner = self.inner();
        for connection in inner.connections.values_mut() {
            connection.last_use = true;
        }
        inner.retiring = true;
        inner.end_idle();
    }
}

impl Inner {
    /// Ends idle connections that are not to be used again, unless a request may be about to take one of them.
    fn end_idle(&mut self) {
        if self.unbound > 0 || !self.retiring {
            return;
        }
        self.retiring = false;
        for connection in self.connections.values().filter(|one| one.last_use) {
            self.retiring = true;
            if connection.requests == 0 {
                connection.end();
            }
        }
    }
}

impl Connection {
    fn end(&self) {
        if let Err(error) = rustix::net::shutdown(&self.socket, Shutdown::Both) {
            tracing::trace!(%error, "connection had ended before");
        }
    }
}

/// A request or a connection that a target has; dropping it says that it has ended.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) target: Arc<Target>,
    /// Descriptor and number of the connection of HTTP that is used.
    over: Option<(RawFd, u64)>,
}

impl Lease {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        let mut inner = target.inner();
        inner.open += 1;
        inner.unbound += 1;
        drop(inner);
        Self { target, over: None }
    }

    /// The request goes over this connection.
    pub(crate) fn uses(&mut self, descriptor: RawFd) {
        let mut inner = self.target.inner();
        if self.over.is_none()
            && let Some(connection) = inner.connections.get_mut(&descriptor)
        {
            connection.requests += 1;
            self.over = Some((descriptor, connection.number));
            inner.unbound -= 1;
            inner.end_idle();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut inner = self.target.inner();
        inner.open -= 1;
        match self.over {
            None => inner.unbound -= 1,
            Some((descriptor, number)) => {
                if let Some(connection) = inner.connections.get_mut(&descriptor)
                    && connection.number == number
                {
                    connection.requests -= 1;
                }
            }
        }
        inner.end_idle();
        if inner.open == 0 {
            drop(inner);
            self.target.emptied.notify_waiters();
        }
    }
}
