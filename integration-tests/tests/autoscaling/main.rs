//! Services on a real host follow what their tasks use, and what goes through a gateway to them: with periods of a
//! second, out while they are busy and in again when they are not.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::cluster::services::events;
use berth_integration_tests::daemon::Daemon;
use berth_integration_tests::gateway::{self, Gateway};
use berth_integration_tests::grpc::Client;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::web::{CHECK, behind, web};
use berth_integration_tests::{Cluster, Seen, TestBed, http, prometheus, tests, wait_until};
use berth_proto::v1::{DescribeServiceScalingRequest, DescribeServiceScalingResponse};
use prost::Message;
use serde_json::{Value, json};

const CLUSTER: &str = "autoscaling";
/// CPU units that a task reserves, and has: a busy one uses all of them.
const CPU: &str = "128";
const MOST: u64 = 3;
/// Requests that are open at once.
const CLIENTS: usize = 8;
/// Where the gateway answers HTTP of its own, and Prometheus.
const GATEWAY_PORT: u16 = 7780;
const PROMETHEUS_PORT: u16 = 9090;

struct Host {
    cluster: Cluster,
    _gateway: Gateway,
    _prometheus: Daemon,
    /// What the tasks see as /switch.
    switch: PathBuf,
}

impl Fixture for Host {
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        let bed = TestBed::new("autoscaling", &["a"])?;
        let settings = Settings::with_arguments(&[
            "--usage-interval",
            "1s",
            "--stop-timeout",
            "1s",
            "--endpoint-address",
            "off",
            "--introspection-address",
            "off",
        ]);
        let on_host = |port| anyhow::Ok(SocketAddr::from((bed.host("a")?.address(), port)));
        let figures = on_host(PROMETHEUS_PORT)?;
        let url = format!("http://{figures}");
        let started = bed
            .start_scheduler_with(
                "scheduler-autoscaling",
                &["--scaling-period", "1", "--prometheus-url", &url],
            )
            .and_then(|scheduler| Cluster::start_under(scheduler, &bed, CLUSTER, &["a"], &settings));
        if started.is_err() {
            bed.note_failure();
        }
        let cluster = started?;
        let data = cluster.scheduler.data_dir();
        let switch = data.parent().context("no directory")?.join("switch");
        fs::create_dir_all(&switch)?;
        let options = gateway::Options {
            scheduler: cluster.scheduler.url(),
            cluster: CLUSTER.to_owned(),
            arguments: vec![format!("--http-listen={}", on_host(GATEWAY_PORT)?)],
        };
        Ok(Self {
            _gateway: bed.host("a")?.start_gateway(&options)?,
            _prometheus: prometheus::start(&bed, "a", on_host(GATEWAY_PORT)?, figures)?,
            cluster,
            switch,
        })
    }

    fn note_failure(&self) {
        self.cluster.bed().note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Host>(tests![
        a_service_follows_what_its_tasks_use,
        a_service_follows_what_goes_through_gateways,
        a_service_follows_a_figure_that_prometheus_has_of_its_tasks,
    ])
}

impl Host {
    /// Application Auto Scaling's operation on the service.
    fn scaling(&self, service: &str, operation: &str, more: &Value) -> Result<Value> {
        let mut input = json!({
            "ServiceNamespace": "ecs",
            "ResourceId": format!("service/{CLUSTER}/{service}"),
            "ScalableDimension": "ecs:service:DesiredCount",
        });
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        self.cluster.ecs().call_scaling(operation, &input)
    }

    /// Keeps a metric of the service at a value, with no more than a second between changes.
    fn track(&self, service: &str, policy: &str, metric: &str, target: f64) -> Result<()> {
        let metric = json!({"PredefinedMetricSpecification": {"PredefinedMetricType": metric}});
        self.put_policy(service, policy, metric, target)
    }

    fn put_policy(&self, service: &str, policy: &str, mut tracking: Value, target: f64) -> Result<()> {
        tracking["TargetValue"] = target.into();
        tracking["ScaleOutCooldown"] = 0.into();
        tracking["ScaleInCooldown"] = 1.into();
        let policy = json!({
            "PolicyName": policy, "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": tracking,
        });
        self.scaling(service, "PutScalingPolicy", &policy).map(drop)
    }

    fn wait_count(&self, service: &str, count: u64) -> Result<Value> {
        wait_until(&format!("{service} has {count} tasks"), SOON, || {
            let service = self.cluster.service(service)?;
            let has = service["desiredCount"] == count && service["runningCount"] == count;
            Ok(if has {
                Seen::Done(service)
            } else {
                Seen::NotYet(service.to_string())
            })
        })
    }
}

fn a_service_follows_what_its_tasks_use(host: &Host) -> Result<()> {
    let cluster = &host.cluster;
    let on = host.switch.join("on");
    fs::write(&on, "")?;
    let script = "while :; do if [ -e /switch/on ]; then n=0; while [ $n -lt 2000 ]; do n=$((n+1)); done; \
                  else sleep 0.2; fi; done";
    let definition = cluster.register(&json!({
        "family": "busy",
        "cpu": CPU,
        "memory": "32",
        "containerDefinitions": [{
            "name": "app", "image": "busybox", "command": ["sh", "-c", script], "stopTimeout": 1,
            "mountPoints": [{"sourceVolume": "switch", "containerPath": "/switch", "readOnly": true}],
            "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 4, "retries": 2},
        }],
        "volumes": [{"name": "switch", "host": {"sourcePath": host.switch}}],
    }))?;
    cluster.create_service("busy", &definition, &json!({"desiredCount": 1}))?;
    let bounds = json!({"MinCapacity": 1, "MaxCapacity": MOST});
    host.scaling("busy", "RegisterScalableTarget", &bounds)?;
    host.track("busy", "cpu", "ECSServiceAverageCPUUtilization", 50.0)?;
    let busy = host.wait_count("busy", MOST)?;
    let said = "(service busy) Message: Successfully set desired count to ";
    ensure!(events(&busy).iter().any(|event| event.starts_with(said)), "{busy}");

    fs::remove_file(&on)?;
    host.wait_count("busy", 1)?;
    let activities = host.scaling("busy", "DescribeScalingActivities", &json!({}))?;
    let all = activities["ScalingActivities"].as_array().context("no activities")?;
    let newest = all.first().context("no activity")?;
    assert_eq!(newest["Description"], "Setting desired count to 1.", "{activities}");
    let cause = newest["Cause"].as_str().unwrap_or_default();
    ensure!(
        cause.starts_with("policy cpu: ECSServiceAverageCPUUtilization has been below 45 for 15 s; at "),
        "{activities}"
    );
    // It is at rest: nothing changes for a while.
    thread::sleep(Duration::from_secs(3));
    let later = host.scaling("busy", "DescribeScalingActivities", &json!({}))?;
    assert_eq!(
        later["ScalingActivities"].as_array().map(Vec::len),
        Some(all.len()),
        "{later}"
    );
    host.scaling("busy", "DeregisterScalableTarget", &json!({}))?;
    cluster.delete_service("busy").map(drop)
}

/// How a service is scaled, as the command line asks for it.
fn described(host: &Host, service: &str) -> Result<DescribeServiceScalingResponse> {
    let request = DescribeServiceScalingRequest {
        cluster: Some(CLUSTER.to_owned()),
        service: service.to_owned(),
    };
    let client = Client::new(host.cluster.ecs().address())?;
    let answer = client.call("/berth.v1.Berth/DescribeServiceScaling", request.encode_to_vec())?;
    let bytes = answer.context("DescribeServiceScaling")?;
    Ok(DescribeServiceScalingResponse::decode(bytes.as_slice())?)
}

fn a_service_follows_what_goes_through_gateways(host: &Host) -> Result<()> {
    let cluster = &host.cluster;
    let definition = web(cluster, "asked", "asked", "")?;
    cluster.create_service("asked", &definition, &behind("http-8080", 1, CHECK, "5s"))?;
    cluster.wait_completed("asked")?;
    host.scaling(
        "asked",
        "RegisterScalableTarget",
        &json!({"MinCapacity": 1, "MaxCapacity": MOST}),
    )?;
    host.track("asked", "connections", "BerthServiceConnectionsPerTask", 2.0)?;
    // So many that it asks for no task.
    host.track("asked", "requests", "ALBRequestCountPerTarget", 1e6)?;
    let listener = SocketAddr::from((cluster.bed().host("a")?.address(), 8080));
    let over = AtomicBool::new(false);
    let scaled = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // What fails is as good: another follows.
                    drop(http::tcp(listener, &http::request("GET", "/cgi-bin/sleep?1", &[], b"")));
                }
            });
        }
        let scaled = host.wait_count("asked", MOST).and_then(|_| {
            wait_until("requests are counted", SOON, || {
                let readings = described(host, "asked")?.readings;
                let of = |name: &str| readings.iter().find(|reading| reading.policy_name == name);
                let counted = of("requests").and_then(|reading| reading.value).unwrap_or_default();
                Ok(Seen::when(counted > 0.0, || format!("{readings:?}")))
            })
        });
        over.store(true, Ordering::Relaxed);
        scaled
    });
    scaled?;
    let answer = described(host, "asked")?;
    ensure!(answer.verdict.is_some() && answer.desired_count == 3, "{answer:?}");
    cluster.delete_service("asked").map(drop)
}

fn a_service_follows_a_figure_that_prometheus_has_of_its_tasks(host: &Host) -> Result<()> {
    let cluster = &host.cluster;
    let metrics = host.switch.join("metrics");
    fs::write(&metrics, "waiting 9\n")?;
    let definition = cluster.register(&json!({
        "family": "queue",
        "containerDefinitions": [{
            "name": "web", "image": "busybox", "memory": 16, "cpu": 10, "stopTimeout": 2,
            "command": ["httpd", "-f", "-p", "8080", "-h", "/switch"],
            "portMappings": [{"containerPort": 8080, "name": "http"}],
            "linuxParameters": {"initProcessEnabled": true},
            "mountPoints": [{"sourceVolume": "switch", "containerPath": "/switch", "readOnly": true}],
        }],
        "volumes": [{"name": "switch", "host": {"sourcePath": host.switch}}],
    }))?;
    cluster.create_service("queue", &definition, &json!({"desiredCount": 1}))?;
    let bounds = json!({"MinCapacity": 1, "MaxCapacity": MOST});
    host.scaling("queue", "RegisterScalableTarget", &bounds)?;
    let query = r#"max(waiting{service="queue"}) / count(waiting{service="queue"})"#;
    let metric = json!({"CustomizedMetricSpecification": {
        "Namespace": "Prometheus", "MetricName": query, "Statistic": "Average",
    }});
    host.put_policy("queue", "waiting", metric, 3.0)?;
    host.wait_count("queue", MOST)?;

    fs::write(&metrics, "waiting 1\n")?;
    host.wait_count("queue", 1)?;
    let activities = host.scaling("queue", "DescribeScalingActivities", &json!({}))?;
    let cause = activities["ScalingActivities"][0]["Cause"].as_str().unwrap_or_default();
    ensure!(
        cause.starts_with(&format!("policy waiting: '{query}' has been below 2.7 for 15 s; at ")),
        "{activities}"
    );
    host.scaling("queue", "DeregisterScalableTarget", &json!({}))?;
    cluster.delete_service("queue").map(drop)
}
