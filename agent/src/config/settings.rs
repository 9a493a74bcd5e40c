//! All settings, each one entry: from it follow the flag, the key of the file, the variables, the help and the check.
//!
//! A new setting is a new entry here, a row in `docs/agent-configuration.md` and two lines in `packaging/agent.toml`;
//! tests say which are missing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use berth_agent_core::host_policy::HostNamespace;
use berth_daemon::log::LogFormat;
use berth_otlp::Collector;
use tonic::transport::Endpoint;

use super::attribute::{self, Attribute};
use super::ecs::{authority_of_url, json_attributes, json_list, level, switch as go_switch, text as as_it_is};
use super::setting::{Default, Ecs, Form, ORDINARY, Setting, many, one, optional, some};
use super::source::Gathered;
use super::value::{
    DAY, HOUR, MINUTE, SECOND, absolute, address_or_off, authority, collector, duration, host_address,
    linux_capability, log_filter, number, path, port_range, scheduler, subnet, switch, text, unix_socket, word,
};

/// When an image is pulled and when the host's own is used, as `ECS_IMAGE_PULL_BEHAVIOR` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImagePullBehavior {
    /// Pulled for every task; the host's own is used when that fails.
    Default,
    /// Pulled for every task, which fails when that fails.
    Always,
    /// Pulled when no task of this host has pulled it before.
    Once,
    /// Pulled when the host does not have it.
    PreferCached,
}

/// How credentials of registries are written, as `ECS_ENGINE_AUTH_TYPE` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistryAuthType {
    /// An object a registry with `username`, `password` and `email`.
    Docker,
    /// An object a registry with `auth`: user and password in base64, as in Docker's config.json.
    Dockercfg,
}

/// Makes the type that holds the settings, the list of them and the reading of all from what was gathered.
macro_rules! settings {
    ($($group:literal { $(
        $(#[doc = $help:literal])+
        $field:ident: $type:ty { name: $name:literal, $($member:ident: $value:expr,)* } read $read:expr;
    )+ })+) => {
        /// The settings that hold.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($( $(#[doc = $help])+ pub(crate) $field: $type, )+)+
            /// What the operator should be told of once.
            pub(crate) notes: Vec<super::Note>,
        }

        /// Every setting, in the order of the help.
        pub(super) static SETTINGS: &[Setting] = &[
            $($( Setting {
                name: $name,
                group: $group,
                help: concat!($($help),+),
                $($member: $value,)*
                ..ORDINARY
            }, )+)+
        ];

        impl Config {
            /// Reads every setting.
            ///
            /// # Errors
            /// All that are wrong or missing.
            pub(super) fn read(gathered: &Gathered) -> Result<Self, Vec<String>> {
                $($( let $field = gathered.read($name, $read); )+)+
                let mut problems = Vec::new();
                $($( problems.extend($field.as_ref().err().cloned()); )+)+
                if !problems.is_empty() {
                    return Err(problems);
                }
                Ok(Self {
                    $($( $field: $field.map_err(|problem| vec![problem])?, )+)+
                    notes: gathered.notes.clone(),
                })
            }
        }
    };
}

/// A variable of ecs.config with the same meaning.
const fn ecs(variable: &'static str, read: fn(&str) -> Result<Vec<String>, String>) -> Option<Ecs> {
    Some(Ecs { variable, read })
}

settings! {
    "The cluster" {
        /// Scheduler to connect to, such as https://10.0.0.5:7700; several are tried one after the other, beginning with any
        schedulers: Vec<Endpoint> {
            name: "scheduler", value: "URL", form: Form::Many,
            default: Default::Required("the URL of a scheduler, such as https://10.0.0.5:7700"),
        } read some(scheduler);
        /// Name or ARN of the cluster to join; there is no default to fall into
        cluster: String {
            name: "cluster", value: "NAME", ecs: ecs("ECS_CLUSTER", as_it_is),
            default: Default::Required("the name of the cluster to join, there is no default"),
        } read one(text);
        /// File with the join token, for a scheduler with https://; used once, the agent renews its certificate from then on
        join_token_file: Option<PathBuf> {
            name: "join-token-file", value: "FILE",
            default: Default::None("/etc/berth/join-token, or the credential berth-agent.join-token of systemd, where there is one"),
        } read optional(path);
        /// The join token itself, in a file of settings or in the environment; it has no flag
        join_token: Option<String> {
            name: "join-token", value: "TOKEN", default: Default::None("none"), secret: true, flagless: true,
        } read optional(text);
        /// Tag of this EC2 instance whose value is the join token, where there is none elsewhere; its metadata options must let it read its tags
        join_token_tag: Option<String> {
            name: "join-token-tag", value: "KEY", default: Default::None("none"),
        } read optional(text);
        /// Command that prints the join token, run by a shell as the agent's user when there is need of one and none is in a file
        join_token_command: Option<String> {
            name: "join-token-command", value: "COMMAND", default: Default::None("none"),
        } read optional(text);
        /// IP address under which other hosts reach this one
        address: Option<IpAddr> {
            name: "address", value: "ADDRESS",
            default: Default::None("that from which the scheduler is reached"),
        } read optional(host_address);
        /// Attribute of this instance that placement constraints can name; may be repeated
        attributes: Vec<Attribute> {
            name: "attribute", value: "NAME=VALUE", form: Form::Many, default: Default::None("none"),
            ecs: ecs("ECS_INSTANCE_ATTRIBUTES", json_attributes),
        } read attribute::parse_all;
        /// Directory for the instance's identity and the records of its tasks
        state_dir: PathBuf {
            name: "state-dir", value: "DIR", default: Default::Values(&["/var/lib/berth-agent"]),
        } read one(path);
    }
    "What tasks may use" {
        /// Memory that tasks may not use, in MiB; kept for the host and Docker
        reserved_memory_mib: u32 {
            name: "reserved-memory", value: "MIB", default: Default::Values(&["256"]),
            ecs: ecs("ECS_RESERVED_MEMORY", as_it_is),
        } read one(number(0..=u32::MAX));
        /// TCP port of the host that no task may ask for; may be repeated
        reserved_tcp_ports: Vec<u16> {
            name: "reserved-port", value: "PORT", form: Form::Many,
            default: Default::Values(&["22", "2375", "2376", "51678", "51679", "51680"]),
            ecs: ecs("ECS_RESERVED_PORTS", json_list),
        } read many(number(1..=u16::MAX));
        /// UDP port of the host that no task may ask for; may be repeated
        reserved_udp_ports: Vec<u16> {
            name: "reserved-udp-port", value: "PORT", form: Form::Many, default: Default::None("none"),
            ecs: ecs("ECS_RESERVED_PORTS_UDP", json_list),
        } read many(number(1..=u16::MAX));
        /// Memory that tasks may use, in MiB
        memory_mib: Option<u32> {
            name: "memory", value: "MIB", default: Default::None("the host's less the reserve"),
        } read optional(number(1..=u32::MAX));
        /// CPU units that tasks may use
        cpu_units: Option<u32> {
            name: "cpu-units", value: "UNITS", default: Default::None("1024 a logical core"),
        } read optional(number(1..=u32::MAX));
        /// Log driver that tasks may use, of those that Docker has; may be repeated. Unless it is named, awslogs is Docker's default driver
        log_drivers: Vec<String> {
            name: "log-drivers", value: "NAME", form: Form::Many,
            default: Default::None("all that Docker has and that can work"),
            ecs: ecs("ECS_AVAILABLE_LOGGING_DRIVERS", json_list),
        } read many(text);
        /// Hold tasks to the cpu and memory of the task, not only of its containers
        task_cpu_mem_limit: bool {
            name: "task-cpu-mem-limit", value: "BOOL", form: Form::Switch, default: Default::Values(&["true"]),
            ecs: ecs("ECS_ENABLE_TASK_CPU_MEM_LIMIT", go_switch),
        } read one(switch);
        /// Where the cgroup file systems are
        cgroup_root: PathBuf {
            name: "cgroup-root", value: "DIR", default: Default::Values(&["/sys/fs/cgroup"]),
            ecs: ecs("ECS_CGROUP_PATH", as_it_is),
        } read one(path);
        /// Control group that those of all tasks are in; with Docker's driver systemd the name of a slice
        task_cgroup: String {
            name: "task-cgroup", value: "NAME", default: Default::Values(&["/berth"]),
        } read one(text);
        /// Period over which the cpu of a task is measured and held
        cgroup_cpu_period: Duration {
            name: "cgroup-cpu-period", value: "DURATION", default: Default::Values(&["100ms"]),
            ecs: ecs("ECS_CGROUP_CPU_PERIOD", as_it_is),
        } read one(duration(Duration::from_millis(8)..=Duration::from_millis(100)));
        /// Processes and threads that a task may have
        task_pids_limit: Option<u32> {
            name: "task-pids-limit", value: "NUMBER", default: Default::None("no limit"),
            ecs: ecs("ECS_TASK_PIDS_LIMIT", as_it_is),
        } read optional(number(1..=4_194_304));
        /// Ports of the host for mappings that leave them to it, single ones and ranges
        dynamic_port_range: Option<RangeInclusive<u16>> {
            name: "dynamic-port-range", value: "FIRST-LAST",
            default: Default::None("/proc/sys/net/ipv4/ip_local_port_range"),
            ecs: ecs("ECS_DYNAMIC_HOST_PORT_RANGE", as_it_is),
        } read optional(port_range);
        /// Network from which tasks in network mode awsvpc have their addresses
        task_network_subnet: Option<(Ipv4Addr, u8)> {
            name: "task-network-subnet", value: "CIDR", default: Default::None("one that Docker chooses"),
        } read optional(subnet);
    }
    "What tasks may have of the host" {
        /// Refuse privileged containers, and security options that take confinement away
        disable_privileged: bool {
            name: "disable-privileged", value: "BOOL", form: Form::Switch, default: Default::Values(&["true"]),
            ecs: ecs("ECS_DISABLE_PRIVILEGED", go_switch),
        } read one(switch);
        /// Namespace of the host that tasks may be in: network, pid or ipc; may be repeated
        host_namespaces: Vec<HostNamespace> {
            name: "allow-host-namespace", value: "NAME", form: Form::Many, default: Default::None("none"),
        } read many(word(&[
            ("network", HostNamespace::Network),
            ("pid", HostNamespace::Pid),
            ("ipc", HostNamespace::Ipc),
        ]));
        /// Directory or file of the host that tasks may mount, with all below it; may be repeated
        host_paths: Vec<String> {
            name: "allow-host-path", value: "PATH", form: Form::Many, default: Default::None("none"),
        } read many(absolute);
        /// Device of the host that tasks may have, with all below it, or one by its CDI name; may be repeated
        devices: Vec<String> {
            name: "allow-device", value: "DEVICE", form: Form::Many, default: Default::None("none"),
        } read many(text);
        /// Capability of Linux that tasks may add to those of every container, or ALL; may be repeated
        linux_capabilities: Vec<String> {
            name: "allow-capability", value: "NAME", form: Form::Many, default: Default::None("none"),
        } read many(linux_capability);
    }
    "GPUs" {
        /// Give NVIDIA GPUs of the host to containers that ask for them
        enable_gpu_support: bool {
            name: "enable-gpu-support", value: "BOOL", form: Form::Switch, default: Default::Values(&["false"]),
            ecs: ecs("ECS_ENABLE_GPU_SUPPORT", go_switch),
        } read one(switch);
        /// Runtime of Docker that gives GPUs to containers
        nvidia_runtime: String {
            name: "nvidia-runtime", value: "NAME", default: Default::Values(&["nvidia"]),
            ecs: ecs("ECS_NVIDIA_RUNTIME", as_it_is),
        } read one(text);
        /// File that lists the GPUs, as ECS's init writes it
        gpu_info_file: Option<PathBuf> {
            name: "gpu-info-file", value: "FILE",
            default: Default::None("/var/lib/ecs/gpu/nvidia-gpu-info.json, or what nvidia-smi says where there is none"),
        } read optional(path);
    }
    "Docker" {
        /// Socket of the Docker daemon
        docker_socket: String {
            name: "docker", value: "URL", default: Default::Values(&["unix:///var/run/docker.sock"]),
            ecs: ecs("DOCKER_HOST", as_it_is),
        } read one(unix_socket);
        /// Containers that are created or started at once
        parallel_starts: Option<usize> {
            name: "parallel-starts", value: "NUMBER", default: Default::None("2 a logical core"),
        } read optional(number(1..=1000));
        /// How long Docker may take to create a container
        container_create_timeout: Duration {
            name: "container-create-timeout", value: "DURATION", default: Default::Values(&["4m"]),
            ecs: ecs("ECS_CONTAINER_CREATE_TIMEOUT", as_it_is),
        } read one(duration(SECOND..=10 * MINUTE));
        /// How long Docker may take to start a container
        container_start_timeout: Duration {
            name: "container-start-timeout", value: "DURATION", default: Default::Values(&["3m"]),
            ecs: ecs("ECS_CONTAINER_START_TIMEOUT", as_it_is),
        } read one(duration(SECOND..=10 * MINUTE));
        /// From the stop signal to SIGKILL, where a container sets no stopTimeout
        stop_timeout: Duration {
            name: "stop-timeout", value: "DURATION", default: Default::Values(&["30s"]),
            ecs: ecs("ECS_CONTAINER_STOP_TIMEOUT", as_it_is),
        } read one(duration(Duration::ZERO..=DAY));
        /// How long the containers of an ended task are kept for inspection; 0 removes them at once
        retention: Duration {
            name: "stopped-container-retention", value: "DURATION", default: Default::Values(&["1h"]),
            ecs: ecs("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", as_it_is),
        } read one(duration(Duration::ZERO..=30 * DAY));
        /// How many stopped containers are kept for inspection; beyond it the oldest go first
        stopped_container_count: usize {
            name: "stopped-container-count", value: "NUMBER", default: Default::Values(&["100"]),
        } read one(number(0..=100_000));
    }
    "Images and the disk" {
        /// When an image is pulled: default, always, once or prefer-cached
        image_pull_behavior: ImagePullBehavior {
            name: "image-pull-behavior", value: "BEHAVIOR", default: Default::Values(&["default"]),
            ecs: ecs("ECS_IMAGE_PULL_BEHAVIOR", as_it_is),
        } read one(word(&[
            ("default", ImagePullBehavior::Default),
            ("always", ImagePullBehavior::Always),
            ("once", ImagePullBehavior::Once),
            ("prefer-cached", ImagePullBehavior::PreferCached),
        ]));
        /// Images that are pulled at once
        parallel_pulls: usize {
            name: "parallel-pulls", value: "NUMBER", default: Default::Values(&["3"]),
        } read one(number(1..=100));
        /// How long a pull may take to its first sign of progress
        pull_first_progress_timeout: Duration {
            name: "pull-first-progress-timeout", value: "DURATION", default: Default::Values(&["5m"]),
            ecs: ecs("ECS_MANIFEST_PULL_TIMEOUT", as_it_is),
        } read one(duration(SECOND..=HOUR));
        /// How long a pull may go without progress
        pull_inactivity_timeout: Duration {
            name: "pull-inactivity-timeout", value: "DURATION", default: Default::Values(&["1m"]),
            ecs: ecs("ECS_IMAGE_PULL_INACTIVITY_TIMEOUT", as_it_is),
        } read one(duration(SECOND..=HOUR));
        /// How long a pull may take
        pull_timeout: Duration {
            name: "pull-timeout", value: "DURATION", default: Default::Values(&["2h"]),
            ecs: ecs("ECS_IMAGE_PULL_TIMEOUT", as_it_is),
        } read one(duration(SECOND..=DAY));
        /// Docker's config.json with the credentials of registries and the names of credential helpers
        docker_config: Option<PathBuf> {
            name: "docker-config", value: "FILE", default: Default::None("that of the agent's user"),
        } read optional(path);
        /// Form of registry-auth-data: docker or dockercfg
        registry_auth_type: Option<RegistryAuthType> {
            name: "registry-auth-type", value: "FORM", default: Default::None("none"),
            ecs: ecs("ECS_ENGINE_AUTH_TYPE", as_it_is),
        } read optional(word(&[("docker", RegistryAuthType::Docker), ("dockercfg", RegistryAuthType::Dockercfg)]));
        /// Credentials of registries as JSON, in the form that registry-auth-type names
        registry_auth_data: Option<String> {
            name: "registry-auth-data", value: "JSON", default: Default::None("none"), secret: true,
            ecs: ecs("ECS_ENGINE_AUTH_DATA", as_it_is),
        } read optional(text);
        /// Never remove images
        disable_image_cleanup: bool {
            name: "disable-image-cleanup", value: "BOOL", form: Form::Switch, default: Default::Values(&["false"]),
            ecs: ecs("ECS_DISABLE_IMAGE_CLEANUP", go_switch),
        } read one(switch);
        /// How often unused images are removed by age
        image_cleanup_interval: Duration {
            name: "image-cleanup-interval", value: "DURATION", default: Default::Values(&["30m"]),
            ecs: ecs("ECS_IMAGE_CLEANUP_INTERVAL", as_it_is),
        } read one(duration(SECOND..=30 * DAY));
        /// How long an image must have been unused to be removed by age
        image_minimum_age: Duration {
            name: "image-minimum-age", value: "DURATION", default: Default::Values(&["1h"]),
            ecs: ecs("ECS_IMAGE_MINIMUM_CLEANUP_AGE", as_it_is),
        } read one(duration(Duration::ZERO..=365 * DAY));
        /// Images that are removed by age at one time
        images_per_cleanup: usize {
            name: "images-per-cleanup", value: "NUMBER", default: Default::Values(&["5"]),
            ecs: ecs("ECS_NUM_IMAGES_DELETE_PER_CYCLE", as_it_is),
        } read one(number(1..=10_000));
        /// Fullness of Docker's disk from which unused images are removed
        disk_clean_percent: u8 {
            name: "disk-clean-percent", value: "PERCENT", default: Default::Values(&["80"]),
        } read one(number(1..=100));
        /// Fullness down to which they are
        disk_low_percent: u8 {
            name: "disk-low-percent", value: "PERCENT", default: Default::Values(&["70"]),
        } read one(number(1..=100));
        /// Fullness from which new tasks are refused
        disk_refuse_percent: u8 {
            name: "disk-refuse-percent", value: "PERCENT", default: Default::Values(&["90"]),
        } read one(number(1..=100));
    }
    "What containers are given" {
        /// Directory with a file for each secret that task definitions name
        secrets_dir: PathBuf {
            name: "secrets-dir", value: "DIR", default: Default::Values(&["/etc/berth/secrets"]),
        } read one(path);
        /// Directory of the files that environmentFiles name
        environment_files_dir: PathBuf {
            name: "environment-files-dir", value: "DIR", default: Default::Values(&["/etc/berth/environment"]),
        } read one(path);
        /// Address of the endpoint for metadata, credentials and task protection, or off
        endpoint_address: Option<SocketAddr> {
            name: "endpoint-address", value: "ADDRESS", default: Default::Values(&["169.254.170.2:51679"]),
        } read one(address_or_off);
        /// Requests a second to that endpoint, and how many at once
        task_metadata_rps_limit: (u32, u32) {
            name: "task-metadata-rps-limit", value: "STEADY,BURST", default: Default::Values(&["40,60"]),
            ecs: ecs("ECS_TASK_METADATA_RPS_LIMIT", as_it_is),
        } read one(super::value::rate);
        /// File with the credentials of task roles
        credentials_file: Option<PathBuf> {
            name: "credentials-file", value: "FILE", default: Default::None("none"),
        } read optional(path);
        /// Program, with its arguments, that prints the credentials of the task role whose ARN it is given last
        credentials_command: Vec<String> {
            name: "credentials-command", value: "WORD", form: Form::Many, default: Default::None("none"),
        } read many(text);
        /// Run tasks with a role without credentials, where neither of the two says where these come from
        ignore_task_roles: bool {
            name: "ignore-task-roles", value: "BOOL", form: Form::Switch, default: Default::Values(&["false"]),
        } read one(switch);
    }
    "The end of the host" {
        /// Drain when EC2 takes the host, a Spot Instance, back
        spot_draining: Option<bool> {
            name: "spot-draining", value: "BOOL", form: Form::Switch,
            default: Default::None("where the host is one of EC2's, or imds-endpoint is set"),
            ecs: ecs("ECS_ENABLE_SPOT_INSTANCE_DRAINING", go_switch),
        } read optional(switch);
        /// Host and port of the instance metadata service
        imds_endpoint: Option<String> {
            name: "imds-endpoint", value: "HOST:PORT",
            default: Default::None("169.254.169.254:80 where the host is one of EC2's, elsewhere none"),
            ecs: ecs("AWS_EC2_METADATA_SERVICE_ENDPOINT", authority_of_url),
        } read optional(authority);
    }
    "The agent" {
        /// Address on which the host's own processes can ask the agent about its tasks, or off
        introspection_address: Option<SocketAddr> {
            name: "introspection-address", value: "ADDRESS", default: Default::Values(&["127.0.0.1:51678"]),
        } read one(address_or_off);
        /// Address on which to serve /metrics, for Prometheus, /healthz and /readyz, or off
        metrics_address: Option<SocketAddr> {
            name: "metrics-address", value: "ADDRESS", default: Default::Values(&["127.0.0.1:51680"]),
        } read one(address_or_off);
        /// OpenTelemetry collector, http://HOST:PORT, to which the figures of /metrics are sent every 15 s, by OTLP over gRPC
        otlp_endpoint: Option<Collector> {
            name: "otlp-endpoint", value: "URL", default: Default::None("none"),
        } read optional(collector);
        /// How often what the host and its containers use is measured and sent to the scheduler
        usage_interval: Duration {
            name: "usage-interval", value: "DURATION", default: Default::Values(&["10s"]),
        } read one(duration(SECOND..=5 * MINUTE));
        /// What is logged: a level, or levels of modules
        log: String {
            name: "log", value: "LEVEL", default: Default::Values(&["info"]), ecs: ecs("ECS_LOGLEVEL", level),
        } read one(log_filter);
        /// How log lines look: text or json
        log_format: LogFormat {
            name: "log-format", value: "FORMAT", default: Default::Values(&["text"]),
        } read one(word(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    }
}
