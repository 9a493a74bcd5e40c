//! The gateway's own HTTP: `/sd` for Prometheus, `/healthz` for what stands in front of gateways, `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use berth_daemon::metrics::Page;
use berth_daemon::pages::{self, Answer, Pages};
use berth_tls::Membership;
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{figures, groups};
use crate::endpoints::Table;
use crate::report::{Loads, States};

/// What is asked about.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) tables: watch::Receiver<Arc<Table>>,
    pub(crate) states: watch::Receiver<Arc<States>>,
    pub(crate) loads: watch::Receiver<Arc<Loads>>,
    /// Whose certificates are told, where schedulers are dialled over TLS.
    pub(crate) membership: Option<Arc<Membership>>,
    /// Its name.
    pub(crate) cluster: String,
    pub(crate) stop: CancellationToken,
}

/// Listens, and serves in the background for as long as the process lives: `/healthz` says that the gateway stops.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) async fn serve(address: SocketAddr, known: Arc<Known>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("listen on {address}: use --http-listen"))?;
    tracing::info!(%address, "serving /sd, /healthz and /metrics");
    drop(tokio::spawn(pages::serve(listener, known)));
    Ok(())
}

impl Known {
    fn is_ready(&self) -> bool {
        self.tables.borrow().version > 0 && !self.stop.is_cancelled()
    }

    /// All figures of the moment.
    pub(crate) fn figures(&self) -> Page {
        let table = Arc::clone(&self.tables.borrow());
        let (states, loads) = (Arc::clone(&self.states.borrow()), Arc::clone(&self.loads.borrow()));
        let mut page = figures::page(self.is_ready(), &table, &states, &loads);
        figures::tell_membership(&mut page, self.membership.as_deref());
        page
    }
}

impl Pages for Known {
    async fn page(&self, path: &str) -> Option<Answer> {
        Some(match path {
            "/healthz" | "/readyz" if self.is_ready() => Answer::text(StatusCode::OK, "ready"),
            "/healthz" | "/readyz" => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
            "/metrics" => Answer {
                status: StatusCode::OK,
                content_type: Page::CONTENT_TYPE,
                body: self.figures().into_text().into(),
            },
            "/sd" => match serde_json::to_vec(&groups(&self.tables.borrow(), &self.cluster)) {
                Ok(json) => Answer {
                    status: StatusCode::OK,
                    content_type: "application/json",
                    body: json.into(),
                },
                Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            _ => return None,
        })
    }
}
