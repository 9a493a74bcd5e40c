//! What DescribeUsage makes of the figures, and `berth top` of that.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::{Seen, binaries, command, wait_until};
use berth_proto::v1::{Amount, DescribeUsageRequest};
use serde_json::{Value, json};

use super::{OneHost, definition, shell};

pub(super) fn a_task_is_the_sum_of_its_containers_and_related_to_what_it_reserves(bed: &OneHost) -> Result<()> {
    let mut reserving = shell("reserving", "exec sleep 600");
    reserving["memoryReservation"] = 32.into();
    let containers = json!([shell("plain", "exec sleep 600"), reserving]);
    let registered = bed.cluster.register(&definition("sums", containers))?;
    let arns = bed.cluster.run(&registered, 2, &json!({"group": "service:sums"}))?;
    bed.cluster.wait_running(&arns)?;
    let request = || DescribeUsageRequest {
        group: Some("service:sums".to_owned()),
        include: ["TASKS", "CONTAINERS", "GROUPS"].map(str::to_owned).to_vec(),
        sort_by: Some("MEMORY".to_owned()),
        ..DescribeUsageRequest::default()
    };
    let usage = wait_until("both tasks are told with their CPU", SOON, || {
        let usage = bed.usage(request())?;
        let told = usage
            .containers
            .iter()
            .filter(|it| it.used.is_some_and(|used| used.cpu_units.is_some()));
        Ok(if told.count() == 4 {
            Seen::Done(usage)
        } else {
            Seen::NotYet(format!("{usage:?}"))
        })
    })?;
    let amount = |cpu_units, memory_mib| Some(Amount { cpu_units, memory_mib });
    for task in &usage.tasks {
        ensure!(arns.contains(&task.task_arn), "{task:?}");
        assert_eq!((task.reserved, task.containers), (amount(256, 96), 2));
        let own = usage.containers.iter().filter(|it| it.task_arn == task.task_arn);
        let sum: u64 = own.map(|it| it.used.unwrap_or_default().memory_bytes).sum();
        let used = task.used.context("nothing used")?;
        assert_eq!(used.memory_bytes, sum);
        let percent = task.utilization.and_then(|it| it.memory).context("no percentage")?;
        ensure!(
            (percent - 100.0 * sum as f64 / f64::from(96 << 20)).abs() < 0.001,
            "{task:?}"
        );
    }
    let reserving = usage.containers.iter().find(|it| it.name == "reserving");
    assert_eq!(reserving.and_then(|it| it.reserved), amount(128, 32));
    let [group] = usage.groups.as_slice() else {
        anyhow::bail!("{:?}", usage.groups)
    };
    assert_eq!((group.group.as_str(), group.tasks), ("service:sums", 2));
    assert_eq!(group.reserved, amount(512, 192));
    let sum: u64 = usage
        .tasks
        .iter()
        .map(|it| it.used.unwrap_or_default().memory_bytes)
        .sum();
    assert_eq!(group.used.map(|it| it.memory_bytes), Some(sum));
    let memory = |at: usize| usage.containers[at].used.unwrap_or_default().memory_bytes;
    ensure!((1..4).all(|at| memory(at - 1) >= memory(at)), "not sorted: {usage:?}");
    let cluster = usage.cluster.context("no cluster")?;
    ensure!(cluster.instances == 1 && cluster.telling == 1, "{cluster:?}");
    let reserved = cluster.reserved.unwrap_or_default();
    let registered = cluster.registered.unwrap_or_default();
    let percent = 100.0 * reserved.cpu_units as f64 / registered.cpu_units as f64;
    assert_eq!(cluster.reservation.and_then(|it| it.cpu), Some(percent));

    let cut = bed.usage(DescribeUsageRequest {
        max_results: Some(1),
        ..request()
    })?;
    // Three of the four containers, and one of the two tasks.
    assert_eq!((cut.containers.len(), cut.tasks.len(), cut.left_out), (1, 1, 4));
    bed.cluster.stop(&arns)?;
    bed.cluster.wait_stopped(&arns)?;
    wait_until("nothing is told of them any more", SOON, || {
        let usage = bed.usage(request())?;
        let gone = usage.tasks.is_empty() && usage.containers.is_empty() && usage.groups.is_empty();
        Ok(Seen::when(gone, || format!("{usage:?}")))
    })
}

pub(super) fn what_is_named_and_not_there_is_told(bed: &OneHost) -> Result<()> {
    let arn = bed
        .cluster
        .run_one(&definition("ended", json!([shell("ended", "exit 0")])))?;
    bed.cluster.wait_stopped(std::slice::from_ref(&arn))?;
    let nobody = "0123456789abcdef0123456789abcdef";
    wait_until(
        "an ended task has no usage, and one that is none is missing",
        SOON,
        || {
            let usage = bed.usage(DescribeUsageRequest {
                tasks: vec![arn.clone(), nobody.to_owned()],
                include: vec!["TASKS".to_owned()],
                ..DescribeUsageRequest::default()
            })?;
            let mut reasons: Vec<&str> = usage.failures.iter().map(|failure| failure.reason()).collect();
            reasons.sort_unstable();
            Ok(Seen::when(reasons == ["MISSING", "NO_USAGE"], || format!("{usage:?}")))
        },
    )?;
    let missing = bed.usage(DescribeUsageRequest {
        container_instances: vec![nobody.to_owned()],
        ..DescribeUsageRequest::default()
    })?;
    assert_eq!(missing.failures[0].reason(), "MISSING");
    assert_eq!(missing.instances, []);
    Ok(())
}

pub(super) fn requests_that_make_no_sense_are_refused(bed: &OneHost) -> Result<()> {
    let refused = |request: DescribeUsageRequest, says: &str| -> Result<()> {
        let refusal = bed.ask(request)?.err().context("not refused")?;
        ensure!(refusal.contains(says), "{refusal}");
        Ok(())
    };
    let request = DescribeUsageRequest::default;
    let unknown = DescribeUsageRequest {
        include: vec!["DISKS".to_owned()],
        ..request()
    };
    refused(
        unknown,
        "include 'DISKS' should be one of [INSTANCES, TASKS, CONTAINERS, GROUPS]",
    )?;
    let order = DescribeUsageRequest {
        sort_by: Some("LOAD".to_owned()),
        ..request()
    };
    refused(order, "sortBy 'LOAD' should be one of [CPU, MEMORY]")?;
    let rows = DescribeUsageRequest {
        max_results: Some(0),
        ..request()
    };
    refused(rows, "maxResults must be between 1 and 1000")?;
    let names = DescribeUsageRequest {
        tasks: vec!["a".to_owned(); 101],
        ..request()
    };
    refused(names, "tasks has 101 entries, at most 100 are allowed")
}

pub(super) fn berth_top_shows_what_describe_usage_tells(bed: &OneHost) -> Result<()> {
    let arn = bed.running(&definition("top", json!([shell("shown", "exec sleep 600")])))?;
    bed.wait_usage(&arn, "shown", "its CPU is told", |usage| {
        usage.used.is_some_and(|used| used.cpu_units.is_some())
    })?;
    let berth = binaries::path("berth")?;
    let top = |arguments: &[&str]| {
        let mut top = Command::new(&berth);
        top.arg("top").args(arguments).args(["--cluster", bed.cluster.name()]);
        top.args(["--scheduler", &bed.cluster.scheduler.url()]);
        command::run(&mut top, Duration::from_secs(30))
    };
    let id = arn.rsplit('/').next().context("no id")?;
    let table = top(&["--containers", "--once"])?;
    let row = table.lines().find(|line| line.starts_with(&id[..12]));
    let cells: Vec<&str> = row.context(table.clone())?.split_ascii_whitespace().collect();
    assert_eq!((cells[1], cells[3]), ("shown", "64.0MiB"), "{table}");
    // Percentages of what it reserves.
    ensure!(cells[5].ends_with('%') && cells[7].ends_with('%'), "{table}");
    let tasks = top(&["--tasks", "--task", &arn, "--sort", "memory"])?;
    ensure!(tasks.lines().count() == 2 && tasks.contains("top:1"), "{tasks}");
    let groups = top(&["--groups", "--group", "family:top"])?;
    ensure!(groups.contains("family:top"), "{groups}");
    let instances: Value = serde_json::from_str(&top(&["--output", "json"])?)?;
    ensure!(
        instances["instances"][0]["host"]["cores"].as_u64() > Some(0),
        "{instances}"
    );
    bed.stop(&arn)
}
