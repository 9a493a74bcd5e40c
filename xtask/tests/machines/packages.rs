//! Packages on a machine: install, settings, upgrade under a task, removal and purge.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xtask_machines::place::Place;
use xtask_machines::shell::{run, until};
use xtask_machines::system::debian;

use crate::machine::Machine;
use crate::made::{images, package, programs};

const SOON: Duration = Duration::from_secs(60);

pub(crate) fn check() -> Result<()> {
    let (old, new) = (package("0.1.0~old")?, package("0.1.0")?);
    let images = images()?;
    look_right(&new)?;
    let place = Place::make("installed", &programs()?)?;
    let machine = Machine::boot(&place, &debian()?, 1, |root| {
        for (from, version) in [(&old, "old"), (&new, "new"), (&images, "images")] {
            run(Command::new("cp")
                .arg("-R")
                .arg(from)
                .arg(root.join("root").join(version)))?;
        }
        Ok(())
    })?;
    install(&machine)?;
    let instance = configure(&machine, &place)?;
    images_run(&machine)?;
    upgrade(&machine, &place, &instance)?;
    log_has_fields(&machine, &instance)?;
    remove(&machine, &place)
}

/// What Debian's and RPM's own tools say of the files.
fn look_right(packages: &std::path::Path) -> Result<()> {
    let sh = |script: String| run(Command::new("sh").arg("-c").arg(script).current_dir(packages));
    sh("lintian --allow-root --fail-on error ./*.deb".to_owned())?;
    for name in ["berth", "berth-scheduler", "berth-agent", "berth-gateway"] {
        let files = sh(format!("rpm -qp --list {name}-0.1.0-1.*.rpm"))?;
        ensure!(files.contains(&format!("/usr/bin/{name}\n")), "{files}");
        ensure!(files.contains("/usr/share/man/man"), "{files}");
        ensure!(
            files.contains(&format!("/usr/share/bash-completion/completions/{name}\n")),
            "{files}"
        );
        let kept = sh(format!("rpm -qp --configfiles {name}-0.1.0-1.*.rpm"))?;
        ensure!(kept.contains("/etc/berth/") == (name != "berth"), "{name}: {kept}");
        sh(format!(
            "rpm -qp --queryformat '%{{POSTIN}}' {name}-0.1.0-1.*.rpm | sed 's/^(none)$//' | sh -n"
        ))?;
        sh(format!("rpm --checksig --nosignature {name}-0.1.0-1.*.rpm"))?;
    }
    Ok(())
}

/// What has no settings does not run, and has not failed.
fn install(machine: &Machine) -> Result<()> {
    machine.run("dpkg --install /root/old/*.deb")?;
    for (unit, state, enabled) in [
        ("berth-scheduler.service", "active", true),
        ("berth-gateway.service", "inactive", true),
        ("berth-agent.service", "inactive", true),
        ("berth-agent.path", "active", true),
        ("berth-agent-drain.service", "active", true),
    ] {
        let found = machine.property(unit, "ActiveState")?;
        ensure!(
            found == state,
            "{unit} is {found}: {}",
            machine.run(&format!("systemctl status {unit} || true"))?
        );
        let found = machine.property(unit, "UnitFileState")?;
        ensure!((found == "enabled") == enabled, "{unit} is {found}");
    }
    let modes = machine.run("stat --format '%a %U %G' /etc/berth/agent.toml /etc/berth/secrets")?;
    ensure!(modes == "640 root berth-agent\n750 root berth-agent\n", "{modes}");
    machine
        .run("berth --version && zcat /usr/share/man/man1/berth-run.1.gz | grep -q berth")
        .map(drop)
}

/// Settings that are written start the agent; the instance that it becomes.
fn configure(machine: &Machine, place: &Place) -> Result<String> {
    let settings = Place::toml(&place.token()?);
    machine.run(&format!("cat >> /etc/berth/agent.toml <<'END'\n{settings}END"))?;
    let instances = place.instances(1).with_context(|| log(machine))?;
    let user = machine.run("ps -o user= -p $(systemctl show --value -p MainPID berth-agent)")?;
    ensure!(
        user.trim() == "berth-a+" || user.trim() == "berth-agent",
        "the agent is {user}"
    );
    // What the agent may not do itself has been done: containers reach it.
    until("the endpoint answers", SOON, || {
        let table = machine.run("nft list table ip berth_agent")?;
        ensure!(table.matches("169.254.170.2:51679").count() == 2, "{table}");
        machine
            .run("ip address show dev lo | grep -q 169.254.170.2/32")
            .map(Some)
    })
    .with_context(|| log(machine))?;
    machine.load_sleeper()?;
    place.run_tasks(1).with_context(|| log(machine))?;
    ensure!(machine.sleepers()?.len() == 1, "{:?}", machine.sleepers());
    instances.into_iter().next().context("there is an instance")
}

/// Docker takes the images and starts what is in them.
fn images_run(machine: &Machine) -> Result<()> {
    for name in ["berth", "berth-scheduler", "berth-agent", "berth-gateway"] {
        machine.run(&format!("docker load --input /root/images/{name}_0.1.0_*.tar"))?;
        let said = machine.run(&format!("docker run --rm {name}:0.1.0 2>&1 || true"))?;
        ensure!(said.contains(&format!("{name}: applet not found")), "{said}");
        machine.run(&format!("docker image rm {name}:0.1.0"))?;
    }
    Ok(())
}

fn upgrade(machine: &Machine, place: &Place, instance: &str) -> Result<()> {
    let agent = machine.property("berth-agent.service", "MainPID")?;
    let sleepers = machine.sleepers()?;
    machine.run("dpkg --install /root/new/*.deb")?;
    let now = machine.property("berth-agent.service", "MainPID")?;
    ensure!(now != agent && now != "0", "the agent is {now}, it was {agent}");
    ensure!(
        machine.sleepers()? == sleepers,
        "{:?}, was {sleepers:?}",
        machine.sleepers()
    );
    let instances = place.instances(1).with_context(|| log(machine))?;
    ensure!(instances == [instance], "{instances:?}");
    let version = machine.run("dpkg-query --show --showformat '${Version}' berth-agent")?;
    ensure!(version == "0.1.0", "{version}");
    // What the administrator has written is as it was.
    machine.run("grep -q '^cluster = ' /etc/berth/agent.toml")?;
    machine.run("nft list table ip berth_agent").map(drop)
}

/// `journalctl` finds lines by what they are about.
fn log_has_fields(machine: &Machine, instance: &str) -> Result<()> {
    for filter in [
        format!("BERTH_INSTANCE={instance}"),
        "BERTH_CLUSTER=machines".to_owned(),
    ] {
        let lines = machine.run(&format!("journalctl --no-pager -o cat -u berth-agent {filter}"))?;
        ensure!(lines.contains("agent started"), "{filter}: {lines}");
    }
    Ok(())
}

fn remove(machine: &Machine, place: &Place) -> Result<()> {
    // A host whose agent goes is drained first, which waits for what runs.
    machine.end_sleepers()?;
    machine.run("dpkg --remove berth-agent")?;
    let left = machine.run("systemctl list-units --no-legend 'berth-agent*' || true")?;
    ensure!(!left.contains("running"), "{left}");
    machine.run("! nft list table ip berth_agent 2> /dev/null")?;
    machine.run("test -s /etc/berth/agent.toml && test -d /var/lib/berth-agent")?;
    until("the instance is gone", SOON, || place.instances(0).map(Some))?;
    machine.run("dpkg --purge berth-agent berth-gateway berth-scheduler berth")?;
    machine
        .run("! ls -d /etc/berth /var/lib/berth-* /var/lib/private/berth-* 2> /dev/null")
        .map(drop)
}

/// What the agent has said, for errors.
fn log(machine: &Machine) -> String {
    let said = machine.run("journalctl --no-pager -n 60 -u 'berth-*'; systemctl --failed --no-pager");
    said.unwrap_or_else(|error| format!("{error:#}"))
}
