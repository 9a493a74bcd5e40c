//! The image of a host: Debian with the scripts of `packaging/image`, and the machines that boot from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xtask_machines::place::Place;
use xtask_machines::shell::{run, until};
use xtask_machines::system::{debian, layer, unmount_below};
use xtask_machines::{machines, root};

use crate::machine::Machine;
use crate::made::{package, programs};

const SOON: Duration = Duration::from_secs(120);

/// Makes the image below `directory`, as Packer does on a machine; its root.
fn bake(directory: &Path) -> Result<PathBuf> {
    unmount_below(directory)?;
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    let packages = package("0.1.0")?;
    let image = layer(&debian()?, directory)?;
    let brought = image.join("tmp/berth");
    fs::create_dir_all(&brought)?;
    for part in ["files", "scripts"] {
        let from = root().join("packaging/image").join(part);
        run(Command::new("cp").arg("-R").arg(from).arg(&brought))?;
    }
    run(Command::new("cp").arg("-R").arg(packages).arg(brought.join("packages")))?;
    let chroot = |line: &str| run(Command::new("chroot").arg(&image).args(["sh", "-ec", line]));
    chroot("sh /tmp/berth/scripts/provision.sh /tmp/berth")?;
    // What a machine has written while the image was made on it.
    chroot(
        "ssh-keygen -A > /dev/null; mkdir -p /root/.ssh /var/lib/berth-agent; echo key > /root/.ssh/authorized_keys; echo ls > /root/.bash_history; \
         mkdir -p /tmp/.X11-unix /etc/netplan; echo address > /etc/netplan/50-cloud-init.yaml",
    )?;
    chroot("sh /tmp/berth/scripts/clean.sh")?;
    Ok(image)
}

fn check_image(image: &Path) -> Result<String> {
    let script = root().join("packaging/image/scripts/check.sh");
    let output = Command::new("sh").arg(script).arg(image).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() == said.is_empty(), "{}: {said}", output.status);
    Ok(said)
}

pub(crate) fn check() -> Result<()> {
    let directory = machines().join("image");
    let image = bake(&directory)?;
    let said = check_image(&image)?;
    ensure!(said.is_empty(), "{said}");
    refuses(&image)?;
    boot(&image)?;
    unmount_below(&directory)
}

/// An image with an identity, a key or a history, or without a setting, is none.
fn refuses(image: &Path) -> Result<()> {
    for (left, content) in [
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("etc/ssh/ssh_host_ed25519_key", "key"),
        ("root/.ssh/authorized_keys", "key"),
        ("root/.bash_history", "ls"),
        ("var/lib/berth-agent/identity.json", "{}"),
        ("etc/ecs/ecs.config", "ECS_CLUSTER=a"),
        ("var/log/syslog", "line"),
        ("var/lib/docker/engine-id", "id"),
        ("tmp/.lock", "lock"),
        ("etc/netplan/50-cloud-init.yaml", "address"),
    ] {
        let path = image.join(left);
        let before = fs::read(&path).ok();
        fs::create_dir_all(path.parent().context("it lies somewhere")?)?;
        fs::write(&path, content)?;
        let said = check_image(image)?;
        let name = path
            .file_name()
            .context("it has a name")?
            .to_string_lossy()
            .into_owned();
        let directory = Path::new("/").join(left);
        let directory = directory.parent().context("it lies somewhere")?.display().to_string();
        ensure!(
            said.contains(&name) || said.contains(&directory),
            "/{left} was left, and: {said:?}"
        );
        match before {
            Some(before) => fs::write(&path, before)?,
            None => fs::remove_file(&path)?,
        }
    }
    let missing = image.join("etc/docker/daemon.json");
    let before = fs::read(&missing)?;
    fs::remove_file(&missing)?;
    let said = check_image(image)?;
    ensure!(said.contains("/etc/docker/daemon.json is missing"), "{said}");
    fs::write(&missing, before).context("put it back")
}

/// User data as EC2's users write it: a script that says which cluster, and has the token to join it with.
fn user_data(root: &Path, number: u8, token: &str) -> Result<()> {
    // Of files that may be open the machine of the test may have fewer to give than a host.
    let daemon = root.join("etc/docker/daemon.json");
    let fewer = fs::read_to_string(&daemon)?
        .replace("32768", "1024")
        .replace("65536", "4096");
    fs::write(&daemon, fewer)?;
    let seed = root.join("var/lib/cloud/seed/nocloud");
    fs::create_dir_all(&seed)?;
    let lines = Place::settings(token);
    fs::write(
        seed.join("meta-data"),
        format!("instance-id: iid-{number}\nlocal-hostname: host-{number}\n"),
    )?;
    let script = format!("#!/bin/sh\ncat >> /etc/ecs/ecs.config <<'END'\n{lines}END\nsystemctl start berth-agent\n");
    fs::write(seed.join("user-data"), script).context("write user data")
}

/// Three machines of the image: who they are, who is let in, and what a task and they live through.
fn boot(image: &Path) -> Result<()> {
    let place = Place::make("booted", &programs()?)?;
    let (token, other) = (place.token()?, place.token()?);
    let mut first = Machine::boot(&place, image, 1, |root| user_data(root, 1, &token))?;
    let one = place.instances(1).with_context(|| log(&first))?;
    let second = Machine::boot(&place, image, 2, |root| user_data(root, 2, &other))?;
    let two = place.instances(2).with_context(|| log(&second))?;
    ensure!(two.contains(&one[0]), "{one:?}, then {two:?}");
    for file in ["/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"] {
        let (of_first, of_second) = (first.run(&format!("cat {file}"))?, second.run(&format!("cat {file}"))?);
        ensure!(
            !of_first.trim().is_empty() && of_first != of_second,
            "{file}: {of_first} {of_second}"
        );
    }
    drop(second);
    let revoked = place.revoked_token()?;
    let third = Machine::boot(&place, image, 3, |root| user_data(root, 3, &revoked))?;
    until("the third is refused, and says why", SOON, || {
        let said = third.run("journalctl --no-pager --unit berth-agent")?;
        ensure!(
            said.contains("this host cannot join the cluster") && said.contains("was revoked"),
            "{said}"
        );
        let told = place.log()?;
        ensure!(
            told.contains("a host may not join") && told.contains("was revoked"),
            "{told}"
        );
        Ok(Some(()))
    })
    .with_context(|| log(&third))?;
    drop(third);
    first.load_sleeper()?;
    place.instances(1).with_context(|| log(&first))?;
    place.run_tasks(1).with_context(|| log(&first))?;
    let running = first.sleepers()?;
    ensure!(running.len() == 1, "{running:?}");
    first.run("systemctl restart docker")?;
    until("Docker answers again", SOON, || first.run("docker version").map(Some))?;
    ensure!(first.sleepers()? == running, "{:?}, was {running:?}", first.sleepers());
    first.end_sleepers()?;
    first.reboot()?;
    let again = until("the instance is back", SOON, || {
        let again = place.instances(1)?;
        ensure!(again == one, "{again:?}, was {one:?}");
        Ok(Some(again))
    });
    again.with_context(|| log(&first))?;
    place.run_tasks(1).with_context(|| log(&first))
}

fn log(machine: &Machine) -> String {
    let said = machine.run("journalctl --no-pager -n 80; systemctl --failed --no-pager; cat /etc/ecs/ecs.config");
    said.unwrap_or_else(|error| format!("{error:#}"))
}
