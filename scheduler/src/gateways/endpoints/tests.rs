use std::sync::Arc;

use berth_model::id::{DefinitionId, DefinitionRevision, DeploymentId, InstanceId, ServiceRevisionId, TaskId};
use berth_model::name::Family;
use berth_model::overrides::TaskOverride;
use berth_model::quantity::{CpuUnits, Demand, MemoryMib, Protocol};
use berth_model::status::{ContainerStatus, LaunchType, StopCode};
use berth_scheduler_core::change::Change;
use berth_scheduler_core::fold::fold;
use berth_scheduler_core::launch::{Launch, Placement, ServiceLaunch};
use berth_scheduler_core::observation::{ContainerState, InstanceFacts, NetworkBinding, Observation, TaskTimes};
use berth_scheduler_core::service::{Deployment, ServiceSpec};
use berth_scheduler_core::target::TargetHealth;

use super::*;

const CLUSTER: ClusterKey = ClusterKey(1);
const TASK: TaskId = TaskId::from_bits(7);

fn now() -> Timestamp {
    Timestamp::from_millis(1_000_000)
}

fn name() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

fn load_balancer() -> LoadBalancer {
    LoadBalancer {
        target_group_arn: "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/http-80".to_owned(),
        protocol: GatewayProtocol::Http,
        listener_port: 80,
        container_name: "app".to_owned(),
        container_port: 8080,
    }
}

struct World {
    state: State,
    sent: Sent,
}

impl World {
    /// A service whose one task is RUNNING.
    fn new(balanced: bool, network_mode: &str) -> Self {
        let mut world = Self {
            state: State::default(),
            sent: Sent::default(),
        };
        let id = DefinitionId {
            family: Family::parse("web").unwrap(),
            revision: DefinitionRevision(1),
        };
        let definition = serde_json::json!({"family": "web", "networkMode": network_mode, "containerDefinitions": [
            {"name": "app", "image": "web", "memory": 64, "portMappings": [{"containerPort": 8080, "name": "http"}]}]});
        let deployment = DeploymentId::from_random(1);
        world.add(Change::ClusterCreated {
            name: ClusterName::parse("test").unwrap(),
            key: CLUSTER,
            tags: Vec::new(),
        });
        world.add(Change::DefinitionRegistered {
            id: id.clone(),
            definition: Arc::new(serde_json::from_value(definition).unwrap()),
            tags: Vec::new(),
            at: now(),
        });
        world.add(Change::InstanceRegistered {
            cluster: CLUSTER,
            instance: InstanceId::from_bits(1),
            facts: Arc::new(InstanceFacts {
                cpu: CpuUnits(1024),
                memory: MemoryMib(1024),
                address: Some("10.0.0.5".parse().unwrap()),
                attributes: [(ZONE.to_owned(), Some("a".to_owned()))].into(),
                ..InstanceFacts::default()
            }),
            at: now(),
        });
        let spec = ServiceSpec::replicas(1);
        world.add(Change::ServiceCreated {
            cluster: CLUSTER,
            service: name(),
            spec: Arc::new(spec),
            deployment: Some(Box::new(Deployment::new(
                deployment,
                ServiceRevisionId::from_random(1),
                id.clone(),
                if balanced {
                    Arc::new([load_balancer()])
                } else {
                    Arc::new([])
                },
                now(),
            ))),
            client_token: None,
            at: now(),
        });
        world.add(Change::TasksPlaced {
            cluster: CLUSTER,
            launch: Arc::new(Launch {
                definition: id,
                demand: Demand::default(),
                group: "service:web".into(),
                started_by: None,
                overrides: TaskOverride::default(),
                tags: Vec::new(),
                launch_type: LaunchType::Ec2,
                provider: None,
                execute_command: false,
                subnet: None,
                client_token: None,
                service: Some(ServiceLaunch {
                    service: name(),
                    deployment,
                }),
                schedule: None,
                created_at: now(),
            }),
            placements: vec![Placement {
                task: TASK,
                instance: InstanceId::from_bits(1),
                gpus: Arc::new([]),
            }],
        });
        world
    }

    #[expect(clippy::needless_pass_by_value, reason = "changes are made where they are added")]
    fn add(&mut self, change: Change) {
        fold(&mut self.state, &change);
    }

    fn run(&mut self) {
        self.run_bound(32768, 32768);
    }

    /// Its port is bound to these of the host, for IPv4 and for IPv6.
    fn run_bound(&mut self, ipv4: u16, ipv6: u16) {
        let binding = |bind_ip: &str, host_port: u16| NetworkBinding {
            bind_ip: bind_ip.into(),
            container_port: 8080,
            host_port,
            protocol: Protocol::Tcp,
            range: 0,
        };
        let container = ContainerState {
            name: "app".into(),
            last: ContainerStatus::Running,
            runtime_id: None,
            image_digest: None,
            exit_code: None,
            reason: None,
            bindings: vec![binding("::", ipv6), binding("0.0.0.0", ipv4)],
            address: None,
            health: HealthStatus::Unknown,
            restarts: 0,
            log_tail: None,
        };
        self.add(Change::TaskObserved {
            cluster: CLUSTER,
            task: TASK,
            observed: Arc::new(Observation {
                last_status: TaskStatus::Running,
                containers: Arc::new([container]),
                stop_code: None,
                stopped_reason: None,
                times: TaskTimes::default(),
            }),
            at: now(),
        });
    }

    fn register(&mut self) {
        self.add(Change::TargetsRegistered {
            cluster: CLUSTER,
            tasks: vec![TASK],
        });
    }

    fn update(&mut self) -> Option<wire::Endpoints> {
        let namespace = Namespace::new("us-east-1", "000000000000").unwrap();
        let place = Place {
            state: &self.state,
            key: CLUSTER,
            cluster: &ClusterName::parse("test").unwrap(),
            namespace: &namespace,
        };
        self.sent.update(&place, &[name()].into())
    }

    /// The service as the next message has it.
    fn told(&mut self) -> wire::Service {
        let message = self.update().unwrap();
        assert_eq!(message.services.len(), 1);
        message.services.into_iter().next().unwrap()
    }
}

#[test]
fn a_gateway_is_told_all_at_first_and_then_what_differs() {
    let mut world = World::new(true, "bridge");
    let first = world.update().unwrap();
    assert!(first.complete && first.version == 1);
    assert_eq!(world.update(), None, "nothing differs");
    world.run();
    world.register();
    let second = world.update().unwrap();
    assert!(!second.complete && second.version == 2);
}

#[test]
fn a_task_is_an_endpoint_from_its_registration_on() {
    let mut world = World::new(true, "bridge");
    world.run();
    assert_eq!(world.told().endpoints, []);
    world.register();
    let service = world.told();
    let [endpoint] = service.endpoints.as_slice() else {
        panic!("one endpoint: {service:?}")
    };
    assert_eq!(
        (endpoint.address.as_str(), endpoint.availability_zone.as_str()),
        ("10.0.0.5", "a")
    );
    let port = wire::Port {
        container_name: "app".to_owned(),
        container_port: 8080,
        host_port: 32768,
        protocol: "tcp".to_owned(),
        name: "http".to_owned(),
    };
    assert_eq!(endpoint.ports, [port], "bound twice, for IPv4 and IPv6");
    assert_eq!(service.target_groups[0].listener_port, 80);
    assert_eq!(service.target_groups[0].health_check.as_ref().unwrap().path, "/");
}

#[test]
fn a_port_is_reached_where_it_is_bound_for_the_hosts_kind_of_address() {
    let mut world = World::new(true, "bridge");
    world.run_bound(32768, 32769);
    world.register();
    let endpoint = world.told().endpoints.remove(0);
    let hosts: Vec<u32> = endpoint.ports.iter().map(|port| port.host_port).collect();
    assert_eq!(hosts, [32768], "its address is of IPv4");
    assert_eq!(endpoint.targets[0].host_port, 32768);
}

#[test]
fn without_a_load_balancer_a_running_task_is_only_to_be_found() {
    let mut world = World::new(false, "bridge");
    assert_eq!(world.told().endpoints, []);
    world.run();
    let service = world.told();
    assert_eq!((service.endpoints.len(), service.target_groups.len()), (1, 0));
}

#[test]
fn in_the_network_of_the_host_its_ports_are_the_hosts() {
    let mut world = World::new(true, "host");
    world.run();
    world.register();
    let ports = world.told().endpoints[0].ports.clone();
    assert_eq!(ports.iter().map(|port| port.host_port).collect::<Vec<_>>(), [8080]);
}

#[test]
fn a_task_that_leaves_stays_an_endpoint_with_its_deadline_until_it_is_let_go_of() {
    let mut world = World::new(true, "bridge");
    world.run();
    world.register();
    world.add(Change::TargetHealthSet {
        cluster: CLUSTER,
        task: TASK,
        health: TargetHealth::Healthy,
        reason: "".into(),
    });
    let endpoint = world.told().endpoints.remove(0);
    assert_eq!(
        (endpoint.health(), endpoint.deregister_by),
        (wire::Health::Healthy, None)
    );
    world.add(Change::TaskStopRequested {
        cluster: CLUSTER,
        task: TASK,
        code: StopCode::UserInitiated,
        reason: "".into(),
        at: now(),
        deregister_by: Some(now()),
    });
    assert_eq!(world.told().endpoints[0].deregister_by, Some(1000.0));
    world.add(Change::TargetsDeregistered {
        cluster: CLUSTER,
        tasks: vec![TASK],
    });
    assert_eq!(world.told().endpoints, []);
}

#[test]
fn a_service_that_is_gone_is_said_once() {
    let mut world = World::new(true, "bridge");
    world.told();
    world.add(Change::ServiceDeleted {
        cluster: CLUSTER,
        service: name(),
    });
    world.add(Change::ServiceInactive {
        cluster: CLUSTER,
        service: name(),
        at: now(),
    });
    assert_eq!(world.update().unwrap().gone, ["web"]);
    assert_eq!(world.update(), None);
}
