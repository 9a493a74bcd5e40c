//! Three schedulers on one journal in etcd: any of them, and any one member of etcd, may be killed at any moment. What was
//! acknowledged is there, at each of them; no instance has more than it can hold.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic, its helpers too"
)]

mod agent;
mod etcd;
mod gateway;
mod scheduler;
mod sharing;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::Agent;
use berth_proto::ecs::v1 as ecs;
use scheduler::Scheduler;

const SCHEDULERS: usize = 3;
const AGENTS: usize = 5;
const CLIENTS: usize = 3;
const TASK_MIB: u32 = 16;
const TASK_CPU: i32 = 100;
/// Tasks that an instance holds: the cluster is full before the end.
const TASKS_EACH: u32 = 300;
const PATIENCE: Duration = Duration::from_secs(60);

fn run_task() -> ecs::RunTaskRequest {
    ecs::RunTaskRequest {
        task_definition: Some("app".to_owned()),
        count: Some(2),
        ..ecs::RunTaskRequest::default()
    }
}

async fn prepare(scheduler: &Scheduler) {
    let mut client = scheduler.client().await.unwrap();
    let container = ecs::ContainerDefinition {
        name: Some("app".to_owned()),
        image: Some("busybox".to_owned()),
        memory: Some(i32::try_from(TASK_MIB).unwrap()),
        cpu: Some(TASK_CPU),
        port_mappings: vec![ecs::PortMapping {
            container_port: Some(8080),
            ..ecs::PortMapping::default()
        }],
        ..ecs::ContainerDefinition::default()
    };
    let definition = ecs::RegisterTaskDefinitionRequest {
        family: Some("app".to_owned()),
        container_definitions: vec![container],
        ..ecs::RegisterTaskDefinitionRequest::default()
    };
    client.register_task_definition(definition).await.unwrap();
    let cluster = ecs::CreateClusterRequest {
        cluster_name: Some("default".to_owned()),
        ..ecs::CreateClusterRequest::default()
    };
    client.create_cluster(cluster).await.unwrap();
}

/// Waits until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs tasks until told to stop, at one scheduler after the other; gives the ARNs that were acknowledged.
async fn run_tasks(first: usize, schedulers: Vec<String>, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for nth in first.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let Some(mut client) = scheduler::client(&schedulers[nth % schedulers.len()]).await else {
            continue;
        };
        for _ in 0..50 {
            match client.run_task(run_task()).await {
                Ok(answer) => {
                    let tasks = answer.into_inner().tasks.into_iter();
                    acknowledged.extend(tasks.map(|task| task.task_arn.unwrap()));
                }
                Err(_) => break,
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    acknowledged
}

/// The instance of each of the tasks, as one scheduler has it.
async fn places(scheduler: &Scheduler, tasks: &[String]) -> BTreeMap<String, String> {
    let mut client = scheduler.client().await.unwrap();
    let mut places = BTreeMap::new();
    for tasks in tasks.chunks(100) {
        let request = ecs::DescribeTasksRequest {
            tasks: tasks.to_vec(),
            ..ecs::DescribeTasksRequest::default()
        };
        let answer = client.describe_tasks(request).await.unwrap().into_inner();
        assert!(answer.failures.is_empty(), "lost: {:?}", answer.failures);
        for task in answer.tasks {
            places.insert(task.task_arn.unwrap(), task.container_instance_arn.unwrap());
        }
    }
    places
}

/// All tasks, as one scheduler has them.
async fn all_tasks(scheduler: &Scheduler) -> Vec<String> {
    let mut client = scheduler.client().await.unwrap();
    let (mut all, mut next_token) = (Vec::new(), None);
    loop {
        let request = ecs::ListTasksRequest {
            next_token,
            ..ecs::ListTasksRequest::default()
        };
        let page = client.list_tasks(request).await.unwrap().into_inner();
        all.extend(page.task_arns);
        next_token = page.next_token;
        if next_token.is_none() {
            all.sort();
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedulers_and_members_of_etcd_may_die_and_nothing_acknowledged_is_lost() {
    let mut etcd = etcd::Cluster::start(3);
    let mut schedulers: Vec<Scheduler> = (0..SCHEDULERS).map(|_| Scheduler::start(&etcd.journal())).collect();
    let urls: Vec<String> = schedulers.iter().map(Scheduler::url).collect();
    prepare(&schedulers[0]).await;

    let given = agent::Given::default();
    let mut agents = tokio::task::JoinSet::new();
    for number in 0..AGENTS {
        let agent = Agent::new(number, TASK_MIB * TASKS_EACH, urls.clone());
        let given = Arc::clone(&given);
        agents.spawn(Agent { given, ..agent }.run());
    }
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|first| tokio::spawn(run_tasks(first, urls.clone(), Arc::clone(&stop))))
        .collect();

    let pause = async || tokio::time::sleep(Duration::from_millis(1500)).await;
    for (member, scheduler) in schedulers.iter_mut().enumerate() {
        pause().await;
        scheduler.kill();
        pause().await;
        etcd.kill(member);
        pause().await;
        scheduler.restart();
        etcd.restart(member);
    }
    pause().await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for client in clients {
        acknowledged.extend(client.await.unwrap());
    }
    let distinct: BTreeSet<&String> = acknowledged.iter().collect();
    assert_eq!(distinct.len(), acknowledged.len(), "a task was acknowledged twice");
    assert!(acknowledged.len() > 100, "only {} tasks were run", acknowledged.len());

    let expected = places(&schedulers[0], &acknowledged).await;
    let all = all_tasks(&schedulers[0]).await;
    for scheduler in &schedulers[1..] {
        let deadline = Instant::now() + PATIENCE;
        while all_tasks(scheduler).await != all {
            assert!(Instant::now() < deadline, "a scheduler does not catch up");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(places(scheduler, &acknowledged).await, expected);
    }
    let mut held = BTreeMap::<String, u32>::new();
    for instance in places(&schedulers[0], &all).await.into_values() {
        *held.entry(instance).or_default() += 1;
    }
    assert!(held.values().all(|tasks| *tasks <= TASKS_EACH), "{held:?}");
    println!(
        "{} tasks acknowledged, {} there, {held:?}",
        acknowledged.len(),
        all.len()
    );

    // The agents were told of every one, each of its own, wherever their streams were by then.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told: Vec<String> = given.lock().unwrap().values().flatten().cloned().collect();
        let distinct: BTreeSet<&String> = told.iter().collect();
        assert_eq!(distinct.len(), told.len(), "a task was given to two agents");
        if all.iter().all(|task| distinct.contains(task)) {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{} of {} tasks were given",
            told.len(),
            all.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
