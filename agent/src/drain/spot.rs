//! EC2's notice that it takes a Spot Instance back, from the instance metadata service.
//!
//! Source: EC2 User Guide, "Spot Instance interruption notices" (`spot/instance-action`, two minutes ahead) and "Use
//! the Instance Metadata Service" (version 2: a token first).

use std::time::Duration;

use anyhow::{Context as _, bail};
use berth_agent_core::drain::Departure;
use berth_model::time::Timestamp;
use http::{Method, Request as HttpRequest, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Request;
use crate::config::Config;
use crate::driver::now;

const ENDPOINT: &str = "169.254.169.254:80";
/// Between two looks; EC2's guide says 5 s, of two minutes.
const POLL: Duration = Duration::from_secs(2);
/// For one call; the service is on the host itself.
const CALL: Duration = Duration::from_secs(5);
const TOKEN_SECONDS: &str = "21600";
const LONGEST_ANSWER: usize = 16 * 1024;
/// Between the last SIGKILL of a container and the end of the host.
const MARGIN: Duration = Duration::from_secs(5);

/// The metadata service to ask: none where the operator does not want it, or the host is none of EC2's.
pub(crate) fn endpoint(config: &Config, on_ec2: bool) -> Option<String> {
    let given = config.imds_endpoint.clone();
    match config.spot_draining {
        Some(false) => None,
        None if given.is_none() && !on_ec2 => None,
        Some(true) | None => Some(given.unwrap_or_else(|| ENDPOINT.to_owned())),
    }
}

/// Looks for a notice until aborted. Tasks are told to stop so long before the host goes that they can.
pub(crate) async fn watch(authority: String, stop_timeout: Duration, requests: mpsc::Sender<Request>) {
    let mut service = Service { authority, token: None };
    let mut told = None;
    let mut failing = false;
    loop {
        match service.action().await {
            Ok(action) => {
                failing = false;
                let action = action.filter(|action| told.as_ref() != Some(action));
                if let Some(action) = action
                    && tell(&action, stop_timeout + MARGIN, &requests).await
                {
                    told = Some(action);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the metadata service does not say whether EC2 takes the host back"
                    );
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What EC2 is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Action {
    action: String,
    time: String,
}

impl Action {
    fn departure(&self) -> Departure {
        if self.action == "terminate" {
            Departure::SpotTerminate
        } else {
            Departure::SpotStop
        }
    }

    /// When tasks are told to stop: never before now.
    fn deadline(&self, lead: Duration, now: Timestamp) -> Timestamp {
        let lead = i64::try_from(lead.as_millis()).unwrap_or(i64::MAX);
        let end = Timestamp::from_rfc3339(&self.time).unwrap_or(now);
        Timestamp::from_millis(end.as_millis().saturating_sub(lead)).max(now)
    }
}

async fn tell(action: &Action, lead: Duration, requests: &mpsc::Sender<Request>) -> bool {
    tracing::warn!(action = action.action, time = action.time, "EC2 takes the host back");
    let leave = Some((action.departure(), action.deadline(lead, now())));
    let (done, taken) = oneshot::channel();
    requests.send(Request { leave, done }).await.is_ok() && matches!(taken.await, Ok(Ok(_)))
}

struct Service {
    authority: String,
    token: Option<String>,
}

impl Service {
    async fn action(&mut self) -> anyhow::Result<Option<Action>> {
        let token = match self.token.clone() {
            Some(token) => token,
            None => self.fresh_token().await?,
        };
        let request =
            HttpRequest::get("/latest/meta-data/spot/instance-action").header("x-aws-ec2-metadata-token", token);
        let (status, body) = self.call(request).await.context("ask for spot/instance-action")?;
        match status {
            StatusCode::OK => Ok(Some(
                serde_json::from_slice(&body).context("read spot/instance-action")?,
            )),
            // There is none.
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED => {
                self.token = None;
                bail!("the token is no longer taken")
            }
            other => bail!("spot/instance-action is answered with {other}"),
        }
    }

    async fn fresh_token(&mut self) -> anyhow::Result<String> {
        let request = HttpRequest::builder()
            .method(Method::PUT)
            .uri("/latest/api/token")
            .header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS);
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
        timeout(CALL, self.exchange(request))
            .await
            .context("no answer in time")?
    }

    async fn exchange(&self, request: HttpRequest<Empty<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_told_before_the_host_goes_and_never_in_the_past() {
        let action: Action =
            serde_json::from_str(r#"{"action": "terminate", "time": "2026-11-21T08:22:00Z"}"#).unwrap();
        let end = Timestamp::from_rfc3339("2026-11-21T08:22:00Z").unwrap();
        let before = |seconds: i64| Timestamp::from_millis(end.as_millis() - seconds * 1000);
        let lead = Duration::from_secs(35);
        assert_eq!(action.departure(), Departure::SpotTerminate);
        assert_eq!(action.deadline(lead, before(120)), before(35));
        assert_eq!(action.deadline(lead, before(10)), before(10));
        let odd = Action {
            action: "hibernate".to_owned(),
            time: "soon".to_owned(),
        };
        assert_eq!((odd.departure(), odd.deadline(lead, end)), (Departure::SpotStop, end));
    }
}
