//! Clusters that are well, and what is found when one thing of them is not.

use berth_proto::ecs::v1::{
    Attribute, ContainerInstanceHealthStatus, Deployment, InstanceHealthCheckResult, ServiceEvent,
};
use berth_proto::v1::Percent;
use berth_tls::Distrust;

use super::super::Verdict;
use super::super::moments::{NOW, hours};
use super::*;

fn instance(id: &str, connected: bool) -> ContainerInstance {
    ContainerInstance {
        container_instance_arn: Some(format!(
            "arn:aws:ecs:us-east-1:000000000000:container-instance/prod/{id}"
        )),
        agent_connected: Some(connected),
        ..ContainerInstance::default()
    }
}

fn service(running: i32, state: &str) -> Service {
    Service {
        service_name: Some("web".to_owned()),
        status: Some("ACTIVE".to_owned()),
        desired_count: Some(3),
        running_count: Some(running),
        deployments: vec![Deployment {
            status: Some("PRIMARY".to_owned()),
            rollout_state: Some(state.to_owned()),
            rollout_state_reason: Some("tasks failed to start.".to_owned()),
            ..Deployment::default()
        }],
        events: vec![ServiceEvent {
            message: Some("(service web) was unable to place a task.".to_owned()),
            ..ServiceEvent::default()
        }],
        ..Service::default()
    }
}

fn task(status: &str, age: f64) -> Task {
    Task {
        task_arn: Some("arn:aws:ecs:us-east-1:000000000000:task/prod/4a1".to_owned()),
        last_status: Some(status.to_owned()),
        created_at: Some(NOW - age),
        ..Task::default()
    }
}

fn well() -> ClusterFacts {
    ClusterFacts {
        scheduler: "http://s:7700".to_owned(),
        ready: Ok((200, "ok\n".to_owned())),
        shown: Some(Shown {
            life: hours(-1, 24),
            unnamed_host: None,
        }),
        own: Some(hours(-1, 24)),
        skew_seconds: Some(1.0),
        cluster: Some(Ok(Contents {
            name: "prod".to_owned(),
            instances: vec![instance("1", true)],
            services: vec![service(3, "COMPLETED")],
            tasks: vec![task("RUNNING", 9999.0), task("PENDING", 60.0)],
            usage: Some(ClusterUsage {
                reservation: Some(Percent {
                    cpu: Some(40.0),
                    memory: Some(89.4),
                }),
                ..ClusterUsage::default()
            }),
            ..Contents::default()
        })),
        now: NOW,
    }
}

/// What is not as it should be, when this is done to a cluster that is well.
fn wrong(change: impl FnOnce(&mut ClusterFacts)) -> Vec<(Verdict, String)> {
    let mut facts = well();
    change(&mut facts);
    let findings = judge(&facts)
        .into_iter()
        .filter(|finding| finding.verdict != Verdict::Ok);
    findings.map(|finding| (finding.verdict, finding.finding)).collect()
}

fn contents(facts: &mut ClusterFacts) -> &mut Contents {
    facts.cluster.as_mut().unwrap().as_mut().unwrap()
}

#[test]
fn a_cluster_that_is_well_has_nothing_wrong() {
    assert_eq!(wrong(|_| {}), []);
}

#[test]
fn what_does_not_work_is_a_problem() {
    for (finding, change) in [
        (
            "The scheduler at http://s:7700 does not answer: connection refused",
            (|facts| facts.ready = Err(Unreached::Silent("connection refused".to_owned()))) as fn(&mut ClusterFacts),
        ),
        (
            "The scheduler at http://s:7700 and this machine do not believe each other: invalid peer certificate",
            |facts| {
                facts.ready = Err(Unreached::Distrusted(
                    Distrust::Stranger,
                    "invalid peer certificate".to_owned(),
                ))
            },
        ),
        (
            "The scheduler at http://s:7700 cannot be asked: give its ca.pem with --ca",
            |facts| facts.ready = Err(Unreached::Unasked("give its ca.pem with --ca".to_owned())),
        ),
        (
            "The scheduler at http://s:7700 does not take the request: This port speaks TLS: https://",
            |facts| facts.ready = Ok((400, "This port speaks TLS: https://\n".to_owned())),
        ),
        (
            "The certificate that `berth` shows ended at 2027-01-15T07:00:00.000Z.",
            |facts| facts.own = Some(hours(-25, -1)),
        ),
        ("The scheduler at http://s:7700 is not ready: no journal", |facts| {
            facts.ready = Ok((503, "no journal\n".to_owned()))
        }),
        ("The scheduler's clock is -31 s ahead of this machine's.", |facts| {
            facts.skew_seconds = Some(-31.0);
        }),
        ("Cluster not found.", |facts| {
            facts.cluster = Some(Err("Cluster not found.".to_owned()));
        }),
        (
            "Instances of cluster prod are disconnected: 2, 3, 4, 5, 6 and 1 more.",
            |facts| {
                let more = ["2", "3", "4", "5", "6", "7"].map(|id| instance(id, false));
                contents(facts).instances.extend(more);
            },
        ),
        ("DISK of instance 1 is impaired: 97 % full", |facts| {
            contents(facts).instances[0].health_status = Some(ContainerInstanceHealthStatus {
                details: vec![InstanceHealthCheckResult {
                    r#type: Some("DISK".to_owned()),
                    status: Some("IMPAIRED".to_owned()),
                    status_reason: Some("97 % full".to_owned()),
                    ..InstanceHealthCheckResult::default()
                }],
                ..ContainerInstanceHealthStatus::default()
            });
        }),
        (
            "Service web runs 1 of 3 tasks. Its newest event: (service web) was unable to place a task.",
            |facts| contents(facts).services = vec![service(1, "COMPLETED")],
        ),
        (
            "The newest deployment of service web has failed: tasks failed to start.",
            |facts| contents(facts).services = vec![service(3, "FAILED")],
        ),
        ("Tasks have been on their way for more than 10 minutes: 4a1.", |facts| {
            contents(facts).tasks = vec![task("PENDING", 601.0)];
        }),
    ] {
        assert_eq!(wrong(change), [(Verdict::Problem, finding.to_owned())]);
    }
}

#[test]
fn what_may_become_a_problem_is_a_warning() {
    for (finding, change) in [
        (
            "Tasks reserve 90 % of the CPU of cluster prod.",
            (|facts| {
                let usage = contents(facts).usage.as_mut().unwrap();
                usage.reservation.as_mut().unwrap().cpu = Some(90.0);
            }) as fn(&mut ClusterFacts),
        ),
        (
            "The scheduler's certificate ends soon, at 2027-01-15T09:00:00.000Z.",
            |facts| {
                facts.shown.as_mut().unwrap().life = hours(-24, 1);
            },
        ),
        (
            "The scheduler's certificate does not name s: AWS's tools and browsers refuse it by that name.",
            |facts| facts.shown.as_mut().unwrap().unnamed_host = Some("s".to_owned()),
        ),
        ("Cluster prod has no container instance.", |facts| {
            contents(facts).instances.clear()
        }),
        (
            "Tasks that wait for room: 1. The first: no instance has 4 GPUs",
            |facts| {
                let mut waits = task("PROVISIONING", 9999.0);
                waits.attributes.push(Attribute {
                    name: Some("berth.queue-reason".to_owned()),
                    value: Some("no instance has 4 GPUs".to_owned()),
                    ..Attribute::default()
                });
                contents(facts).tasks = vec![waits];
            },
        ),
        (
            "Service web runs 1 of 3 tasks. Its newest event: (service web) was unable to place a task.",
            |facts| contents(facts).services = vec![service(1, "IN_PROGRESS")],
        ),
    ] {
        assert_eq!(wrong(change), [(Verdict::Warning, finding.to_owned())]);
    }
}
