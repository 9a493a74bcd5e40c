//! The disk that holds Docker's images and containers.

use std::path::{Path, PathBuf};

use berth_agent_core::disk::Fill;

const MOUNTS: &str = "/proc/self/mountinfo";

/// A file system, found by a directory on it that can be looked at.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// Docker's root directory, for messages.
    root: PathBuf,
    looked_at: PathBuf,
}

impl Disk {
    /// The disk of Docker's root directory. Where that is closed to the agent, a parent on the same mount says the
    /// same; where there is none, nothing does. Blocks.
    pub(crate) fn of(root: &Path) -> Option<Self> {
        if root.as_os_str().is_empty() {
            return None;
        }
        let mounts = std::fs::read_to_string(MOUNTS).unwrap_or_default();
        let mount = mount_of(&mounts, root);
        let mut same_mount = root.ancestors().take_while(|place| place.starts_with(&mount));
        let looked_at = same_mount.find(|place| rustix::fs::statvfs(*place).is_ok())?;
        if looked_at != root {
            tracing::info!(
                root = %root.display(),
                instead = %looked_at.display(),
                "Docker's root directory is closed to the agent; its disk is known by a parent"
            );
        }
        Some(Self {
            root: root.to_owned(),
            looked_at: looked_at.to_owned(),
        })
    }

    /// Docker's root directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// How full it is. Blocks.
    pub(crate) fn measure(&self) -> std::io::Result<Fill> {
        let said = rustix::fs::statvfs(&self.looked_at)?;
        Ok(Fill::of(
            [said.f_blocks, said.f_bfree, said.f_bavail],
            [said.f_files, said.f_ffree],
        ))
    }
}

/// Where the file system of the path is mounted: the longest mount point that begins it.
fn mount_of(mounts: &str, path: &Path) -> PathBuf {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped);
    points
        .filter(|point| path.starts_with(point))
        .max_by_key(|point| point.components().count())
        .unwrap_or_else(|| "/".into())
}

/// The kernel writes what would end a field in octal: `\040` is a space.
fn unescaped(field: &str) -> PathBuf {
    let mut text = field.to_owned();
    for (octal, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(octal, plain);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_cannot_be_looked_at_is_known_by_its_parent_on_the_same_mount() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        let disk = Disk::of(&real.join("closed/docker")).unwrap();
        assert_eq!(disk.looked_at, real);
        assert!(disk.measure().unwrap().worst() <= 100);
        assert!(Disk::of(Path::new("")).is_none());
    }

    #[test]
    fn the_longest_mount_point_is_the_one() {
        let mounts = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
                      40 22 0:30 / /var/lib rw - xfs /dev/vdb rw\n\
                      41 22 0:31 / /my\\040data rw - xfs /dev/vdc rw\n";
        for (path, mount) in [
            ("/var/lib/docker", "/var/lib"),
            ("/var/library", "/"),
            ("/my data/docker", "/my data"),
        ] {
            assert_eq!(mount_of(mounts, Path::new(path)), Path::new(mount), "{path}");
        }
    }
}
