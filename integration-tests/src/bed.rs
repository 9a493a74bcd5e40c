//! The bed itself: the lane, the network and the hosts, made together and taken down together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow};

use crate::files;
use crate::host::Host;
use crate::lane::Lane;
use crate::network::Network;
use crate::replicas::Etcd;
use crate::scheduler::Scheduler;

/// Where schedulers of a bed listen, on the bed's own address.
const SCHEDULER_PORT: u16 = 7700;

/// Lines of each daemon's log that a failed test shows.
const TAIL: usize = 40;

/// Several hosts on one machine. Dropping it removes all of it, but the logs if a test failed.
#[derive(Debug)]
pub struct TestBed {
    // Fields drop in this order: the lane, last, sweeps what the others left.
    hosts: Vec<Host>,
    network: Network,
    failed: AtomicBool,
    lane: Lane,
}

impl TestBed {
    /// Makes a bed with these hosts, their engines started side by side, the test images in each.
    ///
    /// # Errors
    ///
    /// If the machine has not what a bed needs; the message says how to get it.
    pub fn new(name: &str, hosts: &[&str]) -> Result<Arc<Self>> {
        let lane = Lane::claim(name)?;
        let network = Network::create(&lane)?;
        let mut bed = Self {
            hosts: Vec::new(),
            network,
            failed: AtomicBool::new(false),
            lane,
        };
        for (host, index) in hosts.iter().zip(1..) {
            let host = Host::start(&bed.lane, &bed.network, host, index)?;
            bed.hosts.push(host);
        }
        let ready = bed.on_all_hosts(Host::wait_ready);
        if ready.is_err() {
            bed.note_failure();
        }
        ready.map(|()| Arc::new(bed))
    }

    /// Makes a bed for one test; if the test fails, the ends of the daemons' logs are printed.
    ///
    /// # Errors
    ///
    /// What the making or the test fails with.
    pub fn with(name: &str, hosts: &[&str], test: impl FnOnce(&Arc<Self>) -> Result<()>) -> Result<()> {
        let bed = Self::new(name, hosts)?;
        let result = test(&bed);
        if result.is_err() {
            bed.note_failure();
        }
        result
    }

    /// All hosts, in the order in which they were named.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// A host by name.
    ///
    /// # Errors
    ///
    /// If the bed has none of that name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts
            .iter()
            .find(|host| host.name() == name)
            .ok_or_else(|| anyhow!("the bed has no host {name}"))
    }

    /// The lane that all names and addresses of the bed come from.
    #[must_use]
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// A directory for a daemon's state.
    #[must_use]
    pub fn data_dir(&self, name: &str) -> PathBuf {
        self.lane.data_dir().join(name)
    }

    /// Starts a scheduler on the bed's address, with a data directory of the given name, and waits until it serves.
    ///
    /// # Errors
    ///
    /// If it cannot be started or does not answer in time.
    pub fn start_scheduler(&self, data: &str) -> Result<Scheduler> {
        self.start_scheduler_with(data, &[])
    }

    /// The same with more options.
    ///
    /// # Errors
    ///
    /// If it cannot be started or does not answer in time.
    pub fn start_scheduler_with(&self, data: &str, options: &[&str]) -> Result<Scheduler> {
        self.start_scheduler_at(SCHEDULER_PORT, data, "scheduler", options)
    }

    /// Starts schedulers beside each other that share a journal, in an etcd that is started too and ends when its handle is
    /// dropped.
    ///
    /// # Errors
    ///
    /// If something cannot be started or does not answer in time.
    pub fn start_schedulers_on_etcd(&self, data: &str, ports: &[u16]) -> Result<(Vec<Scheduler>, Etcd)> {
        let etcd = Etcd::start(&self.lane, &self.network)?;
        let journal = etcd.journal();
        let start = |port: &u16| {
            let name = format!("{data}-{port}");
            self.start_scheduler_at(*port, &name, &name, &["--journal", &journal])
        };
        let schedulers = ports.iter().map(start).collect::<Result<_>>()?;
        Ok((schedulers, etcd))
    }

    fn start_scheduler_at(&self, port: u16, data: &str, log: &str, options: &[&str]) -> Result<Scheduler> {
        Scheduler::start(
            self.network.namespace(),
            SocketAddr::from((self.network.scheduler_address(), port)),
            &self.data_dir(data),
            &self.lane.log_dir().join(format!("{log}.log")),
            options,
        )
    }

    /// Does the same on all hosts side by side.
    ///
    /// # Errors
    ///
    /// The first host's error, when all are through.
    pub fn on_all_hosts(&self, act: impl Fn(&Host) -> Result<()> + Sync) -> Result<()> {
        let act = &act;
        let results: Vec<Result<()>> = thread::scope(|scope| {
            let threads: Vec<_> = self
                .hosts
                .iter()
                .map(|host| scope.spawn(move || act(host).with_context(|| host.name().to_owned())))
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|_| Err(anyhow!("a host's thread panicked")))
                })
                .collect()
        });
        results.into_iter().collect()
    }

    /// Prints the ends of the logs, the first time that it is called, and has them outlive the bed.
    pub fn note_failure(&self) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            self.lane.keep_logs();
            self.print_logs();
        }
    }

    #[expect(clippy::print_stderr, reason = "a test's output is its report")]
    fn print_logs(&self) {
        let dir = self.lane.log_dir();
        let mut logs: Vec<PathBuf> = std::fs::read_dir(&dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        logs.sort();
        for log in logs {
            eprintln!("---- end of {}", log.display());
            eprintln!("{}", files::tail(&log, TAIL));
        }
    }
}

impl Drop for TestBed {
    #[expect(clippy::print_stderr, reason = "a test's output is its report")]
    fn drop(&mut self) {
        // What a host cannot do in good order the lane's sweep does by force.
        if let Err(error) = self.on_all_hosts(|host| host.engine().shut_down()) {
            eprintln!("the bed is removed by force: {error:#}");
        }
        if thread::panicking() {
            self.note_failure();
        }
    }
}
