//! A disk that fills up.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::command::run;
use berth_integration_tests::images::pullable;
use berth_integration_tests::registry::Registry;
use berth_integration_tests::{Seen, TestBed, wait_until};
use serde_json::{Value, json};

use super::{Hosts, brief};

const HOST: &str = "small";
const MIB: usize = 1 << 20;
/// All of Docker's disk, in MiB.
const DISK: u64 = 200;
/// Its files and directories, at most.
const INODES: u64 = 20_000;
/// Bytes of each image that no other image has.
const IMAGE: usize = 30 * MIB;
const DEADLINE: Duration = Duration::from_secs(60);

/// Gives a host's engine a small disk.
pub(super) fn make_small(bed: &TestBed) -> Result<()> {
    let engine = bed.host(HOST)?.engine();
    engine.daemon().terminate(DEADLINE)?;
    let root = root(bed);
    let mut mount = Command::new("mount");
    mount
        .args([
            "-t",
            "tmpfs",
            "-o",
            &format!("size={DISK}m,nr_inodes={INODES}"),
            "tmpfs",
        ])
        .arg(&root);
    run(&mut mount, DEADLINE)?;
    engine.start_again()?;
    engine.load_images()
}

fn root(bed: &TestBed) -> PathBuf {
    bed.data_dir(HOST).join("docker")
}

/// Fills the disk up to a percentage, with a file that is nobody's.
fn fill_to(bed: &TestBed, percent: u64) -> Result<()> {
    let path = root(bed).join("ballast");
    let ballast = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .context("open the ballast")?;
    let before = ballast.metadata()?.len();
    let seen = rustix::fs::statvfs(root(bed))?;
    let used = (seen.f_blocks - seen.f_bfree) * seen.f_frsize;
    let wanted = seen.f_blocks * seen.f_frsize * percent / 100;
    let length = (before + wanted)
        .checked_sub(used)
        .context("the disk is fuller than that")?;
    if length <= before {
        return ballast.set_len(length).context("cut the ballast");
    }
    rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), before, length - before)?;
    Ok(())
}

pub(super) fn a_full_disk_is_cleaned_then_refuses_tasks_and_recovers(hosts: &Hosts) -> Result<()> {
    let registry = Registry::start(hosts.bed.host(HOST)?, None)?;
    let engine = hosts.bed.host(HOST)?.engine();
    let mut images = Vec::new();
    for name in ["kept", "first", "second"] {
        let image = pullable(&format!("disk-{name}"), IMAGE)?;
        registry.put(&format!("{name}:1"), &image);
        images.push(image);
    }
    let [kept, first, second] = images.as_slice() else {
        unreachable!()
    };
    hosts.running(HOST, "kept", &registry.name("kept:1"))?;
    for name in ["first", "second"] {
        hosts.ended(HOST, name, &brief("main", &registry.name(&format!("{name}:1"))))?;
    }
    let has = |image: &str| Ok::<_, anyhow::Error>(engine.image(image)?.is_some());

    // One image is enough to get from here to below the low watermark.
    fill_to(&hosts.bed, 81)?;
    wait_until("the image used longest ago is gone", SOON, || {
        Ok(Seen::when(!has(&first.id)?, || "it is there".to_owned()))
    })?;
    ensure!(has(&second.id)?, "more went than had to");
    ensure!(has(&kept.id)?, "an image in use is gone");

    // An image is gone before its layers are, which make room for a while yet.
    wait_until("the other unused image is gone too", SOON, || {
        fill_to(&hosts.bed, 93)?;
        Ok(Seen::when(!has(&second.id)?, || "it is there".to_owned()))
    })?;
    wait_until("the agent says that its disk is full", SOON, || {
        fill_to(&hosts.bed, 93)?;
        let health = health(hosts)?;
        Ok(Seen::when(health["overallStatus"] == "IMPAIRED", || health.to_string()))
    })?;
    // What tasks leave behind is cleaned away, which makes room again.
    let task = wait_refused(hosts, "refused", || fill_to(&hosts.bed, 93))?;
    let reason = task["stoppedReason"].as_str().unwrap_or_default();
    ensure!(
        reason.starts_with("ResourceInitializationError: the disk of '") && reason.contains(" % full"),
        "{task}"
    );
    ensure!(has(&kept.id)? && has("busybox")?, "an image went that had to stay");

    fill_to(&hosts.bed, 60)?;
    wait_until("the agent says that its disk has room", SOON, || {
        let health = health(hosts)?;
        Ok(Seen::when(health["overallStatus"] == "OK", || health.to_string()))
    })?;
    let task = hosts.ended(HOST, "again", &brief("main", &registry.name("first:1")))?;
    ensure!(task["containers"][0]["exitCode"] == 0, "{task}");
    out_of_inodes(hosts)
}

/// Runs tasks until one cannot start. The agent looks at its disk now and then: that it was full a moment ago, before an
/// image was removed, says nothing of the next task.
fn wait_refused(hosts: &Hosts, family: &str, keep_full: impl Fn() -> Result<()>) -> Result<Value> {
    wait_until("a task is refused for the disk", SOON, || {
        keep_full()?;
        let task = hosts.ended(HOST, family, &brief("main", "busybox"))?;
        Ok(if task["stopCode"] == "TaskFailedToStart" {
            Seen::Done(task)
        } else {
            Seen::NotYet(task.to_string())
        })
    })
}

/// Many small files fill a disk as well, with bytes to spare.
fn out_of_inodes(hosts: &Hosts) -> Result<()> {
    let directory = root(&hosts.bed).join("crumbs");
    fs::create_dir(&directory)?;
    let seen = rustix::fs::statvfs(&directory)?;
    let used = seen.f_files - seen.f_ffree;
    for number in 0..(INODES * 93 / 100).saturating_sub(used) {
        File::create(directory.join(number.to_string()))?;
    }
    wait_until("the agent says that there are too many files", SOON, || {
        let health = health(hosts)?;
        Ok(Seen::when(health["overallStatus"] == "IMPAIRED", || health.to_string()))
    })?;
    let task = wait_refused(hosts, "crumbs", || Ok(()))?;
    let reason = task["stoppedReason"].as_str().unwrap_or_default();
    ensure!(reason.contains("the inodes of the disk of '"), "{task}");
    fs::remove_dir_all(&directory)?;
    wait_until("the agent says that its disk has room again", SOON, || {
        let health = health(hosts)?;
        Ok(Seen::when(health["overallStatus"] == "OK", || health.to_string()))
    })
}

fn health(hosts: &Hosts) -> Result<Value> {
    let instance = hosts.cluster.instance_of(HOST)?;
    let input = json!({
        "cluster": hosts.cluster.name(),
        "containerInstances": [instance["containerInstanceArn"]],
        "include": ["CONTAINER_INSTANCE_HEALTH"],
    });
    let described = hosts.cluster.ecs().call("DescribeContainerInstances", &input)?;
    Ok(described["containerInstances"][0]["healthStatus"].clone())
}
