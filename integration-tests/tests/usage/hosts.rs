//! The figures of a host.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::{Seen, command, wait_until};
use berth_proto::v1::{DescribeUsageRequest, InstanceUsage};
use serde_json::json;

use super::{OneHost, definition, shell};

impl OneHost {
    fn instance(&self) -> Result<InstanceUsage> {
        let usage = self.usage(DescribeUsageRequest::default())?;
        usage.instances.first().cloned().context("no instance tells")
    }

    /// The local ports in what `ss` prints.
    fn ss(&self, options: &str) -> Result<BTreeSet<u32>> {
        let namespace = self.host().link().namespace();
        let printed = command::run(
            Command::new("ip").args(["netns", "exec", namespace, "ss", "-Hn", options]),
            SOON,
        )?;
        printed
            .lines()
            .map(|line| {
                let local = line.split_ascii_whitespace().nth(3);
                let port = local.and_then(|local| local.rsplit_once(':')).map(|(_, port)| port);
                port.with_context(|| line.to_owned())?
                    .parse()
                    .with_context(|| line.to_owned())
            })
            .collect()
    }
}

pub(super) fn ports_are_those_that_ss_lists(bed: &OneHost) -> Result<()> {
    let mut web = shell("web", "exec sleep 600");
    web["portMappings"] = json!([
        {"containerPort": 80, "hostPort": 8091},
        {"containerPort": 53, "hostPort": 8092, "protocol": "udp"},
    ]);
    let arn = bed.running(&definition("ports", json!([web])))?;
    wait_until("the ports are those of ss, with the task's", SOON, || {
        let (tcp, udp) = (bed.ss("-lt")?, bed.ss("-lu")?);
        let told = bed.instance()?;
        let fits = told.tcp_ports.iter().eq(&tcp)
            && told.udp_ports.iter().eq(&udp)
            && tcp.contains(&8091)
            && udp.contains(&8092);
        Ok(Seen::when(fits, || format!("ss {tcp:?} {udp:?}, told {told:?}")))
    })?;
    bed.stop(&arn)
}

pub(super) fn the_hosts_figures_are_the_kernels(bed: &OneHost) -> Result<()> {
    wait_until("a second sample tells the CPU", SOON, || {
        let host = bed.instance()?.host.unwrap_or_default();
        Ok(Seen::when(host.cpu_units > 0, || format!("{host:?}")))
    })?;
    let told = bed.instance()?;
    let host = told.host.context("no host")?;
    let cores = u32::try_from(std::thread::available_parallelism()?.get())?;
    ensure!(host.cores >= cores && host.cpu_units <= host.cores * 1024, "{host:?}");
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total: u64 = total
        .and_then(|total| total.trim().strip_suffix(" kB"))
        .context("no MemTotal")?
        .parse()?;
    assert_eq!(host.memory_total_bytes, total * 1024);
    assert_eq!(
        host.memory_used_bytes,
        host.memory_total_bytes - host.memory_available_bytes
    );
    let disk = rustix::fs::statvfs(bed.host().data_dir())?;
    assert_eq!(host.disk_total_bytes, disk.f_blocks * disk.f_frsize);
    ensure!(host.disk_available_bytes < host.disk_total_bytes, "{host:?}");
    ensure!(host.load_1_minute > 0.0 && host.load_15_minutes > 0.0, "{host:?}");
    ensure!(told.interval_ms == 1000 && told.age_ms < 60_000, "{told:?}");
    Ok(())
}
