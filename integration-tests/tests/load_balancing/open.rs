//! What is open when its task is to stop.

use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::web::{CHECK, behind, web};
use berth_integration_tests::{Seen, wait_until};
use serde_json::{Value, json};

use super::{Hosts, get, wait_served};

pub(super) fn a_request_under_way_is_answered_before_its_task_stops(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let definition = web(&cluster, "slow", "slow", "")?;
    cluster.create_service("slow", &definition, &behind("http-8084", 1, CHECK, "30s"))?;
    cluster.wait_completed("slow")?;
    let listener = hosts.listener("a", 8084)?;
    wait_served(&[listener])?;
    let task = cluster.service_task_arns("slow")?.pop().context("no task")?;
    let request = thread::spawn(move || {
        let begun = Instant::now();
        get(listener, "/cgi-bin/sleep?5").map(|answer| (answer, begun.elapsed()))
    });
    thread::sleep(Duration::from_secs(1));
    cluster.stop(std::slice::from_ref(&task))?;
    let draining = cluster.describe(std::slice::from_ref(&task))?.remove(0);
    assert_eq!(draining["lastStatus"], "DEACTIVATING", "{draining}");
    assert_eq!(draining["desiredStatus"], "STOPPED", "{draining}");
    let (answer, took) = request.join().map_err(|_| anyhow!("the request's thread panicked"))??;
    assert_eq!(answer, "slept\n");
    ensure!(took >= Duration::from_secs(5), "it was answered after {took:?}");
    let stopped = cluster.wait_stopped(&[task])?.remove(0);
    let (stopping, ended) = (time(&stopped, "stoppingAt")?, time(&stopped, "stoppedAt")?);
    ensure!(ended - stopping < 20.0, "it did not wait for its deadline: {stopped}");
    cluster.delete_service("slow").map(drop)
}

fn time(task: &Value, member: &str) -> Result<f64> {
    task[member].as_f64().with_context(|| format!("no {member}: {task}"))
}

pub(super) fn a_connection_that_does_not_end_is_cut_when_its_time_is_up(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let container = json!({
        "name": "web", "image": "busybox", "memory": 16, "stopTimeout": 2,
        "command": ["sh", "-c", "exec nc -ll -p 8080 -e sh -c 'echo here; exec cat'"],
        "portMappings": [{"containerPort": 8080}],
    });
    let definition = cluster.register(&json!({"family": "stay", "containerDefinitions": [container]}))?;
    cluster.create_service("stay", &definition, &behind("tcp-8085", 1, "tcp interval=1s", "4s"))?;
    cluster.wait_completed("stay")?;
    let listener = hosts.listener("b", 8085)?;
    let mut stream = wait_until("the listener leads to the task", SOON, || {
        let look = || -> Result<TcpStream> {
            let mut stream = TcpStream::connect_timeout(&listener, Duration::from_secs(5))?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            let mut greeting = [0; 5];
            stream.read_exact(&mut greeting)?;
            ensure!(&greeting == b"here\n", "{greeting:?}");
            Ok(stream)
        };
        Ok(match look() {
            Ok(stream) => Seen::Done(stream),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })?;
    let task = cluster.service_task_arns("stay")?.pop().context("no task")?;
    let begun = Instant::now();
    cluster.stop(std::slice::from_ref(&task))?;
    // Cut, in whichever way the kernel tells it.
    let ended = stream.read(&mut [0; 1]);
    ensure!(!matches!(ended, Ok(1..)), "it said something more: {ended:?}");
    let took = begun.elapsed();
    ensure!(
        (Duration::from_secs(3)..Duration::from_secs(15)).contains(&took),
        "it was cut after {took:?}"
    );
    cluster.wait_stopped(&[task])?;
    cluster.delete_service("stay").map(drop)
}

pub(super) fn a_gateway_that_stopped_in_good_order_holds_no_task_up(hosts: &Hosts) -> Result<()> {
    let cluster = hosts.cluster();
    let definition = web(&cluster, "parted", "parted", "")?;
    cluster.create_service("parted", &definition, &behind("http-8096", 1, CHECK, "50s"))?;
    cluster.wait_completed("parted")?;
    wait_served(&hosts.listeners(&["a", "b", "c"], 8096)?)?;
    let mut gateways = hosts.gateways();
    let ended = gateways[2].daemon().terminate(Duration::from_secs(30))?;
    ensure!(ended.success(), "{ended}");
    let task = cluster.service_task_arns("parted")?.pop().context("no task")?;
    cluster.stop(std::slice::from_ref(&task))?;
    let stopped = cluster.wait_stopped(&[task])?.remove(0);
    let (stopping, over) = (time(&stopped, "stoppingAt")?, time(&stopped, "stoppedAt")?);
    ensure!(over - stopping < 30.0, "it waited for its deadline: {stopped}");
    gateways[2].daemon().start_again()?;
    wait_served(&[hosts.listener("c", 8096)?])?;
    cluster.delete_service("parted").map(drop)
}
