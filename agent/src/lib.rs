//! The agent of one Docker host: dials the scheduler, runs what it is assigned, reports every change.
//!
//! [`run`] is the whole program; `main` calls it. Decisions are made in `berth-agent-core`; here is what touches the
//! world. The driver owns all state; everything else sends it events or carries out what it asks for.

mod cgroups;
mod conditions;
mod config;
mod docker;
mod drain;
mod driver;
mod endpoint;
mod event;
mod failpoint;
mod gpus;
mod host;
mod host_policy;
mod host_ports;
mod images;
mod imds;
mod join_token;
mod link;
mod log;
mod perform;
mod prepare;
mod pulse;
mod secrets;
mod sessions;
mod spool;
mod state;
#[cfg(test)]
mod testing;
mod usage;
mod vitals;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use berth_agent_core::limits::LimitPolicy;
use berth_agent_core::machine::Policy;
use berth_daemon::service::{self, NotifyState};
use berth_daemon::{Backoff, pages};
use berth_model::name::ClusterName;
use berth_model::quantity::{HostPort, PortSet, Protocol};
use berth_tls::Membership;
use berth_trust::{Member, Role};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use cgroups::Cgroups;
use conditions::Conditions;
use docker::{Bounds, Calls, Docker, DockerInfo};
use driver::{Driver, Parts};
use endpoint::{Later, Publisher};
use gpus::Gpus;
use host_policy::Guard;
use host_ports::HostPorts;
use images::{Disk, Images, Keeper};
use imds::identity::Identity;
use perform::Performer;
use prepare::Sources;
use pulse::Pulse;
use secrets::Secrets;
use sessions::Sessions;
use spool::{Spool, Writer};
use state::StateDir;
use usage::Sampling;
use vitals::{Instruments, Vitals};
use watch::Runtime;

pub use config::{Config, ConfigError, Invocation, command};
pub use drain::client::Drain;
pub use endpoint::host::Network;

/// Events that wait for the driver; whoever has one more waits.
const EVENTS: usize = 1024;
/// For the stream to end properly.
const FAREWELL: Duration = Duration::from_secs(2);
/// Where the key and the certificate are in the state directory.
const TLS: &str = "tls";
/// The join token, where the service manager hands it over.
const CREDENTIAL: &str = "berth-agent.join-token";
const STOPS: usize = 16;
const REMOVALS: usize = 4;

/// The state directory is not this agent's to use, however often it is started.
#[derive(Debug, thiserror::Error)]
#[error("the state directory cannot be used")]
pub struct NotOurs(#[source] state::StateError);

/// Lets containers reach the endpoint of their tasks, or undoes it; doing it again changes nothing.
///
/// # Errors
/// What `ip` or `nft` fails with: in most cases the caller is not root.
pub async fn set_network(network: Network) -> anyhow::Result<()> {
    endpoint::host::set(network)
        .await
        .context("set the network of tasks' endpoint")
}

/// Runs the agent until SIGTERM or SIGINT. Containers keep running.
///
/// # Errors
/// [`NotOurs`] where another start does not help; anything else may be tried again.
pub async fn run(mut config: Config) -> anyhow::Result<()> {
    let state = StateDir::open(&config.state_dir, config.cluster_name()).map_err(|error| match error {
        state::StateError::InUse(_) | state::StateError::OtherCluster { .. } | state::StateError::Unreadable { .. } => {
            anyhow::Error::new(NotOurs(error))
        }
        state::StateError::Io { .. } | state::StateError::Write(_) => anyhow::Error::new(error),
    })?;
    // Every line says whose it is.
    let instance = state.instance().to_string();
    log::begin(&config.log, config.log_format, config.cluster_name(), &instance);
    log::tell(&config.notes);
    let stop = CancellationToken::new();
    service::stop_on_signal(stop.clone()).context("listen for signals")?;
    let spool = Spool::open(state.path()).context("open the records of tasks")?;
    let records = spool.load().context("load the records of tasks")?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        instance,
        cluster = config.cluster,
        records = records.len(),
        "agent started"
    );
    let pulse = Pulse::default();
    service::tell(&[NotifyState::Ready, NotifyState::Status("waiting for Docker")]);
    let watchdog = tokio::spawn(pulse.clone().keep_watchdog());
    let identity = tokio::select! {
        identity = Identity::find(&config) => identity,
        () = stop.cancelled() => return Ok(()),
    };
    if let Some(identity) = &identity {
        identity.join(&mut config.attributes);
    }
    let key = endpoint::Key::open(state.path()).context("open the key of the tasks' endpoint")?;
    let (events, inbox) = mpsc::channel(EVENTS);
    let (mut publisher, views) = Publisher::new(key.clone());
    records.iter().for_each(|record| publisher.put(record));
    publisher.publish();
    let conditions = Conditions::new();
    let calls = Arc::new(Calls::default());
    let instruments = Arc::new(Instruments::default());
    let membership = membership(&config, &state)?;
    let vitals = Arc::new(Vitals {
        pulse: pulse.clone(),
        conditions: conditions.clone(),
        views: views.clone(),
        events: events.downgrade(),
        calls: Arc::clone(&calls),
        instruments: Arc::clone(&instruments),
        membership: membership.clone(),
    });
    if let Some(address) = config.metrics_address {
        let observed = pages::Observed(Arc::clone(&vitals));
        drop(tokio::spawn(pages::serve_when_free(address, Arc::new(observed))));
    }
    if let Some(collector) = config.otlp_endpoint.clone() {
        let source = berth_otlp::Source {
            program: "berth-agent",
            version: env!("CARGO_PKG_VERSION"),
            instance: instance.clone(),
            cluster: Some(config.cluster_name().to_owned()),
        };
        let figures = move || {
            let vitals = Arc::clone(&vitals);
            async move { pages::Vitals::metrics(&*vitals).await }
        };
        drop(tokio::spawn(berth_otlp::keep_sending(
            collector,
            source,
            figures,
            stop.clone(),
        )));
    }
    let later = Later::default();
    let endpoint = endpoint::begin(endpoint::Parts {
        settings: endpoint::Settings::of(&config),
        key,
        views,
        events: events.clone(),
        later: later.clone(),
    });
    tokio::select! {
        () = endpoint => {}
        () = stop.cancelled() => return Ok(()),
    }

    let Some((docker, info)) = first_answer(&config, &state, &calls, &stop).await else {
        return Ok(());
    };
    let Some(found) = first_list(&docker, &stop).await else {
        return Ok(());
    };
    service::tell(&[NotifyState::Status("running")]);
    later.knows_bridge(docker.default_bridge().await);
    let runtime = Runtime::new(conditions.clone());
    let settings = images::Settings::of(&config);
    let secrets = Secrets::new(config.secrets_dir.clone());
    let images = Images::new(docker.clone(), &settings, secrets.clone(), state.path());
    let root = info.root.clone();
    let disk = tokio::task::spawn_blocking(move || Disk::of(&root))
        .await
        .unwrap_or_default();
    let keeper = Keeper::new(images.clone(), &settings, disk, conditions.clone(), events.clone());
    let sources = Sources {
        secrets,
        environment_files: config.environment_files_dir.clone(),
        log_drivers: host::LogDrivers::of(&config),
    };
    let cgroups = find_cgroups(&config, &info).await;
    let grouped = match &cgroups {
        Some(cgroups) => cgroups.tasks().await,
        None => BTreeSet::new(),
    };
    let limits_tasks = cgroups.is_some();
    let gpus = tokio::select! {
        gpus = Gpus::find(&config, &info) => gpus,
        () = stop.cancelled() => return Ok(()),
    };
    let mut facts = host::facts(&config, &info, limits_tasks, gpus.as_ref());
    if let Some(identity) = identity {
        facts.ec2_instance_id = identity.instance_id;
    }
    let performer = Performer {
        docker: docker.clone(),
        guard: Guard::of(&config),
        images,
        sources,
        events: events.clone(),
        runtime: runtime.clone(),
        ports: HostPorts::new(config.dynamic_port_range.clone(), reserved_ports(&config)),
        cgroups,
        gpus,
    };
    let on_ec2 = !facts.ec2_instance_id.is_empty();
    let begun = drain::begin(state.path(), &config, on_ec2, &events).context("read the notice of the host's end")?;
    let writer = Writer::begin(spool, Arc::clone(&instruments)).context("begin to write records")?;
    let driver = Driver::new(
        Parts {
            instance: state.instance(),
            cluster: config.cluster.clone(),
            cluster_name: config.cluster_name().to_owned(),
            facts,
            policy: Policy {
                stop_timeout: config.stop_timeout,
                retention: config.retention,
            },
            stopped_containers: config.stopped_container_count,
            performer,
            grouped,
            writer,
            events: events.clone(),
            pulse,
            conditions,
            instruments: Arc::clone(&instruments),
            publisher,
            endpoint: config.endpoint_address.is_some(),
            ignores_roles: config.ignores_task_roles(),
            sessions: Sessions::new(docker.clone(), stop.clone()),
            notice: begun.notice,
            progress: begun.progress,
        },
        records,
        found,
    );
    let (latest, usage) = usage::begin(Sampling {
        docker: docker.clone(),
        disk: info.root,
        interval: config.usage_interval,
        events: events.clone(),
    })
    .context("begin to sample usage")?;
    later.knows_usage(latest);
    let watch = tokio::spawn(watch::watch(docker, events.clone(), runtime));
    let keeper = tokio::spawn(keeper.keep());
    let ends = link::Ends {
        membership,
        schedulers: config.schedulers.clone(),
        address: config.address,
        instruments,
    };
    let link = tokio::spawn(link::run(ends, events, stop.clone()));
    driver.run(inbox, stop).await;

    tracing::info!("agent stops; containers keep running");
    for task in [watch, usage, keeper, watchdog].into_iter().chain(begun.tasks) {
        task.abort();
    }
    if tokio::time::timeout(FAREWELL, link).await.is_err() {
        tracing::warn!("the stream to the scheduler did not end in time");
    }
    drop(state);
    Ok(())
}

fn reserved_ports(config: &Config) -> PortSet {
    let of = |protocol: Protocol, ports: &[u16]| {
        let ports = ports.iter().map(|port| HostPort { protocol, port: *port });
        ports.collect::<Vec<_>>()
    };
    let tcp = of(Protocol::Tcp, &config.reserved_tcp_ports);
    tcp.into_iter()
        .chain(of(Protocol::Udp, &config.reserved_udp_ports))
        .collect()
}

/// What holds tasks to their limits, where the operator wants it and the host can.
async fn find_cgroups(config: &Config, docker: &DockerInfo) -> Option<Cgroups> {
    if !config.task_cpu_mem_limit {
        return None;
    }
    let setup = cgroups::Setup {
        root: config.cgroup_root.clone(),
        parent: config.task_cgroup.clone(),
        driver: docker.cgroup_driver.clone(),
        version: docker.cgroup_version,
        policy: LimitPolicy {
            period: config.cgroup_cpu_period,
            pids: config.task_pids_limit,
        },
    };
    Cgroups::find(setup)
        .await
        .inspect_err(|reason| tracing::warn!(reason, "tasks with cpu or memory of their own cannot run here"))
        .ok()
}

/// The scheduler is told what Docker says of itself, so Docker must have answered once.
async fn first_answer(
    config: &Config,
    state: &StateDir,
    calls: &Arc<Calls>,
    stop: &CancellationToken,
) -> Option<(Docker, DockerInfo)> {
    let starts = |cores: u32| {
        config
            .parallel_starts
            .unwrap_or(2 * usize::try_from(cores.max(1)).unwrap_or(1))
    };
    let bounds = |cores: u32| Bounds {
        starts: starts(cores),
        stops: STOPS,
        removals: REMOVALS,
        create_within: config.container_create_timeout,
        start_within: config.container_start_timeout,
    };
    let connect = |cores: u32| {
        Docker::connect(
            &config.docker_socket,
            state.instance(),
            bounds(cores),
            config.task_network_subnet,
            Arc::clone(calls),
        )
    };
    let asked = retried("docker does not answer; waiting for it", stop, || async {
        let info = connect(1)?.info().await?;
        Ok((connect(info.cores)?, info))
    });
    asked.await
}

async fn first_list(docker: &Docker, stop: &CancellationToken) -> Option<Vec<berth_agent_core::recovery::Found>> {
    retried("docker does not list its containers; trying again", stop, || {
        docker.list()
    })
    .await
}

/// Who this agent is to schedulers that it speaks TLS with; nobody in particular where they are dialled in the clear.
fn membership(config: &Config, state: &StateDir) -> anyhow::Result<Option<Arc<Membership>>> {
    if !config.schedulers.iter().any(berth_tls::is_encrypted) {
        anyhow::ensure!(
            config.token_settings().is_empty(),
            "{} is set and scheduler begins with http://: nobody joins in the clear, it must be https://",
            config.token_settings().join(", ")
        );
        return Ok(None);
    }
    let token = berth_tls::token::find(
        config.join_token.as_deref(),
        config.join_token_file.as_deref(),
        CREDENTIAL,
    )?;
    let cluster = ClusterName::parse(config.cluster_name()).map_err(anyhow::Error::msg)?;
    let member = Member {
        role: Role::Instance,
        cluster,
        id: state.instance(),
    };
    let membership = Membership::open(&state.path().join(TLS), member, token)?.asking(join_token::source(config));
    Ok(Some(Arc::new(membership)))
}

/// Tries until it works or the agent is told to stop.
async fn retried<T, F>(problem: &'static str, stop: &CancellationToken, attempt: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, berth_agent_core::failure::Failure>>,
{
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            result = attempt() => match result {
                Ok(value) => return Some(value),
                Err(error) => tracing::warn!(%error, "{problem}"),
            },
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(backoff.next_pause()) => {}
        }
    }
}
