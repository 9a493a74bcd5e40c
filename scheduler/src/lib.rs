//! The scheduler: one process that keeps the journal, decides, and speaks with clients and agents.
//!
//! Requests, reports and timers become commands; the [`engine`] decides them and makes their changes durable; what
//! follows goes out to the agents. Nothing else writes state.

pub mod api;
pub mod auth;
mod clock;
pub mod config;
pub mod drive;
pub mod engine;
pub mod events;
pub mod gateways;
mod http_client;
pub mod journal;
pub mod journals;
pub mod nodes;
mod pulse;
pub mod replicas;
pub mod server;
pub mod sessions;
pub mod trust;
pub mod vitals;

use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use berth_daemon::service::{self, NotifyState};
use berth_daemon::{log, pages};
use berth_model::arn::Namespace;
use berth_scheduler_core::change::Record;
use berth_scheduler_core::keys::ReplicaId;
use berth_scheduler_core::reconcile::Timing;
use berth_scheduler_core::state::State;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::auth::Authenticator;
use crate::config::Options;
use crate::drive::history::{self, Growth};
use crate::drive::scaling::{Sources, Watch, prometheus};
use crate::drive::schedules::Alarm;
use crate::drive::services::Wakes;
use crate::drive::waiting::Wakeups;
use crate::engine::{Engine, Observer, Past, RecoveryError, recover_measured};
use crate::events::Events;
use crate::journal::embedded::Embedded;
use crate::journal::etcd::Etcd;
use crate::journal::{Journal, JournalError};
use crate::nodes::Registry;
use crate::replicas::Replicas;
use crate::replicas::listen::{Ears, listen_to_others};
use crate::replicas::shed::even_out;
use crate::server::{Links, Requests};
use crate::sessions::Sessions;
use crate::trust::Trust;
use crate::trust::files::Files;
use crate::vitals::Vitals;

/// How long a start waits for a journal that cannot be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(30);

/// What is to be done about a journal that is damaged.
const DAMAGED: &str = "the journal is damaged and nothing of it is served. Keep the file for whoever finds out why; put a \
                       backup in its place, or copy the journal of another scheduler";

/// With which code a process ends that could not do what it was to, as `--help` lists them.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if is_damage(error) { engine::DAMAGED } else { 1 })
}

fn is_damage(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<JournalError>());
    causes.any(|cause| matches!(cause, JournalError::Damaged { .. }))
}

/// Runs the scheduler until it is told to stop.
///
/// # Errors
/// When it cannot start: a wrong option, a journal that cannot be opened or read, a port that is taken.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let ended = run_on_journal(options).await;
    ended.map_err(|error| {
        if is_damage(&error) {
            error.context(DAMAGED)
        } else {
            error
        }
    })
}

async fn run_on_journal(options: Options) -> anyhow::Result<()> {
    log::begin_by_environment(options.log_format, "info", &[]);
    let namespace = Namespace::new(&options.region, &options.account).map_err(anyhow::Error::msg)?;
    let namespace = Arc::new(namespace);
    if let Some(address) = &options.journal {
        let own = seed()?;
        let reached_at = options.reached_at()?;
        let journal = Etcd::open(address, own)?;
        journal.warn_of_old_versions().await;
        let replicas = Replicas::among_others(ReplicaId(own), reached_at);
        return serve(options, namespace, Arc::new(journal), replicas).await;
    }
    let directory = &options.data_dir;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make --data-dir {}", directory.display()))?;
    let journal = Embedded::open(&directory.join(journals::FILE))?;
    serve(options, namespace, Arc::new(journal), Replicas::alone()).await
}

/// Recovers the state, starts everything, and runs until told to stop.
async fn serve<J: Journal>(
    options: Options,
    namespace: Arc<Namespace>,
    journal: Arc<J>,
    replicas: Replicas,
) -> anyhow::Result<()> {
    let replicas = Arc::new(replicas);
    let authenticator = authenticator(&options)?;
    let trust = trust(&options)?;
    let keep = options.history();
    let (state, replayed) = recover_when_reached(&*journal).await?;
    tracing::info!(revision = %state.revision(), tasks = state.task_count(), "state recovered");

    let registry = Arc::new(Registry::default());
    let gateways = Arc::new(gateways::Registry::default());
    let growth = Arc::new(Growth::from(replayed));
    let wakes = Arc::new(Wakes::default());
    let wakeups = Arc::new(Wakeups::default());
    let alarm = Arc::new(Alarm::default());
    let scaling = Arc::new(Watch::new(options.scaling_period, options.prometheus_url.is_some()));
    let observers = Observers(vec![
        Arc::clone(&registry) as _,
        Arc::clone(&gateways) as _,
        Arc::clone(&growth) as _,
        Arc::clone(&wakeups) as _,
        Arc::clone(&wakes) as _,
        Arc::clone(&alarm) as _,
        Arc::clone(&scaling) as _,
    ]);
    let engine = Engine::start(state, Arc::clone(&journal), Arc::new(observers), seed()?)?;
    let shutdown = CancellationToken::new();

    let others = || Arc::clone(&replicas);
    tokio::spawn(replicas::keep(Arc::clone(&journal), others()));
    tokio::spawn(nodes::watch_presence(engine.clone(), Arc::clone(&registry), others()));
    let ears = Ears {
        nodes: Arc::clone(&registry),
        gateways: Arc::clone(&gateways),
    };
    if let Some(trust) = &trust {
        tokio::spawn(Arc::clone(trust).keep());
    }
    tokio::spawn(listen_to_others(others(), ears.clone(), trust.clone()));
    tokio::spawn(even_out(engine.clone(), others(), ears));
    let timing = Timing {
        lost_grace: options.lost_instance_grace,
        ..Timing::default()
    };
    tokio::spawn(drive::services::keep_services(engine.clone(), wakes, timing, others()));
    tokio::spawn(drive::targets::keep_targets(
        engine.clone(),
        Arc::clone(&gateways),
        others(),
    ));
    if let Some(hook) = options.capacity_hook()? {
        tokio::spawn(drive::fleet::keep_fleets(
            engine.clone(),
            hook,
            Arc::clone(&namespace),
            others(),
        ));
    }
    tokio::spawn(drive::schedules::run_schedules(engine.clone(), alarm, others()));
    let sources = Sources {
        nodes: Arc::clone(&registry),
        gateways: Arc::clone(&gateways),
    };
    tokio::spawn(drive::scaling::keep_scaling(
        engine.clone(),
        sources,
        Arc::clone(&scaling),
        others(),
    ));
    if let Some(prometheus) = options.prometheus_url {
        tokio::spawn(prometheus::keep_asking(
            engine.clone(),
            prometheus,
            Arc::clone(&scaling),
        ));
    }
    tokio::spawn(drive::forget_stopped(
        engine.clone(),
        options.stopped_task_retention,
        others(),
    ));
    tokio::spawn(drive::forget_definitions(
        engine.clone(),
        options.inactive_definition_retention,
        others(),
    ));
    tokio::spawn(drive::waiting::admit(engine.clone(), wakeups, others()));
    let past = Past::new(engine.clone(), Arc::clone(&journal));
    tokio::spawn(past.clone().tidy_up());
    let events = Arc::new(Events::new(
        engine.clone(),
        Arc::clone(&journal),
        Arc::clone(&namespace),
        shutdown.clone(),
    ));
    if let Some(path) = options.events_file {
        tokio::spawn(events::keep_file(Arc::clone(&events), path));
    }
    if let Some(webhook) = options.events_webhook {
        let sender = webhook.trust(&options.events_webhook_ca)?;
        tokio::spawn(events::keep_webhook(
            engine.clone(),
            Arc::clone(&events),
            sender,
            others(),
        ));
    }
    let copies = journals::Link::new(Arc::clone(&journal));
    tokio::spawn(history::keep_short(engine.clone(), journal, growth, keep, others()));

    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let watched = engine.clone();
    let sessions = Arc::new(Sessions::new(
        engine.clone(),
        Arc::clone(&registry),
        sessions::carry::Others::new(others(), trust.clone()),
        shutdown.clone(),
    ));
    let api = Api::new(
        engine.clone(),
        api::Rooms {
            registry: Arc::clone(&registry),
            scaling,
            past,
            events,
            sessions: Arc::clone(&sessions),
        },
        authenticator,
    );
    let api = Arc::new(api.trusting(trust.clone()).of_replica(replicas.own()));
    let requests = Arc::new(Requests::default());
    let vitals = Arc::new(Vitals::new(
        engine.clone(),
        Arc::clone(&registry),
        Arc::clone(&gateways),
        others(),
        Arc::clone(&requests),
        trust.clone(),
    ));
    if let Some(collector) = options.otlp_endpoint {
        let source = berth_otlp::Source {
            program: "berth-scheduler",
            version: env!("CARGO_PKG_VERSION"),
            instance: replicas
                .own()
                .map_or_else(|| options.listen.to_string(), |own| own.to_string()),
            cluster: None,
        };
        let vitals = Arc::clone(&vitals);
        let figures = move || {
            let vitals = Arc::clone(&vitals);
            async move { pages::Vitals::metrics(&*vitals).await }
        };
        tokio::spawn(berth_otlp::keep_sending(collector, source, figures, shutdown.clone()));
    }
    let vitals = Arc::new(pages::Observed(vitals));
    if let Some(address) = options.metrics_listen {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on --metrics-listen {address}"))?;
        tracing::info!(address = %listener.local_addr()?, "serving /metrics, /healthz and /readyz");
        tokio::spawn(pages::serve(listener, Arc::clone(&vitals)));
    }
    let links = Links {
        agents: nodes::Link::new(
            engine.clone(),
            Arc::clone(&registry),
            Arc::clone(&namespace),
            nodes::Ends {
                shutdown: shutdown.clone(),
                via: replicas.own(),
                sessions: Arc::clone(&sessions),
                trust: trust.clone(),
            },
        ),
        enrollment: trust::link::Link::new(engine.clone(), trust.clone()),
        sessions: sessions::carry::Link::new(Arc::clone(&sessions), trust.is_some()),
        replicas: replicas::tell::Link::new(
            engine.clone(),
            registry,
            Arc::clone(&gateways),
            replicas.own(),
            shutdown.clone(),
            trust.is_some(),
        ),
        gateways: gateways::Link::new(engine, gateways, namespace, shutdown.clone(), replicas, trust.clone()),
        journal: copies,
    };
    tracing::info!(address = %listener.local_addr()?, "serving");
    service::tell(&[NotifyState::Ready]);
    let watchdog = tokio::spawn(pulse::keep_watchdog(watched));
    service::stop_on_signal(shutdown.clone()).context("listen for signals")?;
    server::serve(
        listener,
        server::Mouths { api, vitals, requests },
        links,
        trust,
        shutdown,
    )
    .await;
    watchdog.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Who is believed on the port; nobody is asked where it speaks no TLS.
fn trust(options: &Options) -> anyhow::Result<Option<Arc<Trust>>> {
    if !options.speaks_tls()? {
        if !options.listen.ip().to_canonical().is_loopback() {
            tracing::warn!(address = %options.listen, "no TLS on the port, and hosts need no certificate: --allow-plaintext is given");
        }
        return Ok(None);
    }
    anyhow::ensure!(
        options.journal.is_none() || options.authority.ca_cert.is_some(),
        "--ca-cert and --ca-key must be given with --journal, the same to all schedulers: this one speaks TLS, as it listens on {} \
         (--tls says otherwise)",
        options.listen
    );
    let files = Files::of(&options.authority, &options.data_dir);
    let trust = Trust::open(files, options.names(), options.certificate_hours)?;
    Ok(Some(Arc::new(trust)))
}

/// Who finds out who calls.
fn authenticator(options: &Options) -> anyhow::Result<Authenticator> {
    let required = options.auth.is_required_on(options.listen);
    let named = options.master_key_file.as_deref();
    // Schedulers that share a journal must have the same, which none of them can make for the others.
    let master = match (named, &options.journal) {
        (None, Some(_)) => None,
        (named, _) => Some(auth::find(named, &options.data_dir)?),
    };
    anyhow::ensure!(
        !required || master.is_some(),
        "--master-key-file must be given with --journal, the same to all schedulers: calls must be signed, as this one listens \
         on {} (--auth says otherwise)",
        options.listen
    );
    if !required && !options.listen.ip().to_canonical().is_loopback() {
        tracing::warn!(address = %options.listen, "calls are not asked who makes them: --auth is off");
    }
    Ok(Authenticator::new(required, master))
}

/// Recovers the state; a journal that cannot be reached is waited for, as its members may just be choosing a leader.
async fn recover_when_reached(journal: &impl Journal) -> Result<(State, u64), RecoveryError> {
    let begun = Instant::now();
    loop {
        match recover_measured(journal).await {
            Err(RecoveryError::Journal(error @ JournalError::Unreachable { .. }))
                if begun.elapsed() < REACHED_WITHIN =>
            {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(error, "journal not reached, tried again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            other => return other,
        }
    }
}

struct Observers(Vec<Arc<dyn Observer>>);

impl Observer for Observers {
    fn published(&self, state: &State, record: &Record, bytes: usize) {
        for observer in &self.0 {
            observer.published(state, record, bytes);
        }
    }
}

/// A start for the ids that the operating system vouches for.
fn seed() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(u64::from_le_bytes(bytes))
}
