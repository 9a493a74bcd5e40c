//! `make traffic`: a web service behind gateways on five hosts, under a steady load of requests through everything that
//! changes: ten rolling updates, a drain, an agent's restart, and one host cut off for a minute. Prints what became of
//! the requests of each, and fails where one failed that was not under way on the host that was cut off, or where the
//! journal says that the service went below its floor or above its ceiling.
//!
//! An argument is the number of updates, for a shorter look.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::gateway::{Gateway, Options};
use berth_integration_tests::load::{Load, Report};
use berth_integration_tests::process::resident_kib;
use berth_integration_tests::web::{CHECK, behind, web};
use berth_integration_tests::{Cluster, Seen, TestBed, http, journal, wait_until};
use serde_json::json;

const CLUSTER: &str = "traffic";
const HOSTS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The host that is cut off; clients of its own gateway would have nobody to ask, so there are none.
const CUT: usize = 4;
const UPDATES: usize = 10;
const PORT: u16 = 8080;
/// Tasks, and how many may be healthy at least and there at most while an update is on.
const DESIRED: usize = 10;
const FLOOR: usize = 8;
const CEILING: usize = 14;
/// Each asks fifty times a second.
const CLIENTS: usize = 16;
/// How long the host is cut off.
const CUT_FOR: Duration = Duration::from_secs(60);
/// A request that was sent this soon after the cut may have been on its way to the host already.
const UNDER_WAY: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    match traffic() {
        Ok(problems) if problems.is_empty() => {
            println!("no request failed but those under way on the host that was cut off; floor and ceiling were kept");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            problems.iter().for_each(|problem| println!("NOT HELD: {problem}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A cluster whose service is asked all the time.
struct Scene {
    cluster: Cluster,
    gateways: Vec<Gateway>,
    listeners: Vec<SocketAddr>,
    problems: Vec<String>,
}

fn traffic() -> Result<Vec<String>> {
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let updates = given.map(|number| number.parse()).transpose();
    let updates = updates
        .context("the argument is the number of updates")?
        .unwrap_or(UPDATES);
    eprintln!("making five hosts with a Docker Engine each");
    let bed = TestBed::new(CLUSTER, &HOSTS)?;
    let settings = Settings::with_arguments(&["--image-pull-behavior", "prefer-cached"]);
    let cluster = Cluster::start_on(&bed, CLUSTER, &HOSTS, &settings)?;
    let options = Options {
        scheduler: cluster.scheduler.url(),
        cluster: CLUSTER.to_owned(),
        arguments: Vec::new(),
    };
    let gateways = bed.hosts().iter().map(|host| host.start_gateway(&options));
    let gateways = gateways.collect::<Result<_>>()?;
    let asked = bed.hosts()[..CUT].iter();
    let mut scene = Scene {
        listeners: asked.map(|host| SocketAddr::from((host.address(), PORT))).collect(),
        gateways,
        cluster,
        problems: Vec::new(),
    };
    let first = web(&scene.cluster, "web", "release-0", "")?;
    let mut spec = behind(&format!("http-{PORT}"), DESIRED, CHECK, "15s");
    spec["deploymentConfiguration"] = json!({"minimumHealthyPercent": 80, "maximumPercent": 140});
    scene.cluster.create_service("web", &first, &spec)?;
    scene.cluster.wait_completed("web")?;
    scene.wait_served()?;
    println!(
        "{:<28} {:>8} {:>9} {:>7} {:>9} {:>9}",
        "", "seconds", "requests", "failed", "p50 ms", "p99 ms"
    );
    let begun = SystemTime::now();
    scene.phase(&format!("{updates} rolling updates"), |scene| scene.update(updates))?;
    let ended = SystemTime::now();
    scene.phase("a host is drained", Scene::drain)?;
    scene.phase("an agent is killed, restarted", Scene::restart_agent)?;
    scene.cut(&bed)?;
    for (gateway, host) in scene.gateways.iter_mut().zip(HOSTS) {
        let kib = resident_kib(gateway.daemon().pid()?)?;
        println!("the gateway of {host} has {} MiB resident", kib / 1024);
    }
    scene.check_journal(begun, ended)?;
    Ok(scene.problems)
}

impl Scene {
    fn wait_served(&self) -> Result<()> {
        wait_until("every gateway serves", SOON, || {
            for address in &self.listeners {
                let answer = http::tcp(*address, &http::request("GET", "/", &[], b""));
                match answer {
                    Ok(answer) if answer.status == 200 => {}
                    Ok(answer) => return Ok(Seen::NotYet(format!("{address}: status {}", answer.status))),
                    Err(error) => return Ok(Seen::NotYet(format!("{error:#}"))),
                }
            }
            Ok(Seen::Done(()))
        })
    }

    /// Does something under load, during which nothing may fail.
    fn phase(&mut self, name: &str, act: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let (report, took) = self.under_load(act)?;
        print(name, took, &report);
        if !report.failures.is_empty() {
            let first = &report.failures[0];
            self.problems.push(format!(
                "{name}: {} request(s) failed, the first one, to {}, after {} ms: {}",
                report.failures.len(),
                first.address,
                first.took.as_millis(),
                first.what
            ));
        }
        Ok(())
    }

    fn under_load(&mut self, act: impl FnOnce(&mut Self) -> Result<()>) -> Result<(Report, Duration)> {
        let begun = Instant::now();
        let load = Load::start(&self.listeners, "/", CLIENTS);
        let acted = act(self);
        thread::sleep(Duration::from_secs(2));
        let report = load.stop()?;
        acted.map(|()| (report, begun.elapsed()))
    }

    fn update(&mut self, updates: usize) -> Result<()> {
        for update in 1..=updates {
            let next = web(&self.cluster, "web", &format!("release-{update}"), "")?;
            self.cluster.update_service("web", &json!({"taskDefinition": next}))?;
            self.cluster.wait_completed("web")?;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        let instance = self.cluster.instance_of(HOSTS[1])?["containerInstanceArn"].clone();
        self.set_status(&instance, "DRAINING")?;
        wait_until("the host is empty and the service whole", SOON, || {
            let tasks = self.cluster.service_tasks("web")?;
            let running = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING").count();
            let there = tasks.iter().any(|task| task["containerInstanceArn"] == instance);
            Ok(Seen::when(running == DESIRED && !there, || format!("{running} run")))
        })?;
        self.set_status(&instance, "ACTIVE")
    }

    fn set_status(&self, instance: &serde_json::Value, status: &str) -> Result<()> {
        let input = json!({"cluster": CLUSTER, "containerInstances": [instance], "status": status});
        self.cluster
            .ecs()
            .call("UpdateContainerInstancesState", &input)
            .map(drop)
    }

    fn restart_agent(&mut self) -> Result<()> {
        self.cluster.agents[0].daemon().kill()?;
        thread::sleep(Duration::from_secs(3));
        self.cluster.agents[0].daemon().start_again()?;
        self.cluster.wait_connected(HOSTS.len())
    }

    /// Cuts a host off: what was under way on it is lost, and nothing else.
    fn cut(&mut self, bed: &TestBed) -> Result<()> {
        let host = &bed.hosts()[CUT];
        let mut at = SystemTime::now();
        let (report, took) = self.under_load(|scene| {
            thread::sleep(Duration::from_secs(1));
            at = SystemTime::now();
            host.link().cut()?;
            thread::sleep(CUT_FOR);
            host.link().mend()?;
            scene.cluster.wait_connected(HOSTS.len())
        })?;
        print("a host is cut off for 60 s", took, &report);
        let (under_way, others): (Vec<_>, Vec<_>) = report
            .failures
            .iter()
            .partition(|failure| failure.sent <= at + UNDER_WAY);
        if under_way.len() > CLIENTS || !others.is_empty() {
            self.problems.push(format!(
                "a host is cut off: {} requests failed that were sent before it was, and {} after: {:?}",
                under_way.len(),
                others.len(),
                others.first()
            ));
        }
        Ok(())
    }

    /// Not from samples: what each record of the journal has made of the service during the updates.
    fn check_journal(&mut self, begun: SystemTime, ended: SystemTime) -> Result<()> {
        let status = self.cluster.scheduler.terminate()?;
        ensure!(status.success(), "the scheduler ended with {status}");
        let looks = journal::of_service(self.cluster.scheduler.data_dir(), "web")?;
        let during = looks.iter().filter(|look| (begun..=ended).contains(&look.at));
        let (mut least, mut most, mut count) = (usize::MAX, 0, 0);
        for look in during {
            least = least.min(look.healthy);
            most = most.max(look.wanted);
            count += 1;
        }
        println!(
            "{count} records of the updates: at least {least} tasks healthy (floor {FLOOR}), at most {most} wanted (ceiling \
             {CEILING})"
        );
        if least < FLOOR || most > CEILING || count == 0 {
            self.problems
                .push(format!("{least} healthy, {most} wanted in {count} records"));
        }
        Ok(())
    }
}

fn print(name: &str, took: Duration, report: &Report) {
    let millis = |percent| report.percentile(percent).as_secs_f64() * 1000.0;
    println!(
        "{name:<28} {:>8} {:>9} {:>7} {:>9.1} {:>9.1}",
        took.as_secs(),
        report.answered.len() + report.failures.len(),
        report.failures.len(),
        millis(50),
        millis(99)
    );
}
