//! What runs a virtual machine's instructions.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::guest::{drive, last_lines};
use crate::steps::{Steps, until};

const KVM: &str = "/dev/kvm";
/// Where KVM works, the kernel's first words are there after two seconds.
const FIRST_WORDS_WITHIN: Duration = Duration::from_secs(30);

/// What runs a virtual machine's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accelerator {
    Kvm,
    /// Software: everywhere, and slow.
    Tcg,
}

impl Accelerator {
    /// The one that qemu calls so.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Kvm, Self::Tcg].into_iter().find(|known| known.name() == name)
    }

    /// As qemu calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// The fastest that boots `disk` here. There are machines, virtual themselves, with a KVM that does not get as far as the
    /// kernel in minutes: whether it works is tried.
    ///
    /// # Errors
    /// qemu cannot be run.
    pub(super) fn find(disk: &Path, scratch: &Path, steps: &Steps) -> Result<Self> {
        if fs::File::options().read(true).write(true).open(KVM).is_err() {
            return Ok(Self::Tcg);
        }
        let console = scratch.join("kvm-console.log");
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-accel",
            "kvm",
            "-cpu",
            "max",
            "-m",
            "512",
            "-nodefaults",
            "-display",
            "none",
            "-snapshot",
        ]);
        qemu.arg("-drive").arg(drive(disk, "qcow2"));
        qemu.arg("-serial").arg(format!("file:{}", console.display()));
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut qemu = qemu.spawn().context("cannot run qemu-system-x86_64")?;
        let spoken = until(steps.deadline(FIRST_WORDS_WITHIN), || {
            if qemu.try_wait()?.is_some() {
                return Ok(Some(false));
            }
            let spoken = last_lines(&console, 1).is_ok_and(|words| !words.is_empty());
            Ok(spoken.then_some(true))
        });
        // It may have ended.
        qemu.kill().ok();
        qemu.wait().ok();
        if spoken? == Some(true) {
            return Ok(Self::Kvm);
        }
        steps.note("KVM is here and does not boot a kernel: the machines are emulated");
        Ok(Self::Tcg)
    }
}
