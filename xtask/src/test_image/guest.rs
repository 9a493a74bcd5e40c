//! One virtual machine, from the sealed disk, in the network of a [`Place`].

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xtask_machines::place::Place;
use xtask_machines::shell::run;

use super::accelerator::Accelerator;
use super::seed::Key;
use crate::steps::Steps;

/// Where the machine's port 22 is, in the network of the place and there alone.
const SSH: u16 = 2222;
const USER: &str = "debian";
const MEMORY_MIB: &str = "1024";
const PAUSE: Duration = Duration::from_secs(1);
/// Between two lines that say that a wait goes on.
const WORD: Duration = Duration::from_secs(30);
/// Of what the machine has said, how much is shown where something failed.
const LAST_LINES: usize = 40;

/// A virtual machine that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Guest<'a> {
    place: &'a Place,
    console: PathBuf,
    key: PathBuf,
    qemu: Child,
}

impl<'a> Guest<'a> {
    /// Boots a machine from what is written over `disk`, which is not changed itself. `console` keeps what it says.
    ///
    /// # Errors
    /// qemu cannot be run. That it ends at once is found by the first wait.
    pub(super) fn boot(
        place: &'a Place,
        disk: &Path,
        seed: &Path,
        key: &Key,
        accelerator: Accelerator,
        console: &Path,
    ) -> Result<Self> {
        let own = place.directory.join("disk.qcow2");
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]);
        run(create.arg(disk).arg(&own))?;
        let said = place.directory.join("qemu.log");
        let mut qemu = place.command(Path::new("qemu-system-x86_64"));
        qemu.args(["-name", "berth-host", "-nodefaults", "-display", "none"]);
        qemu.args([
            "-accel",
            accelerator.name(),
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            MEMORY_MIB,
        ]);
        qemu.arg("-drive").arg(drive(&own, "qcow2"));
        qemu.arg("-drive").arg(drive(seed, "raw") + ",readonly=on");
        // From within the host is 10.0.2.2, and what has an address in the place has it here too.
        let forward = format!("user,id=net0,hostfwd=tcp:127.0.0.1:{SSH}-:22");
        qemu.args(["-netdev", &forward, "-device", "virtio-net-pci,netdev=net0"]);
        qemu.args(["-device", "virtio-rng-pci", "-serial"]);
        qemu.arg(format!("file:{}", console.display()));
        let said = File::create(said)?;
        let qemu = qemu
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .context("boot a virtual machine")?;
        Ok(Self {
            place,
            console: console.to_path_buf(),
            key: key.file.clone(),
            qemu,
        })
    }

    /// Waits until `look` finds it, and says now and then that it does.
    ///
    /// # Errors
    /// The machine has ended, or the time is over; with what was seen last.
    pub(super) fn wait<T>(
        &mut self,
        what: &str,
        within: Duration,
        steps: &Steps,
        mut look: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = steps.deadline(within);
        let mut word = Instant::now() + WORD;
        loop {
            if let Some(status) = self.qemu.try_wait()? {
                let said = fs::read_to_string(self.place.directory.join("qemu.log")).unwrap_or_default();
                bail!("the virtual machine ended with {status} before {what}: {}", said.trim());
            }
            let seen = match look(self) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => "nothing".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > deadline {
                bail!("waited {within:?} until {what}; last seen: {seen}");
            }
            if Instant::now() > word {
                let last = self.said(1).unwrap_or_default();
                steps.note(&format!(
                    "{} s: until {what}; it says: {last}",
                    steps.elapsed().as_secs()
                ));
                word = Instant::now() + WORD;
            }
            sleep(PAUSE);
        }
    }

    /// Runs a shell's line in the machine as root, with `input` to read, which must succeed; what it prints.
    ///
    /// # Errors
    /// The machine cannot be reached, or the line fails; with what it printed.
    pub(super) fn run(&self, line: &str, input: Stdio) -> Result<String> {
        let mut ssh = self.place.command(Path::new("ssh"));
        ssh.arg("-i")
            .arg(&self.key)
            .args(["-p", &SSH.to_string(), "-F", "none"]);
        for option in [
            "BatchMode=yes",
            "ConnectTimeout=20",
            "LogLevel=ERROR",
            // Its key is made at its first boot, and only this process can be asked at this address.
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            // Of a machine that does not answer for a minute nothing is to be waited for.
            "ServerAliveInterval=20",
            "ServerAliveCountMax=3",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.arg(format!("{USER}@127.0.0.1"))
            .args(["sudo", "sh", "-ec", &quoted(line)]);
        run(ssh.stdin(input))
    }

    /// What there is to know of it where something failed: its journal, if it answers, and its console.
    pub(super) fn tell(&self) {
        let journal =
            "journalctl --no-pager -n 40 -u berth-agent -u docker -u cloud-init; systemctl --failed --no-pager";
        if let Ok(journal) = self.run(journal, Stdio::null()) {
            eprintln!("\nits journal:\n{}", journal.trim_end());
        }
        let said = self.said(LAST_LINES).unwrap_or_else(|error| format!("{error:#}"));
        eprintln!("\nthe end of {}:\n{said}", self.console.display());
    }

    fn said(&self, lines: usize) -> Result<String> {
        last_lines(&self.console, lines)
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        // It may have ended.
        self.qemu.kill().ok();
        self.qemu.wait().ok();
    }
}

/// The last lines of what a machine has said on its serial port, without what moves a terminal's cursor.
///
/// # Errors
/// The file cannot be read.
pub(super) fn last_lines(console: &Path, count: usize) -> Result<String> {
    let said = fs::read(console).with_context(|| format!("cannot read {}", console.display()))?;
    let said = plain(&String::from_utf8_lossy(&said));
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let last = lines.get(lines.len().saturating_sub(count)..).unwrap_or_default();
    Ok(last.join("\n"))
}

/// The text without control characters and the sequences that begin with an escape.
fn plain(said: &str) -> String {
    let mut plain = String::new();
    let mut signs = said.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\u{1b}' => {
                // A sequence ends with its first letter.
                signs.by_ref().find(char::is_ascii_alphabetic);
            }
            '\n' => plain.push(sign),
            sign if sign.is_control() => {}
            sign => plain.push(sign),
        }
    }
    plain
}

/// A disk. qemu reads a comma in a name doubled.
pub(super) fn drive(file: &Path, format: &str) -> String {
    let file = file.display().to_string().replace(',', ",,");
    format!("file={file},format={format},if=virtio")
}

/// The line as one word of a shell.
fn quoted(line: &str) -> String {
    format!("'{}'", line.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_is_not_shown() {
        assert_eq!(
            plain("[\u{1b}[0;32m  OK  \u{1b}[0m] Started\r\nlogin: "),
            "[  OK  ] Started\nlogin: "
        );
    }

    #[test]
    fn a_line_reaches_the_shell_as_one_word() {
        assert_eq!(quoted("echo 'a b'"), r"'echo '\''a b'\'''");
    }
}
