//! HTTP/1.1 as the tests need it, one exchange a connection: over TCP to the scheduler, over a socket to Docker. By
//! hand, so that a test may send what no client would, and so that an answer given early to a body that is still being
//! sent is read and not lost.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

/// How long a peer may say nothing in the middle of an exchange.
pub const SILENCE: Duration = Duration::from_secs(60);

/// An answer, complete.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's first value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text, what is not UTF-8 in it replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One exchange over TCP.
///
/// # Errors
///
/// If the peer cannot be reached or does not answer in HTTP.
pub fn tcp(address: SocketAddr, request: &[u8]) -> Result<Response> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
        .with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(SILENCE)).context("timeout")?;
    stream.set_write_timeout(Some(SILENCE)).context("timeout")?;
    exchange(stream, request).with_context(|| format!("talk to {address}"))
}

/// One exchange over a Unix socket.
///
/// # Errors
///
/// As [`tcp`].
pub fn unix(path: &Path, request: &[u8]) -> Result<Response> {
    let stream = UnixStream::connect(path).with_context(|| format!("connect to {}", path.display()))?;
    stream.set_read_timeout(Some(SILENCE)).context("timeout")?;
    stream.set_write_timeout(Some(SILENCE)).context("timeout")?;
    exchange(stream, request).with_context(|| format!("talk to {}", path.display()))
}

/// A request's bytes, with the lengths and the end of the connection filled in.
#[must_use]
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: bed\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Result<Response> {
    // A server may answer and close before it has read everything; its answer is what counts.
    let sent = stream.write_all(request).and_then(|()| stream.flush());
    let mut bytes = Vec::new();
    let received = stream.read_to_end(&mut bytes);
    match parse(&bytes) {
        Ok(Some(response)) => Ok(response),
        Ok(None) => {
            sent.context("send the request")?;
            received.context("receive the answer")?;
            bail!("the answer ends after {} bytes", bytes.len());
        }
        Err(error) => Err(error),
    }
}

/// `None` while the answer is not complete.
fn parse(bytes: &[u8]) -> Result<Option<Response>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(bytes).context("not HTTP")? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let mut response = Response {
        status: head.code.ok_or_else(|| anyhow!("no status code"))?,
        headers: head
            .headers
            .iter()
            .map(|h| {
                let value = String::from_utf8_lossy(h.value).into_owned();
                (h.name.to_ascii_lowercase(), value)
            })
            .collect(),
        body: Vec::new(),
    };
    let rest = &bytes[length..];
    if response.header("transfer-encoding") == Some("chunked") {
        return Ok(unchunk(rest)?.map(|body| Response { body, ..response }));
    }
    if let Some(length) = response.header("content-length") {
        let length: usize = length.parse().context("content-length")?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        response.body = body.to_vec();
    } else {
        response.body = rest.to_vec();
    }
    Ok(Some(response))
}

fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let parsed =
            httparse::parse_chunk_size(rest).map_err(|_| io::Error::other("a chunk's size is not a number"))?;
        let httparse::Status::Complete((start, size)) = parsed else {
            return Ok(None);
        };
        let size = usize::try_from(size).context("a chunk's size")?;
        let Some(chunk) = rest.get(start..start + size + 2) else {
            // The last chunk may lack its final line end when the peer closes.
            return Ok((size == 0).then_some(body));
        };
        ensure!(chunk.ends_with(b"\r\n"), "a chunk does not end where it says");
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[start + size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_a_cut_answer_is_no_answer() {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(whole).unwrap().unwrap().body, b"abcde");
        assert!(parse(&whole[..whole.len() - 12]).unwrap().is_none());
        let sized = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\n\r\nabcd";
        assert_eq!(parse(sized).unwrap().unwrap().status, 400);
        assert!(parse(&sized[..sized.len() - 1]).unwrap().is_none());
    }
}
