//! What histories ask and report, over small sets of names.

use std::sync::Arc;

use berth_model::arn::DefinitionReference;
use berth_model::capacity::StrategyItem;
use berth_model::gpu::GpuId;
use berth_model::id::InstanceId;
use berth_model::load_balancer::{GatewayProtocol, LoadBalancer};
use berth_model::name::{ClusterName, Family, ProviderName, ServiceName};
use berth_model::placement::{Constraint, PackBy, Strategy};
use berth_model::quantity::{CpuUnits, MemoryMib, PortSet, Protocol};
use berth_model::service::{DeploymentConfiguration, SchedulingStrategy};
use berth_model::status::{ContainerStatus, HealthStatus, StopCode, TaskStatus};
use berth_model::task_definition::capability;
use berth_scheduler_core::decide::definition::RegisterDefinition;
use berth_scheduler_core::decide::run::{Call, RunTask};
use berth_scheduler_core::decide::service::CreateService;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey, ServiceKey};
use berth_scheduler_core::launch::CapacityWish;
use berth_scheduler_core::observation::{ContainerState, InstanceFacts, NetworkBinding, Observation, TaskTimes};
use berth_scheduler_core::service::ServiceSpec;

pub(super) fn run_task(count: u32, distinct: bool, pack: bool) -> RunTask {
    let constraints = distinct.then_some(Constraint::DistinctInstance);
    let strategies = pack.then_some(Strategy::Binpack(PackBy::Cpu));
    RunTask {
        call: call(),
        count,
        constraints: constraints.into_iter().collect(),
        strategies: strategies.into_iter().collect(),
        patience: None,
    }
}

pub(super) fn cluster() -> ClusterName {
    ClusterName::parse("test").unwrap()
}

pub(super) fn family() -> Family {
    Family::parse("web").unwrap()
}

pub(super) fn key(instance: u128) -> InstanceKey {
    InstanceKey {
        cluster: ClusterKey(1),
        instance: InstanceId::from_bits(instance),
    }
}

pub(super) fn leaving(leaves: bool) -> Option<Arc<str>> {
    leaves.then(|| "Host EC2 (instance i-1) stopped.".into())
}

pub(super) fn facts(cpu: u32) -> Arc<InstanceFacts> {
    Arc::new(InstanceFacts {
        cpu: CpuUnits(cpu),
        memory: MemoryMib(2048),
        reserved_ports: PortSet::default(),
        // A host comes back with other GPUs too.
        gpus: (0..=cpu / 1024)
            .map(|number| GpuId::parse(&format!("GPU-{number}")).unwrap())
            .collect(),
        attributes: [capability::GPU, capability::TASK_ENI, capability::TASK_LIMIT]
            .map(|name| (name.to_owned(), None))
            .into(),
        ..InstanceFacts::default()
    })
}

pub(super) fn register(cpu: u32, memory: u32, port: u16, gpus: u32) -> RegisterDefinition {
    let ports = match port {
        0 => serde_json::json!([]),
        port => serde_json::json!([{"containerPort": 80, "hostPort": 8000 + port}]),
    };
    let resources = match gpus {
        0 => serde_json::json!([]),
        gpus => serde_json::json!([{"type": "GPU", "value": gpus.to_string()}]),
    };
    let definition = serde_json::json!({
        "family": "web",
        "containerDefinitions": [
            {"name": "app", "image": "busybox", "cpu": cpu, "memory": memory, "portMappings": ports,
                "resourceRequirements": resources},
            {"name": "side", "image": "busybox", "memory": 6},
        ],
    });
    RegisterDefinition {
        family: family(),
        definition: Arc::new(serde_json::from_value(definition).unwrap()),
        tags: Vec::new(),
    }
}

pub(super) fn call() -> Call {
    Call {
        // A service's tasks can be protected; to all else a group is a name.
        group: Some("service:web".into()),
        ..Call::of(cluster(), DefinitionReference::newest(family()))
    }
}

/// What Fargate runs.
pub(super) fn register_fargate() -> RegisterDefinition {
    let definition = serde_json::json!({
        "family": "fargate", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [{"name": "app", "image": "busybox"}],
    });
    RegisterDefinition {
        family: Family::parse("fargate").unwrap(),
        definition: Arc::new(serde_json::from_value(definition).unwrap()),
        tags: Vec::new(),
    }
}

/// A call of what Fargate runs, by a strategy of both its providers.
pub(super) fn fargate_call() -> Call {
    let item = |name: &str, weight| StrategyItem {
        provider: ProviderName::parse(name).unwrap(),
        base: 0,
        weight,
    };
    Call {
        definition: DefinitionReference::newest(Family::parse("fargate").unwrap()),
        capacity: CapacityWish {
            strategy: vec![item(ProviderName::FARGATE, 1), item(ProviderName::FARGATE_SPOT, 2)],
            by_default: false,
        },
        has_network_configuration: true,
        ..call()
    }
}

pub(super) fn service() -> ServiceKey {
    ServiceKey {
        cluster: ClusterKey(1),
        service: ServiceName::parse("api").unwrap(),
    }
}

pub(super) fn create_service(desired: u32, daemon: bool, breaker: bool, balanced: bool) -> CreateService {
    let scheduling = if daemon {
        SchedulingStrategy::Daemon
    } else {
        SchedulingStrategy::Replica
    };
    let mut configuration = DeploymentConfiguration::default_of(scheduling);
    configuration.circuit_breaker.enable = breaker;
    configuration.circuit_breaker.rollback = breaker;
    CreateService {
        by_default: false,
        cluster: cluster(),
        name: service().service,
        definition: Some(call().definition),
        spec: ServiceSpec {
            scheduling,
            configuration,
            managed_tags: true,
            ..ServiceSpec::replicas(if daemon { 0 } else { desired })
        },
        load_balancers: load_balancers(balanced),
        client_token: None,
    }
}

/// One or none. Definitions without a port are refused where it is asked for.
pub(super) fn load_balancers(balanced: bool) -> Arc<[LoadBalancer]> {
    let load_balancer = LoadBalancer {
        target_group_arn: "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/http-80".to_owned(),
        protocol: GatewayProtocol::Http,
        listener_port: 80,
        container_name: "app".to_owned(),
        container_port: 80,
    };
    balanced.then_some(load_balancer).into_iter().collect()
}

pub(super) fn observation(status: TaskStatus, port: u16) -> Arc<Observation> {
    let last = if status == TaskStatus::Stopped {
        ContainerStatus::Stopped
    } else if status >= TaskStatus::Running {
        ContainerStatus::Running
    } else {
        ContainerStatus::Pending
    };
    let binding = NetworkBinding {
        bind_ip: "0.0.0.0".into(),
        container_port: 80,
        host_port: 32768 + port,
        protocol: Protocol::Tcp,
        range: 0,
    };
    Arc::new(Observation {
        last_status: status,
        containers: Arc::new([ContainerState {
            name: "app".into(),
            last,
            runtime_id: None,
            image_digest: None,
            exit_code: None,
            reason: None,
            bindings: if port == 0 { Vec::new() } else { vec![binding] },
            address: None,
            health: HealthStatus::Unknown,
            restarts: 0,
            log_tail: (status == TaskStatus::Stopped).then(|| "no configuration".into()),
        }]),
        stop_code: (status == TaskStatus::Stopped).then_some(StopCode::EssentialContainerExited),
        stopped_reason: None,
        times: TaskTimes::default(),
    })
}
