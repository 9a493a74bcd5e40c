//! A disk with a Debian on it as its makers give it away, made on the spot: theirs has to be fetched from where packages do
//! not come from. Unlike theirs it has Docker already, as the machines of the tests have: neither Packer's machine nor the one
//! that joins fetches anything.
//!
//! It has one partition with all files, and GRUB before it. Everything is written into a file: no loop device is needed, and
//! nothing is mounted but layers.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask_machines::shell::run;
use xtask_machines::system::{content, debian, install, layer, unmount_below};

/// What boots, what makes the file system as large as the disk, and what cloud-init sets up users and the network with.
const PACKAGES: &str =
    "linux-image-cloud-amd64 grub-pc-bin grub-common sudo e2fsprogs fdisk cloud-guest-utils netplan.io";
const LABEL: &str = "berth-root";
const MIB: u64 = 1 << 20;
/// Of the disk, which whoever boots it makes larger.
const SIZE: u64 = 3072 * MIB;
/// Where the partition begins.
pub(super) const FILES_AT: u64 = MIB;
const SECTOR: u64 = 512;
/// Of the first sector, the rest is the table of partitions.
const BOOT_CODE: usize = 440;
/// What GRUB reads the rest of itself and the kernel with.
const GRUB: &str = "grub-mkimage --format i386-pc --output /boot/core.img --prefix '(hd0,msdos1)/boot/grub' \
    biosdisk part_msdos ext2 normal linux boot";
/// Features that the file systems of all readers know, GRUB's among them; newer ones would be chosen on newer machines.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,large_file,\
    huge_file,dir_nlink,extra_isize";

/// Makes the disk in `directory`, unless one like it is there already; its path.
///
/// # Errors
/// A tool fails; with its words.
pub(super) fn disk(directory: &Path) -> Result<PathBuf> {
    let (disk, done) = (directory.join("base.qcow2"), directory.join("base.done"));
    let content = format!("{} {PACKAGES}", content());
    if fs::read_to_string(&done).is_ok_and(|done| done == content) {
        return Ok(disk);
    }
    let work = directory.join("base");
    clear(&work)?;
    let root = layer(&debian()?, &work)?;
    install(&root, PACKAGES).context("install what boots")?;
    settle(&root)?;
    let raw = work.join("disk.raw");
    write_disk(&root, &raw)?;
    let made = work.join("disk.qcow2");
    run(Command::new("qemu-img")
        .args(["convert", "-O", "qcow2"])
        .args([&raw, &made]))?;
    fs::rename(made, &disk)?;
    fs::write(done, content)?;
    clear(&work)?;
    Ok(disk)
}

fn clear(work: &Path) -> Result<()> {
    unmount_below(work)?;
    if work.exists() {
        fs::remove_dir_all(work).with_context(|| format!("cannot remove {}", work.display()))?;
    }
    Ok(())
}

/// Writes what a disk has and a directory does not need.
fn settle(root: &Path) -> Result<()> {
    run(Command::new("chroot").arg(root).args(["sh", "-ec", GRUB])).context("make GRUB's core")?;
    let grub = root.join("boot/grub");
    fs::create_dir_all(&grub)?;
    let lines = format!(
        "linux /vmlinuz root=LABEL={LABEL} ro console=tty0 console=ttyS0,115200\n\
         initrd /initrd.img\n\
         boot\n"
    );
    fs::write(grub.join("grub.cfg"), lines)?;
    // As Debian's own disks have it: a machine knows its own name.
    fs::write(
        root.join("etc/cloud/cloud.cfg.d/01_debian_cloud.cfg"),
        "manage_etc_hosts: true\n",
    )
    .context("write settings of cloud-init")?;
    fs::write(
        root.join("etc/fstab"),
        format!("LABEL={LABEL} / ext4 rw,discard,errors=remount-ro 0 1\n"),
    )
    .context("write /etc/fstab")
}

/// Writes the disk: GRUB, the table of partitions, and the files of `root`.
fn write_disk(root: &Path, raw: &Path) -> Result<()> {
    let code = fs::read(root.join("usr/lib/grub/i386-pc/boot.img")).context("read GRUB's first sector")?;
    let core = fs::read(root.join("boot/core.img")).context("read GRUB's core")?;
    ensure!(
        SECTOR + core.len() as u64 <= FILES_AT,
        "GRUB's core of {} bytes does not fit before the partition",
        core.len()
    );
    let first = first_sector(&code).context("GRUB's first sector is too short")?;
    let mut disk = fs::File::create(raw)?;
    disk.set_len(SIZE)?;
    disk.write_all(&first)?;
    // The first sector looks for it in the second.
    disk.seek(SeekFrom::Start(SECTOR))?;
    disk.write_all(&core)?;
    drop(disk);
    let mut files = Command::new("mkfs.ext4");
    files.args(["-q", "-F", "-L", LABEL, "-O", FEATURES]);
    files.args(["-E", &format!("offset={FILES_AT}")]).arg("-d").arg(root);
    files.arg(raw).arg(format!("{}k", (SIZE - FILES_AT) / 1024));
    run(&mut files).context("make a file system of it").map(drop)
}

/// The first sector: GRUB's code, and a table with one partition of Linux, which is active.
fn first_sector(code: &[u8]) -> Option<[u8; 512]> {
    let mut sector = [0; 512];
    sector[..BOOT_CODE].copy_from_slice(code.get(..BOOT_CODE)?);
    let begin = u32::try_from(FILES_AT / SECTOR).ok()?;
    let length = u32::try_from((SIZE - FILES_AT) / SECTOR).ok()?;
    // Cylinders and heads are told by nobody: the largest there are mean "look at the sectors".
    let entry = [0x80, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff];
    sector[446..454].copy_from_slice(&entry);
    sector[454..458].copy_from_slice(&begin.to_le_bytes());
    sector[458..462].copy_from_slice(&length.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    Some(sector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sector_has_the_code_and_one_partition_up_to_the_end() {
        let sector = first_sector(&[7; 512]).unwrap();
        assert!(sector[..440].iter().all(|byte| *byte == 7));
        assert_eq!(sector[440..446], [0; 6]);
        let number = |at: usize| u64::from(u32::from_le_bytes(sector[at..at + 4].try_into().unwrap()));
        assert_eq!((sector[446], sector[450]), (0x80, 0x83));
        assert_eq!(number(454) * 512, FILES_AT);
        assert_eq!(number(454) + number(458), SIZE / 512);
        assert_eq!(sector[462..510], [0; 48]);
        assert_eq!(sector[510..], [0x55, 0xaa]);
        assert_eq!(first_sector(&[7; 100]), None);
    }
}
