//! EC2's instance metadata service, version 2: a token first, then what it says of this host.
//!
//! Source: EC2 User Guide, "Use the Instance Metadata Service to access instance metadata". An answer goes as many hops as the
//! instance's options say; the agent is on the host itself, for which one is enough.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) mod identity;
#[cfg(test)]
pub(crate) mod testing;

/// Where it is unless the settings say otherwise.
const ENDPOINT: &str = "169.254.169.254:80";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_LIFE: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_SECONDS: &str = "21600";
const LONGEST_ANSWER: usize = 16 * 1024;

/// Where the service is asked: none where the host is none of EC2's and the operator names no service.
pub(crate) fn endpoint(given: Option<&str>, on_ec2: bool) -> Option<String> {
    let usual = on_ec2.then_some(ENDPOINT);
    given.or(usual).map(str::to_owned)
}

/// The service, with the token that it gave.
pub(crate) struct Imds {
    authority: String,
    /// For one call; the service is on the host itself.
    deadline: Duration,
    token: Option<String>,
}

impl Imds {
    pub(crate) const fn new(authority: String, deadline: Duration) -> Self {
        Self {
            authority,
            deadline,
            token: None,
        }
    }

    /// What the service has at the path; none where it has nothing.
    ///
    /// # Errors
    /// It does not answer in time, or with something else. A token that it takes no longer is asked for anew by the next call.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Option<Bytes>> {
        let token = match self.token.clone() {
            Some(token) => token,
            None => self.fresh_token().await?,
        };
        let request = Request::get(path).header(TOKEN, token);
        let (status, body) = self.call(request).await.with_context(|| format!("ask for {path}"))?;
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED => {
                self.token = None;
                bail!("the token is no longer taken")
            }
            other => bail!("{path} is answered with {other}"),
        }
    }

    async fn fresh_token(&mut self) -> anyhow::Result<String> {
        let request = Request::builder()
            .method(Method::PUT)
            .uri("/latest/api/token")
            .header(TOKEN_LIFE, TOKEN_SECONDS);
        let (status, body) = self.call(request).await.context("ask for a token")?;
        if status != StatusCode::OK {
            bail!("a token is answered with {status}");
        }
        let token = String::from_utf8(body.to_vec()).context("read the token")?;
        self.token = Some(token.clone());
        Ok(token)
    }

    async fn call(&self, request: http::request::Builder) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = request
            .header(http::header::HOST, &self.authority)
            .body(Empty::<Bytes>::new())?;
        timeout(self.deadline, self.exchange(request))
            .await
            .context("no answer in time")?
    }

    async fn exchange(&self, request: Request<Empty<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender, at the end of this call.
        drop(tokio::spawn(connection));
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("read the answer: {error}"))?;
        Ok((status, body.to_bytes()))
    }
}
