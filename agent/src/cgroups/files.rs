//! Groups as directories of the cgroup file systems, for Docker's driver `cgroupfs`. Blocking, but of memory alone.
//!
//! The first version has a hierarchy for each controller, in which Docker makes what is missing on the way to a
//! container's group. So limits are written to those of three controllers, and an ended task is removed from all.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_agent_core::limits::{LimitPolicy, Setting, TaskLimits};
use berth_model::id::TaskId;

use super::Setup;

/// What tasks are limited by.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// Files without which a controller of the first version cannot limit.
const PROOFS: [(&str, &str); 2] = [("cpu", "cpu.cfs_quota_us"), ("memory", "memory.limit_in_bytes")];
const SUBTREE: &str = "cgroup.subtree_control";
const HIERARCHY: &str = "memory.use_hierarchy";

/// The group of all tasks, within the file systems.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: PathBuf,
    /// Without the first slash.
    parent: PathBuf,
    version: u32,
    policy: LimitPolicy,
}

impl Tree {
    /// Makes the group of all tasks, which shows whether the agent may.
    pub(super) fn find(setup: &Setup) -> Result<Self, String> {
        let tree = Self {
            root: setup.root.clone(),
            parent: PathBuf::from(setup.parent.trim_matches('/')),
            version: setup.version,
            policy: setup.policy,
        };
        tree.prepare_parent()?;
        if tree.version == 1 {
            for (controller, file) in PROOFS {
                let path = tree.hierarchy(controller).join(&tree.parent).join(file);
                if !path.exists() {
                    return Err(format!("the kernel has no '{}'", path.display()));
                }
            }
        }
        Ok(tree)
    }

    /// Makes the task's group with its limits; returns its name as Docker takes it.
    pub(super) fn make(&self, task: TaskId, limits: &TaskLimits) -> Result<String, String> {
        let group = self.parent.join(task.to_string());
        let settings = if self.version == 1 {
            limits.version_1(self.policy)
        } else {
            limits.version_2(self.policy)
        };
        for directory in self.limited().iter().map(|hierarchy| hierarchy.join(&group)) {
            match fs::create_dir(&directory) {
                // Somebody has removed what was there at the start.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.prepare_parent()?;
                    make_directory(&directory)?;
                }
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(cannot_make(&directory, &error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        for Setting {
            controller,
            file,
            value,
        } in settings
        {
            write(&self.hierarchy(controller).join(&group).join(file), &value)?;
        }
        Ok(format!("/{}", group.display()))
    }

    /// Makes the task's group again where it is gone since it was made. While it is there its limits are: they were
    /// written before the first container was created.
    pub(super) fn keep(&self, task: TaskId, limits: &TaskLimits) -> Result<String, String> {
        let group = self.parent.join(task.to_string());
        if self.limited().iter().all(|hierarchy| hierarchy.join(&group).is_dir()) {
            return Ok(format!("/{}", group.display()));
        }
        self.make(task, limits)
    }

    /// Removes the task's group everywhere; one with processes in it stays and is an error.
    pub(super) fn remove(&self, task: TaskId) -> Result<(), String> {
        let group = self.parent.join(task.to_string());
        let mut problem = Ok(());
        for directory in self.hierarchies().iter().map(|hierarchy| hierarchy.join(&group)) {
            if let Err(error) = remove_tree(&directory) {
                problem = Err(format!("'{}': {error}", directory.display()));
            }
        }
        problem
    }

    /// The tasks that have a group in any hierarchy.
    pub(super) fn tasks(&self) -> BTreeSet<TaskId> {
        let mut tasks = BTreeSet::new();
        for parent in self.hierarchies().iter().map(|hierarchy| hierarchy.join(&self.parent)) {
            let names = directories(&parent);
            tasks.extend(
                names
                    .iter()
                    .filter_map(|path| path.file_name()?.to_str()?.parse::<TaskId>().ok()),
            );
        }
        tasks
    }

    fn prepare_parent(&self) -> Result<(), String> {
        for hierarchy in self.limited() {
            make_directory(&hierarchy.join(&self.parent))?;
        }
        if self.version == 1 {
            return inherit_memory(&self.hierarchy("memory").join(&self.parent));
        }
        // Each level must hand the controllers on to the next, from the root down.
        let mut level = self.root.clone();
        let wanted: Vec<String> = CONTROLLERS.iter().map(|controller| format!("+{controller}")).collect();
        write(&level.join(SUBTREE), &wanted.join(" "))?;
        for part in &self.parent {
            level.push(part);
            write(&level.join(SUBTREE), &wanted.join(" "))?;
        }
        Ok(())
    }

    /// Where limits are written.
    fn limited(&self) -> Vec<PathBuf> {
        if self.version == 1 {
            CONTROLLERS.map(|controller| self.hierarchy(controller)).to_vec()
        } else {
            vec![self.root.clone()]
        }
    }

    /// Where Docker makes groups: in all hierarchies, of which some have a second name.
    fn hierarchies(&self) -> Vec<PathBuf> {
        if self.version == 1 {
            directories(&self.root)
        } else {
            vec![self.root.clone()]
        }
    }

    fn hierarchy(&self, controller: &str) -> PathBuf {
        if self.version == 1 {
            self.root.join(controller)
        } else {
            self.root.clone()
        }
    }
}

/// Older kernels count the memory of the groups within a group only where they are told to.
fn inherit_memory(group: &Path) -> Result<(), String> {
    let file = group.join(HIERARCHY);
    match fs::read_to_string(&file) {
        Ok(told) if told.trim() == "0" => write(&file, "1"),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn make_directory(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| cannot_make(path, &error))
}

fn cannot_make(path: &Path, error: &io::Error) -> String {
    format!("cannot make '{}': {error}", path.display())
}

fn write(path: &Path, value: &str) -> Result<(), String> {
    fs::write(path, value).map_err(|error| format!("cannot write '{value}' to '{}': {error}", path.display()))
}

/// A group can be removed when it has no groups and no processes; its files go with it.
fn remove_tree(path: &Path) -> io::Result<()> {
    for child in directories(path) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The directories in a directory, links apart; none where it is not there.
fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use berth_model::quantity::{CpuUnits, MemoryMib};

    use super::*;

    const LIMITS: TaskLimits = TaskLimits {
        cpu: Some(CpuUnits(512)),
        memory: Some(MemoryMib(64)),
        shares: 512,
    };

    fn setup(root: &Path, version: u32) -> Setup {
        Setup {
            root: root.to_owned(),
            parent: "/berth".to_owned(),
            driver: "cgroupfs".to_owned(),
            version,
            policy: LimitPolicy {
                period: Duration::from_millis(100),
                pids: Some(99),
            },
        }
    }

    /// A directory is no cgroup file system: it has no files of its own and keeps those that were written.
    fn empty(root: &Path) {
        for entry in fs::read_dir(root).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                empty(&entry.path());
            } else {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    #[test]
    fn a_task_of_the_second_version_is_one_directory_that_controllers_are_handed_to() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::find(&setup(root.path(), 2)).unwrap();
        let task = TaskId::from_bits(0x2a);
        assert_eq!(tree.make(task, &LIMITS).unwrap(), format!("/berth/{task}"));
        let read = |file: &str| fs::read_to_string(root.path().join(file)).unwrap();
        assert_eq!(read("cgroup.subtree_control"), "+cpu +memory +pids");
        assert_eq!(read("berth/cgroup.subtree_control"), "+cpu +memory +pids");
        assert_eq!(read(&format!("berth/{task}/cpu.max")), "50000 100000");
        assert_eq!(read(&format!("berth/{task}/memory.max")), "67108864");
        assert_eq!(read(&format!("berth/{task}/pids.max")), "99");
        assert_eq!(tree.tasks(), BTreeSet::from([task]));
        tree.make(task, &LIMITS).unwrap();
        fs::create_dir(root.path().join(format!("berth/{task}/container"))).unwrap();
        empty(root.path());
        tree.remove(task).unwrap();
        tree.remove(task).unwrap();
        assert!(tree.tasks().is_empty());
    }

    #[test]
    fn a_task_of_the_first_version_is_removed_from_hierarchies_that_only_docker_uses() {
        let root = tempfile::tempdir().unwrap();
        for (controller, file) in PROOFS {
            let parent = root.path().join(controller).join("berth");
            fs::create_dir_all(&parent).unwrap();
            fs::write(parent.join(file), "-1").unwrap();
        }
        fs::write(root.path().join("memory/berth").join(HIERARCHY), "0\n").unwrap();
        let tree = Tree::find(&setup(root.path(), 1)).unwrap();
        let read = |file: &str| fs::read_to_string(root.path().join(file)).unwrap();
        assert_eq!(read("memory/berth/memory.use_hierarchy"), "1");
        let task = TaskId::from_bits(0x2a);
        assert_eq!(tree.make(task, &LIMITS).unwrap(), format!("/berth/{task}"));
        assert_eq!(read(&format!("cpu/berth/{task}/cpu.cfs_quota_us")), "50000");
        let of_docker = root.path().join(format!("devices/berth/{task}/container"));
        fs::create_dir_all(of_docker).unwrap();
        empty(root.path());
        tree.remove(task).unwrap();
        assert!(tree.tasks().is_empty());
        assert!(!root.path().join(format!("devices/berth/{task}")).exists());
    }

    #[test]
    fn a_kernel_that_cannot_limit_is_told_of() {
        let root = tempfile::tempdir().unwrap();
        let problem = Tree::find(&setup(root.path(), 1)).unwrap_err();
        assert!(problem.contains("cpu.cfs_quota_us"), "{problem}");
        fs::write(root.path().join("file"), "").unwrap();
        let problem = Tree::find(&setup(&root.path().join("file"), 2)).unwrap_err();
        assert!(problem.starts_with("cannot make"), "{problem}");
    }

    #[test]
    fn a_group_that_somebody_removed_is_made_again_with_its_limits() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::find(&setup(root.path(), 2)).unwrap();
        let task = TaskId::from_bits(1);
        let limit = root.path().join(format!("berth/{task}/memory.max"));
        let name = tree.make(task, &LIMITS).unwrap();
        fs::remove_file(&limit).unwrap();
        assert_eq!(tree.keep(task, &LIMITS).unwrap(), name);
        assert!(!limit.exists(), "what is there is left as it is");
        for gone in [format!("berth/{task}"), "berth".to_owned()] {
            fs::remove_dir_all(root.path().join(gone)).unwrap();
            assert_eq!(tree.keep(task, &LIMITS).unwrap(), name);
            assert_eq!(fs::read_to_string(&limit).unwrap(), "67108864");
        }
        let handed_on = fs::read_to_string(root.path().join("berth").join(SUBTREE)).unwrap();
        assert_eq!(handed_on, "+cpu +memory +pids");
    }

    #[test]
    fn a_group_in_use_is_not_removed() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::find(&setup(root.path(), 2)).unwrap();
        let task = TaskId::from_bits(1);
        tree.make(task, &LIMITS).unwrap();
        // A directory with files in it refuses as a group with processes does.
        assert!(tree.remove(task).is_err());
    }
}
