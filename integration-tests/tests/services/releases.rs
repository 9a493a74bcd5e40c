//! Bad releases of every kind, side by side: the circuit breaker gives each up at its threshold, goes back, and the events
//! say why with what the containers said last.

use anyhow::{Context, Result, ensure};
use berth_integration_tests::Cluster;
use berth_integration_tests::cluster::list;
use berth_integration_tests::cluster::services::events;
use serde_json::{Value, json};

use super::{CLUSTER, Hosts, checked};

/// Failures that end a deployment of one task (ECS guide, "Deployment circuit breaker").
const THRESHOLD: usize = 3;

/// A release that is bad in its own way, and what the events have to say of it.
struct Bad {
    service: &'static str,
    /// Members of its container, besides those that all have.
    container: Value,
    /// Where the text begins that follows the task.
    begins: &'static str,
    /// What else is in it.
    says: &'static [&'static str],
    /// Whether ECS has an event of its own for each failure, which comes first.
    checks: bool,
    /// How many failures end its deployment.
    threshold: usize,
    /// How many tasks its service has.
    desired: usize,
}

fn all() -> [Bad; 5] {
    let shell = |script: &str| json!(["sh", "-c", script]);
    [
        Bad {
            service: "no-program",
            // With an init it would be that which finds no program, and ends with an exit code.
            container: json!({"command": ["no-such-program"], "linuxParameters": {"initProcessEnabled": false}}),
            begins: "container app did not start: CannotStartContainerError",
            says: &["no-such-program"],
            checks: false,
            threshold: THRESHOLD,
            desired: 1,
        },
        Bad {
            service: "no-image",
            container: json!({"image": "no-such-image:ever"}),
            begins: "container app did not start: CannotPullContainerError",
            says: &["no-such-image:ever"],
            checks: false,
            // An agent tries to pull for up to a minute before that has failed.
            threshold: 1,
            desired: 1,
        },
        Bad {
            service: "crashes",
            container: json!({"command": shell("echo listening; sleep 2; printf '\\033[31mno key port\\n' >&2; exit 3")}),
            begins: "container app ended with exit code 3; it said last: listening | ",
            says: &["\\u{1b}[31mno key port"],
            checks: false,
            threshold: THRESHOLD,
            desired: 1,
        },
        Bad {
            service: "crashes-late",
            container: json!({"command": shell("echo at work; sleep 30; echo out of memory; exit 4")}),
            begins: "container app ended with exit code 4; it said last: at work | out of memory",
            says: &[],
            checks: false,
            // Both at the same time: it takes no longer than one.
            threshold: 2,
            desired: 2,
        },
        Bad {
            service: "sick",
            container: json!({"command": shell("echo listening on 8081; exec sleep 600"), "healthCheck": {
                "command": ["CMD-SHELL", "echo nobody on 8080; exit 1"], "interval": 5, "timeout": 2, "retries": 1,
            }}),
            begins: "container app is unhealthy; it said last: health check: nobody on 8080 | ",
            says: &["listening on 8081"],
            checks: true,
            threshold: THRESHOLD,
            desired: 1,
        },
    ]
}

impl Bad {
    fn register(&self, cluster: &Cluster) -> Result<String> {
        let mut container = json!({"name": "app", "image": "busybox", "memory": 16, "cpu": 10, "stopTimeout": 1});
        for (member, value) in self.container.as_object().into_iter().flatten() {
            container[member] = value.clone();
        }
        cluster.register(&json!({"family": self.service, "containerDefinitions": [container]}))
    }

    /// Checks the events, the oldest first: why the first tasks failed, that the deployment did, and once more why.
    fn check(&self, events: &[String], deployment: &str) -> Result<()> {
        let service = self.service;
        let told: Vec<&String> = events.iter().filter(|event| event.contains(") failed: ")).collect();
        ensure!(
            told.len() == self.threshold,
            "{} failures are told: {events:?}",
            told.len()
        );
        for event in &told {
            let (task, why) = event.split_once(" failed: ").context("no failure")?;
            ensure!(task.starts_with(&format!("(service {service}) (task ")), "{event}");
            ensure!(why.starts_with(self.begins), "{event}");
            ensure!(self.says.iter().all(|text| why.contains(text)), "{event}");
            ensure!(!why.contains(char::is_control), "{event}");
            if self.checks {
                let ours = events.iter().position(|other| other == *event).unwrap_or_default();
                let before = format!("{task} failed container health checks.");
                ensure!(
                    ours > 0 && events[ours - 1] == before,
                    "ECS's event comes first: {events:?}"
                );
            }
        }
        let failed = format!("(service {service}) (deployment {deployment}) deployment failed: tasks failed to start.");
        let at = events.iter().position(|event| *event == failed);
        let repeated = events.get(at.with_context(|| format!("no '{failed}': {events:?}"))? + 1);
        let first = format!("(service {service}) (deployment {deployment}) failed first with: (task ");
        ensure!(
            repeated.is_some_and(|event| event.starts_with(&first) && event.contains(self.begins)),
            "{events:?}"
        );
        Ok(())
    }
}

pub(super) fn bad_releases_are_given_up_at_the_threshold_rolled_back_and_explained(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.shared();
    let good = checked(&cluster, "sound", "exec sleep 600")?;
    let releases = all();
    for bad in &releases {
        let mut breaker = json!({"enable": true, "rollback": true});
        if bad.threshold != THRESHOLD {
            breaker["thresholdConfiguration"] = json!({"type": "COUNT", "value": bad.threshold});
        }
        let guarded =
            json!({"desiredCount": bad.desired, "deploymentConfiguration": {"deploymentCircuitBreaker": breaker}});
        cluster.create_service(bad.service, &good, &guarded)?;
    }
    let mut failing = Vec::new();
    for bad in &releases {
        cluster.wait_service(bad.service, "completed", |service| {
            service["deployments"][0]["rolloutState"] == "COMPLETED"
        })?;
        let release = bad.register(&cluster)?;
        let updated = cluster.update_service(bad.service, &json!({"taskDefinition": release}))?;
        let id = updated["deployments"][0]["id"].as_str().context("no deployment")?;
        failing.push(id.to_owned());
    }
    for (bad, deployment) in releases.iter().zip(&failing) {
        let back = cluster.wait_service(bad.service, "back at the good release", |service| {
            let definition = service["taskDefinition"].as_str().unwrap_or_default();
            let deployments = service["deployments"].as_array().map_or(0, Vec::len);
            definition.ends_with(&good) && deployments == 1 && service["runningCount"] == json!(bad.desired)
        })?;
        let mut told = events(&back);
        told.reverse();
        bad.check(&told, deployment).with_context(|| bad.service)?;
        let breaker = breaker(&cluster, bad.service)?;
        let expected = json!({"status": "TRIGGERED", "failureCount": bad.threshold, "threshold": bad.threshold});
        for member in ["status", "failureCount", "threshold"] {
            assert_eq!(breaker[member], expected[member], "{}: {breaker}", bad.service);
        }
    }
    for bad in &releases {
        cluster.delete_service(bad.service)?;
    }
    Ok(())
}

pub(super) fn a_first_release_that_cannot_start_has_nothing_to_go_back_to(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.shared();
    let [bad, ..] = all();
    let breaker = json!({"enable": true, "rollback": true});
    let guarded = json!({"desiredCount": 1, "deploymentConfiguration": {"deploymentCircuitBreaker": breaker}});
    cluster.create_service("first", &bad.register(&cluster)?, &guarded)?;
    let failed = cluster.wait_service("first", "given up", |service| {
        service["deployments"][0]["rolloutState"] == "FAILED"
    })?;
    let only = &failed["deployments"][0];
    assert_eq!(failed["deployments"].as_array().map(Vec::len), Some(1), "{failed}");
    assert_eq!(
        only["rolloutStateReason"], "ECS deployment circuit breaker: tasks failed to start.",
        "{failed}"
    );
    let id = only["id"].as_str().context("no deployment")?;
    let says = format!("(service first) (deployment {id}) deployment failed: tasks failed to start.");
    ensure!(events(&failed).contains(&says), "{failed}");
    let described = deployments(&cluster, "first")?;
    assert_eq!(described[0]["status"], "ROLLBACK_FAILED", "{described:?}");
    assert_eq!(
        described[0]["statusReason"], "No rollback candidate was found to run the rollback.",
        "{described:?}"
    );
    // The service stays, starts nothing more, and takes the next release.
    let good = checked(&cluster, "sound", "exec sleep 600")?;
    cluster.update_service("first", &json!({"taskDefinition": good}))?;
    cluster.wait_completed("first")?;
    let after = deployments(&cluster, "first")?;
    let first = after
        .iter()
        .find(|known| known["serviceDeploymentArn"] == described[0]["serviceDeploymentArn"]);
    let counted = &first.context("the first deployment is forgotten")?["deploymentCircuitBreaker"]["failureCount"];
    assert_eq!(*counted, json!(THRESHOLD), "{after:?}");
    cluster.delete_service("first").map(drop)
}

/// The deployments of a service, described.
fn deployments(cluster: &Cluster, service: &str) -> Result<Vec<Value>> {
    let input = json!({"cluster": CLUSTER, "service": service});
    let listed = list(
        &cluster.ecs().call("ListServiceDeployments", &input)?,
        "serviceDeployments",
    )?;
    let arns: Vec<&Value> = listed.iter().map(|brief| &brief["serviceDeploymentArn"]).collect();
    let input = json!({"serviceDeploymentArns": arns});
    list(
        &cluster.ecs().call("DescribeServiceDeployments", &input)?,
        "serviceDeployments",
    )
}

/// What the circuit breaker has counted of the service's deployment that was rolled back.
fn breaker(cluster: &Cluster, service: &str) -> Result<Value> {
    let described = deployments(cluster, service)?;
    let rolled_back = described.iter().find(|deployment| {
        deployment["status"]
            .as_str()
            .is_some_and(|status| status.starts_with("ROLLBACK"))
    });
    Ok(rolled_back.with_context(|| format!("{described:?}"))?["deploymentCircuitBreaker"].clone())
}
