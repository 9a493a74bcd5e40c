//! `berth doctor`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::Ending;
use crate::args::GlobalArgs;
use crate::dev::docker_socket;
use crate::doctor::gather::{self, HostPlaces};
use crate::doctor::{Report, cluster, host};
use crate::output::Output;
use crate::show::doctor as show;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth doctor                     this host, the scheduler and the cluster
  berth doctor host                on a Docker host
  berth doctor cluster --cluster prod --output json

Exit status: 0 nothing is wrong, though there may be warnings; 1 something is.")]
pub(crate) struct DoctorArgs {
    /// What to look at [default: both, the host only where an agent is installed on it]
    #[arg(value_name = "WHAT")]
    what: Option<What>,
    #[command(flatten)]
    pub(super) places: PlacesArgs,
}

/// Where to look on a host.
#[derive(Debug, Args)]
pub(super) struct PlacesArgs {
    /// Socket of the Docker daemon
    #[arg(long, value_name = "URL", default_value = "unix:///var/run/docker.sock", value_parser = docker_socket)]
    docker: PathBuf,
    /// Address at which the agent serves its figures and health
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:51680")]
    pub(super) agent: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// This machine: Docker, the agent, disks, the clock, units
    Host,
    /// The scheduler, and the instances, services and tasks of the cluster
    Cluster,
}

impl PlacesArgs {
    pub(super) fn places(&self) -> HostPlaces {
        HostPlaces {
            docker: self.docker.clone(),
            agent: self.agent.clone(),
        }
    }
}

pub(super) async fn run(args: DoctorArgs, global: &GlobalArgs, output: &mut Output) -> anyhow::Result<Ending> {
    let has_agent = || crate::dev::find_program("berth-agent").is_ok();
    let looks_at_host = args.what.map_or_else(has_agent, |what| what == What::Host);
    let mut findings = Vec::new();
    if looks_at_host {
        findings.extend(host::judge(&gather::host(&args.places.places()).await));
    }
    if args.what != Some(What::Host) {
        findings.extend(cluster::judge(&gather::cluster(global).await));
    }
    let report = Report::new(findings);
    output.answer(&report, show::report)?;
    Ok(if report.problems > 0 {
        Ending::Incomplete
    } else {
        Ending::Done
    })
}
