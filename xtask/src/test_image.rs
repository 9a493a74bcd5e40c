//! `make test-image`: the image of a host as Packer makes it for virtual machines, and a machine of it that joins a scheduler
//! and runs a task.
//!
//! Packer takes the template of `packaging/image` as it is. What it begins with is made here ([`base`]): Debian's own disk has
//! to be fetched from where packages do not come from.
//!
//! All of it happens in processes of its own, of which this is the first: when it ends, however it does, the kernel ends the
//! others and takes away what was mounted. A Ctrl-C ends what this waits for, and this takes down the rest.

mod accelerator;
mod base;
mod guest;
mod seed;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use xtask_machines::place::Place;
use xtask_machines::shell::run;
use xtask_machines::system::unmount_below;
use xtask_machines::{root, target};

use crate::install::is_root;
use crate::package::{self, programs};
use crate::prepare;
use crate::steps::Steps;
use accelerator::Accelerator;
use guest::Guest;
use seed::Key;

/// The whole: emulated on two busy cores it takes a quarter of an hour, and building what is shipped as long.
const ALL_WITHIN: Duration = Duration::from_secs(2 * 3600);
const PACKER_WITHIN: Duration = Duration::from_secs(3600);
const JOIN_WITHIN: Duration = Duration::from_secs(1200);
const SOON: Duration = Duration::from_secs(300);
/// What of the packages goes onto the image.
const ON_THE_IMAGE: &str = "berth-agent_";
/// The disk's name, as the template has it.
const DISK: &str = "berth-host-debian-12.qcow2";

/// What is asked for.
#[derive(Debug)]
struct Order {
    /// The directory with the programs; without it they are built as they are shipped.
    programs: Option<PathBuf>,
    /// Without it the fastest that works.
    accelerator: Option<Accelerator>,
}

impl Order {
    fn read(arguments: &[&str]) -> Result<Self> {
        let mut order = Self {
            programs: None,
            accelerator: None,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
            match *argument {
                "--programs" => order.programs = Some(std::path::absolute(value()?)?),
                "--accelerator" => {
                    let value = *value()?;
                    let known = Accelerator::named(value);
                    order.accelerator =
                        Some(known.with_context(|| format!("--accelerator is '{value}', it must be kvm or tcg"))?);
                }
                other => bail!("'{other}' is none of --programs DIRECTORY and --accelerator kvm|tcg"),
            }
        }
        Ok(order)
    }
}

/// Makes the image, boots it and runs a task on it.
///
/// # Errors
/// This is not root, a step did not succeed, or what was found on the machine is wrong; what the machine said is above.
pub(crate) fn check(arguments: &[&str]) -> Result<()> {
    let order = Order::read(arguments)?;
    ensure!(
        is_root()?,
        "only root makes file systems, networks and machines: try again as root"
    );
    if process::id() == 1 {
        return all(&order);
    }
    let mut first = Command::new("unshare");
    first.args(["--fork", "--pid", "--kill-child", "--mount", "--mount-proc"]);
    first.arg(std::env::current_exe()?).arg("test-image").args(arguments);
    Err(first.exec()).context("cannot run unshare (of util-linux)")
}

fn all(order: &Order) -> Result<()> {
    let mut steps = Steps::begin_within(8, ALL_WITHIN);
    let directory = std::path::absolute(target().join("test-image"))?;
    let scratch = directory.join("run");
    unmount_below(&scratch)?;
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;

    steps.next("what virtual machines and their disks need");
    prepare::image(&steps)?;
    steps.next("programs");
    let programs = match &order.programs {
        Some(programs) => programs.clone(),
        None => programs::build(programs::Linkage::Shared)?,
    };
    let packages = package(&programs, &scratch.join("packages"))?;
    steps.next("a Debian to begin with (the first time a few minutes)");
    let base = base::disk(&directory)?;
    let key = Key::make(&scratch)?;
    let accelerator = match order.accelerator {
        Some(accelerator) => accelerator,
        None => Accelerator::find(&base, &scratch, &steps)?,
    };
    steps.next(&format!("Packer makes the image, with {}", accelerator.name()));
    let disk = pack(&base, &packages, &key, accelerator, &scratch, &steps)?;
    steps.next("what is on the sealed disk");
    look_at(&disk, &scratch)?;
    steps.next("a scheduler");
    let place = Place::make("disk", &programs)?;
    join(&place, &disk, &key, accelerator, &scratch, &mut steps)?;
    println!(
        "\nthe image works, after {} s: {}",
        steps.elapsed().as_secs(),
        disk.display()
    );
    Ok(())
}

/// Packages of the programs, of which only those are kept that go onto the image.
fn package(programs: &Path, into: &Path) -> Result<PathBuf> {
    let utf8 = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .context("the repository's path is no UTF-8")
    };
    package::all(&["--quick", "--programs", &utf8(programs)?, "--into", &utf8(into)?])?;
    for file in fs::read_dir(into)? {
        let file = file?;
        if !file.file_name().to_string_lossy().starts_with(ON_THE_IMAGE) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(into.to_path_buf())
}

/// Has Packer make the image with the template; its disk.
fn pack(
    base: &Path,
    packages: &Path,
    key: &Key,
    accelerator: Accelerator,
    scratch: &Path,
    steps: &Steps,
) -> Result<PathBuf> {
    let (seed, output, console) = (
        scratch.join("seed"),
        scratch.join("image"),
        scratch.join("packer-console.log"),
    );
    seed::for_packer(&seed, key)?;
    let mut packer = Command::new("packer");
    packer.current_dir(root());
    packer
        .env("CHECKPOINT_DISABLE", "1")
        .env("PACKER_CACHE_DIR", scratch.join("cache"));
    packer.args(["build", "-color=false", "-only=qemu.host"]);
    for (name, value) in [
        ("accelerator", Path::new(accelerator.name())),
        ("base_image", base),
        ("packages", packages),
        ("seed", &seed),
        ("ssh_key", &key.file),
        ("output", &output),
        ("console", &console),
    ] {
        packer.arg("-var").arg(format!("{name}={}", value.display()));
    }
    packer.arg("packaging/image/host.pkr.hcl");
    let word = || Some(format!("the machine says: {}", guest::last_lines(&console, 1).ok()?));
    if let Err(error) = steps.run_telling(&mut packer, PACKER_WITHIN, word) {
        if let Ok(said) = guest::last_lines(&console, 40) {
            eprintln!("\nthe end of {}:\n{said}", console.display());
        }
        return Err(error);
    }
    Ok(output.join(DISK))
}

/// Has the image's own script look at the disk as it was left: what happened after it looked from within is seen only here.
fn look_at(disk: &Path, scratch: &Path) -> Result<()> {
    let (raw, mounted) = (scratch.join("sealed.raw"), scratch.join("sealed"));
    run(Command::new("qemu-img")
        .args(["convert", "-O", "raw"])
        .args([disk, &raw]))?;
    fs::create_dir_all(&mounted)?;
    let options = format!("loop,ro,noload,offset={}", base::FILES_AT);
    run(Command::new("mount")
        .args(["-t", "ext4", "-o", &options])
        .args([&raw, &mounted]))?;
    let script = root().join("packaging/image/scripts/check.sh");
    let looked = run(Command::new("sh").arg(script).arg(&mounted)).context("the sealed disk is not clean");
    run(Command::new("umount").arg(&mounted))?;
    fs::remove_file(raw)?;
    looked.map(drop)
}

/// A machine of the image joins, says what it is, and runs a task.
fn join(
    place: &Place,
    disk: &Path,
    key: &Key,
    accelerator: Accelerator,
    scratch: &Path,
    steps: &mut Steps,
) -> Result<()> {
    let settings = Place::settings(&place.token()?);
    let seed = seed::for_host(&scratch.join("host"), key, &settings)?;
    steps.next("a machine of the image boots and joins with its token, over TLS");
    let console = scratch.join("console.log");
    let mut guest = Guest::boot(place, disk, &seed, key, accelerator, &console)?;
    let done = runs_a_task(place, &mut guest, steps);
    if done.is_err() {
        guest.tell();
        let log = place.directory.join("scheduler.log");
        let said = guest::last_lines(&log, 10).unwrap_or_else(|error| format!("{error:#}"));
        eprintln!("\nthe end of {}:\n{said}", log.display());
    }
    done
}

/// The scheduler knows what the machine is: as it says of itself.
fn has_attributes(place: &Place, guest: &Guest<'_>, instance: &str) -> Result<()> {
    let answer = place.ask(&["instances", "show", instance])?;
    let shown = &answer["containerInstances"][0];
    let attributes = shown["attributes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let value = |name: &str| {
        let attribute = attributes.iter().find(|attribute| attribute["name"] == name);
        attribute.and_then(|attribute| attribute["value"].as_str())
    };
    for (name, expected) in [
        ("ecs.os-type", "linux"),
        ("ecs.os-family", "LINUX"),
        ("ecs.cpu-architecture", "x86_64"),
    ] {
        ensure!(value(name) == Some(expected), "{name} must be {expected}: {answer}");
    }
    let docker = guest.run("docker version --format '{{.Server.Version}}'", Stdio::null())?;
    let told = shown["versionInfo"]["dockerVersion"].as_str().unwrap_or_default();
    ensure!(
        told.ends_with(docker.trim()) && !docker.trim().is_empty(),
        "its Docker is {docker}, and the scheduler has {told}"
    );
    Ok(())
}

/// Gives its Docker the image `sleeper`, of one static program.
fn give_sleeper(place: &Place, guest: &Guest<'_>) -> Result<()> {
    let archive = place.directory.join("sleeper.tar");
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&archive).args(["-C", "/bin", "busybox"]);
    run(&mut tar).context("a static busybox: busybox-static")?;
    let archive = fs::File::open(archive)?;
    guest.run("docker import - sleeper", archive.into()).map(drop)
}

fn runs_a_task(place: &Place, guest: &mut Guest<'_>, steps: &mut Steps) -> Result<()> {
    let instance = guest.wait("it has joined", JOIN_WITHIN, steps, |_| {
        let connected = place.connected()?;
        ensure!(connected.len() < 2, "there are {connected:?}");
        Ok(connected.into_iter().next())
    })?;
    steps.next("a task of an image that Docker there is given");
    guest.wait("it lets somebody in", SOON, steps, |guest| {
        guest.run("docker version", Stdio::null()).map(Some)
    })?;
    has_attributes(place, guest, &instance)?;
    give_sleeper(place, guest)?;
    place.run_tasks(1)?;
    let tasks = place.ask(&["ps"])?;
    let running = tasks["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(
        running.len() == 1 && running[0]["lastStatus"] == "RUNNING",
        "the scheduler says of the task: {tasks}"
    );
    let containers = guest.run(
        "docker ps --filter ancestor=sleeper --format '{{.Status}}'",
        Stdio::null(),
    )?;
    ensure!(
        containers.lines().count() == 1 && containers.starts_with("Up"),
        "Docker on the machine has these containers of the task: {containers:?}"
    );
    let failed = guest.run("systemctl --failed --plain --no-legend", Stdio::null())?;
    ensure!(failed.trim().is_empty(), "units have failed on the machine: {failed}");
    steps.note(&format!("instance {instance} runs {}", running[0]["taskArn"]));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        for (arguments, named) in [
            (vec!["--fast"], "'--fast'"),
            (vec!["--accelerator", "xen"], "'xen'"),
            (vec!["--programs"], "--programs needs a value"),
        ] {
            let error = Order::read(&arguments).unwrap_err().to_string();
            assert!(error.contains(named), "{arguments:?}: {error}");
        }
        let order = Order::read(&["--accelerator", "tcg", "--programs", "/there"]).unwrap();
        assert_eq!(order.accelerator, Some(Accelerator::Tcg));
        assert_eq!(order.programs.as_deref(), Some(Path::new("/there")));
    }
}
