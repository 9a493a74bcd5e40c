//! A GET, at an address or a socket without TLS, or of a scheduler as the command line names it: enough for Docker, and for
//! what daemons tell of themselves.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use berth_model::time::Timestamp;
use berth_tls::{Certificate, Client, is_for, shown_by};
use berth_trust::Life;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::PATIENCE;
use crate::api::CallError;
use crate::args::GlobalArgs;
use crate::credentials::Signer;
use crate::tls;

/// Bytes of an answer that are read.
const LARGEST: u64 = 16 << 20;

/// Where to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'p> {
    /// `HOST:PORT`, without TLS.
    Address(&'p str),
    /// A socket of this machine.
    Socket(&'p Path),
    /// The scheduler.
    Scheduler(&'p Scheduler),
}

/// The scheduler that the command line names, whom to believe there, and who asks.
#[derive(Debug)]
pub(crate) struct Scheduler {
    /// As it is in the URL: `HOST` or `HOST:PORT`.
    authority: String,
    /// What is dialled.
    address: String,
    client: Option<Client>,
    signer: Option<Signer>,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    date: Option<String>,
    pub(crate) body: Vec<u8>,
    /// By whom, where TLS was spoken.
    pub(crate) shown: Option<Shown>,
}

/// The certificate of a scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) life: Life,
    /// The host of the URL, where the certificate does not name it.
    pub(crate) unnamed_host: Option<String>,
}

impl Scheduler {
    /// The one that is named, with what the files say that are named or usual.
    ///
    /// # Errors
    /// One of the files cannot be used, or nothing says whom to believe.
    pub(crate) fn of(global: &GlobalArgs) -> Result<Self, CallError> {
        let client = tls::client(global)?;
        let url = &global.scheduler;
        let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).to_owned();
        let uri: Option<http::Uri> = url.parse().ok();
        let has_port = uri.is_some_and(|uri| uri.port_u16().is_some());
        let address = match (has_port, &client) {
            (true, _) => authority.clone(),
            (false, Some(_)) => format!("{authority}:443"),
            (false, None) => format!("{authority}:80"),
        };
        Ok(Self {
            authority,
            address,
            client,
            signer: Signer::of(global)?,
        })
    }

    async fn ask(&self, path: &str) -> anyhow::Result<Answer> {
        let signer = self.signer.as_ref();
        let headers = signer.map_or_else(Vec::new, |signer| signer.sign_get(path, SystemTime::now()));
        let request = request(path, &self.authority, &headers);
        let Some(client) = &self.client else {
            return ask(TcpStream::connect(&self.address).await?, &request).await;
        };
        let stream = client.dial_http1(&self.address).await?;
        let shown = shown_by(&stream);
        let answer = ask(stream, &request).await?;
        let shown = shown.and_then(|certificate| {
            let host = self.address.rsplit_once(':').map_or(&*self.address, |(host, _)| host);
            Some(Shown {
                life: Certificate::read(&certificate).ok()?.life,
                unnamed_host: (!is_for(&certificate, host)).then(|| host.to_owned()),
            })
        });
        Ok(Answer { shown, ..answer })
    }
}

/// Asks, within [`PATIENCE`].
///
/// # Errors
/// Nobody answers there, or not with HTTP, or is not who it should be.
pub(crate) async fn get(place: Place<'_>, path: &str) -> anyhow::Result<Answer> {
    let plain = || request(path, "localhost", &[]);
    let asked = async {
        match place {
            Place::Address(address) => {
                let address = if address.contains(':') {
                    address.to_owned()
                } else {
                    format!("{address}:80")
                };
                ask(TcpStream::connect(&address).await?, &plain()).await
            }
            Place::Socket(socket) => {
                let stream = UnixStream::connect(socket).await;
                ask(stream.with_context(|| socket.display().to_string())?, &plain()).await
            }
            Place::Scheduler(scheduler) => scheduler.ask(path).await,
        }
    };
    let answered = timeout(PATIENCE, asked).await;
    answered.with_context(|| format!("no answer within {} s", PATIENCE.as_secs()))?
}

/// Of HTTP/1.0 the answer ends with the connection and comes in one piece.
fn request(path: &str, host: &str, headers: &[(&'static str, String)]) -> String {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("GET {path} HTTP/1.0\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n")
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> anyhow::Result<Answer> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut bytes = Vec::new();
    stream.take(LARGEST).read_to_end(&mut bytes).await?;
    read(&bytes)
}

fn read(bytes: &[u8]) -> anyhow::Result<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some((head, body)) = end.and_then(|end| Some((bytes.get(..end)?, bytes.get(end + 4..)?))) else {
        bail!("the answer is not HTTP");
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let date = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| value.trim().to_owned())
    });
    Ok(Answer {
        status: status.context("the answer is not HTTP")?,
        date,
        body: body.to_vec(),
        shown: None,
    })
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// When it was made, by the clock of who answered, in seconds since the epoch (RFC 9110, 5.6.7).
    pub(crate) fn date(&self) -> Option<f64> {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let date = self.date.as_deref()?;
        let mut parts = date.split(' ').skip(1);
        let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let month = MONTHS.iter().position(|name| *name == month)? + 1;
        let written = format!("{year}-{month:02}-{day}T{time}Z");
        Some(Timestamp::from_rfc3339(&written)?.as_epoch_seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_its_date_and_its_body() {
        let answer = read(b"HTTP/1.0 503 No\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX: y\r\n\r\nno\n").unwrap();
        assert_eq!((answer.status, answer.text()), (503, "no\n".to_owned()));
        assert_eq!(answer.date(), Some(784_111_777.0));
        let undated = read(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert_eq!((undated.status, undated.date()), (200, None));
        for text in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"", b"HTTP/1.1\r\n\r\n"] {
            assert!(read(text).is_err());
        }
    }

    #[test]
    fn a_request_has_its_host_and_who_signs_it() {
        assert_eq!(
            request("/readyz", "a:1", &[("x-amz-date", "20261122T000000Z".to_owned())]),
            "GET /readyz HTTP/1.0\r\nhost: a:1\r\nconnection: close\r\nx-amz-date: 20261122T000000Z\r\n\r\n"
        );
    }
}
