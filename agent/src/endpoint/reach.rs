//! Whether containers reach the endpoint: the agent asks at ECS's address itself, and sees whether it is the one who
//! answers. Where it does not, it prepares the host if it may.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::host::{self, Network};
use super::serve::{Service, serve};

const PORT: u16 = 80;
/// For an answer of our own.
const DEADLINE: Duration = Duration::from_secs(2);
/// Between two looks, when all is well and when it is not.
const WELL: Duration = Duration::from_secs(30);
const ILL: Duration = Duration::from_secs(5);

/// What is known of the way from the containers.
#[derive(Debug)]
pub(super) struct Reach {
    listen: SocketAddr,
    /// Names a path that this agent alone knows.
    nonce: String,
    listening: bool,
    reached: bool,
    /// The last problem that was logged: each is told once.
    told: Option<String>,
}

impl Reach {
    pub(super) fn new(listen: SocketAddr, nonce: String) -> Self {
        Self {
            listen,
            nonce,
            listening: false,
            reached: false,
            told: None,
        }
    }

    /// Until the next look.
    pub(super) fn pause(&self) -> Duration {
        if self.reached { WELL } else { ILL }
    }

    /// Listens if that is still to be done, looks whether containers reach us, and prepares the host if they do not.
    pub(super) async fn check<S: Service>(&mut self, service: &Arc<S>) -> bool {
        let mut problem = self.look(service).await;
        // Another address than ECS's is led to by the operator.
        if problem.is_some() && self.listen == SocketAddr::from((host::ADDRESS, host::PORT)) {
            problem = match host::set(Network::Up).await {
                Ok(()) => self.look(service).await,
                Err(error) => Some(format!("the host is not prepared, and cannot be by the agent: {error}")),
            };
        }
        self.reached = problem.is_none();
        match &problem {
            None if self.told.take().is_some() => tracing::info!("containers reach the endpoint of their tasks"),
            Some(problem) if self.told.as_ref() != Some(problem) => {
                tracing::warn!(
                    problem,
                    "containers do not reach the endpoint of their tasks; run 'berth-agent network up' as root or \
                     enable berth-agent-network.service, or set endpoint-address to 'off'"
                );
            }
            None | Some(_) => {}
        }
        self.told = problem;
        self.reached
    }

    /// What is wrong, if anything is.
    async fn look<S: Service>(&mut self, service: &Arc<S>) -> Option<String> {
        if !self.listening {
            match TcpListener::bind(self.listen).await {
                Ok(listener) => drop(tokio::spawn(serve(listener, Arc::clone(service)))),
                Err(error) => return Some(format!("listen at {}: {error}", self.listen)),
            }
            self.listening = true;
        }
        let address = SocketAddr::from((host::ADDRESS, PORT));
        match tokio::time::timeout(DEADLINE, ask(address, &self.nonce)).await {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => Some(format!("somebody else answers at {address}")),
            Ok(Err(error)) => Some(format!("ask at {address}: {error}")),
            Err(_) => Some(format!("ask at {address}: no answer within {} s", DEADLINE.as_secs())),
        }
    }
}

/// Whether the one who answers knows the path.
async fn ask(address: SocketAddr, nonce: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /{nonce} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        address.ip()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; "HTTP/1.1 204".len()];
    stream.read_exact(&mut status).await?;
    Ok(status.ends_with(b" 204"))
}
