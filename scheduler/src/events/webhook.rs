//! Events sent to a URL in batches: each at least once, in order.
//!
//! How far the receiver is stands in the journal, so that another start, or another scheduler, goes on there. It is
//! written there every few seconds only: what was sent since is sent again, with the same ids.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Bytes;
use berth_daemon::Backoff;
use berth_model::fault::Fault;
use berth_scheduler_core::decide::delivery::{BeginDelivery, RecordDelivery};
use berth_scheduler_core::event::Position;
use futures_util::StreamExt;
use http::{Request, header};
use http_body_util::Full;
use tokio::time::{Instant, sleep, timeout};

use super::{Batch, Events, Filter, Start, WatchError};
use crate::engine::Engine;
use crate::http_client::{self, HttpServer, Trust};
use crate::replicas::Replicas;

/// How long the receiver may take for a batch, with the connection that it needs.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often it is remembered how far the receiver is, while it is told something.
const SAVE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
/// Revisions without an event that are gone through before that is remembered too.
const SAVE_IDLE: u64 = 1000;
/// How often a scheduler looks whether it is to send.
const LOOK: Duration = Duration::from_secs(1);
/// Characters of an answer that a log line quotes.
const QUOTED: usize = 200;

/// Where events are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    server: HttpServer,
    path: String,
    tls: bool,
    /// A digest of the URL: the journal has no business with what may be a secret.
    receiver: Arc<str>,
}

impl std::str::FromStr for Webhook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (uri, authority, scheme) = http_client::parse(text, &["http", "https"])?;
        let tls = scheme == "https";
        let digest = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Ok(Self {
            server: HttpServer::of(&authority, if tls { 443 } else { 80 }),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            tls,
            receiver: format!("webhook {digest:016x}").into(),
        })
    }
}

impl Webhook {
    /// Who is believed to be the receiver: whom the authorities in the file vouch for. Nobody has to where it is `http`.
    ///
    /// # Errors
    /// The file cannot be read, or has no certificate.
    pub fn trust(&self, authorities: &Path) -> anyhow::Result<Sender> {
        Ok(Sender {
            webhook: self.clone(),
            trust: self.tls.then(|| Trust::in_file(authorities)).transpose()?,
        })
    }
}

/// What sends to a webhook.
pub struct Sender {
    webhook: Webhook,
    trust: Option<Trust>,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// Why a delivery is over.
enum Over {
    /// Another scheduler sends.
    Disowned,
    /// What is to be sent cannot be had, for now.
    Error(anyhow::Error),
    /// The scheduler ends.
    Shutdown,
}

impl From<Fault> for Over {
    fn from(fault: Fault) -> Self {
        Self::Error(fault.into())
    }
}

/// What is remembered of how far the receiver is.
struct Saved {
    position: Position,
    at: Instant,
    /// Something was sent since.
    sent: bool,
}

/// Sends all events for as long as this scheduler is the one that is to, until it ends.
pub async fn keep_webhook(engine: Engine, events: Arc<Events>, sender: Sender, replicas: Arc<Replicas>) {
    let mut backoff = Backoff::default();
    loop {
        while !replicas.owns(&*sender.webhook.receiver) {
            sleep(LOOK).await;
        }
        let delivery = Delivery {
            engine: &engine,
            events: &events,
            sender: &sender,
            replicas: &replicas,
        };
        match delivery.run().await {
            Over::Shutdown => return,
            Over::Disowned => {
                tracing::info!("another scheduler sends events to the webhook now");
                backoff = Backoff::default();
            }
            Over::Error(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "events not sent to the webhook, tried again"
                );
                sleep(backoff.next_pause()).await;
            }
        }
    }
}

struct Delivery<'a> {
    engine: &'a Engine,
    events: &'a Arc<Events>,
    sender: &'a Sender,
    replicas: &'a Replicas,
}

impl Delivery<'_> {
    fn receiver(&self) -> Arc<str> {
        Arc::clone(&self.sender.webhook.receiver)
    }

    /// Sends from where the journal says on.
    async fn run(&self) -> Over {
        let receiver = self.receiver();
        let begun = self.engine.submit(BeginDelivery { receiver }, "scheduler".into()).await;
        let position = match begun {
            Ok(position) => position,
            Err(fault) => return fault.into(),
        };
        let mut saved = Saved {
            position,
            at: Instant::now(),
            sent: false,
        };
        let mut position = position;
        loop {
            let error = match self.send_from(&mut position, &mut saved).await {
                Ok(error) => error,
                Err(over) => return over,
            };
            match error {
                WatchError::Compacted { asked, oldest } => {
                    tracing::error!(%asked, %oldest, "events are lost to the webhook: the journal does not have them any more");
                    position = Position::before(oldest);
                }
                WatchError::Slow { .. } => {}
                WatchError::Shutdown { .. } => {
                    // Another start goes on from the last time where this cannot be written.
                    let _saved = self.save(position, &mut saved).await;
                    return Over::Shutdown;
                }
                other @ (WatchError::Ahead { .. }
                | WatchError::TooMany(_)
                | WatchError::TooManyBehind(_)
                | WatchError::Failed(_)) => return Over::Error(other.into()),
            }
        }
    }

    /// Sends what a stream tells, until that ends with its error.
    async fn send_from(&self, position: &mut Position, saved: &mut Saved) -> Result<WatchError, Over> {
        let told = match self.events.watch(Start::After(*position), Filter::default()).await {
            Ok(told) => told,
            Err(error) => return Ok(error),
        };
        let mut told = std::pin::pin!(told);
        while let Some(batch) = told.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Ok(error),
            };
            if !batch.events.is_empty() {
                self.send(&batch).await?;
                saved.sent = true;
            }
            *position = batch.position;
            let idle = position.whole().0 >= saved.position.whole().0 + SAVE_IDLE;
            if (saved.sent || idle) && saved.at.elapsed() >= SAVE {
                self.save(*position, saved).await?;
            }
            if !self.replicas.owns(&*self.sender.webhook.receiver) {
                self.save(*position, saved).await?;
                return Err(Over::Disowned);
            }
        }
        Ok(WatchError::Failed("the stream has ended".into()))
    }

    async fn save(&self, position: Position, saved: &mut Saved) -> Result<(), Fault> {
        let command = RecordDelivery {
            receiver: self.receiver(),
            position,
        };
        self.engine.submit(command, "scheduler".into()).await?;
        *saved = Saved {
            position,
            at: Instant::now(),
            sent: false,
        };
        Ok(())
    }

    /// Sends until the receiver has taken it, or another scheduler is to send.
    async fn send(&self, batch: &Batch) -> Result<(), Over> {
        let events: Vec<&str> = batch.events.iter().map(|event| event.json.as_str()).collect();
        let body = Bytes::from(format!("[{}]", events.join(",")));
        let mut backoff = Backoff::default();
        let mut failed = false;
        while let Err(error) = self.sender.post(body.clone(), batch.position).await {
            if !failed {
                failed = true;
                let position = batch.position;
                tracing::warn!(%position, error = format!("{error:#}"), "webhook does not take events, tried again");
            }
            sleep(backoff.next_pause()).await;
            if !self.replicas.owns(&*self.sender.webhook.receiver) {
                return Err(Over::Disowned);
            }
        }
        if failed {
            tracing::info!(position = %batch.position, "webhook takes events again");
        }
        Ok(())
    }
}

impl Sender {
    /// Sends one batch once.
    async fn post(&self, body: Bytes, position: Position) -> anyhow::Result<()> {
        let request = Request::post(&self.webhook.path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(
                header::USER_AGENT,
                concat!("berth-scheduler/", env!("CARGO_PKG_VERSION")),
            )
            .header("berth-position", position.to_string())
            .body(Full::new(body))?;
        let exchange = self.webhook.server.exchange(request, self.trust.as_ref());
        let answered = timeout(DEADLINE, exchange).await;
        let (status, answer) = answered.with_context(|| format!("no answer within {} s", DEADLINE.as_secs()))??;
        if !status.is_success() {
            let text: String = String::from_utf8_lossy(&answer).chars().take(QUOTED).collect();
            bail!("answered with {status}: {text}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
