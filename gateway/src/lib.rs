//! The gateway of a cluster: keeps the table of its services and where their tasks are reached.
//!
//! [`run`] is the whole program; `main` calls it. The link keeps the table of endpoints; everything else reads
//! published tables and tells how targets are. What is decided is decided in pure modules: `endpoints`, `report`.

pub mod config;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "read by what listens, which is not there yet")
)]
mod endpoints;
mod identity;
mod link;
#[cfg_attr(not(test), expect(dead_code, reason = "made by what checks, which is not there yet"))]
mod report;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use berth_daemon::log;
use berth_daemon::service::{self, NotifyState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Options;
use crate::endpoints::Table;
use crate::identity::Identity;
use crate::link::Link;
use crate::report::States;

/// For the stream to end properly.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: the state directory cannot be used.
pub async fn run(options: Options) -> anyhow::Result<()> {
    log::begin_by_environment(options.log_format);
    let stop = CancellationToken::new();
    service::stop_on_signal(stop.clone()).context("listen for signals")?;
    serve(options, stop).await
}

/// As [`run`], until `stop`.
///
/// # Errors
/// As those of [`run`].
pub async fn serve(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let identity = Identity::open(&options.state_dir).context("use --state-dir")?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        gateway = identity.id(),
        cluster = options.cluster,
        "gateway started"
    );
    let (table, _tables) = watch::channel(Arc::new(Table::default()));
    let (_states, states) = watch::channel(Arc::new(States::new()));
    let link = Link {
        schedulers: options.schedulers,
        cluster: options.cluster,
        gateway_id: identity.id().to_owned(),
        table,
        states,
    };
    let end_link = CancellationToken::new();
    let link = tokio::spawn(link.run(end_link.clone()));
    service::tell(&[NotifyState::Ready]);

    stop.cancelled().await;
    end_link.cancel();
    if tokio::time::timeout(FAREWELL, link).await.is_err() {
        tracing::warn!("the stream to the scheduler did not end in time");
    }
    Ok(())
}
