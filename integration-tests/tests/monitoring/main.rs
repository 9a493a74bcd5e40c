//! What the daemons tell Prometheus of a real host with a service on it: right, well formed, and all that the dashboard and the
//! alert rules of `packaging/monitoring` name. And what they tell a collector of OpenTelemetry.

mod collector;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::gateway::{self, Gateway};
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::web::{CHECK, behind, web};
use berth_integration_tests::{Cluster, Seen, TestBed, binaries, command, http, tests, wait_until};
use collector::Collector;
use serde_json::{Value, json};

const COLLECTOR_PORT: u16 = 4317;
const AGENT_PORT: u16 = 51680;
const GATEWAY_PORT: u16 = 7780;
const CLUSTER: &str = "monitoring";

/// One host with a scheduler, an agent, a gateway, and a service that runs.
struct Host {
    cluster: Cluster,
    agent: SocketAddr,
    gateway: SocketAddr,
    collector: Collector,
    _gateway: Gateway,
}

impl Fixture for Host {
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        let bed = TestBed::new(CLUSTER, &["a"])?;
        let on_host = |port| anyhow::Ok(SocketAddr::from((bed.host("a")?.address(), port)));
        let (agent, own) = (on_host(AGENT_PORT)?, on_host(GATEWAY_PORT)?);
        let address = on_host(COLLECTOR_PORT)?;
        let collector = Collector::start(bed.host("a")?.link().namespace(), address);
        let otlp = format!("--otlp-endpoint=http://{address}");
        let listen = format!("--metrics-address={agent}");
        let alone = ["--endpoint-address", "off", "--introspection-address", "off"];
        let fast = ["--usage-interval", "1s", "--stop-timeout", "1s", &listen, &otlp];
        let settings = Settings::with_arguments(&[&alone[..], &fast[..]].concat());
        let scheduler = bed.start_scheduler_with("scheduler", &[&otlp])?;
        let cluster = Cluster::start_under(scheduler, &bed, CLUSTER, &["a"], &settings);
        if cluster.is_err() {
            bed.note_failure();
        }
        let cluster = cluster?;
        let options = gateway::Options {
            scheduler: cluster.scheduler.url(),
            cluster: CLUSTER.to_owned(),
            arguments: vec![format!("--http-listen={own}"), otlp],
        };
        let gateway = bed.host("a")?.start_gateway(&options)?;
        let definition = web(&cluster, "web", "hello", "")?;
        cluster.create_service("web", &definition, &behind("http-8080", 2, CHECK, "1s"))?;
        cluster.wait_stable("web")?;
        Ok(Self {
            cluster,
            agent,
            gateway: own,
            collector,
            _gateway: gateway,
        })
    }

    fn note_failure(&self) {
        self.cluster.bed().note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Host>(tests![
        promtool_finds_nothing_wrong_with_what_the_daemons_tell,
        a_service_that_runs_is_among_the_figures_of_all_three,
        every_figure_that_dashboard_and_alerts_name_is_told,
        a_collector_hears_of_every_figure_that_prometheus_reads,
        an_agent_is_ready_once_docker_answers_and_a_scheduler_has_it,
        berth_doctor_finds_a_cluster_well_and_a_service_that_has_no_room,
        berth_doctor_looks_at_docker_and_the_agent_of_a_host,
    ])
}

impl Host {
    fn scheduler(&self) -> Result<SocketAddr> {
        let url = self.cluster.scheduler.url();
        url.trim_start_matches("http://")
            .parse()
            .context("the scheduler's address")
    }

    fn pages(&self) -> Result<[(&'static str, String); 3]> {
        Ok([
            ("scheduler", get(self.scheduler()?, "/metrics")?.1),
            ("agent", get(self.agent, "/metrics")?.1),
            ("gateway", get(self.gateway, "/metrics")?.1),
        ])
    }
}

/// What `berth doctor` ends with and finds.
fn doctor(arguments: &[&str]) -> Result<(Option<i32>, Value)> {
    let mut doctor = Command::new(binaries::path("berth")?);
    doctor.args(["doctor", "--output", "json"]).args(arguments);
    let output = command::output(&mut doctor, Duration::from_secs(60))?;
    let report = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    Ok((output.status.code(), report))
}

/// The findings of the verdict on the subject.
fn findings<'r>(report: &'r Value, subject: &str, verdict: &str) -> Vec<&'r str> {
    let all = report["findings"].as_array().into_iter().flatten();
    let of = all.filter(|finding| finding["subject"] == subject && finding["verdict"] == verdict);
    of.filter_map(|finding| finding["finding"].as_str()).collect()
}

fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let answer = http::tcp(address, &http::request("GET", path, &[], &[]))?;
    Ok((answer.status, answer.text()))
}

fn value(page: &str, series: &str) -> Option<f64> {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}

fn promtool_finds_nothing_wrong_with_what_the_daemons_tell(host: &Host) -> Result<()> {
    for (who, page) in host.pages()? {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start promtool: its package is prometheus")?;
        let mut input = promtool.stdin.take().context("no standard input")?;
        input.write_all(page.as_bytes())?;
        drop(input);
        let output = promtool.wait_with_output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(output.status.success() && said.is_empty(), "{who}: {said}\n{page}");
    }
    Ok(())
}

fn a_service_that_runs_is_among_the_figures_of_all_three(host: &Host) -> Result<()> {
    wait_until("figures are what runs", SOON, || {
        let [(_, scheduler), (_, agent), (_, gateway)] = host.pages()?;
        let of_cluster = |name: &str| value(&scheduler, &format!("{name}{{cluster=\"{CLUSTER}\"}}"));
        let of_service = |name: &str| value(&scheduler, &format!("{name}{{cluster=\"{CLUSTER}\",service=\"web\"}}"));
        let registered = of_cluster("berth_cluster_cpu_registered_units").unwrap_or_default();
        let reservation = of_cluster("berth_cluster_cpu_reservation_ratio").unwrap_or_default();
        let memory = of_service("berth_service_memory_utilization_ratio").unwrap_or_default();
        let checks = [
            value(
                &scheduler,
                &format!("berth_cluster_tasks{{cluster=\"{CLUSTER}\",status=\"RUNNING\"}}"),
            ) == Some(2.0),
            value(
                &scheduler,
                &format!("berth_cluster_instances{{cluster=\"{CLUSTER}\",status=\"ACTIVE\"}}"),
            ) == Some(1.0),
            of_cluster("berth_cluster_instances_disconnected") == Some(0.0),
            // Two tasks of 10 units each.
            registered >= 1024.0 && (reservation - 20.0 / registered).abs() < 1e-9,
            of_cluster("berth_cluster_cpu_utilization_ratio").is_some(),
            of_service("berth_service_running_tasks") == Some(2.0),
            of_service("berth_service_desired_tasks") == Some(2.0),
            of_service("berth_service_deployments") == Some(1.0),
            of_service("berth_service_cpu_utilization_ratio").is_some(),
            // A shell and httpd in 16 MiB.
            memory > 0.0 && memory < 1.0,
            value(&scheduler, "berth_agent_streams") == Some(1.0),
            value(&scheduler, "berth_gateway_streams") == Some(1.0),
            value(&agent, "berth_agent_connected") == Some(1.0),
            value(&agent, "berth_agent_tasks{status=\"RUNNING\"}") == Some(2.0),
            value(
                &agent,
                "berth_docker_call_duration_seconds_count{call=\"start_container\"}",
            ) >= Some(2.0),
            value(&agent, "berth_agent_report_duration_seconds_count") >= Some(1.0),
            value(&agent, "berth_agent_spool_write_duration_seconds_count") >= Some(1.0),
            value(&gateway, "berth_gateway_targets{service=\"web\",state=\"healthy\"}") == Some(2.0),
        ];
        Ok(Seen::when(checks.iter().all(|holds| *holds), || {
            format!("{checks:?}\n{scheduler}\n{agent}\n{gateway}")
        }))
    })
}

fn a_collector_hears_of_every_figure_that_prometheus_reads(host: &Host) -> Result<()> {
    wait_until("a collector hears of all figures", SOON, || {
        let pages = host.pages()?;
        let missing = pages.iter().flat_map(|(who, page)| {
            let heard = host.collector.names(&format!("berth-{who}"));
            let lines = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
            let names = lines.filter_map(|line| line.split(' ').next());
            let missing: Vec<String> = names.filter(|name| !heard.contains(*name)).map(str::to_owned).collect();
            missing
        });
        let missing: Vec<String> = missing.collect();
        Ok(Seen::when(missing.is_empty(), || format!("not heard: {missing:?}")))
    })
}

/// The names of figures in an expression.
fn named(expression: &str, into: &mut BTreeSet<String>) {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = expression.split(|letter: char| !is_part(letter));
    let ours = words.filter(|word| word.starts_with("berth_") || word.starts_with("process_"));
    into.extend(ours.map(str::to_owned));
}

fn expressions(panels: &Value, into: &mut Vec<String>) {
    match panels {
        Value::Array(all) => all.iter().for_each(|one| expressions(one, into)),
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if name == "expr" || name == "query" => into.push(text.to_owned()),
                    Some(_) => {}
                    None => expressions(value, into),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn every_figure_that_dashboard_and_alerts_name_is_told(host: &Host) -> Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/monitoring");
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).with_context(|| format!("read {name}"));
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")?).context("read the dashboard")?;
    let mut wanted = Vec::new();
    expressions(&dashboard, &mut wanted);
    ensure!(wanted.len() > 30, "{wanted:?}");
    let mut names = BTreeSet::new();
    wanted.iter().for_each(|expression| named(expression, &mut names));
    named(&read("alerts.yml")?, &mut names);
    ensure!(names.len() > 40, "{names:?}");
    // There are no certificates here: `joining` looks for these.
    names.retain(|name| !name.starts_with("berth_certificate_"));

    let mut told = BTreeSet::new();
    for (_, page) in host.pages()? {
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        told.extend(samples.filter_map(|line| Some(line.split(['{', ' ']).next()?.to_owned())));
    }
    let missing: Vec<&String> = names.difference(&told).collect();
    ensure!(missing.is_empty(), "nobody tells {missing:?}");
    Ok(())
}

fn an_agent_is_ready_once_docker_answers_and_a_scheduler_has_it(host: &Host) -> Result<()> {
    for path in ["/healthz", "/readyz"] {
        let answer = get(host.agent, path)?;
        ensure!(answer == (200, "ok\n".to_owned()), "{path}: {answer:?}");
    }
    Ok(())
}

fn berth_doctor_finds_a_cluster_well_and_a_service_that_has_no_room(host: &Host) -> Result<()> {
    let url = host.cluster.scheduler.url();
    let arguments = ["cluster", "--scheduler", &url, "--cluster", CLUSTER];
    let (code, report) = doctor(&arguments)?;
    ensure!(code == Some(0) && report["problems"] == 0, "{report:#}");
    for subject in ["scheduler", "clock", "instances", "services", "tasks", "capacity"] {
        ensure!(!findings(&report, subject, "OK").is_empty(), "{subject}: {report:#}");
    }

    let large = json!({
        "family": "large", "containerDefinitions": [{"name": "large", "image": "busybox", "memory": 100_000_000}],
    });
    let definition = host.cluster.register(&large)?;
    host.cluster
        .create_service("large", &definition, &json!({"desiredCount": 1}))?;
    wait_until("it is said why", SOON, || {
        let (code, report) = doctor(&arguments)?;
        let found = findings(&report, "services", "PROBLEM");
        let said = found
            .iter()
            .any(|text| text.contains("large runs 0 of 1") && text.contains("unable to place a task"));
        Ok(Seen::when(said && code == Some(1), || format!("{report:#}")))
    })?;
    host.cluster.update_service("large", &json!({"desiredCount": 0}))?;
    host.cluster.delete_service("large").map(drop)
}

fn berth_doctor_looks_at_docker_and_the_agent_of_a_host(host: &Host) -> Result<()> {
    let bed = host.cluster.bed();
    let (docker, agent) = (bed.host("a")?.engine().url(), host.agent.to_string());
    let (_, report) = doctor(&["host", "--docker", &docker, "--agent", &agent])?;
    ensure!(findings(&report, "agent", "OK").len() == 1, "{report:#}");
    ensure!(findings(&report, "docker", "OK").len() == 1, "{report:#}");
    ensure!(findings(&report, "control groups", "OK").len() == 1, "{report:#}");
    let (code, report) = doctor(&["host", "--docker", "unix:///no/such/socket", "--agent", "127.0.0.1:1"])?;
    ensure!(code == Some(1), "{report:#}");
    for subject in ["docker", "agent"] {
        ensure!(
            findings(&report, subject, "PROBLEM").len() == 1,
            "{subject}: {report:#}"
        );
    }
    Ok(())
}
