//! The gateway of a cluster: listens for its services and forwards to their healthy tasks.
//!
//! [`run`] is the whole program; `main` calls it. The link keeps the table of endpoints; the registry makes what lives
//! here as published tables say, and the link tells how targets are. What is decided is decided in pure modules:
//! `endpoints`, `report`, `balance`, `health`, `dns`, `discovery`.

mod balance;
pub mod config;
mod discovery;
mod dns;
mod endpoints;
mod forward;
mod group;
mod health;
mod identity;
mod limits;
mod link;
mod listener;
mod probe;
mod registry;
mod report;
mod supervise;
mod target;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use berth_daemon::log;
use berth_daemon::service::{self, NotifyState};
use berth_model::name::ClusterName;
use berth_tls::Membership;
use berth_trust::{Member, Role};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Options;
use crate::endpoints::Table;
use crate::identity::Identity;
use crate::link::Link;
use crate::listener::Listeners;
use crate::registry::Registry;
use crate::report::{Loads, States};
use crate::supervise::Board;

/// Of clients and targets the gateway speaks in its own words, not in those of the proxy's library.
const LOGGED: &str = "info,pingora_core=off,pingora_proxy=off,pingora_pool=off";
/// For the stream to end properly.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: the state directory, or an address of its own, cannot be used. A service's port that cannot be
/// listened on is no such error.
pub async fn run(options: Options) -> anyhow::Result<()> {
    log::begin_by_environment(options.log_format, LOGGED, &[("CLUSTER", &options.cluster)]);
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
    let fit = limits::connections_that_fit();
    let listeners = Listeners::new(listener::Settings {
        address: options.listen_address,
        connections: Arc::new(Semaphore::new(options.max_connections.unwrap_or(fit))),
        idle_timeout: Duration::from_secs(options.idle_timeout.into()),
    });
    let (table, tables) = watch::channel(Arc::new(Table::default()));
    let (board, states) = watch::channel(Arc::new(States::new()));
    let (loads, of_link) = watch::channel(Arc::new(Loads::new()));
    let name = options.cluster.rsplit('/').next().unwrap_or_default().to_owned();
    if let Some(address) = options.dns_listen {
        dns::serve(address, name.clone(), tables.clone(), states.clone()).await?;
    }
    let membership = membership(&options, &identity)?;
    let known = Arc::new(discovery::Known {
        tables: tables.clone(),
        states: states.clone(),
        loads: of_link.clone(),
        membership: membership.clone(),
        cluster: name.clone(),
        stop: stop.clone(),
    });
    if let Some(address) = options.http_listen {
        discovery::serve(address, Arc::clone(&known)).await?;
    }
    if let Some(collector) = options.otlp_endpoint {
        let source = berth_otlp::Source {
            program: "berth-gateway",
            version: env!("CARGO_PKG_VERSION"),
            instance: identity.id().to_owned(),
            cluster: Some(name),
        };
        let figures = move || {
            let page = known.figures();
            async move { Ok(page) }
        };
        drop(tokio::spawn(berth_otlp::keep_sending(
            collector,
            source,
            figures,
            stop.clone(),
        )));
    }
    // The registry says what its groups carry each second.
    let beats = loads.subscribe();
    let watchdog = tokio::spawn(service::keep_watchdog(move || {
        let mut beats = beats.clone();
        async move {
            beats.mark_unchanged();
            // Where the registry has ended the gateway is about to.
            let _ended = beats.changed().await;
        }
    }));
    let registry = Registry::new(Arc::new(Board::new(board)), loads, listeners);
    let link = Link {
        membership,
        schedulers: options.schedulers,
        cluster: options.cluster,
        gateway_id: identity.id().to_owned(),
        table,
        states,
        loads: of_link,
    };
    let end_link = CancellationToken::new();
    let link = tokio::spawn(link.run(end_link.clone()));
    let ready = tokio::spawn(tell_when_ready(tables.clone()));
    let drain_timeout = Duration::from_secs(options.drain_timeout.into());
    let registry = tokio::spawn(registry.run(tables, stop, drain_timeout));

    registry.await.context("follow the cluster's services")?;
    ready.abort();
    watchdog.abort();
    end_link.cancel();
    if tokio::time::timeout(FAREWELL, link).await.is_err() {
        tracing::warn!("the stream to the scheduler did not end in time");
    }
    Ok(())
}

/// The join token, where the service manager hands it over.
const CREDENTIAL: &str = "berth-gateway.join-token";

/// Who this gateway is to schedulers that it speaks TLS with; nobody in particular where they are dialled in the clear.
fn membership(options: &Options, identity: &Identity) -> anyhow::Result<Option<Arc<Membership>>> {
    let encrypted = berth_tls::agree(&options.schedulers).map_err(|rule| anyhow::anyhow!("--scheduler {rule}"))?;
    let given = std::env::var(config::JOIN_TOKEN).ok().filter(|text| !text.is_empty());
    anyhow::ensure!(
        encrypted || (given.is_none() && options.join_token_file.is_none()),
        "there is a join token, and --scheduler begins with http://: nobody joins in the clear, it must be https://"
    );
    if !encrypted {
        return Ok(None);
    }
    let token = berth_tls::token::find(given.as_deref(), options.join_token_file.as_deref(), CREDENTIAL)?;
    let cluster = options.cluster.rsplit('/').next().unwrap_or_default();
    let member = Member {
        role: Role::Gateway,
        cluster: ClusterName::parse(cluster).map_err(anyhow::Error::msg)?,
        id: identity.id().parse()?,
    };
    let membership = Membership::open(&options.state_dir.join("tls"), member, token)?;
    Ok(Some(Arc::new(membership)))
}

/// Ready is who has been told of the cluster once.
async fn tell_when_ready(mut tables: watch::Receiver<Arc<Table>>) {
    if tables.changed().await.is_ok() {
        service::tell(&[NotifyState::Ready]);
    }
}
