//! Removes everything of one lane from the machine: processes, mounts, namespaces, links, cgroups, directories.
//! Each is found by the lane's own name, so that nothing else can be meant. Only [`super`] calls this.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::{remove_dir, run_dir, stem};
use crate::command::run;
use crate::daemon::is_gone;
use crate::files;
use crate::network::uplink;
use crate::wait::{Seen, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

pub(super) fn sweep(number: u8, data_dir: &Path) -> Result<()> {
    end_processes(number)?;
    unmount(number, data_dir)?;
    if links(number).next().is_some() {
        run(Command::new("ip").args(["link", "del", &uplink(number)]), DEADLINE)?;
    }
    for namespace in namespaces(number)? {
        run(Command::new("ip").args(["netns", "del", &namespace]), DEADLINE)?;
    }
    // The kernel lets go of a killed process's cgroup a moment after the process is gone.
    wait_until("the lane's cgroups are removed", DEADLINE, || {
        for cgroup in cgroups(number) {
            fs::remove_dir(&cgroup).with_context(|| format!("remove {}", cgroup.display()))?;
        }
        Ok(Seen::Done(()))
    })?;
    for socket in shim_sockets(number) {
        files::remove(&socket)?;
    }
    remove_dir(&run_dir(number))?;
    remove_dir(data_dir)
}

pub(super) fn leftovers(number: u8, data_dir: &Path) -> Result<Vec<String>> {
    let mut left = Vec::new();
    left.extend(
        processes(number)?
            .iter()
            .map(|p| format!("process {}", p.as_raw_nonzero())),
    );
    left.extend(mounts(number, data_dir)?.iter().map(|m| shown("mount", m)));
    left.extend(namespaces(number)?.iter().map(|name| format!("namespace {name}")));
    left.extend(links(number).map(|link| format!("link {link}")));
    left.extend(cgroups(number).iter().map(|c| shown("cgroup", c)));
    left.extend(shim_sockets(number).iter().map(|s| shown("socket", s)));
    left.extend(
        [run_dir(number), data_dir.to_path_buf()]
            .iter()
            .filter(|dir| dir.exists())
            .map(|dir| shown("directory", dir)),
    );
    Ok(left)
}

fn shown(kind: &str, path: &Path) -> String {
    format!("{kind} {}", path.display())
}

fn end_processes(number: u8) -> Result<()> {
    wait_until("the lane's processes are gone", DEADLINE, || {
        let left = processes(number)?;
        for pid in &left {
            // Gone between the listing and the kill is as good.
            kill_process(*pid, Signal::KILL).ok();
        }
        Ok(Seen::when(left.is_empty(), || format!("{left:?}")))
    })
}

/// All processes in the lane's network namespaces, and those in its containers.
fn processes(number: u8) -> Result<Vec<Pid>> {
    let mut found = String::new();
    for namespace in namespaces(number)? {
        found += &run(Command::new("ip").args(["netns", "pids", &namespace]), DEADLINE)?;
    }
    for cgroup in cgroups(number) {
        found += &fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    }
    let mut pids: Vec<i32> = found.lines().filter_map(|line| line.trim().parse().ok()).collect();
    pids.sort_unstable();
    pids.dedup();
    Ok(pids
        .into_iter()
        .filter_map(Pid::from_raw)
        .filter(|pid| !is_gone(*pid))
        .collect())
}

fn unmount(number: u8, data_dir: &Path) -> Result<()> {
    for mount in mounts(number, data_dir)? {
        run(Command::new("umount").arg("--lazy").arg(&mount), DEADLINE)?;
    }
    Ok(())
}

/// Mount points under the lane's directories, the innermost first.
fn mounts(number: u8, data_dir: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mounts").context("read the mounts")?;
    let mut mounts: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
        .filter(|point| point.starts_with(run_dir(number)) || (data_dir.is_absolute() && point.starts_with(data_dir)))
        .collect();
    mounts.reverse();
    Ok(mounts)
}

fn namespaces(number: u8) -> Result<Vec<String>> {
    let stem = stem(number);
    let entries = match fs::read_dir("/run/netns") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context("list the network namespaces")?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.context("list the network namespaces")?.file_name();
        let name = name.to_string_lossy();
        if name
            .strip_prefix(&stem)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        {
            names.push(name.into_owned());
        }
    }
    Ok(names)
}

/// The one link of the lane outside its namespaces.
fn links(number: u8) -> impl Iterator<Item = String> {
    let link = uplink(number);
    Path::new("/sys/class/net")
        .join(&link)
        .exists()
        .then_some(link)
        .into_iter()
}

/// The sockets of the containers' shims. They are not where the rest is: all containerds of a machine have them in one
/// directory, and only the file `address` of a container's bundle tells whose one is.
fn shim_sockets(number: u8) -> Vec<PathBuf> {
    let mut sockets = Vec::new();
    for host in dirs(&run_dir(number)) {
        let bundles = host.join("exec/containerd/daemon/io.containerd.runtime.v2.task/moby");
        for bundle in dirs(&bundles) {
            let address = fs::read_to_string(bundle.join("address")).unwrap_or_default();
            if let Some(socket) = address.trim().strip_prefix("unix://") {
                sockets.push(PathBuf::from(socket));
            }
        }
    }
    sockets.retain(|socket| socket.exists());
    sockets
}

/// The lane's cgroups in every hierarchy (version 1 has several), the innermost first.
fn cgroups(number: u8) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let mut roots = vec![root.join(stem(number))];
    roots.extend(dirs(root).iter().map(|hierarchy| hierarchy.join(stem(number))));
    let mut found = Vec::new();
    for root in roots.iter().filter(|root| root.is_dir()) {
        collect_dirs(root, &mut found);
    }
    found
}

fn collect_dirs(dir: &Path, found: &mut Vec<PathBuf>) {
    for child in dirs(dir) {
        collect_dirs(&child, found);
    }
    found.push(dir.to_path_buf());
}

/// The directories in a directory; one that is not there, or vanishes while it is read, has none.
fn dirs(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
