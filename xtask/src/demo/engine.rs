//! The few calls of the Docker Engine's API that the demonstration makes, over its socket.
//!
//! HTTP/1.0: one request a connection, the answer ends with it, and nothing is chunked.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

pub(super) const SOCKET: &str = "/var/run/docker.sock";
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether Docker is there.
///
/// # Errors
/// It is there and this user may not speak to it.
pub(super) fn answers() -> anyhow::Result<bool> {
    match call("GET", "/_ping", &[]) {
        Ok((status, _)) => Ok(status == 200),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            bail!("no permission to use {SOCKET}: run this as root, or as a member of the group that owns it")
        }
        Err(_) => Ok(false),
    }
}

/// The version of the Engine.
pub(super) fn version() -> anyhow::Result<String> {
    let version = json("GET", "/version", &[])?;
    Ok(version["Version"].as_str().unwrap_or("unknown").to_owned())
}

/// Whether there is such an image.
pub(super) fn has_image(image: &str) -> anyhow::Result<bool> {
    let path = format!("/images/{image}/json");
    match call("GET", &path, &[]).with_context(|| format!("cannot ask Docker for {image}"))? {
        (200, _) => Ok(true),
        (404, _) => Ok(false),
        (status, body) => bail!("Docker answered {path} with status {status}: {}", body.trim()),
    }
}

/// Makes an image of the files in `archive`, with `changes` in the words of a Dockerfile.
pub(super) fn import(image: &str, archive: &[u8], changes: &[String]) -> anyhow::Result<()> {
    let (repository, tag) = image.split_once(':').context("an image has a tag")?;
    let mut path = format!("/images/create?fromSrc=-&repo={repository}&tag={tag}");
    for change in changes {
        path.push_str("&changes=");
        path.push_str(&encoded(change));
    }
    let (status, body) = call("POST", &path, archive).with_context(|| format!("cannot make the image {image}"))?;
    // Failures that come late are in the body of a 200.
    if status != 200 || body.contains("\"error\"") {
        bail!(
            "Docker does not make the image {image}: status {status}, {}",
            body.trim()
        );
    }
    Ok(())
}

/// Ids of the containers, running or not, that `filters` choose.
pub(super) fn containers(filters: &Value) -> anyhow::Result<Vec<String>> {
    let path = format!("/containers/json?all=1&filters={}", encoded(&filters.to_string()));
    let containers = json("GET", &path, &[])?;
    let containers = containers
        .as_array()
        .context("Docker's list of containers is no list")?;
    Ok(containers
        .iter()
        .filter_map(|container| container["Id"].as_str().map(str::to_owned))
        .collect())
}

/// Removes a container; one that is gone is removed.
pub(super) fn remove_container(id: &str) -> anyhow::Result<()> {
    remove(&format!("/containers/{id}?force=1&v=1"))
}

/// Removes an image; one that is gone is removed.
pub(super) fn remove_image(image: &str) -> anyhow::Result<()> {
    remove(&format!("/images/{image}?force=1"))
}

fn remove(path: &str) -> anyhow::Result<()> {
    match call("DELETE", path, &[]).with_context(|| format!("cannot remove {path}"))? {
        (200 | 204 | 404, _) => Ok(()),
        (status, body) => bail!("Docker does not remove {path}: status {status}, {}", body.trim()),
    }
}

fn json(method: &str, path: &str, body: &[u8]) -> anyhow::Result<Value> {
    let (status, body) =
        call(method, path, body).with_context(|| format!("cannot ask Docker for {path} at {SOCKET}"))?;
    if status != 200 {
        bail!("Docker answered {path} with status {status}: {}", body.trim());
    }
    serde_json::from_str(&body).with_context(|| format!("Docker's answer to {path} is no JSON"))
}

/// The status and the body of the answer.
fn call(method: &str, path: &str, body: &[u8]) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(SOCKET)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/x-tar\r\n\
         Content-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    parse(&answer).ok_or_else(|| io::Error::other(format!("no HTTP answer: {answer}")))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// Percent-encoded, to stand in a query.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{encoded, parse};

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = "HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n{\"message\":\"x\"}";
        assert_eq!(parse(answer), Some((404, "{\"message\":\"x\"}".to_owned())));
        assert_eq!(parse("HTTP/1.0 404 Not Found\r\n"), None);
    }

    #[test]
    fn what_stands_in_a_query_is_encoded() {
        assert_eq!(encoded("CMD [\"/a-b\"]"), "CMD%20%5B%22%2Fa-b%22%5D");
    }
}
