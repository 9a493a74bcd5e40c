//! The thread that reads: the host, and every container that runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use berth_agent_core::usage::Mounts;
use berth_proto::agent::v1::Usage;
use tokio::sync::{mpsc, oneshot};

use super::latest::{Pair, Reading};
use super::reader::{Place, Reader};
use super::{Readings, Running, Start, report};
use crate::docker::Process;
use crate::host;

/// One sample is wanted.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) running: Vec<Running>,
    /// Processes of containers that were new.
    pub(super) processes: Vec<(Start, Process)>,
    pub(super) answer: oneshot::Sender<Sample>,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) readings: Readings,
    pub(super) usage: Usage,
    /// The containers whose places are known.
    pub(super) placed: Vec<Start>,
}

/// Reads, and keeps what the next sample needs.
#[derive(Debug)]
pub(super) struct Sampler {
    host: host::Sampler,
    interval: Duration,
    mounts: Option<Mounts>,
    reader: Reader,
    places: BTreeMap<Start, Place>,
    last: BTreeMap<Start, Arc<Reading>>,
}

impl Sampler {
    pub(super) fn new(disk: PathBuf, interval: Duration) -> Self {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = Mounts::parse(&mountinfo);
        if mounts.is_none() {
            tracing::warn!("no control groups are mounted; usage of containers is not known");
        }
        Self {
            host: host::Sampler::new(disk),
            interval,
            mounts,
            reader: Reader::default(),
            places: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// Takes samples until nobody orders any more.
    pub(super) fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.blocking_recv() {
            let sample = self.sample(order.running, order.processes);
            if order.answer.send(sample).is_err() {
                return;
            }
        }
    }

    fn sample(&mut self, running: Vec<Running>, processes: Vec<(Start, Process)>) -> Sample {
        for (start, process) in processes {
            self.place(start, process);
        }
        let cores = self.host.cores();
        let mut readings = BTreeMap::new();
        let mut containers = Vec::new();
        let (mut places, mut last) = (BTreeMap::new(), BTreeMap::new());
        for container in running {
            let start = container.start();
            let Some(place) = self.places.remove(&start) else {
                continue;
            };
            let figures = match self.reader.read(&place) {
                Ok(figures) => figures,
                Err(error) => {
                    tracing::debug!(container = container.runtime_id, %error, "the container's usage cannot be read");
                    continue;
                }
            };
            let newest = Arc::new(Reading {
                at: SystemTime::now(),
                taken: Instant::now(),
                host_cpu_ns: host_cpu_ns(cores),
                cores,
                figures,
            });
            let pair = Pair {
                previous: self.last.remove(&start),
                newest: Arc::clone(&newest),
            };
            let network = place.network(&container.runtime_id).map(str::to_owned);
            containers.push((container, pair.clone(), network));
            readings.insert(start.0.clone(), pair);
            last.insert(start.clone(), newest);
            places.insert(start, place);
        }
        // What was not read is not kept: it has ended, or will be looked up again.
        (self.places, self.last) = (places, last);
        let mut usage = self.host.sample();
        usage.interval_ms = u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX);
        report::add(&mut usage, &containers);
        Sample {
            readings: Arc::new(readings),
            usage,
            placed: self.places.keys().cloned().collect(),
        }
    }

    fn place(&mut self, start: Start, process: Process) {
        let Some(mounts) = &self.mounts else { return };
        let pid = process.pid;
        match Place::find(mounts, &start.0, process) {
            Ok(Some(place)) => {
                self.places.insert(start, place);
            }
            Ok(None) => {
                tracing::warn!(
                    container = start.0,
                    pid,
                    "the container's process is in no control group of its name; its usage is not known"
                );
            }
            Err(error) => {
                tracing::warn!(container = start.0, pid, %error, "the container's process cannot be seen; its usage is not known");
            }
        }
    }
}

/// Every core gives a nanosecond of time in each nanosecond, to somebody or to nobody.
fn host_cpu_ns(cores: u32) -> u64 {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let up = Duration::try_from(up).unwrap_or_default();
    u64::try_from(up.as_nanos())
        .unwrap_or(u64::MAX)
        .saturating_mul(u64::from(cores))
}
