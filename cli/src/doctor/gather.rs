//! Looks at a host and at a cluster. Nothing here judges; whatever cannot be seen is told with its reason.

mod http;
mod system;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use berth_proto::v1::DescribeUsageRequest;
use berth_tls::distrust;
use serde_json::Value;

use super::cluster::{ClusterFacts, Contents};
use super::host::{DockerFacts, HostFacts};
use super::trust::{Unreached, lives};
use crate::api::{Api, CallError};
use crate::args::GlobalArgs;
use crate::tls;
pub(crate) use http::{Place, Scheduler, Shown, get};
pub(crate) use system::run as run_program;

/// For one look at anything.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the agent keeps its state unless told otherwise.
const AGENT_STATE: &str = "/var/lib/berth-agent";

/// Where to look on a host.
#[derive(Debug, Clone)]
pub(crate) struct HostPlaces {
    /// Docker's socket.
    pub(crate) docker: std::path::PathBuf,
    /// `HOST:PORT` of the agent's figures and health.
    pub(crate) agent: String,
}

/// By this machine's clock, in seconds since the epoch.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// Looks at this host.
pub(crate) async fn host(places: &HostPlaces) -> HostFacts {
    let socket = Place::Socket(&places.docker);
    let docker = docker(socket).await;
    let root = docker.as_ref().ok().and_then(|(_, root)| root.clone());
    let docker = docker
        .map(|(facts, _)| facts)
        .map_err(|error| format!("Docker does not answer: {error:#}"));
    let page = async |path: &str| {
        let answer = get(Place::Address(&places.agent), path).await;
        let answer = answer.map(|answer| (answer.status, answer.text()));
        answer.map_err(|error| format!("{}: {error:#}", places.agent))
    };
    let directories = root.iter().map(String::as_str).chain([AGENT_STATE]);
    HostFacts {
        agent_certificates: page("/metrics")
            .await
            .map_or_else(|_| Vec::new(), |(_, figures)| lives(&figures)),
        now: now(),
        docker,
        agent_health: page("/healthz").await,
        agent_ready: page("/readyz").await,
        agent_config: system::agent_config().await,
        disks: directories
            .filter_map(|path| Some((path.to_owned(), system::fullness(Path::new(path))?)))
            .collect(),
        clock_synchronized: system::clock_synchronized().await,
        units: system::units().await,
    }
}

/// What Docker says of itself, and its directory.
async fn docker(socket: Place<'_>) -> anyhow::Result<(DockerFacts, Option<String>)> {
    let asked = async |path: &str| -> anyhow::Result<Value> {
        let answer = get(socket, path).await?;
        anyhow::ensure!(
            answer.status == 200,
            "{path} was answered with status {}",
            answer.status
        );
        serde_json::from_slice(&answer.body).with_context(|| format!("{path} was not answered with JSON"))
    };
    let (version, info) = (asked("/version").await?, asked("/info").await?);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let warnings = info["Warnings"].as_array().into_iter().flatten();
    let facts = DockerFacts {
        version: text(&version["Version"]),
        api_version: text(&version["ApiVersion"]),
        storage_driver: text(&info["Driver"]),
        cgroup_driver: text(&info["CgroupDriver"]),
        // Docker before 20.10 knows no other.
        cgroup_version: info["CgroupVersion"].as_str().unwrap_or("1").to_owned(),
        live_restore: info["LiveRestoreEnabled"].as_bool().unwrap_or_default(),
        warnings: warnings.map(text).collect(),
    };
    Ok((facts, info["DockerRootDir"].as_str().map(str::to_owned)))
}

/// Looks at the scheduler, and at the cluster by it.
pub(crate) async fn cluster(global: &GlobalArgs) -> ClusterFacts {
    let answer = match Scheduler::of(global) {
        Ok(scheduler) => get(Place::Scheduler(&scheduler), "/readyz")
            .await
            .map_err(|error| unreached(&error)),
        Err(error) => Err(Unreached::Unasked(error.to_string())),
    };
    let now = now();
    // Who speaks TLS answers 400 to what does not, and nothing more is to be had.
    let reached = answer.as_ref().is_ok_and(|answer| answer.status != 400);
    let skew_seconds = answer.as_ref().ok().and_then(|answer| Some(answer.date()? - now));
    let cluster = match reached {
        true => Some(contents(global).await.map_err(|error| error.to_string())),
        false => None,
    };
    ClusterFacts {
        scheduler: global.scheduler.clone(),
        shown: answer.as_ref().ok().and_then(|answer| answer.shown.clone()),
        ready: answer.map(|answer| (answer.status, answer.text())),
        own: tls::own(global).map(|own| own.life),
        skew_seconds,
        cluster,
        now,
    }
}

fn unreached(error: &anyhow::Error) -> Unreached {
    let reason = format!("{error:#}");
    match distrust(error.as_ref()) {
        Some(distrust) => Unreached::Distrusted(distrust, reason),
        None => Unreached::Silent(reason),
    }
}

/// All that the cluster has.
pub(crate) async fn contents(global: &GlobalArgs) -> Result<Contents, CallError> {
    let api = Api::connect(global).await?;
    let instances = api.describe_instances(&api.list_instances().await?).await?;
    let services = api.all_services().await?;
    let tasks = api.describe_tasks(&api.list_tasks(None, "RUNNING").await?).await?;
    let usage = api.usage(DescribeUsageRequest::default()).await?;
    // Whoever may see the rest need not see these; a scheduler without TLS has none.
    let trusts = global.scheduler.starts_with("https://");
    let (authorities, members) = match trusts {
        true => (api.authorities().await.ok(), api.all_members().await.ok()),
        false => (None, None),
    };
    Ok(Contents {
        authorities: authorities.map(|told| told.authorities).unwrap_or_default(),
        members: members.map(|told| told.members).unwrap_or_default(),
        name: api.cluster().unwrap_or("default").to_owned(),
        instances: instances.container_instances,
        services: services.services,
        tasks: tasks.tasks,
        usage: usage.cluster,
    })
}
