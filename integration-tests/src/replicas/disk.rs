//! A disk that can be made slow and full: an image file, mounted, and a limit of the control group of whoever uses it. A file
//! system of its own, since one that is shared makes everybody wait who writes to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, fallocate, major, minor, statvfs};
use rustix::io::Errno;

use crate::command::run;
use crate::lane::Lane;

const DEADLINE: Duration = Duration::from_secs(60);
/// The hierarchy of control groups that can limit writes (version 1).
const LIMITS: &str = "/sys/fs/cgroup/blkio";
/// Room for what is kept there, in MiB; the file is sparse.
const SIZE_MIB: u64 = 1024;
/// The file that takes what room is left.
const FILLER: &str = "filler";
/// Writes a second of a slow disk: a sync takes several.
const SLOW: u32 = 40;

/// A disk of one user. The lane's sweep unmounts it.
#[derive(Debug)]
pub(super) struct Disk {
    at: PathBuf,
    group: PathBuf,
    device: String,
}

impl Disk {
    /// Whether disks can be made slow and full here.
    pub(super) fn can_be_had() -> bool {
        Path::new(LIMITS).join("blkio.throttle.write_iops_device").exists() && Path::new("/dev/loop-control").exists()
    }

    /// Mounts a new disk at a directory.
    pub(super) fn mount(lane: &Lane, user: &str, at: &Path) -> Result<Self> {
        fs::create_dir_all(at).with_context(|| format!("create {}", at.display()))?;
        let image = at.with_extension("image");
        let file = fs::File::create(&image).with_context(|| format!("create {}", image.display()))?;
        file.set_len(SIZE_MIB << 20).context("size an image")?;
        run(
            Command::new("mkfs.ext4")
                .args(["-q", "-F", "-E", "nodiscard"])
                .arg(&image),
            DEADLINE,
        )?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(at), DEADLINE)?;
        let device = rustix::fs::stat(at).context("stat a disk")?.st_dev;
        let group = PathBuf::from(format!("{LIMITS}{}", lane.cgroup(user)));
        fs::create_dir_all(&group).with_context(|| format!("create {}", group.display()))?;
        Ok(Self {
            at: at.to_path_buf(),
            group,
            device: format!("{}:{}", major(device), minor(device)),
        })
    }

    /// Has the disk's limits hold for a process.
    pub(super) fn holds(&self, pid: u32) -> Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Makes the disk slow.
    pub(super) fn slow_down(&self) -> Result<()> {
        self.limit(SLOW)
    }

    /// Makes it as fast as it was.
    pub(super) fn speed_up(&self) -> Result<()> {
        self.limit(0)
    }

    /// Takes all room that is left.
    pub(super) fn fill(&self) -> Result<()> {
        let path = self.at.join(FILLER);
        let filler = fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
        let room = statvfs(&self.at).context("look at a disk")?;
        let (mut size, mut piece) = (0, room.f_bfree * room.f_frsize);
        // What the file system needs itself to note where the file lies is not known before.
        while piece >= room.f_frsize {
            match fallocate(&filler, FallocateFlags::empty(), size, piece) {
                Ok(()) => size += piece,
                Err(Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).with_context(|| format!("fill {}", path.display())),
            }
        }
        Ok(())
    }

    /// Gives back what was taken.
    pub(super) fn make_room(&self) -> Result<()> {
        let path = self.at.join(FILLER);
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
    }

    fn limit(&self, writes: u32) -> Result<()> {
        let limit = format!("{} {writes}", self.device);
        self.write("blkio.throttle.write_iops_device", &limit)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.group.join(file);
        fs::write(&path, text).with_context(|| format!("write '{text}' to {}", path.display()))
    }
}
