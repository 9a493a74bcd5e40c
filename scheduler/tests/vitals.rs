//! The figures and the health of a scheduler, as a process.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic, its helpers too"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_proto::ecs::v1::ecs_client::EcsClient;
use berth_proto::ecs::v1::{
    ContainerDefinition, CreateClusterRequest, CreateServiceRequest, RegisterTaskDefinitionRequest, RunTaskRequest,
};
use tonic::transport::Endpoint;

struct Scheduler {
    child: Child,
    address: SocketAddr,
    /// Where figures alone are served.
    metrics: Option<SocketAddr>,
}

impl Scheduler {
    fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_berth-scheduler"))
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut metrics = None;
        let address = lines.find_map(|line| {
            let (_, rest) = line.split_once("address=")?;
            let address = rest.trim().parse().unwrap();
            if line.contains("/metrics") {
                metrics = Some(address);
                return None;
            }
            Some(address)
        });
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: address.unwrap(),
            metrics,
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: scheduler\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The value of the line that begins so.
fn value(page: &str, series: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in\n{page}"))
        .parse()
        .unwrap()
}

/// What `promtool` says of a page.
fn lint(page: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool: its package is prometheus");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[tokio::test]
async fn a_scheduler_tells_what_its_clusters_have_and_how_fast_it_is() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(data.path(), &[]);
    let endpoint = Endpoint::from_shared(format!("http://{}", scheduler.address)).unwrap();
    let mut client = EcsClient::new(endpoint.connect().await.unwrap());
    let cluster = CreateClusterRequest {
        cluster_name: Some("prod".to_owned()),
        ..CreateClusterRequest::default()
    };
    client.create_cluster(cluster).await.unwrap();
    let container = ContainerDefinition {
        name: Some("web".to_owned()),
        image: Some("busybox".to_owned()),
        memory: Some(64),
        ..ContainerDefinition::default()
    };
    let definition = RegisterTaskDefinitionRequest {
        family: Some("web".to_owned()),
        container_definitions: vec![container],
        ..RegisterTaskDefinitionRequest::default()
    };
    client.register_task_definition(definition).await.unwrap();
    let service = CreateServiceRequest {
        cluster: Some("prod".to_owned()),
        service_name: Some("a \"service\"".replace([' ', '"'], "-")),
        task_definition: Some("web".to_owned()),
        desired_count: Some(3),
        ..CreateServiceRequest::default()
    };
    client.create_service(service).await.unwrap();
    let run = RunTaskRequest {
        cluster: Some("nothing".to_owned()),
        task_definition: Some("web".to_owned()),
        ..RunTaskRequest::default()
    };
    client.run_task(run).await.unwrap_err();

    let (status, page) = get(scheduler.address, "/metrics");
    assert_eq!(status, 200);
    assert_eq!(lint(&page), "");
    for (series, expected) in [
        ("berth_journal_reachable", 1.0),
        ("berth_schedulers", 1.0),
        ("berth_command_queue_limit", 4096.0),
        ("berth_agent_streams", 0.0),
        ("berth_cluster_instances{cluster=\"prod\",status=\"ACTIVE\"}", 0.0),
        ("berth_cluster_tasks{cluster=\"prod\",status=\"RUNNING\"}", 0.0),
        (
            "berth_service_desired_tasks{cluster=\"prod\",service=\"a--service-\"}",
            3.0,
        ),
        (
            "berth_service_running_tasks{cluster=\"prod\",service=\"a--service-\"}",
            0.0,
        ),
        ("berth_requests_total{protocol=\"grpc\",outcome=\"ok\"}", 3.0),
        ("berth_requests_total{protocol=\"grpc\",outcome=\"refused\"}", 1.0),
        ("berth_requests_total{protocol=\"grpc\",outcome=\"failed\"}", 0.0),
        ("berth_placement_duration_seconds_count{command=\"RunTask\"}", 1.0),
        ("berth_commands_refused_total", 1.0),
    ] {
        assert_eq!(value(&page, series), expected, "{series}");
    }
    let revision = value(&page, "berth_journal_revision");
    assert_eq!(value(&page, "berth_journal_append_duration_seconds_count"), revision);
    assert!(value(&page, "berth_journal_append_duration_seconds_sum") > 0.0);
    assert!(value(&page, "process_resident_memory_bytes") > 1e6);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(scheduler.address, path), (200, "ok\n".to_owned()));
    }
}

#[test]
fn where_calls_must_be_signed_figures_have_a_listener_of_their_own() {
    let data = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(data.path(), &["--auth", "required", "--metrics-listen", "127.0.0.1:0"]);
    let (status, body) = get(scheduler.address, "/metrics");
    assert!(status == 403 && body.contains("--metrics-listen"), "{status} {body}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(scheduler.address, path).0, 200, "{path}");
    }
    let own = scheduler.metrics.unwrap();
    let (status, page) = get(own, "/metrics");
    assert_eq!((status, value(&page, "berth_journal_reachable")), (200, 1.0));
    assert_eq!(get(own, "/readyz").0, 200);
    // It is no way to the operations.
    assert_eq!(get(own, "/").0, 404);
}
