//! A GET, at an address or a socket without TLS, or of a scheduler as the command line names it: enough for Docker, and for
//! what daemons tell of themselves.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use berth_tls::{Certificate, Client, is_for, shown_by};
use berth_trust::Life;
use http::Request;
use http::header::{DATE, HOST};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::PATIENCE;
use crate::api::CallError;
use crate::args::GlobalArgs;
use crate::credentials::Signer;
use crate::tls;

/// Bytes of an answer that are read.
const LARGEST: usize = 16 << 20;

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
        let request = request(path, &self.authority, &headers)?;
        let Some(client) = &self.client else {
            return ask(TcpStream::connect(&self.address).await?, request).await;
        };
        let stream = client.dial_http1(&self.address).await?;
        let shown = shown_by(&stream);
        let answer = ask(stream, request).await?;
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
                ask(TcpStream::connect(&address).await?, plain()?).await
            }
            Place::Socket(socket) => {
                let stream = UnixStream::connect(socket).await;
                ask(stream.with_context(|| socket.display().to_string())?, plain()?).await
            }
            Place::Scheduler(scheduler) => scheduler.ask(path).await,
        }
    };
    let answered = timeout(PATIENCE, asked).await;
    answered.with_context(|| format!("no answer within {} s", PATIENCE.as_secs()))?
}

fn request(path: &str, host: &str, headers: &[(&'static str, String)]) -> anyhow::Result<Request<Empty<Bytes>>> {
    let mut request = Request::get(path).header(HOST, host);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    Ok(request.body(Empty::new())?)
}

async fn ask<S>(stream: S, request: Request<Empty<Bytes>>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender, at the end of this call.
    drop(tokio::spawn(connection));
    let answer = sender.send_request(request).await?;
    let (status, date) = (answer.status().as_u16(), answer.headers().get(DATE));
    let date = date.and_then(|date| date.to_str().ok()).map(str::to_owned);
    let body = Limited::new(answer.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| anyhow!("read the answer: {error}"))?;
    Ok(Answer {
        status,
        date,
        body: body.to_bytes().to_vec(),
        shown: None,
    })
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// When it was made, by the clock of who answered, in seconds since the epoch (RFC 9110, 5.6.7).
    pub(crate) fn date(&self) -> Option<f64> {
        let date = httpdate::parse_http_date(self.date.as_deref()?).ok()?;
        Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What comes of a request to somebody who answers this.
    async fn asked(answer: &'static [u8]) -> anyhow::Result<(Answer, String)> {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let answering = tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(theirs.read_u8().await?);
            }
            theirs.write_all(answer).await?;
            Ok::<_, std::io::Error>(request)
        });
        let headers = [("x-amz-date", "20261122T000000Z".to_owned())];
        let answer = ask(ours, request("/readyz", "a:1", &headers)?).await?;
        Ok((answer, String::from_utf8(answering.await??)?))
    }

    #[tokio::test]
    async fn an_answer_is_its_status_its_date_and_its_body() {
        let no = b"HTTP/1.0 503 No\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX: y\r\n\r\nno\n";
        let (answer, request) = asked(no).await.unwrap();
        assert_eq!((answer.status, answer.text()), (503, "no\n".to_owned()));
        assert_eq!(answer.date(), Some(784_111_777.0));
        assert_eq!(
            request,
            "GET /readyz HTTP/1.1\r\nhost: a:1\r\nx-amz-date: 20261122T000000Z\r\n\r\n"
        );
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        let (undated, _) = asked(chunked).await.unwrap();
        assert_eq!(
            (undated.status, undated.text(), undated.date()),
            (200, "ok".to_owned(), None)
        );
        for text in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"", b"HTTP/1.1\r\n\r\n"] {
            assert!(asked(text).await.is_err());
        }
    }
}
