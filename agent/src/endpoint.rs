//! What containers ask of the agent: the task metadata endpoint, credentials and task protection, where the AWS SDKs and
//! ECS's own tools look for them; and for those on the host, introspection.
//!
//! It reads what the driver publishes ([`view`]) and never waits for Docker; what it wants done it asks of the driver.
//! It must come up before Docker answers: a container that asks too early is told to ask again.

mod answer;
mod credentials;
pub(crate) mod host;
mod introspection;
mod key;
mod peer;
mod protection;
mod reach;
mod serve;
mod stats;
mod tasks;
mod view;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use berth_agent_core::bucket::Rate;
use berth_agent_core::metadata::Surroundings;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::event::Event;
use crate::usage::Latest;
pub(crate) use credentials::{Provider, Source};
pub(crate) use key::Key;
pub(crate) use peer::DEFAULT_BRIDGE;
use reach::Reach;
use tasks::Tasks;
pub(crate) use view::{Publisher, View};

/// The attribute by which the operator says where the host is.
const ZONE: &str = "ecs.availability-zone";
/// Between two tries to listen.
const PAUSE: Duration = Duration::from_secs(10);

/// What the operator sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where tasks are answered; none for no endpoint at all.
    pub(crate) tasks: Option<SocketAddr>,
    /// Where those on the host are answered; none for nowhere.
    pub(crate) introspection: Option<SocketAddr>,
    /// Requests of all tasks together.
    pub(crate) rate: Rate,
    /// Where credentials come from.
    pub(crate) credentials: Option<Source>,
    /// Name of the cluster.
    pub(crate) cluster: String,
    /// What is the same for all tasks.
    pub(crate) surroundings: Surroundings,
}

impl Settings {
    /// The part of the agent's settings that concerns the endpoint.
    pub(crate) fn of(config: &Config) -> Self {
        let (per_second, burst) = config.task_metadata_rps_limit;
        let command = &config.credentials_command;
        let command = (!command.is_empty()).then(|| Source::Command(command.clone()));
        let zone = config.attributes.iter().find(|attribute| attribute.name == ZONE);
        Self {
            tasks: config.endpoint_address,
            introspection: config.introspection_address,
            rate: Rate { per_second, burst },
            credentials: config.credentials_file.clone().map(Source::File).or(command),
            cluster: config.cluster_name().to_owned(),
            surroundings: Surroundings {
                availability_zone: zone.map(|attribute| attribute.value.clone()),
            },
        }
    }
}

/// What comes to be known after the endpoint has begun.
#[derive(Debug, Clone, Default)]
pub(crate) struct Later {
    usage: Arc<OnceLock<Latest>>,
    bridge: Arc<OnceLock<String>>,
}

impl Later {
    /// Where what containers use is to be had.
    pub(crate) fn knows_usage(&self, usage: Latest) {
        self.usage.get_or_init(|| usage);
    }

    /// The name of Docker's default bridge, if Docker says it.
    pub(crate) fn knows_bridge(&self, name: Option<String>) {
        if let Some(name) = name {
            self.bridge.get_or_init(|| name);
        }
    }
}

/// What the endpoint is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) key: Key,
    pub(crate) views: watch::Receiver<Arc<View>>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) later: Later,
}

/// Begins to serve; it ends with the runtime. Whether containers can have credentials, which takes a provider and a way
/// to the endpoint, is told as [`Event::Credentials`]: for the first time, if they can, before this returns.
pub(crate) async fn begin(parts: Parts) {
    let Parts {
        settings,
        key,
        views,
        events,
        later,
    } = parts;
    if let Some(address) = settings.introspection {
        let service = introspection::Introspection {
            cluster: settings.cluster,
            views: views.clone(),
        };
        drop(tokio::spawn(introspect(address, service)));
    }
    let Some(address) = settings.tasks else { return };
    let provider = settings.credentials.map(Provider::begin);
    if let Some(provider) = provider.clone() {
        drop(tokio::spawn(prepare(views.clone(), provider)));
    }
    let gives_credentials = provider.is_some();
    let service = Tasks::new(tasks::Parts {
        views,
        events: events.clone(),
        provider,
        surroundings: settings.surroundings,
        later,
        rate: settings.rate,
        nonce: key.nonce(),
    });
    let mut keeper = Keeper {
        reach: Reach::new(address, key.nonce()),
        service: Arc::new(service),
        events,
        gives_credentials,
        reached: false,
    };
    keeper.check().await;
    drop(tokio::spawn(keeper.keep()));
}

/// Keeps the way from the containers to the endpoint open.
struct Keeper {
    reach: Reach,
    service: Arc<Tasks>,
    events: mpsc::Sender<Event>,
    gives_credentials: bool,
    reached: bool,
}

impl Keeper {
    async fn keep(mut self) {
        while !self.events.is_closed() {
            tokio::time::sleep(self.reach.pause()).await;
            self.check().await;
        }
    }

    async fn check(&mut self) {
        let reached = self.reach.check(&self.service).await;
        if reached == std::mem::replace(&mut self.reached, reached) || !self.gives_credentials {
            return;
        }
        if self.events.send(Event::Credentials(reached)).await.is_err() {
            tracing::debug!("the driver is gone");
        }
    }
}

async fn introspect(address: SocketAddr, service: introspection::Introspection) {
    let service = Arc::new(service);
    let mut warned = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return serve::serve(listener, service).await,
            Err(error) if !std::mem::replace(&mut warned, true) => {
                tracing::warn!(%address, %error, "introspection cannot listen; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Has the credentials of each role fetched as soon as a task has it, which is before its containers ask.
async fn prepare(mut views: watch::Receiver<Arc<View>>, provider: Provider) {
    let mut prepared = std::collections::BTreeSet::new();
    while views.changed().await.is_ok() {
        let view = Arc::clone(&views.borrow_and_update());
        let live = view.tasks.values().filter(|known| known.record.ended_at.is_none());
        let roles: std::collections::BTreeSet<String> = live
            .filter_map(|known| known.record.spec.role())
            .map(str::to_owned)
            .collect();
        for role in roles.difference(&prepared) {
            provider.prepare(role).await;
        }
        prepared = roles;
    }
}
