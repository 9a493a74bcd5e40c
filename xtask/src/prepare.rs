//! Makes a machine ready for building and for the tests.

use std::process::{Command, Stdio};

use crate::install::{self, Need};
use crate::steps::Steps;

/// What builds the gateway's proxy. A C compiler is there wherever Rust can link.
const FOR_BUILDING: [Need; 1] = [("cmake", "cmake")];

/// A Docker Engine for each host of the test bed, its network, the images made on the spot, the SDK of another language,
/// clocks that are set, and disks that are made slow; packages and what looks at them, and machines to install them on.
const FOR_TESTS: [Need; 18] = [
    ("dockerd", "docker.io"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("busybox", "busybox-static"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("faketime", "faketime"),
    ("mkfs.ext4", "e2fsprogs"),
    ("etcdctl", "etcd-client"),
    ("nft", "nftables"),
    ("strip", "binutils"),
    ("rpmbuild", "rpm"),
    ("lintian", "lintian"),
    ("packer", "packer"),
    ("systemd-analyze", "systemd"),
    ("systemd-nspawn", "systemd-container"),
    ("debootstrap", "debootstrap"),
];

/// The journal of several schedulers, and what finds tasks without a gateway in between: each test that needs one starts it
/// itself. Their packages bring services that nobody asked for.
const WITH_SERVICES: [Need; 3] = [
    ("etcd", "etcd-server"),
    ("haproxy", "haproxy"),
    ("prometheus", "prometheus"),
];

/// What virtual machines are made of, and their disks. Both of the first are of one source.
const MACHINES: [Need; 2] = [("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils")];
const FOR_IMAGE: [Need; 9] = [
    ("packer", "packer"),
    ("debootstrap", "debootstrap"),
    ("mkfs.ext4", "e2fsprogs"),
    ("xorriso", "xorriso"),
    ("ssh", "openssh-client"),
    ("ip", "iproute2"),
    ("busybox", "busybox-static"),
    ("unshare", "util-linux"),
    ("tar", "tar"),
];

/// Installs what the tests need, and what builds them.
///
/// # Errors
/// It may not or cannot be done here; the error says what to install instead.
pub(crate) fn machine() -> anyhow::Result<()> {
    let mut missing = install::missing(&FOR_BUILDING);
    missing.extend(install::missing(&FOR_TESTS));
    if !makes_virtual_environments() {
        missing.push("python3-venv");
    }
    install(&missing)?;
    let absent = install::absent(&WITH_SERVICES);
    with(&install::missing(&WITH_SERVICES), |steps| {
        install::install_quietly(&absent, steps)
    })
}

/// Installs what building needs.
///
/// # Errors
/// As those of [`machine`].
pub(crate) fn build() -> anyhow::Result<()> {
    install(&install::missing(&FOR_BUILDING))
}

/// Installs what a disk image is made and booted with.
///
/// # Errors
/// As those of [`machine`].
pub(crate) fn image(steps: &Steps) -> anyhow::Result<()> {
    let missing = install::missing(&FOR_IMAGE);
    if !missing.is_empty() {
        steps.note(&format!("installing {}", missing.join(", ")));
        install::install(&missing, steps)?;
    }
    if !install::missing(&MACHINES).is_empty() {
        let packages = MACHINES.map(|(_, package)| package);
        steps.note(&format!("installing {}", packages.join(", ")));
        install::install_alike(&packages, steps)?;
    }
    Ok(())
}

fn install(missing: &[&'static str]) -> anyhow::Result<()> {
    with(missing, |steps| install::install(missing, steps))
}

fn with(missing: &[&'static str], how: impl FnOnce(&Steps) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut steps = Steps::begin(1);
    steps.next(&format!("installing {}", missing.join(", ")));
    how(&steps)
}

/// Debian's python3 comes without what a virtual environment needs.
fn makes_virtual_environments() -> bool {
    let mut python = Command::new("python3");
    python
        .args(["-c", "import venv, ensurepip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}
