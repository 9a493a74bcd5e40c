//! One machine: a root file system in layers, booted by systemd-nspawn with the network of a namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use xtask_machines::place::Place;
use xtask_machines::shell::{line, run, until};
use xtask_machines::system::{layer, unmount_below};

const BOOT: Duration = Duration::from_secs(120);
/// With which nspawn ends when the machine reboots.
const REBOOT: i32 = 133;

/// Where cgroups are of the first version nspawn leaves all controllers to the host: this gives the machine a group of its
/// own in each, and runs what follows in it.
const OWN_GROUPS: &str = "name=$1; shift
for tree in cpu cpuacct cpuset memory devices freezer blkio pids; do
    group=/sys/fs/cgroup/$tree/berth-machines/$name
    [ -d /sys/fs/cgroup/$tree ] || continue
    mkdir -p $group
    if [ $tree = cpuset ]; then
        for file in cpuset.cpus cpuset.mems; do
            cat /sys/fs/cgroup/cpuset/$file > /sys/fs/cgroup/cpuset/berth-machines/$file
            cat /sys/fs/cgroup/cpuset/$file > $group/$file
        done
    fi
    echo $$ > $group/cgroup.procs
done
exec \"$@\"";
/// And this lets the machine's Docker write to them.
const WRITABLE: &str = "for tree in cpu cpuacct cpuset memory devices freezer blkio pids; do
    [ ! -d /sys/fs/cgroup/$tree ] || mount -o remount,rw,bind /sys/fs/cgroup/$tree
done";

/// A machine that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Machine {
    name: String,
    root: PathBuf,
    namespace: String,
    nspawn: Child,
}

/// Has nspawn boot the machine; beside its root lie Docker's files and what it says.
fn start(name: &str, root: &Path, namespace: &str) -> Result<Child> {
    let console = fs::File::options()
        .create(true)
        .append(true)
        .open(root.with_file_name("console.log"))?;
    let docker = root.with_file_name("docker");
    Command::new("sh")
        .args(["-ec", OWN_GROUPS, "sh", name, "systemd-nspawn"])
        .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"])
        .arg(format!("--machine={name}"))
        .args(["--capability=all", "--system-call-filter=@keyring bpf"])
        .arg(format!("--network-namespace-path=/run/netns/{namespace}"))
        .arg(format!("--bind={}:/var/lib/docker", docker.display()))
        .arg("--directory")
        .arg(root)
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        .spawn()
        .context("boot a machine (without systemd-nspawn: cargo xtask prepare)")
}

impl Machine {
    /// Boots a machine on a layer over `base`. Before it boots `prepare` may change its root.
    pub(crate) fn boot(
        place: &Place,
        base: &Path,
        number: u8,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let name = format!("machine{number}");
        let directory = place.directory.join(&name);
        fs::create_dir_all(&directory)?;
        let root = layer(base, &directory)?;
        prepare(&root)?;
        let namespace = place.plug(number)?;
        // A layer over a layer is more than Docker's own layers can be made on.
        let docker = directory.join("docker");
        fs::create_dir_all(&docker)?;
        let mut machine = Self {
            nspawn: start(&name, &root, &namespace)?,
            name,
            root,
            namespace,
        };
        machine.wait_up()?;
        Ok(machine)
    }

    /// The process that is the machine's first.
    fn leader(&self) -> Result<u32> {
        let own = self.nspawn.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        let leader = children.split_whitespace().next();
        leader.context("nothing is booted")?.parse().context("a process")
    }

    /// Waits until systemd has started everything, also what failed.
    fn wait_up(&mut self) -> Result<()> {
        let console = self.root.with_file_name("console.log");
        until(&format!("{} is up", self.name), BOOT, || {
            if let Some(status) = self.nspawn.try_wait()? {
                bail!("it ended with {status}: {}", fs::read_to_string(&console)?);
            }
            let state = self.state()?;
            Ok(matches!(state.as_str(), "running" | "degraded").then_some(()))
        })
        .with_context(|| fs::read_to_string(&console).unwrap_or_default())?;
        self.run(WRITABLE).map(drop)
    }

    fn state(&self) -> Result<String> {
        let output = self.command("systemctl is-system-running")?.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn command(&self, line: &str) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.leader()?.to_string(),
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
        ]);
        command.args([
            "env",
            "-i",
            "HOME=/root",
            "LC_ALL=C.UTF-8",
            "DEBIAN_FRONTEND=noninteractive",
        ]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(["sh", "-c", line]);
        Ok(command)
    }

    /// Runs a shell's line in the machine, which must succeed; what it prints.
    pub(crate) fn run(&self, line: &str) -> Result<String> {
        run(&mut self.command(line)?).with_context(|| format!("in {}", self.name))
    }

    /// Boots it again, as `reboot` does.
    pub(crate) fn reboot(&mut self) -> Result<()> {
        self.run("systemctl reboot")?;
        let ended = until("it goes down", BOOT, || Ok(self.nspawn.try_wait()?))?;
        // nspawn says so where it is to be started again.
        ensure!(ended.code() == Some(REBOOT), "{} ended with {ended}", self.name);
        self.nspawn = start(&self.name, &self.root, &self.namespace)?;
        self.wait_up()
    }

    /// Gives its Docker the image `sleeper`, of one static program.
    pub(crate) fn load_sleeper(&self) -> Result<()> {
        let within = Duration::from_secs(60);
        until("Docker answers", within, || self.run("docker version").map(Some))?;
        fs::copy("/bin/busybox", self.root.join("root/busybox")).context("a static busybox: busybox-static")?;
        self.run("tar -C /root -c busybox | docker import - sleeper").map(drop)
    }

    /// The processes of the tasks' containers, as the machine knows them, sorted.
    pub(crate) fn sleepers(&self) -> Result<Vec<String>> {
        let listed =
            self.run("docker ps -q | xargs -r docker inspect --format '{{.Id}} {{.State.Pid}} {{.Config.Image}}'")?;
        let mut own: Vec<String> = listed
            .lines()
            .filter(|line| line.contains("sleeper"))
            .map(str::to_owned)
            .collect();
        own.sort();
        Ok(own)
    }

    /// Ends the tasks' containers, so that a drain has nothing to wait two minutes for.
    pub(crate) fn end_sleepers(&self) -> Result<()> {
        self.run("docker ps -q | xargs -r docker kill")?;
        until("no task runs", Duration::from_secs(30), || {
            Ok(self.sleepers()?.is_empty().then_some(()))
        })
    }

    /// One property of a unit.
    pub(crate) fn property(&self, unit: &str, property: &str) -> Result<String> {
        let shown = self.run(&format!("systemctl show --value --property {property} {unit}"))?;
        Ok(shown.trim().to_owned())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SIGTERM has nspawn end the machine at once where it does not go down by itself.
        if let Ok(leader) = self.leader() {
            line(&format!("kill -KILL {leader}")).ok();
        }
        self.nspawn.wait().ok();
        let groups =
            "for tree in /sys/fs/cgroup/*/berth-machines; do find $tree -depth -type d -exec rmdir {} + || true; done";
        run(Command::new("sh").args(["-c", groups])).ok();
        if let Some(directory) = self.root.parent()
            && let Err(error) = unmount_below(directory)
        {
            eprintln!("{error:#}");
        }
    }
}
