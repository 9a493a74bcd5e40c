//! The agent's settings: a flag wins over the environment, that over the file, that over the default.

mod attribute;
mod file;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Deserialize;
use tonic::transport::Endpoint;

pub(crate) use attribute::Attribute;
use file::File;

const STATE_DIR: &str = "/var/lib/berth-agent";
const DOCKER: &str = "unix:///var/run/docker.sock";
/// What the host keeps for itself and Docker.
const RESERVED_MEMORY_MIB: u32 = 256;
const RESERVED_TCP_PORTS: [u16; 5] = [22, 2375, 2376, 51678, 51679];
const STOP_TIMEOUT_SECONDS: u64 = 30;
const RETENTION_SECONDS: u64 = 3600;
const SECRETS_DIR: &str = "/etc/berth/secrets";
const USAGE_INTERVAL_SECONDS: u64 = 10;
/// Of usage figures, in seconds.
const USAGE_INTERVALS: std::ops::RangeInclusive<u64> = 1..=300;

const EXIT_CODES: &str = "\
Exit codes:
  0  told to stop by SIGTERM or SIGINT; containers keep running
  1  failed; starting it again may help
  2  a flag, an environment variable or the file is wrong
  5  the state directory belongs to another cluster or is in use; starting it again does not help

Example:
  berth-agent --scheduler http://10.0.0.5:7700 --cluster prod --attribute rack=r12";

/// Runs the tasks of one Docker host for a Berth scheduler, the way the ECS agent does for Amazon ECS.
///
/// It dials the scheduler, says what the host has, runs what it is assigned and reports every change. Containers
/// outlive it: stopped or killed at any moment, it finds its containers again and goes on.
#[derive(Debug, Parser)]
#[command(name = "berth-agent", version, after_help = EXIT_CODES)]
struct Args {
    /// TOML file with settings; its keys are the long flags without the dashes
    #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Scheduler to connect to, such as http://10.0.0.5:7700; several are tried in turn
    #[arg(
        long = "scheduler",
        env = "BERTH_SCHEDULER",
        value_name = "URL",
        value_delimiter = ','
    )]
    schedulers: Vec<String>,
    /// Name or ARN of the cluster to join; required, there is no default to fall into
    #[arg(long, env = "BERTH_CLUSTER", value_name = "NAME")]
    cluster: Option<String>,
    /// Directory for the instance's identity and the records of its tasks [default: /var/lib/berth-agent]
    #[arg(long, env = "BERTH_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Socket of the Docker daemon [default: unix:///var/run/docker.sock]
    #[arg(long, env = "BERTH_DOCKER", value_name = "URL")]
    docker: Option<String>,
    /// Attribute of this instance that placement constraints can name; may be repeated
    #[arg(
        long = "attribute",
        env = "BERTH_ATTRIBUTES",
        value_name = "NAME=VALUE",
        value_delimiter = ','
    )]
    attributes: Vec<String>,
    /// Memory that tasks may not use, in MiB; kept for the host and Docker [default: 256]
    #[arg(long, env = "BERTH_RESERVED_MEMORY", value_name = "MIB")]
    reserved_memory: Option<u32>,
    /// TCP port of the host that no task may ask for; may be repeated [default: 22,2375,2376,51678,51679]
    #[arg(
        long = "reserved-port",
        env = "BERTH_RESERVED_PORTS",
        value_name = "PORT",
        value_delimiter = ','
    )]
    reserved_ports: Option<Vec<u16>>,
    /// UDP port of the host that no task may ask for; may be repeated [default: none]
    #[arg(
        long = "reserved-udp-port",
        env = "BERTH_RESERVED_UDP_PORTS",
        value_name = "PORT",
        value_delimiter = ','
    )]
    reserved_udp_ports: Option<Vec<u16>>,
    /// Seconds between the stop signal and SIGKILL, where a container sets no stopTimeout [default: 30]
    #[arg(long, env = "BERTH_STOP_TIMEOUT", value_name = "SECONDS")]
    stop_timeout: Option<u64>,
    /// Seconds that the containers of an ended task are kept for inspection; 0 removes them at once [default: 3600]
    #[arg(long, env = "BERTH_STOPPED_CONTAINER_RETENTION", value_name = "SECONDS")]
    stopped_container_retention: Option<u64>,
    /// Memory that tasks may use, in MiB, instead of the host's less the reserve
    #[arg(long, env = "BERTH_MEMORY", value_name = "MIB")]
    memory: Option<u32>,
    /// CPU units that tasks may use, instead of 1024 a logical core
    #[arg(long, env = "BERTH_CPU_UNITS", value_name = "UNITS")]
    cpu_units: Option<u32>,
    /// Containers that are created or started at once [default: 2 a logical core]
    #[arg(long, env = "BERTH_PARALLEL_STARTS", value_name = "NUMBER")]
    parallel_starts: Option<usize>,
    /// Directory with a file for each secret that task definitions name [default: /etc/berth/secrets]
    #[arg(long, env = "BERTH_SECRETS_DIR", value_name = "DIR")]
    secrets_dir: Option<PathBuf>,
    /// Seconds between two samples of what the host and its containers use, 1 to 300 [default: 10]
    #[arg(long, env = "BERTH_USAGE_INTERVAL", value_name = "SECONDS")]
    usage_interval: Option<u64>,
    /// How log lines look; their level is set by BERTH_LOG, such as `debug` [default: text]
    #[arg(long, env = "BERTH_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings that hold.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) schedulers: Vec<Endpoint>,
    pub(crate) cluster: String,
    pub(crate) state_dir: PathBuf,
    /// Path of Docker's socket.
    pub(crate) docker_socket: String,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) reserved_memory_mib: u32,
    pub(crate) reserved_tcp_ports: Vec<u16>,
    pub(crate) reserved_udp_ports: Vec<u16>,
    pub(crate) stop_timeout: Duration,
    pub(crate) retention: Duration,
    pub(crate) memory_mib: Option<u32>,
    pub(crate) cpu_units: Option<u32>,
    pub(crate) parallel_starts: Option<usize>,
    #[allow(dead_code, reason = "create requests will name secrets")]
    pub(crate) secrets_dir: PathBuf,
    pub(crate) usage_interval: Duration,
    pub(crate) log_format: LogFormat,
}

/// A setting is wrong: names it, its value and the rule.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line or the environment; clap words it, help and version included.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// The file.
    #[error("{0}")]
    File(String),
    /// A value, wherever it came from.
    #[error("{0}")]
    Value(String),
}

impl Config {
    /// Reads the command line, the environment and the file.
    ///
    /// # Errors
    /// The first setting that is wrong or missing.
    pub fn load(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Self, ConfigError> {
        let args = Args::try_parse_from(arguments)?;
        let file = match &args.config {
            Some(path) => File::read(path).map_err(ConfigError::File)?,
            None => File::default(),
        };
        resolve(args, file).map_err(ConfigError::Value)
    }

    /// The cluster's name, also where its ARN is given.
    pub(crate) fn cluster_name(&self) -> &str {
        self.cluster.rsplit('/').next().unwrap_or(&self.cluster)
    }
}

fn resolve(args: Args, file: File) -> Result<Config, String> {
    let schedulers = first_given(args.schedulers, file.scheduler);
    if schedulers.is_empty() {
        return Err("--scheduler is required: the URL of a scheduler, such as http://10.0.0.5:7700".to_owned());
    }
    let cluster = args.cluster.or(file.cluster).filter(|name| !name.is_empty());
    let attributes = first_given(args.attributes, file.attribute);
    let docker = args.docker.or(file.docker).unwrap_or_else(|| DOCKER.to_owned());
    let parallel_starts = args.parallel_starts.or(file.parallel_starts);
    if parallel_starts == Some(0) {
        return Err("--parallel-starts is 0, it must be at least 1".to_owned());
    }
    let usage_interval = args
        .usage_interval
        .or(file.usage_interval)
        .unwrap_or(USAGE_INTERVAL_SECONDS);
    if !USAGE_INTERVALS.contains(&usage_interval) {
        return Err(format!(
            "--usage-interval is {usage_interval}, it must be 1 to 300 seconds"
        ));
    }
    Ok(Config {
        schedulers: schedulers.iter().map(|url| scheduler(url)).collect::<Result<_, _>>()?,
        cluster: cluster.ok_or("--cluster is required: the name of the cluster to join, there is no default")?,
        state_dir: args.state_dir.or(file.state_dir).unwrap_or_else(|| STATE_DIR.into()),
        docker_socket: docker
            .strip_prefix("unix://")
            .filter(|path| path.starts_with('/'))
            .ok_or_else(|| format!("--docker is '{docker}', it must be 'unix://' and an absolute path"))?
            .to_owned(),
        attributes: attribute::parse_all(&attributes)?,
        reserved_memory_mib: args
            .reserved_memory
            .or(file.reserved_memory)
            .unwrap_or(RESERVED_MEMORY_MIB),
        reserved_tcp_ports: args
            .reserved_ports
            .or(file.reserved_port)
            .unwrap_or_else(|| RESERVED_TCP_PORTS.to_vec()),
        reserved_udp_ports: args.reserved_udp_ports.or(file.reserved_udp_port).unwrap_or_default(),
        stop_timeout: Duration::from_secs(args.stop_timeout.or(file.stop_timeout).unwrap_or(STOP_TIMEOUT_SECONDS)),
        retention: Duration::from_secs(
            args.stopped_container_retention
                .or(file.stopped_container_retention)
                .unwrap_or(RETENTION_SECONDS),
        ),
        memory_mib: args.memory.or(file.memory),
        cpu_units: args.cpu_units.or(file.cpu_units),
        parallel_starts,
        secrets_dir: args
            .secrets_dir
            .or(file.secrets_dir)
            .unwrap_or_else(|| SECRETS_DIR.into()),
        usage_interval: Duration::from_secs(usage_interval),
        log_format: args.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
    })
}

fn scheduler(url: &str) -> Result<Endpoint, String> {
    let invalid = || format!("--scheduler is '{url}', it must be a URL such as http://10.0.0.5:7700");
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| invalid())?;
    let uri = endpoint.uri();
    if uri.scheme_str() != Some("http") || uri.host().is_none() {
        return Err(invalid());
    }
    Ok(endpoint)
}

fn first_given<T>(flags: Vec<T>, file: Vec<T>) -> Vec<T> {
    if flags.is_empty() { file } else { flags }
}

#[cfg(test)]
mod tests;
