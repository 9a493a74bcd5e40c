//! One service of a Compose file: what it says, read into a draft of a task definition and a service.

mod deploy;
mod health;
mod links;
mod linux;
mod mounts;
mod ports;
mod process;
mod resources;

use std::collections::BTreeMap;

use berth_model::placement::{RawConstraint, RawStrategy};
use berth_model::task_definition::{ContainerDefinition, RuntimePlatform, Volume};

pub(crate) use self::deploy::{stands_alone, update};
pub(crate) use self::mounts::{PROJECT_VOLUME, ProjectVolume};
pub(crate) use self::ports::Port;
use crate::fields::{Field, Row, before, by, not, rows};
use crate::translation::Condition;

/// A service while it is read.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) container: ContainerDefinition,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) network_mode: Option<String>,
    pub(crate) pid_mode: Option<String>,
    pub(crate) ipc_mode: Option<String>,
    pub(crate) platform: Option<RuntimePlatform>,
    /// CPU units that all its processes have at most.
    pub(crate) cpu_limit: Option<i32>,
    /// Bytes of memory and swap together.
    pub(crate) swap_limit: Option<u64>,
    /// Environment variables; those without a value are the caller's.
    pub(crate) environment: Vec<(String, Option<String>)>,
    pub(crate) env_files: Vec<EnvFile>,
    pub(crate) ports: Vec<Port>,
    /// Ports that others reach without their being published, and whether by UDP.
    pub(crate) exposed: Vec<(u16, bool)>,
    /// Named volumes by their places in `volumes`.
    pub(crate) named: Vec<Named>,
    /// The networks, with other names that it has there; none where the file names none.
    pub(crate) networks: Option<BTreeMap<String, Vec<String>>>,
    pub(crate) links: Vec<Link>,
    pub(crate) depends_on: Vec<Need>,
    pub(crate) replicas: Option<u16>,
    pub(crate) is_global: bool,
    pub(crate) is_job: bool,
    pub(crate) update: UpdateConfig,
    pub(crate) constraints: Vec<RawConstraint>,
    pub(crate) strategy: Vec<RawStrategy>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A file of environment variables.
#[derive(Debug)]
pub(crate) struct EnvFile {
    pub(crate) place: String,
    pub(crate) path: String,
    pub(crate) required: bool,
    pub(crate) raw: bool,
}

/// A mount of a volume that the project names.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) place: String,
    pub(crate) volume: String,
    /// The place of its mount point.
    pub(crate) mount: usize,
}

/// Another service under a name of one's own.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) place: String,
    pub(crate) service: String,
    pub(crate) alias: String,
}

/// An entry of `depends_on`.
#[derive(Debug)]
pub(crate) struct Need {
    pub(crate) place: String,
    pub(crate) service: String,
    pub(crate) condition: Condition,
    pub(crate) required: bool,
}

/// `deploy.update_config`, as far as it means something.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct UpdateConfig {
    pub(crate) parallelism: Option<u16>,
    pub(crate) start_first: Option<bool>,
    /// What happens to a deployment that fails; it is given up where nothing is said.
    pub(crate) failure: Failure,
}

/// `failure_action`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Continue,
    #[default]
    Pause,
    Rollback,
}

/// What ECS has no member for.
const NO_MEMBER: &str = "ECS has no member for it";
/// What stays on the operator's machine.
const NOT_HERE: &str = "hosts have no part in it: it is for the machine that files are written on";

/// The fields of a service.
pub(crate) const FIELDS: &[Field<Draft>] = &[
    not("annotations", NO_MEMBER),
    not("attach", "`berth compose up` shows no output of containers"),
    not("blkio_config", NO_MEMBER),
    not("build", "Berth runs images: build it, push it and name it in `image`"),
    by("cap_add", "`linuxParameters.capabilities.add`", linux::cap_add),
    by("cap_drop", "`linuxParameters.capabilities.drop`", linux::cap_drop),
    not("cgroup", NO_MEMBER),
    not("cgroup_parent", "the agent has a group for each task"),
    by(
        "command",
        "`command`; a text is split as a shell splits it",
        process::command,
    ),
    not(
        "configs",
        "Berth puts no files into containers: have it in the image, or in a volume",
    ),
    not("container_name", "containers are named after their task"),
    not("cpu_count", NO_MEMBER),
    not("cpu_percent", NO_MEMBER),
    not("cpu_period", "`cpus` is the limit"),
    not("cpu_quota", "`cpus` is the limit"),
    not("cpu_rt_period", NO_MEMBER),
    not("cpu_rt_runtime", NO_MEMBER),
    by(
        "cpu_shares",
        "the container's `cpu`, which is reserved too",
        resources::cpu_shares,
    ),
    by(
        "cpus",
        "the task's `cpu`: a cap that is reserved as well",
        resources::cpu_limit,
    ),
    not("cpuset", NO_MEMBER),
    not("credential_spec", "it is for Windows"),
    by(
        "depends_on",
        "what is waited for before the service is created",
        links::depends_on,
    ),
    by("deploy", "see `services.*.deploy` below", deploy::deploy),
    not("develop", NOT_HERE),
    not("device_cgroup_rules", NO_MEMBER),
    by("devices", "`linuxParameters.devices`", linux::devices),
    by("dns", "`dnsServers`", |draft, at, _| {
        draft.container.dns_servers = at.texts()?;
        Ok(())
    }),
    not("dns_opt", NO_MEMBER),
    by("dns_search", "`dnsSearchDomains`", |draft, at, _| {
        draft.container.dns_search_domains = at.texts()?;
        Ok(())
    }),
    not("domainname", NO_MEMBER),
    by(
        "entrypoint",
        "`entryPoint`; a text is split as a shell splits it",
        process::entrypoint,
    ),
    by("env_file", "read here, and part of `environment`", process::env_file),
    by(
        "environment",
        "`environment`; a variable without a value has that of the caller",
        process::environment,
    ),
    by(
        "expose",
        "with `--gateway` a port of gateways; without it nothing",
        ports::expose,
    ),
    before("extends", "the service begins as the other one"),
    not("external_links", "there are no containers beside those of tasks"),
    by("extra_hosts", "`extraHosts`", process::extra_hosts),
    by("gpus", "`resourceRequirements` of type `GPU`", resources::gpus),
    not("group_add", NO_MEMBER),
    by(
        "healthcheck",
        "`healthCheck`, see `services.*.healthcheck` below",
        health::healthcheck,
    ),
    by("hostname", "`hostname`", |draft, at, _| {
        draft.container.hostname = Some(at.string()?);
        Ok(())
    }),
    by("image", "`image`", |draft, at, _| {
        draft.container.image = at.string()?;
        Ok(())
    }),
    by("init", "`linuxParameters.initProcessEnabled`", linux::init),
    by(
        "ipc",
        "`ipcMode`: `host`, `none`; `private` and `shareable` are as without it",
        linux::ipc,
    ),
    not("isolation", "it is for Windows"),
    not("label_file", "write its labels into `labels`"),
    by("labels", "`dockerLabels`", process::labels),
    by(
        "links",
        "with `--gateway` a name in the container; and as `depends_on`",
        links::links,
    ),
    by("logging", "`logConfiguration`", process::logging),
    not("mac_address", NO_MEMBER),
    by("mem_limit", "the container's `memory`", resources::memory_limit),
    by(
        "mem_reservation",
        "the container's `memoryReservation`",
        resources::memory_reservation,
    ),
    by("mem_swappiness", "`linuxParameters.swappiness`", linux::swappiness),
    by(
        "memswap_limit",
        "`linuxParameters.maxSwap`, what is above `mem_limit`",
        resources::swap_limit,
    ),
    not("models", "Berth runs containers alone"),
    by(
        "network_mode",
        "`networkMode`: `bridge`, `host`, `none`",
        links::network_mode,
    ),
    by(
        "networks",
        "who is reached by name with `--gateway`; nothing keeps services apart",
        links::networks,
    ),
    not("oom_kill_disable", NO_MEMBER),
    not("oom_score_adj", NO_MEMBER),
    by("pid", "`pidMode`: `host`", linux::pid),
    not(
        "pids_limit",
        "the agent's `task-pids-limit` holds for all tasks of a host",
    ),
    by(
        "platform",
        "`runtimePlatform`: `linux/amd64`, `linux/arm64`",
        linux::platform,
    ),
    by(
        "ports",
        "`portMappings`, or with `--gateway` ports of gateways; see below",
        ports::ports,
    ),
    not("post_start", NO_MEMBER),
    not("pre_stop", NO_MEMBER),
    by("privileged", "`privileged`", |draft, at, _| {
        draft.container.privileged = Some(at.truth()?);
        Ok(())
    }),
    before(
        "profiles",
        "the service is there where one of them is active: `--profile`",
    ),
    not("provider", "Berth runs containers alone"),
    not(
        "pull_policy",
        "`image-pull-behavior` of the agent says when images are pulled",
    ),
    by("read_only", "`readonlyRootFilesystem`", |draft, at, _| {
        draft.container.readonly_root_filesystem = Some(at.truth()?);
        Ok(())
    }),
    by(
        "restart",
        "`always` and `unless-stopped`: a service is kept running",
        deploy::restart,
    ),
    not("runtime", "Docker's default runs it"),
    by("scale", "as `deploy.replicas`", deploy::replicas),
    not(
        "secrets",
        "Berth puts no files into containers; `secrets` of a task definition are variables",
    ),
    by("security_opt", "`dockerSecurityOptions`", |draft, at, _| {
        draft.container.docker_security_options = at.texts()?;
        Ok(())
    }),
    by("shm_size", "`linuxParameters.sharedMemorySize`", linux::shm_size),
    by("stdin_open", "`interactive`", |draft, at, _| {
        draft.container.interactive = Some(at.truth()?);
        Ok(())
    }),
    by(
        "stop_grace_period",
        "`stopTimeout`, in whole seconds",
        process::stop_grace_period,
    ),
    not("stop_signal", "the image's own, or SIGTERM"),
    not("storage_opt", NO_MEMBER),
    by("sysctls", "`systemControls`: `net.*`, and those of IPC", linux::sysctls),
    by("tmpfs", "`linuxParameters.tmpfs`", mounts::tmpfs),
    by("tty", "`pseudoTerminal`", |draft, at, _| {
        draft.container.pseudo_terminal = Some(at.truth()?);
        Ok(())
    }),
    by("ulimits", "`ulimits`", linux::ulimits),
    not("use_api_socket", "Berth hands no socket of Docker's to containers"),
    by("user", "`user`", |draft, at, _| {
        draft.container.user = Some(at.string()?);
        Ok(())
    }),
    not("userns_mode", NO_MEMBER),
    not("uts", NO_MEMBER),
    by("volumes", "`volumes` and `mountPoints`, see below", mounts::volumes),
    not(
        "volumes_from",
        "services are tasks of their own, which may be on other hosts: share a named volume",
    ),
    by("working_dir", "`workingDirectory`", |draft, at, _| {
        draft.container.working_directory = Some(at.string()?);
        Ok(())
    }),
];

/// The documentation's rows of a service.
pub(crate) fn sections() -> Vec<Vec<Row>> {
    let mut sections = vec![
        rows("services.*", FIELDS),
        rows("services.*.depends_on.*", links::DEPENDS_ON),
        rows("services.*.deploy", deploy::DEPLOY),
        rows("services.*.deploy.placement", deploy::PLACEMENT),
        rows("services.*.deploy.resources.limits", resources::LIMITS),
        rows("services.*.deploy.resources.reservations", resources::RESERVATIONS),
        rows("services.*.deploy.restart_policy", deploy::RESTART_POLICY),
        rows("services.*.deploy.update_config", deploy::UPDATE_CONFIG),
        rows("services.*.env_file[*]", process::ENV_FILE),
        rows("services.*.gpus[*]", resources::DEVICE),
        rows("services.*.healthcheck", health::FIELDS),
        rows("services.*.logging", process::LOGGING),
        rows("services.*.networks.*", links::NETWORK),
        rows("services.*.ports[*]", ports::FIELDS),
    ];
    sections.extend(mounts::sections());
    sections
}
