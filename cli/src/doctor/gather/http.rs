//! A GET without TLS, at an address or a socket: enough for Docker, and for what daemons tell of themselves.

use std::path::Path;

use anyhow::{Context as _, bail};
use berth_model::time::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::PATIENCE;

/// Bytes of an answer that are read.
const LARGEST: u64 = 16 << 20;

/// Where to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'p> {
    /// `HOST:PORT`.
    Address(&'p str),
    /// A socket of this machine.
    Socket(&'p Path),
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    date: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Asks, within [`PATIENCE`].
///
/// # Errors
/// Nobody answers there, or not with HTTP.
pub(crate) async fn get(place: Place<'_>, path: &str) -> anyhow::Result<Answer> {
    let asked = async {
        match place {
            Place::Address(address) => {
                let address = if address.contains(':') {
                    address.to_owned()
                } else {
                    format!("{address}:80")
                };
                ask(TcpStream::connect(&address).await?, path).await
            }
            Place::Socket(socket) => {
                let stream = UnixStream::connect(socket).await;
                ask(stream.with_context(|| socket.display().to_string())?, path).await
            }
        }
    };
    let answered = timeout(PATIENCE, asked).await;
    answered.with_context(|| format!("no answer within {} s", PATIENCE.as_secs()))?
}

/// Of HTTP/1.0 the answer ends with the connection and comes in one piece.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> anyhow::Result<Answer> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
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
}
