//! The figures of one container.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::docker::Container;
use berth_integration_tests::{Seen, http, wait_until};
use berth_proto::v1::{ContainerUsage, Used};
use serde_json::{Value, json};

use super::{OneHost, count, definition, shell};

const MIB: u64 = 1 << 20;

fn used(container: &ContainerUsage) -> Used {
    container.used.unwrap_or_default()
}

pub(super) fn a_busy_loop_uses_the_cpu_units_of_its_quota(bed: &OneHost) -> Result<()> {
    let mut busy = shell("busy", "while :; do :; done");
    busy["cpu"] = 512.into();
    let arn = bed.running(&definition("busy", json!([busy])))?;
    let id = bed.container(&arn, "busy")?.id().to_owned();
    // A quarter of a core, whatever else the machine does.
    let quota = json!({"CpuPeriod": 100_000, "CpuQuota": 25_000});
    bed.host().engine().update(&id, &quota)?;
    bed.wait_usage(&arn, "busy", "it uses 256 units", |usage| {
        let units = used(usage).cpu_units.unwrap_or_default();
        let percent = usage.utilization.and_then(|it| it.cpu).unwrap_or_default();
        (225.0..290.0).contains(&units) && (44.0..57.0).contains(&percent)
    })?;
    let (before, ours, after) = bed.between(&id, || bed.usage_of_container(&arn, "busy"))?;
    let total = |stats: &Value| count(stats, &["cpu_stats", "cpu_usage", "total_usage"]);
    let (before, after) = (total(&before)?, total(&after)?);
    // Ours may be a second older than Docker's first.
    ensure!(
        (before.saturating_sub(2_000_000_000)..=after).contains(&ours.cpu_ns),
        "{} is not between {before} and {after}",
        ours.cpu_ns
    );
    bed.stop(&arn)
}

pub(super) fn a_container_in_its_tasks_group_has_its_tasks_limits(bed: &OneHost) -> Result<()> {
    let busy = json!({
        "name": "busy", "image": "busybox", "stopTimeout": 1,
        "entryPoint": ["sh", "-c"], "command": ["while :; do :; done"],
    });
    let mut definition = definition("limited", json!([busy]));
    definition["cpu"] = "256".into();
    definition["memory"] = "48".into();
    let arn = bed.running(&definition)?;
    bed.wait_usage(&arn, "busy", "it uses its task's 256 units", |usage| {
        let units = used(usage).cpu_units.unwrap_or_default();
        (225.0..290.0).contains(&units) && usage.memory_limit_bytes == Some(48 * MIB)
    })?;
    bed.stop(&arn)
}

/// What the Docker CLI shows as memory usage.
fn shown_by_docker(stats: &Value) -> Result<u64> {
    let usage = count(stats, &["memory_stats", "usage"])?;
    let cache = count(stats, &["memory_stats", "stats", "total_inactive_file"])
        .or_else(|_| count(stats, &["memory_stats", "stats", "inactive_file"]))?;
    Ok(usage - cache)
}

fn check_memory(bed: &OneHost, arn: &str, name: &str, at_least: u64) -> Result<()> {
    let id = bed.container(arn, name)?.id().to_owned();
    let what = format!("{at_least} bytes or a little more are used, as Docker says");
    wait_until(&what, SOON, || {
        let docker = shown_by_docker(&bed.host().engine().stats(&id)?)?;
        let ours = bed.usage_of_container(arn, name)?;
        let memory = used(&ours).memory_bytes;
        let limit = ours.memory_limit_bytes;
        let percent = ours.utilization.and_then(|it| it.memory).unwrap_or_default();
        let fits = memory.abs_diff(docker) < MIB / 4
            && (at_least..at_least + 6 * MIB).contains(&memory)
            && limit == Some(64 * MIB)
            && (percent - 100.0 * memory as f64 / (64 * MIB) as f64).abs() < 0.1;
        Ok(Seen::when(fits, || format!("Docker {docker}, ours {ours:?}")))
    })
}

pub(super) fn memory_is_what_docker_stats_shows(bed: &OneHost) -> Result<()> {
    let script = "dd if=/dev/zero of=/dev/shm/held bs=1M count=32 2> /dev/null; exec sleep 600";
    let arn = bed.running(&definition("memory", json!([shell("holder", script)])))?;
    check_memory(bed, &arn, "holder", 32 * MIB)?;
    bed.stop(&arn)
}

pub(super) fn page_cache_that_would_be_given_up_is_no_working_set(bed: &OneHost) -> Result<()> {
    let script = "dd if=/dev/zero of=/written bs=1M count=24 conv=fsync 2> /dev/null; exec sleep 600";
    let arn = bed.running(&definition("cache", json!([shell("writer", script)])))?;
    let id = bed.container(&arn, "writer")?.id().to_owned();
    wait_until("the cache is charged", SOON, || {
        let usage = count(&bed.host().engine().stats(&id)?, &["memory_stats", "usage"])?;
        Ok(Seen::when(usage > 24 * MIB, || format!("{usage}")))
    })?;
    check_memory(bed, &arn, "writer", 0)?;
    bed.stop(&arn)
}

pub(super) fn network_counters_are_dockers(bed: &OneHost) -> Result<()> {
    let script = "dd if=/dev/zero of=/var/www/big bs=1M count=2 2> /dev/null; exec httpd -f -p 80 -h /var/www";
    let mut web = shell("web", script);
    web["image"] = "my-demo".into();
    web["portMappings"] = json!([{"containerPort": 80, "hostPort": 8090}]);
    let arn = bed.running(&definition("network", json!([web])))?;
    let address = (bed.host().address(), 8090).into();
    wait_until("the page is served", SOON, || {
        let page = http::tcp(address, &http::request("GET", "/big", &[], &[]))?;
        let length = u64::try_from(page.body.len())?;
        Ok(Seen::when(length == 2 * MIB, || format!("{length} bytes")))
    })?;
    bed.wait_usage(&arn, "web", "the page is counted", |usage| {
        used(usage).network_sent_bytes > 2 * MIB
    })?;
    let id = bed.container(&arn, "web")?.id().to_owned();
    // Nobody talks to it any more but the bridge, now and then: there is a moment when all say the same.
    wait_until("our counters are Docker's", SOON, || {
        let (before, ours, after) = bed.between(&id, || Ok(used(&bed.usage_of_container(&arn, "web")?)))?;
        for (counter, ours) in [
            ("rx_bytes", ours.network_received_bytes),
            ("tx_bytes", ours.network_sent_bytes),
            ("rx_packets", ours.network_received_packets),
            ("tx_packets", ours.network_sent_packets),
        ] {
            let docker = |stats: &Value| count(stats, &["networks", "eth0", counter]);
            let (before, after) = (docker(&before)?, docker(&after)?);
            if !(before.saturating_sub(1024)..=after).contains(&ours) {
                return Ok(Seen::NotYet(format!(
                    "{counter}: {ours} is not between {before} and {after}"
                )));
            }
        }
        Ok(Seen::Done(()))
    })?;
    bed.stop(&arn)
}

/// The directory of one of a container's groups, as the kernel tells it.
fn group(container: &Container, controller: &str) -> Result<String> {
    let pid = &container.inspect["State"]["Pid"];
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).context("its groups")?;
    let end = format!(":{controller}:");
    let path = groups
        .lines()
        .find_map(|line| line.split_once(&end).map(|(_, path)| path))
        .with_context(|| format!("no {controller} in {groups}"))?;
    Ok(format!("/sys/fs/cgroup/{controller}{path}"))
}

pub(super) fn block_counters_are_dockers(bed: &OneHost) -> Result<()> {
    let script = "until [ -e /go ]; do sleep 0.1; done
        dd if=/dev/zero of=/block bs=1M count=4 oflag=direct
        dd if=/block of=/dev/null bs=1M count=3 iflag=direct
        exec sleep 600";
    let arn = bed.running(&definition("block", json!([shell("disk", script)])))?;
    let container = bed.container(&arn, "disk")?;
    let root = format!("/proc/{}/root", container.inspect["State"]["Pid"]);
    // Since Linux 6.10 v1 counts from a device's first limit on: this one hinders nobody.
    let device = std::fs::metadata(bed.host().data_dir()).context("the disk")?.dev();
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    let limit = format!("{}:{} 1000000000000", device.0, device.1);
    let file = format!("{}/blkio.throttle.write_bps_device", group(&container, "blkio")?);
    std::fs::write(&file, limit).with_context(|| file.clone())?;
    std::fs::write(format!("{root}/go"), "").context("let it go")?;
    bed.wait_usage(&arn, "disk", "what was written and read is counted", |usage| {
        let used = used(usage);
        used.block_written_bytes >= 4 * MIB && used.block_read_bytes >= 3 * MIB
    })?;
    wait_until("our counters are Docker's", SOON, || {
        let (_, ours, after) = bed.between(container.id(), || Ok(used(&bed.usage_of_container(&arn, "disk")?)))?;
        let docker = |operation: &str| -> u64 {
            let entries = after["blkio_stats"]["io_service_bytes_recursive"].as_array();
            let of = entries.into_iter().flatten().filter(|entry| entry["op"] == operation);
            of.filter_map(|entry| entry["value"].as_u64()).sum()
        };
        let ours = (ours.block_read_bytes, ours.block_written_bytes);
        let docker = (docker("Read"), docker("Write"));
        Ok(Seen::when(ours == docker, || format!("{ours:?}, Docker {docker:?}")))
    })?;
    bed.stop(&arn)
}

pub(super) fn a_container_on_the_hosts_network_has_none_of_its_own(bed: &OneHost) -> Result<()> {
    let mut definition = definition("host-mode", json!([shell("app", "exec sleep 600")]));
    definition["networkMode"] = "host".into();
    let arn = bed.running(&definition)?;
    // The host's interfaces have seen more than this by now.
    bed.wait_usage(&arn, "app", "it is told without a network", |usage| {
        let used = used(usage);
        used.cpu_units.is_some() && used.network_received_bytes == 0 && used.pids == 2
    })?;
    bed.stop(&arn)
}

pub(super) fn a_network_that_containers_share_counts_once_in_the_tasks_sum(bed: &OneHost) -> Result<()> {
    let containers = json!([shell("a", "exec sleep 600"), shell("b", "exec sleep 600")]);
    let mut definition = definition("shared", containers);
    definition["networkMode"] = "awsvpc".into();
    let registered = bed.cluster.register(&definition)?;
    let network = json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}});
    let arns = bed.cluster.run(&registered, 1, &network)?;
    bed.cluster.wait_running(&arns)?;
    let [arn] = arns.as_slice() else {
        anyhow::bail!("{arns:?}")
    };
    wait_until("both are told with the one network", SOON, || {
        let usage = bed.usage_of(arn)?;
        let of_containers: Vec<u64> = usage
            .containers
            .iter()
            .map(|container| used(container).network_received_bytes)
            .collect();
        let of_task = usage.tasks.first().and_then(|task| task.used);
        let of_task = of_task.unwrap_or_default().network_received_bytes;
        let same = of_containers.len() == 2 && of_containers.iter().all(|bytes| bytes.abs_diff(of_task) < 200);
        Ok(Seen::when(same && of_task > 0, || format!("{usage:?}")))
    })?;
    bed.stop(arn)
}

pub(super) fn a_stopped_container_disappears(bed: &OneHost) -> Result<()> {
    let mut brief = shell("brief", "trap exit TERM; sleep 600 & wait");
    brief["essential"] = false.into();
    let arn = bed.running(&definition("stopped", json!([shell("stays", "exec sleep 600"), brief])))?;
    let told = |names: &[&str]| {
        wait_until(&format!("{names:?} are told"), SOON, || {
            let usage = bed.usage_of(&arn)?;
            let mut told: Vec<&str> = usage.containers.iter().map(|it| it.name.as_str()).collect();
            told.sort_unstable();
            Ok(Seen::when(told == names, || format!("{usage:?}")))
        })
    };
    told(&["brief", "stays"])?;
    let brief = bed.container(&arn, "brief")?;
    bed.host().engine().signal(brief.id(), "SIGTERM")?;
    told(&["stays"])?;
    bed.stop(&arn)
}
