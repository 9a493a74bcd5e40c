//! Services behind gateways, on three hosts with real Docker Engines: what is asked of a listener is answered through
//! deployments, drains, restarts and a host that is cut off.

mod change;
mod found;
mod health;
mod open;
mod traffic;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::gateway::{self, Gateway};
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, Seen, TestBed, http, tests, wait_until};

const CLUSTER: &str = "balanced";
const HOSTS: [&str; 3] = ["a", "b", "c"];

struct Hosts {
    bed: Arc<TestBed>,
    cluster: Mutex<Cluster>,
    gateways: Mutex<Vec<Gateway>>,
}

impl Fixture for Hosts {
    // Hosts are cut off, drained and restarted.
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        let bed = TestBed::new("load-balancing", &HOSTS)?;
        let started = Self::start_on(&bed);
        if started.is_err() {
            bed.note_failure();
        }
        started
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Hosts>(tests![
        traffic::every_gateway_forwards_to_every_task,
        traffic::rolling_updates_fail_no_request_and_keep_their_bounds,
        traffic::a_deployment_that_is_there_whole_gets_all_traffic_at_once,
        traffic::a_drain_and_restarts_of_agent_scheduler_and_gateway_fail_no_request,
        traffic::a_host_that_is_cut_off_costs_no_more_than_what_was_in_flight_on_it,
        open::a_request_under_way_is_answered_before_its_task_stops,
        open::a_connection_that_does_not_end_is_cut_when_its_time_is_up,
        change::other_load_balancers_move_a_service_to_another_port_and_none_take_it_away,
        change::tags_that_are_set_later_say_how_targets_are_checked,
        found::haproxy_follows_the_tasks_that_srv_records_name,
        found::haproxy_follows_the_hosts_that_a_records_name,
        found::prometheus_scrapes_the_tasks_that_there_are,
        open::a_gateway_that_stopped_in_good_order_holds_no_task_up,
        health::a_target_that_begins_to_fail_its_checks_is_replaced,
        health::a_release_that_never_turns_healthy_is_rolled_back_with_the_reason,
    ])
}

impl Hosts {
    fn start_on(bed: &Arc<TestBed>) -> Result<Self> {
        let settings = Settings::with_arguments(&[
            "--endpoint-address",
            "off",
            "--introspection-address",
            "off",
            "--image-pull-behavior",
            "prefer-cached",
        ]);
        let cluster = Cluster::start_on(bed, CLUSTER, &HOSTS, &settings)?;
        let gateway = |host: &&str| {
            let host = bed.host(host)?;
            let listen = |what: &str, port: u16| format!("--{what}-listen={}:{port}", host.address());
            host.start_gateway(&gateway::Options {
                scheduler: cluster.scheduler.url(),
                cluster: CLUSTER.to_owned(),
                arguments: vec![listen("dns", found::DNS_PORT), listen("http", found::HTTP_PORT)],
            })
        };
        let gateways: Result<Vec<Gateway>> = HOSTS.iter().map(gateway).collect();
        Ok(Self {
            gateways: Mutex::new(gateways?),
            cluster: Mutex::new(cluster),
            bed: Arc::clone(bed),
        })
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gateways(&self) -> MutexGuard<'_, Vec<Gateway>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the gateway of a host listens on this port.
    fn listener(&self, host: &str, port: u16) -> Result<SocketAddr> {
        Ok(SocketAddr::from((self.bed.host(host)?.address(), port)))
    }

    fn listeners(&self, hosts: &[&str], port: u16) -> Result<Vec<SocketAddr>> {
        hosts.iter().map(|host| self.listener(host, port)).collect()
    }
}

fn get(address: SocketAddr, path: &str) -> Result<String> {
    let answer = http::tcp(address, &http::request("GET", path, &[], b""))?;
    match answer.status {
        200 => Ok(answer.text()),
        status => bail!("{address}{path}: status {status}: {}", answer.text()),
    }
}

/// Waits until each listener answers.
fn wait_served(listeners: &[SocketAddr]) -> Result<()> {
    wait_until("every gateway serves", SOON, || {
        for address in listeners {
            if let Err(error) = get(*address, "/") {
                return Ok(Seen::NotYet(format!("{error:#}")));
            }
        }
        Ok(Seen::Done(()))
    })
}

/// Lets the load go on for a while.
fn meanwhile(time: Duration) {
    std::thread::sleep(time);
}
