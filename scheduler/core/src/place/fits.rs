//! Whether an instance can take a copy: one rule for placing, for StartTask and for checking again before a write.

use std::borrow::Cow;
use std::fmt;

use berth_model::placement::Constraint;
use berth_model::quantity::{GpuCount, HostPort, MemoryMib};
use berth_model::query::{self, Expression};
use berth_model::status::InstanceStatus;
use berth_model::time::Timestamp;

use super::{Pool, Request};
use crate::state::Instance;

/// One thing that keeps a copy off an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfit {
    /// The instance is deregistered or draining.
    NotActive(&'static str),
    /// Its agent is not connected.
    Agent,
    /// It is not of the capacity provider.
    Provider(String),
    /// It lacks an attribute that the definition needs.
    Attribute(String),
    /// It does not satisfy an expression.
    MemberOf(String),
    /// It has a task of the group already.
    Distinct,
    /// It lacks CPU units.
    Cpu {
        /// What a copy takes.
        needed: u32,
        /// What is free.
        free: u32,
    },
    /// It lacks memory.
    Memory {
        /// What a copy takes.
        needed: MemoryMib,
        /// What is free.
        free: MemoryMib,
    },
    /// It lacks GPUs.
    Gpu {
        /// What a copy takes.
        needed: GpuCount,
        /// What is free.
        free: GpuCount,
    },
    /// A port is taken or reserved.
    Port {
        /// The port.
        port: HostPort,
        /// Whether the host keeps it for itself.
        reserved: bool,
    },
}

impl Misfit {
    /// The `reason` of ECS's failures (ECS API, "API failure reasons").
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotActive(status) => status,
            Self::Agent => "AGENT",
            Self::Provider(_) => "EMPTY CAPACITY PROVIDER",
            Self::Attribute(_) => "ATTRIBUTE",
            Self::MemberOf(_) => "MemberOf placement constraint unsatisfied.",
            Self::Distinct => "DistinctInstance placement constraint unsatisfied.",
            Self::Cpu { .. } => "RESOURCE:CPU",
            Self::Memory { .. } => "RESOURCE:MEMORY",
            Self::Gpu { .. } => "RESOURCE:GPU",
            Self::Port { .. } => "RESOURCE:PORTS",
        }
    }

    /// How much is missing, of something that there can be more or less of: CPU units, MiB or GPUs.
    #[must_use]
    pub fn missing(&self) -> Option<u32> {
        match self {
            Self::Cpu { needed, free } => Some(needed.saturating_sub(*free)),
            Self::Memory { needed, free } => Some(needed.saturating_sub(*free).0),
            Self::Gpu { needed, free } => Some(needed.saturating_sub(*free).0),
            Self::NotActive(_)
            | Self::Agent
            | Self::Provider(_)
            | Self::Attribute(_)
            | Self::MemberOf(_)
            | Self::Distinct
            | Self::Port { .. } => None,
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotActive(status) => write!(f, "the instance is {status}"),
            Self::Agent => f.write_str("the agent is not connected"),
            Self::Provider(name) => write!(f, "the instance is not of capacity provider {name}"),
            Self::Attribute(name) => write!(f, "the attribute {name} is missing"),
            Self::MemberOf(expression) => write!(f, "the instance does not satisfy {expression}"),
            Self::Distinct => f.write_str("the instance has a task of the group already"),
            Self::Cpu { needed, free } => {
                write!(
                    f,
                    "{needed} CPU units are needed, {free} are free, {} are missing",
                    needed - free
                )
            }
            Self::Memory { needed, free } => {
                let missing = needed.saturating_sub(*free);
                write!(
                    f,
                    "{needed} MiB of memory are needed, {free} are free, {missing} are missing"
                )
            }
            Self::Gpu { needed, free } => {
                let missing = needed.saturating_sub(*free);
                write!(f, "{needed} GPUs are needed, {free} are free, {missing} are missing")
            }
            Self::Port { port, reserved } => {
                let why = if *reserved { "reserved by the host" } else { "taken" };
                write!(f, "port {}/{} is {why}", port.port, port.protocol.name())
            }
        }
    }
}

/// Everything that keeps one copy of the request off the instance; empty when it fits.
///
/// `placed` copies of the same request are on their way there already.
#[must_use]
pub fn fits(instance: &Instance, request: &Request, placed: u32) -> Vec<Misfit> {
    let mut misfits = eligibility(instance, request);
    room(instance, request, placed, |misfit| misfits.push(misfit));
    misfits
}

/// One thing that a request asks of an instance whatever room it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Clause<'r> {
    Active,
    Agent,
    Pool(&'r Pool),
    Attribute(&'r str),
    Architecture(&'static str),
    MemberOf(&'r Expression),
}

impl Clause<'_> {
    pub(super) fn holds(self, instance: &Instance) -> bool {
        match self {
            Self::Active => instance.status == InstanceStatus::Active,
            Self::Agent => instance.connected,
            Self::Pool(pool) => pool.has(instance),
            Self::Attribute(name) => instance.attribute(name).is_some(),
            Self::Architecture(wanted) => instance.attribute("ecs.cpu-architecture").flatten() == Some(wanted),
            Self::MemberOf(expression) => expression.matches(&Described(instance)),
        }
    }

    /// What an instance lacks for which it does not hold.
    pub(super) fn misfit(self, instance: &Instance) -> Misfit {
        match self {
            Self::Active => Misfit::NotActive(instance.status.name()),
            Self::Agent => Misfit::Agent,
            Self::Pool(pool) => Misfit::Provider(pool.provider().to_string()),
            Self::Attribute(name) => Misfit::Attribute(name.to_owned()),
            Self::Architecture(wanted) => Misfit::Attribute(format!("ecs.cpu-architecture={wanted}")),
            Self::MemberOf(expression) => Misfit::MemberOf(expression.to_string()),
        }
    }
}

/// Everything that the request asks whatever room there is, the most basic first.
pub(super) fn clauses(request: &Request) -> impl Iterator<Item = Clause<'_>> {
    let attributes = request.required_attributes.iter();
    [Clause::Active, Clause::Agent]
        .into_iter()
        .chain(request.pool.as_ref().map(Clause::Pool))
        .chain(attributes.map(|name| Clause::Attribute(name)))
        .chain(request.cpu_architecture.map(Clause::Architecture))
        .chain(request.expressions().map(Clause::MemberOf))
}

/// Whether the instance satisfies what no amount of room changes.
pub(crate) fn eligible(instance: &Instance, request: &Request) -> bool {
    clauses(request).all(|clause| clause.holds(instance))
}

/// What no amount of room changes: status, agent, attributes, expressions.
pub(super) fn eligibility(instance: &Instance, request: &Request) -> Vec<Misfit> {
    let failing = clauses(request).filter(|clause| !clause.holds(instance));
    failing.map(|clause| clause.misfit(instance)).collect()
}

/// What room there is: the rules that each placed copy can change.
pub(super) fn room(instance: &Instance, request: &Request, placed: u32, mut report: impl FnMut(Misfit)) {
    let demand = &request.demand;
    if request.constraints.contains(&Constraint::DistinctInstance)
        && (placed > 0 || instance.tasks_of_group(&request.group) > 0)
    {
        report(Misfit::Distinct);
    }
    let free_cpu = instance
        .free_cpu()
        .0
        .saturating_sub(demand.cpu.0.saturating_mul(placed));
    if free_cpu < demand.cpu.0 {
        report(Misfit::Cpu {
            needed: demand.cpu.0,
            free: free_cpu,
        });
    }
    let free_memory = instance
        .free_memory()
        .0
        .saturating_sub(demand.memory.0.saturating_mul(placed));
    if free_memory < demand.memory.0 {
        report(Misfit::Memory {
            needed: demand.memory,
            free: MemoryMib(free_memory),
        });
    }
    if !demand.gpus.is_none() {
        let taken = GpuCount(demand.gpus.0.saturating_mul(placed));
        let free = instance.free_gpu_count().saturating_sub(taken);
        if free < demand.gpus {
            report(Misfit::Gpu {
                needed: demand.gpus,
                free,
            });
        }
    }
    for port in demand.ports.iter() {
        let reserved = instance.facts.reserved_ports.contains(port);
        if reserved || placed > 0 || instance.used_ports.contains(port) {
            report(Misfit::Port { port, reserved });
        }
    }
}

/// An instance as the query language sees it.
#[derive(Debug)]
pub(crate) struct Described<'a>(pub(crate) &'a Instance);

impl query::InstanceFacts for Described<'_> {
    fn agent_connected(&self) -> bool {
        self.0.connected
    }

    fn agent_version(&self) -> Option<&str> {
        Some(&self.0.facts.agent_version)
    }

    fn ec2_instance_id(&self) -> Option<Cow<'_, str>> {
        Some(self.0.host_id())
    }

    fn registered_at(&self) -> Timestamp {
        self.0.registered_at
    }

    fn running_tasks_count(&self) -> u64 {
        u64::from(self.0.running)
    }

    fn attribute(&self, name: &str) -> Option<Option<&str>> {
        self.0.attribute(name)
    }

    fn any_task_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.0.groups.keys().any(|group| test(group))
    }
}
