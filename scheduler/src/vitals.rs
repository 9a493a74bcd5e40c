//! How this scheduler is: whether it lives, whether it is ready, and its figures.

mod clusters;

use std::sync::Arc;
use std::time::Duration;

use berth_daemon::metrics::{Page, tell_certificates, tell_process};
use berth_daemon::pages;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::engine::Engine;
use crate::replicas::Replicas;
use crate::server::Requests;
use crate::trust::Trust;
use crate::{clock, gateways, nodes, pulse};

/// How long the engine may take to answer that it is there.
const ANSWER: Duration = Duration::from_secs(5);

/// What is looked at.
#[derive(Debug)]
pub struct Vitals {
    engine: Engine,
    nodes: Arc<nodes::Registry>,
    gateways: Arc<gateways::Registry>,
    replicas: Arc<Replicas>,
    requests: Arc<Requests>,
    /// Whose certificates are told, where the port speaks TLS.
    trust: Option<Arc<Trust>>,
    /// Counting a large state takes a while: one at a time.
    counting: Arc<Semaphore>,
}

impl Vitals {
    /// Of the scheduler of this engine.
    #[must_use]
    pub fn new(
        engine: Engine,
        nodes: Arc<nodes::Registry>,
        gateways: Arc<gateways::Registry>,
        replicas: Arc<Replicas>,
        requests: Arc<Requests>,
        trust: Option<Arc<Trust>>,
    ) -> Self {
        Self {
            engine,
            nodes,
            gateways,
            replicas,
            requests,
            trust,
            counting: Arc::new(Semaphore::new(1)),
        }
    }
}

impl pages::Vitals for Vitals {
    /// The engine decides what it is asked. One that waits for its journal is alive: another start would not help it.
    async fn alive(&self) -> Result<(), String> {
        match timeout(ANSWER, pulse::ask(&self.engine)).await {
            Ok(_) => Ok(()),
            Err(_) if self.engine.is_in_trouble() => Ok(()),
            Err(_) => Err(format!("The engine has not answered for {} seconds.", ANSWER.as_secs())),
        }
    }

    /// The journal is reached, and what is published was the newest in it a moment ago.
    async fn ready(&self) -> Result<(), String> {
        match timeout(ANSWER, pulse::ask(&self.engine)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(fault.message.to_string()),
            Err(_) => Err(self.engine.cut_off().unwrap_or_else(|| {
                format!(
                    "The scheduler has not reached its journal for {} seconds.",
                    ANSWER.as_secs()
                )
            })),
        }
    }

    async fn metrics(&self) -> Result<Page, String> {
        let _turn = self.counting.acquire().await.map_err(|error| error.to_string())?;
        let (state, nodes) = (self.engine.view(), Arc::clone(&self.nodes));
        let now = clock::now();
        let counted = tokio::task::spawn_blocking(move || clusters::count(&state, &nodes, now));
        let counted = counted
            .await
            .map_err(|error| format!("figures are not counted: {error}"))?;
        let mut page = Page::default();
        tell_process(&mut page, "berth-scheduler", env!("CARGO_PKG_VERSION"));
        clusters::tell(&mut page, &counted);
        self.engine.tell_figures(&mut page);
        self.nodes.tell_figures(&mut page);
        page.gauge(
            "berth_gateway_streams",
            "Gateways that have a stream to this scheduler.",
        )
        .only(self.gateways.streams().into());
        page.gauge(
            "berth_schedulers",
            "Schedulers that live, this one included, as far as this one knows.",
        )
        .only(1.0 + self.replicas.others().len() as f64);
        self.requests.tell(&mut page);
        if let Some(trust) = &self.trust {
            let current = trust.current();
            let (own, authority) = (current.life(), current.authority.life());
            tell_certificates(&mut page, own.as_epoch_seconds(), authority.as_epoch_seconds());
        }
        Ok(page)
    }
}
