//! What agents and gateways say to one scheduler the others know too: a target leaves when its last connection is gone at
//! any gateway, services are scaled by all agents, and agents spread over all schedulers again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use berth_proto::ecs::v1 as ecs;
use berth_proto::v1 as berth;
use berth_proto::v1::auto_scaling_client::AutoScalingClient;
use berth_proto::v1::berth_client::BerthClient;
use tokio::task::JoinSet;

use crate::agent::{Agent, Places};
use crate::gateway::Gateway;
use crate::scheduler::Scheduler;
use crate::{TASK_CPU, TASK_MIB, etcd, eventually, prepare};

/// Runs what it is given, at one scheduler.
fn agent(number: usize, scheduler: &Scheduler, cpu_units: &Arc<AtomicU32>) -> Agent {
    Agent {
        cpu_units: Some(Arc::clone(cpu_units)),
        ..Agent::new(number, TASK_MIB * 100, vec![scheduler.url()])
    }
}

async fn create_service(scheduler: &Scheduler, count: i32, load_balancers: Vec<ecs::LoadBalancer>) {
    let delay = ecs::Tag {
        key: Some("berth:deregistration-delay".to_owned()),
        value: Some("10m".to_owned()),
    };
    let service = ecs::CreateServiceRequest {
        service_name: Some("web".to_owned()),
        task_definition: Some("app".to_owned()),
        desired_count: Some(count),
        tags: if load_balancers.is_empty() {
            Vec::new()
        } else {
            vec![delay]
        },
        load_balancers,
        ..ecs::CreateServiceRequest::default()
    };
    let mut client = scheduler.client().await.unwrap();
    client.create_service(service).await.unwrap();
}

/// Its desired count and how many of its tasks run.
async fn counts(scheduler: &Scheduler) -> (i32, i32) {
    let request = ecs::DescribeServicesRequest {
        services: vec!["web".to_owned()],
        ..ecs::DescribeServicesRequest::default()
    };
    let mut client = scheduler.client().await.unwrap();
    let answer = client.describe_services(request).await.unwrap().into_inner();
    let service = &answer.services[0];
    (service.desired_count.unwrap(), service.running_count.unwrap())
}

/// Its targets, by task, with their states.
async fn targets(scheduler: &Scheduler) -> BTreeMap<String, String> {
    let request = berth::DescribeTargetsRequest {
        service: "web".to_owned(),
        ..berth::DescribeTargetsRequest::default()
    };
    let mut client = BerthClient::new(scheduler.channel().await);
    let answer = client.describe_targets(request).await.unwrap().into_inner();
    let targets = answer.targets.into_iter();
    targets.map(|target| (target.task_arn, target.state)).collect()
}

/// The only target that is in such a state, once all are in one of these.
async fn only(scheduler: &Scheduler, states: &[&str], which: &str) -> String {
    let mut found = None;
    eventually(&format!("targets are {states:?}"), async || {
        let targets = targets(scheduler).await;
        let mut now: Vec<&str> = targets.values().map(String::as_str).collect();
        now.sort_unstable();
        found = targets
            .iter()
            .find(|(_, state)| *state == which)
            .map(|(task, _)| task.clone());
        now == states
    })
    .await;
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_leaves_when_its_last_connection_is_gone_at_any_gateway_of_any_scheduler() {
    let etcd = etcd::Cluster::start(1);
    let schedulers = [Scheduler::start(&etcd.journal()), Scheduler::start(&etcd.journal())];
    prepare(&schedulers[0]).await;
    let mut parties = JoinSet::new();
    let cpu_units = Arc::new(AtomicU32::new(10));
    let holds = [Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true))];
    for (number, scheduler) in schedulers.iter().enumerate() {
        parties.spawn(agent(number, scheduler, &cpu_units).run());
        let gateway = Gateway {
            number,
            scheduler: scheduler.url(),
            holds: Arc::clone(&holds[number]),
        };
        parties.spawn(gateway.run());
    }
    let load_balancer = ecs::LoadBalancer {
        target_group_arn: Some(
            "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/http-8000".to_owned(),
        ),
        container_name: Some("app".to_owned()),
        container_port: Some(8080),
        ..ecs::LoadBalancer::default()
    };
    eventually("agents have joined", async || running_agents(&schedulers[0]).await == 2).await;
    create_service(&schedulers[0], 1, vec![load_balancer]).await;
    only(&schedulers[0], &["healthy"], "healthy").await;

    // The last connection is at the gateway of the one scheduler, and then at that of the other.
    for last in [0, 1] {
        holds.iter().for_each(|holds| holds.store(true, Ordering::Relaxed));
        let update = ecs::UpdateServiceRequest {
            service: Some("web".to_owned()),
            force_new_deployment: Some(true),
            ..ecs::UpdateServiceRequest::default()
        };
        let mut client = schedulers[last].client().await.unwrap();
        client.update_service(update).await.unwrap();
        let leaves = only(&schedulers[1], &["draining", "healthy"], "draining").await;
        holds[1 - last].store(false, Ordering::Relaxed);
        // Longer than it takes when nothing is open any more.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let still = targets(&schedulers[last]).await;
        assert_eq!(still.get(&leaves).map(String::as_str), Some("draining"), "{last}");
        holds[last].store(false, Ordering::Relaxed);
        only(&schedulers[1 - last], &["healthy"], "healthy").await;
    }
}

async fn running_agents(scheduler: &Scheduler) -> usize {
    let mut client = scheduler.client().await.unwrap();
    let request = ecs::ListContainerInstancesRequest::default();
    let answer = client.list_container_instances(request).await.unwrap().into_inner();
    answer.container_instance_arns.len()
}

/// How many agents have told what they use, as the scheduler has it.
async fn telling(scheduler: &Scheduler) -> u32 {
    let mut client = BerthClient::new(scheduler.channel().await);
    let request = berth::DescribeUsageRequest::default();
    let answer = client.describe_usage(request).await.unwrap().into_inner();
    answer.cluster.unwrap().telling
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_scaled_by_what_agents_of_all_schedulers_say() {
    let etcd = etcd::Cluster::start(1);
    let mut schedulers = [Scheduler::start(&etcd.journal()), Scheduler::start(&etcd.journal())];
    prepare(&schedulers[0]).await;
    let mut parties = JoinSet::new();
    // Of 100 that each task reserves: idle at the one, busy at the other.
    let cpu_units = [Arc::new(AtomicU32::new(20)), Arc::new(AtomicU32::new(180))];
    for (number, scheduler) in schedulers.iter().enumerate() {
        parties.spawn(agent(number, scheduler, &cpu_units[number]).run());
    }
    eventually("agents have joined", async || running_agents(&schedulers[0]).await == 2).await;
    create_service(&schedulers[0], 2, Vec::new()).await;
    for scheduler in &schedulers {
        eventually("both tasks run", async || counts(scheduler).await == (2, 2)).await;
        eventually("both agents are heard", async || telling(scheduler).await == 2).await;
    }

    let scalable = |min, max| berth::RegisterScalableTargetRequest {
        service_namespace: Some("ecs".to_owned()),
        resource_id: Some("service/default/web".to_owned()),
        scalable_dimension: Some("ecs:service:DesiredCount".to_owned()),
        min_capacity: Some(min),
        max_capacity: Some(max),
        ..berth::RegisterScalableTargetRequest::default()
    };
    let mut scaling = AutoScalingClient::new(schedulers[1].channel().await);
    scaling.register_scalable_target(scalable(1, 50)).await.unwrap();
    let policy = berth::PutScalingPolicyRequest {
        policy_name: Some("cpu".to_owned()),
        service_namespace: Some("ecs".to_owned()),
        resource_id: Some("service/default/web".to_owned()),
        scalable_dimension: Some("ecs:service:DesiredCount".to_owned()),
        policy_type: Some("TargetTrackingScaling".to_owned()),
        target_tracking: Some(berth::TargetTracking {
            target_value: Some(50.0),
            predefined_metric: Some(berth::PredefinedMetric {
                predefined_metric_type: Some("ECSServiceAverageCPUUtilization".to_owned()),
                ..berth::PredefinedMetric::default()
            }),
            scale_out_cooldown: Some(10),
            scale_in_cooldown: Some(0),
            ..berth::TargetTracking::default()
        }),
        ..berth::PutScalingPolicyRequest::default()
    };
    scaling.put_scaling_policy(policy).await.unwrap();
    // 20 % and 180 % are 100 % of which 50 % are wanted: either alone gives another count.
    assert_eq!(TASK_CPU, 100);
    eventually("as many again", async || counts(&schedulers[1]).await.0 != 2).await;
    assert_eq!(counts(&schedulers[0]).await.0, 4);

    // Tasks are taken away only where all are known to be idle.
    for cpu_units in &cpu_units {
        cpu_units.store(10, Ordering::Relaxed);
    }
    eventually("one is enough", async || counts(&schedulers[0]).await.0 == 1).await;

    // What is not heard any more is not known any more.
    schedulers[1].kill();
    eventually("one agent is heard", async || telling(&schedulers[0]).await == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_spread_over_schedulers_again_after_one_was_away() {
    const COUNT: usize = 12;
    let etcd = etcd::Cluster::start(1);
    let mut schedulers = [Scheduler::start(&etcd.journal()), Scheduler::start(&etcd.journal())];
    let urls: Vec<String> = schedulers.iter().map(Scheduler::url).collect();
    prepare(&schedulers[0]).await;
    schedulers[1].kill();
    let places = Places::default();
    let mut parties = JoinSet::new();
    for number in 0..COUNT {
        let places = Arc::clone(&places);
        let agent = Agent::new(number, TASK_MIB, urls.clone());
        parties.spawn(Agent { places, ..agent }.run());
    }
    let at = |place: usize| places.lock().unwrap().values().filter(|at| **at == place).count();
    eventually("all are at the one that is there", async || at(0) == COUNT).await;
    schedulers[1].restart();
    eventually("the other has about half", async || at(1) >= COUNT / 2 - 2).await;
    // And it stays so.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        at(0) >= COUNT / 2 && at(0) + at(1) == COUNT,
        "{:?}",
        places.lock().unwrap()
    );
}
