//! What the daemons and Docker hold at a moment, and what of it may have grown.

use std::path::PathBuf;

use anyhow::{Context, Result};
use berth_integration_tests::docker::Stock;
use berth_integration_tests::process::{Holding, resident_kib};
use berth_integration_tests::{Cluster, files};

use crate::{CLUSTER, at};

/// What the agent's memory may grow by from a quarter of the crash loop to its end: it holds the tasks of the moment,
/// whose number is bounded, and a page or two of the allocator's.
const AGENT_GROWTH_KIB: u64 = 1536;
/// The scheduler remembers an ended task for an hour, as ECS does.
const SCHEDULER_TASK_KIB: u64 = 16;
/// The agent's state: one file a task, all gone at the end, and a list of used images.
const STATE_GROWTH_KIB: u64 = 16;
/// Docker's own databases grow in steps of this order.
const DOCKER_GROWTH_KIB: u64 = 8 * 1024;
/// Calls to Docker that may be on their way at the moment of the look: a list, a ping.
const CALLS_UNDERWAY: u64 = 2;
/// Containers that are being made or removed at the moment of the look.
const UNDERWAY: usize = 20;

/// The processes and directories that are looked at.
#[derive(Debug)]
pub(crate) struct Subject {
    agent: u32,
    scheduler: u32,
    state: PathBuf,
    docker: PathBuf,
}

impl Subject {
    /// Those of the cluster's one host.
    ///
    /// # Errors
    ///
    /// If a daemon does not run.
    pub(crate) fn of(cluster: &mut Cluster) -> Result<Self> {
        let agent = cluster.agents.first_mut().context("no agent")?.daemon().pid()?;
        let scheduler = cluster.scheduler.daemon().pid()?;
        let host = cluster.bed().host("a")?;
        Ok(Self {
            agent,
            scheduler,
            state: host.state_dir(CLUSTER),
            docker: host.docker_dir(),
        })
    }
}

/// What is held at one moment.
#[derive(Debug)]
pub(crate) struct Footprint {
    agent: Holding,
    scheduler_kib: u64,
    state_kib: u64,
    docker_kib: u64,
    stock: Stock,
}

/// Footprints in the order in which they were taken, each with its moment.
#[derive(Debug, Default)]
pub(crate) struct Footprints {
    taken: Vec<(String, Footprint)>,
}

impl Footprints {
    /// Takes one.
    ///
    /// # Errors
    ///
    /// If a process or the engine cannot be looked at.
    pub(crate) fn take(&mut self, moment: &str, subject: &Subject, cluster: &Cluster) -> Result<()> {
        let footprint = Footprint {
            agent: Holding::of(subject.agent)?,
            scheduler_kib: resident_kib(subject.scheduler)?,
            state_kib: files::disk_kib(&subject.state)?,
            docker_kib: files::disk_kib(&subject.docker)?,
            stock: cluster.bed().host("a")?.engine().stock()?,
        };
        eprintln!("  {moment}: {}; {}", footprint.agent, footprint.stock);
        self.taken.push((moment.to_owned(), footprint));
        Ok(())
    }

    /// Prints all as a table.
    pub(crate) fn print(&self) {
        println!(
            "| moment | agent, KiB | its files | its threads | scheduler, KiB | agent's state, KiB | Docker's root, KiB \
             | containers | images | volumes | networks |"
        );
        println!("| --- |{}", " ---: |".repeat(10));
        for (moment, at) in &self.taken {
            let Stock {
                containers,
                images,
                volumes,
                networks,
            } = at.stock;
            println!(
                "| {moment} | {} | {} | {} | {} | {} | {} | {containers} | {images} | {volumes} | {networks} |",
                at.agent.resident_kib, at.agent.files, at.agent.threads, at.scheduler_kib, at.state_kib, at.docker_kib,
            );
        }
    }

    /// What is not flat, given how many containers there may be and how many tasks ended.
    pub(crate) fn problems(&self, containers: usize, tasks: usize) -> Vec<String> {
        let mut problems = Vec::new();
        for (moment, footprint) in &self.taken {
            if footprint.stock.containers > containers + UNDERWAY {
                problems.push(format!("{} containers {moment}", footprint.stock.containers));
            }
        }
        let mut compare = |what: &str, from: &str, to: &str, figure: fn(&Footprint) -> u64, growth: u64| {
            let (Some(from_figure), Some(to_figure)) = (at(&self.taken, from), at(&self.taken, to)) else {
                problems.push(format!("no figures of {from} and {to}"));
                return;
            };
            let (before, after) = (figure(from_figure), figure(to_figure));
            if after > before + growth {
                problems.push(format!(
                    "{what} grew from {before} ({from}) to {after} ({to}); allowed: {growth}"
                ));
            }
        };
        let ended = u64::try_from(tasks).unwrap_or(u64::MAX);
        let remembered = ended.saturating_mul(SCHEDULER_TASK_KIB);
        let files: fn(&Footprint) -> u64 = |footprint| u64::try_from(footprint.agent.files).unwrap_or(u64::MAX);
        let threads: fn(&Footprint) -> u64 = |footprint| u64::try_from(footprint.agent.threads).unwrap_or(u64::MAX);
        // The runtime keeps threads that it had use for, and lets them go one by one: an idle agent has fewer than one
        // that just worked.
        let agent: fn(&Footprint) -> u64 = |footprint| footprint.agent.resident_kib;
        compare("the agent's memory", "at 25 %", "at 100 %", agent, AGENT_GROWTH_KIB);
        compare("the agent's open files", "begin", "end", files, CALLS_UNDERWAY);
        compare("the agent's threads", "after 200 tasks", "end", threads, 0);
        compare(
            "the scheduler's memory",
            "begin",
            "end",
            |f| f.scheduler_kib,
            remembered,
        );
        compare("the agent's state", "begin", "end", |f| f.state_kib, STATE_GROWTH_KIB);
        compare("Docker's root", "begin", "end", |f| f.docker_kib, DOCKER_GROWTH_KIB);
        problems
    }
}
