//! DNS over UDP and TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};

use super::Zone;
use crate::endpoints::Table;
use crate::report::States;

/// Longest message that is read over UDP.
const LONGEST: usize = 4096;
/// What a client without EDNS takes over UDP (RFC 1035, section 4.2.1), and what is sent at most: it fits into
/// packets of the usual size.
const PLAIN: u16 = 512;
const MOST: u16 = 1232;
/// Connections of TCP at a time; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// For the next question of a connection of TCP, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// What is asked about.
#[derive(Debug)]
struct Known {
    tables: watch::Receiver<Arc<Table>>,
    states: watch::Receiver<Arc<States>>,
    /// Its name.
    cluster: String,
}

/// Listens, and answers in the background for as long as the process lives.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) async fn serve(
    address: SocketAddr,
    cluster: String,
    tables: watch::Receiver<Arc<Table>>,
    states: watch::Receiver<Arc<States>>,
) -> anyhow::Result<()> {
    let why = || format!("listen on {address}: use --dns-listen");
    let udp = UdpSocket::bind(address).await.with_context(why)?;
    let tcp = TcpListener::bind(address).await.with_context(why)?;
    tracing::info!(%address, "serving DNS");
    let known = Arc::new(Known {
        tables,
        states,
        cluster,
    });
    drop(tokio::spawn(over_udp(udp, Arc::clone(&known))));
    drop(tokio::spawn(over_tcp(tcp, known)));
    Ok(())
}

impl Known {
    /// The answer to what was received; `None` where it is no question. `fits` says how long it may be, of the question.
    fn answer(&self, received: &[u8], fits: impl FnOnce(&Message) -> u16) -> Option<Vec<u8>> {
        let question = Message::from_vec(received).ok()?;
        let table = Arc::clone(&self.tables.borrow());
        let states = Arc::clone(&self.states.borrow());
        let zone = Zone {
            table: &table,
            states: &states,
            cluster: &self.cluster,
        };
        let answer = zone.answer(&question)?;
        let bytes = answer.to_vec().ok()?;
        if bytes.len() <= usize::from(fits(&question)) {
            return Some(bytes);
        }
        // Who wants all of it asks again over TCP.
        answer.truncate().to_vec().ok()
    }
}

async fn over_udp(socket: UdpSocket, known: Arc<Known>) {
    let mut buffer = [0; LONGEST];
    let fits = |question: &Message| {
        question
            .edns
            .as_ref()
            .map_or(PLAIN, |_| question.max_payload().clamp(PLAIN, MOST))
    };
    loop {
        let (read, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "question not received");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if let Some(answer) = known.answer(&buffer[..read], fits)
            && let Err(error) = socket.send_to(&answer, client).await
        {
            tracing::debug!(%client, %error, "answer not sent");
        }
    }
}

async fn over_tcp(listener: TcpListener, known: Arc<Known>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(room) = Arc::clone(&connections).acquire_owned().await {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let known = Arc::clone(&known);
        tokio::spawn(async move {
            if let Err(error) = questions(stream, &known).await {
                tracing::debug!(%client, %error, "connection broke");
            }
            drop(room);
        });
    }
}

/// Messages with their length before them (RFC 1035, section 4.2.2), one after the other.
async fn questions(mut stream: TcpStream, known: &Known) -> io::Result<()> {
    loop {
        let question = async {
            let length = stream.read_u16().await?;
            let mut question = vec![0; usize::from(length)];
            stream.read_exact(&mut question).await?;
            io::Result::Ok(question)
        };
        let question = tokio::time::timeout(PATIENCE, question).await??;
        let Some(answer) = known.answer(&question, |_| u16::MAX) else {
            return Ok(());
        };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(answer);
        tokio::time::timeout(PATIENCE, stream.write_all(&framed)).await??;
    }
}
