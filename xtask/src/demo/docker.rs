//! A Docker Engine for the demonstration: the one that answers, or one that it starts and later stops.
//!
//! An Engine that the demonstration starts itself keeps all it has under `target/demo`, sets up no firewall and
//! forwards nothing. What it leaves elsewhere is removed, if it was not there before.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::daemon::Daemon;
use super::engine;
use super::place::Place;
use crate::install::{find, is_root};
use crate::steps::{Steps, until};

const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Where its containers' sockets are: their paths must be short.
const EXEC_ROOT: &str = "/run/berth-demo";
/// Made by an Engine outside the directories it is given.
const SCATTERED: [&str; 6] = [
    "/etc/docker/key.json",
    "/etc/docker",
    "/opt/containerd",
    "/run/containerd",
    "/run/docker",
    "/sys/class/net/docker0",
];
const BRIDGE: &str = "docker0";

/// Makes sure that an Engine answers.
pub(super) fn start(place: &Place, steps: &Steps) -> anyhow::Result<()> {
    if engine::answers()? {
        steps.note(&format!("Docker {} answers already", engine::version()?));
        return Ok(());
    }
    if !is_root()? {
        bail!(
            "Docker does not answer at {} and only root may start it: start it (systemctl start docker) and try \
             again",
            engine::SOCKET
        );
    }
    let daemon = Daemon::named("dockerd", place);
    if Path::new("/run/systemd/system").exists() {
        fs::write(by_systemd(place), "")?;
        let mut systemctl = Command::new("systemctl");
        steps.run(systemctl.args(["start", "docker.service"]), START_WITHIN)?;
    } else {
        start_detached(&daemon, place)?;
    }
    let answers = || {
        if !by_systemd(place).exists() && !daemon.runs() {
            bail!(daemon.account("did not start"));
        }
        Ok(engine::answers()?.then_some(()))
    };
    if until(steps.deadline(START_WITHIN), answers)?.is_none() {
        if by_systemd(place).exists() {
            bail!("Docker does not answer; journalctl --unit docker.service tells why");
        }
        bail!(daemon.account("does not answer"));
    }
    steps.note(&format!(
        "Docker {} started; make demo-stop will stop it",
        engine::version()?
    ));
    Ok(())
}

fn start_detached(daemon: &Daemon, place: &Place) -> anyhow::Result<()> {
    let program = find("dockerd").context("there is no dockerd")?;
    // An Engine that died may have left things: only the first finding counts.
    if found_before(place).exists() {
        return launch(daemon, &program, place);
    }
    let before: Vec<&str> = SCATTERED.into_iter().filter(|path| Path::new(path).exists()).collect();
    fs::write(found_before(place), before.join("\n"))?;
    launch(daemon, &program, place)
}

fn launch(daemon: &Daemon, program: &Path, place: &Place) -> anyhow::Result<()> {
    // One that died takes its containerd along and leaves the pid files of both, beside which neither starts again.
    remove_tree(&place.path("dockerd.own.pid"))?;
    remove_tree(&Path::new(EXEC_ROOT).join("containerd/containerd.pid"))?;
    let path = |name| place.path(name).display().to_string();
    let arguments = [
        "--host",
        &format!("unix://{}", engine::SOCKET),
        "--data-root",
        &path("docker"),
        "--exec-root",
        EXEC_ROOT,
        "--pidfile",
        &path("dockerd.own.pid"),
        // Its proxy reaches the containers without.
        "--iptables=false",
        "--ip-forward=false",
    ];
    daemon.start(program, &arguments)
}

/// Starts the Engine of the demonstration again if it died: what it ran can be removed by it alone.
pub(super) fn revive(place: &Place) -> anyhow::Result<()> {
    if !found_before(place).exists() || engine::answers()? {
        return Ok(());
    }
    println!("Docker, which the demonstration started, has died: starting it once more, to clean up");
    let daemon = Daemon::named("dockerd", place);
    start_detached(&daemon, place)?;
    let answers = || Ok(engine::answers()?.then_some(()));
    until(Instant::now() + START_WITHIN, answers)?.with_context(|| daemon.account("does not answer"))
}

/// Stops the Engine if the demonstration started it, and removes what that one left.
pub(super) fn stop(place: &Place) -> anyhow::Result<()> {
    if by_systemd(place).exists() {
        println!("stopping Docker, which the demonstration started");
        let units = ["stop", "docker.service", "docker.socket"];
        let status = Command::new("systemctl").args(units).status()?;
        if !status.success() {
            bail!("systemctl stop docker.service ended with {status}");
        }
    }
    let daemon = Daemon::named("dockerd", place);
    if daemon.stop(STOP_WITHIN)? {
        println!("stopped Docker, which the demonstration started");
    }
    let Ok(before) = fs::read_to_string(found_before(place)) else {
        return Ok(());
    };
    for path in SCATTERED {
        if !before.lines().any(|line| line == path) {
            remove_scattered(path)?;
        }
    }
    unmount(&place.path("docker"))?;
    remove_tree(Path::new(EXEC_ROOT))
}

/// Undoes the mount of its own directory that an Engine leaves when it died once.
fn unmount(directory: &Path) -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot list the mounts")?;
    let name = directory.display().to_string();
    if !mounts.lines().any(|mount| mount.split(' ').nth(1) == Some(&name)) {
        return Ok(());
    }
    let status = Command::new("umount").arg(directory).status();
    let unmounted = status.is_ok_and(|status| status.success());
    ensure!(unmounted, "cannot unmount {name}");
    Ok(())
}

fn remove_scattered(path: &str) -> anyhow::Result<()> {
    match path {
        "/sys/class/net/docker0" if Path::new(path).exists() => {
            let status = Command::new("ip").args(["link", "delete", BRIDGE]).status();
            let deleted = status.is_ok_and(|status| status.success());
            ensure!(deleted, "cannot remove the network bridge {BRIDGE}");
            Ok(())
        }
        "/sys/class/net/docker0" => Ok(()),
        // May hold files of the administrator by now.
        "/etc/docker" => match fs::remove_dir(path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot remove {path}")),
        },
        _ => remove_tree(Path::new(path)),
    }
}

/// Removes a file or a directory with all that is in it; one that is gone is removed.
pub(super) fn remove_tree(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Exists where systemd was asked to start the Engine.
fn by_systemd(place: &Place) -> std::path::PathBuf {
    place.path("dockerd.systemd")
}

/// Lists what of `SCATTERED` was there before the Engine.
fn found_before(place: &Place) -> std::path::PathBuf {
    place.path("dockerd.before")
}
