//! Where a container's control groups are in the file system.
//!
//! Two texts say so together: the agent's `/proc/self/mountinfo`, where the hierarchies are mounted, and
//! `/proc/<pid>/cgroup` of a process in the container, where in them its groups are. Nothing is assumed of the names
//! that Docker gives them, but that the container's id is in them: the parent may be Docker's own, a systemd slice or
//! a task's group.

use std::path::{Path, PathBuf};

/// The controllers of v1 whose files are read.
const CONTROLLERS: [&str; 5] = ["cpuacct", "cpu", "memory", "blkio", "pids"];

/// Where the hierarchies are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mounts {
    /// One for each of `cpuacct`, `cpu`, `memory`, `blkio` and `pids`, as far as there are any; several may share one.
    V1([Option<Mount>; CONTROLLERS.len()]),
    /// One for all.
    V2(Mount),
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    point: PathBuf,
    /// The group that is seen there: `/`, unless the agent is in a container itself.
    root: String,
}

/// The directories of one container's control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directories {
    /// A directory for each controller that there is.
    V1 {
        /// Of CPU time.
        cpuacct: Option<PathBuf>,
        /// Of CPU quotas.
        cpu: Option<PathBuf>,
        /// Of memory.
        memory: Option<PathBuf>,
        /// Of block devices.
        blkio: Option<PathBuf>,
        /// Of processes.
        pids: Option<PathBuf>,
    },
    /// One directory for all.
    V2 {
        /// The container's.
        directory: PathBuf,
        /// Those above it up to the mount, nearest first.
        above: Vec<PathBuf>,
    },
}

impl Mounts {
    /// Reads a text of `/proc/self/mountinfo`; nothing where no hierarchy with the memory controller is mounted.
    #[must_use]
    pub fn parse(mountinfo: &str) -> Option<Self> {
        let mut v1 = [const { None }; CONTROLLERS.len()];
        let mut v2 = None;
        for line in mountinfo.lines() {
            // Optional fields, as many as there are, end with a lone dash.
            let Some((place, kind)) = line.split_once(" - ") else {
                continue;
            };
            let mut place = place.split(' ').skip(3);
            let (Some(root), Some(point)) = (place.next(), place.next()) else {
                continue;
            };
            let mount = || Mount {
                point: PathBuf::from(point),
                root: root.to_owned(),
            };
            let mut kind = kind.split(' ');
            match (kind.next(), kind.nth(1)) {
                (Some("cgroup"), Some(options)) => {
                    for (slot, name) in v1.iter_mut().zip(CONTROLLERS) {
                        if options.split(',').any(|option| option == name) {
                            *slot = Some(mount());
                        }
                    }
                }
                (Some("cgroup2"), _) => v2 = v2.or(Some(mount())),
                _ => {}
            }
        }
        // A host in transition has both; the controllers are where memory is.
        let [.., memory, _, _] = &v1;
        if memory.is_some() {
            Some(Self::V1(v1))
        } else {
            v2.map(Self::V2)
        }
    }

    /// The directories of the container, from a text of `/proc/<pid>/cgroup`; nothing where the process is not in it.
    #[must_use]
    pub fn directories(&self, groups: &str, container: &str) -> Option<Directories> {
        match self {
            Self::V1(mounts) => {
                let found: [Option<PathBuf>; CONTROLLERS.len()] = std::array::from_fn(|at| {
                    let mount = mounts[at].as_ref()?;
                    mount.directory(group(groups, CONTROLLERS[at])?, container)
                });
                if found.iter().all(Option::is_none) {
                    return None;
                }
                let [cpuacct, cpu, memory, blkio, pids] = found;
                Some(Directories::V1 {
                    cpuacct,
                    cpu,
                    memory,
                    blkio,
                    pids,
                })
            }
            Self::V2(mount) => {
                let directory = mount.directory(group(groups, "")?, container)?;
                let above = directory
                    .ancestors()
                    .skip(1)
                    .take_while(|above| *above != mount.point)
                    .map(Path::to_path_buf)
                    .collect();
                Some(Directories::V2 { directory, above })
            }
        }
    }
}

impl Mount {
    /// The directory of the group at the path that is named for the container. A process may have moved to a group
    /// below it; what is above counts for all of them.
    fn directory(&self, path: &str, container: &str) -> Option<PathBuf> {
        let below = path.strip_prefix(self.root.trim_end_matches('/')).unwrap_or(path);
        let mut directory = self.point.clone();
        for part in below.split('/').filter(|part| !part.is_empty()) {
            directory.push(part);
            if part.contains(container) {
                return Some(directory);
            }
        }
        None
    }
}

/// The path in a line such as `4:memory:/docker/<id>`; the controller of v2 has no name.
fn group<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "b2d66b1b0cf937c56029a476a076f93773c812421fa2314130def07b43ba59fc";
    const V1: &str = "22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    const V2: &str = "31 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn each_controller_of_v1_has_its_directory() {
        let mounts = Mounts::parse(V1).unwrap();
        let groups = format!(
            "9:name=systemd:/docker/{ID}\n7:blkio:/berth/task/{ID}\n4:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}\n0::/docker/{ID}\n"
        );
        let cpu = PathBuf::from(format!("/sys/fs/cgroup/cpu,cpuacct/docker/{ID}"));
        let expected = Directories::V1 {
            cpuacct: Some(cpu.clone()),
            cpu: Some(cpu),
            memory: Some(format!("/sys/fs/cgroup/memory/docker/{ID}").into()),
            blkio: Some(format!("/sys/fs/cgroup/blkio/berth/task/{ID}").into()),
            pids: None,
        };
        assert_eq!(mounts.directories(&groups, ID), Some(expected));
    }

    #[test]
    fn v2_has_one_directory_and_those_above_it() {
        let mounts = Mounts::parse(V2).unwrap();
        let check = |group: &str, directory: &str, above: &[&str]| {
            let expected = Directories::V2 {
                directory: directory.into(),
                above: above.iter().map(PathBuf::from).collect(),
            };
            assert_eq!(mounts.directories(&format!("0::{group}\n"), ID), Some(expected));
        };
        check(
            &format!("/system.slice/docker-{ID}.scope"),
            &format!("/sys/fs/cgroup/system.slice/docker-{ID}.scope"),
            &["/sys/fs/cgroup/system.slice"],
        );
        check(
            &format!("/berth/task/{ID}"),
            &format!("/sys/fs/cgroup/berth/task/{ID}"),
            &["/sys/fs/cgroup/berth/task", "/sys/fs/cgroup/berth"],
        );
        // The first process of a container may be an init that has made a group for itself.
        check(
            &format!("/docker/{ID}/init.scope"),
            &format!("/sys/fs/cgroup/docker/{ID}"),
            &["/sys/fs/cgroup/docker"],
        );
    }

    #[test]
    fn a_process_that_is_not_the_containers_has_no_directories() {
        let mounts = Mounts::parse(V2).unwrap();
        assert_eq!(mounts.directories("0::/system.slice/cron.service\n", ID), None);
        let mounts = Mounts::parse(V1).unwrap();
        assert_eq!(mounts.directories("4:memory:/\n", ID), None);
        assert_eq!(Mounts::parse("nothing of use\n"), None);
    }

    #[test]
    fn an_agent_in_a_container_sees_less_of_the_path() {
        let mount = Mount {
            point: "/sys/fs/cgroup/memory".into(),
            root: "/outer".to_owned(),
        };
        assert_eq!(
            mount.directory(&format!("/outer/docker/{ID}"), ID),
            Some(format!("/sys/fs/cgroup/memory/docker/{ID}").into())
        );
    }
}
