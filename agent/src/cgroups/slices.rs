//! Groups as slices of systemd's, for Docker's driver `systemd`.
//!
//! `systemctl set-property --runtime` keeps a slice's limits in `/run`, where they hold before the slice is there and
//! through every reload of systemd; the slice itself begins with its first container. `systemctl revert` forgets them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use berth_agent_core::limits::{LimitPolicy, TaskLimits};
use berth_model::id::TaskId;
use tokio::process::Command;

use super::Setup;

/// It is there where systemd is the init of the host (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// Where systemd keeps properties that were set until the next boot.
const CONTROL: &str = "/run/systemd/system.control";
const SYSTEMCTL: &str = "systemctl";

/// The slice of all tasks.
#[derive(Debug, Clone)]
pub(super) struct Slices {
    /// A dash in a slice's name is a level, so it has none.
    parent: String,
    version: u32,
    policy: LimitPolicy,
    control: PathBuf,
    systemctl: PathBuf,
}

impl Slices {
    /// Whether there is a systemd that the agent may ask.
    pub(super) fn find(setup: &Setup) -> Result<Self, String> {
        if !Path::new(BOOTED).exists() {
            return Err("Docker's cgroup driver is 'systemd', and the agent sees no systemd in /run".to_owned());
        }
        if !rustix::process::geteuid().is_root() {
            return Err("Docker's cgroup driver is 'systemd', which only root may ask for slices".to_owned());
        }
        Self::of(setup, CONTROL.into(), SYSTEMCTL.into())
    }

    fn of(setup: &Setup, control: PathBuf, systemctl: PathBuf) -> Result<Self, String> {
        let parent = setup.parent.trim_matches('/');
        let plain = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
        if parent.is_empty() || !parent.chars().all(plain) {
            return Err(format!(
                "task-cgroup is '{}', with Docker's cgroup driver 'systemd' it must be one name of letters, digits and underscores",
                setup.parent
            ));
        }
        Ok(Self {
            parent: parent.to_owned(),
            version: setup.version,
            policy: setup.policy,
            control,
            systemctl,
        })
    }

    /// Sets the limits of the task's slice; returns its name, which Docker takes.
    pub(super) async fn make(&self, task: TaskId, limits: &TaskLimits) -> Result<String, String> {
        let slice = self.slice(task);
        // A task's limits never change: once set they need not be set again for each of its containers.
        if !self.control.join(format!("{slice}.d")).exists() {
            let mut arguments = vec!["set-property".to_owned(), "--runtime".to_owned(), slice.clone()];
            arguments.extend(limits.properties(self.policy, self.version));
            self.ask(&arguments).await?;
        }
        Ok(slice)
    }

    pub(super) async fn remove(&self, task: TaskId) -> Result<(), String> {
        let slice = self.slice(task);
        self.ask(&["stop".to_owned(), slice.clone()]).await?;
        self.ask(&["revert".to_owned(), slice]).await
    }

    /// The tasks whose limits systemd keeps.
    pub(super) fn tasks(&self) -> BTreeSet<TaskId> {
        let entries = fs::read_dir(&self.control).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let prefix = format!("{}-", self.parent);
        names
            .filter_map(|name| name.strip_prefix(&prefix)?.strip_suffix(".slice.d")?.parse().ok())
            .collect()
    }

    /// An id has no dashes: the slice lies right under that of all tasks.
    fn slice(&self, task: TaskId) -> String {
        format!("{}-{task}.slice", self.parent)
    }

    async fn ask(&self, arguments: &[String]) -> Result<(), String> {
        let asked = Command::new(&self.systemctl)
            .arg("--no-ask-password")
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await;
        let what = || format!("{} {}", self.systemctl.display(), arguments.join(" "));
        match asked {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(format!("'{}': {}: {}", what(), output.status, said.trim()))
            }
            Err(error) => Err(format!("'{}': {error}", what())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use berth_model::quantity::{CpuUnits, MemoryMib};

    use super::*;
    use crate::testing::write_program;

    fn setup(parent: &str) -> Setup {
        Setup {
            root: PathBuf::new(),
            parent: parent.to_owned(),
            driver: "systemd".to_owned(),
            version: 2,
            policy: LimitPolicy {
                period: Duration::from_millis(100),
                pids: None,
            },
        }
    }

    /// A systemctl that notes what it was asked, and keeps a directory a slice as the real one does.
    fn fake(directory: &Path) -> Slices {
        let systemctl = directory.join("systemctl");
        let (log, control) = (directory.join("log"), directory.join("control"));
        fs::create_dir(&control).unwrap();
        let script = format!(
            "#!/bin/sh\nshift\necho \"$@\" >> {}\ncase $1 in set-property) mkdir {control}/$3.d;; revert) rmdir {control}/$2.d;; esac\n",
            log.display(),
            control = control.display()
        );
        write_program(&systemctl, script.as_bytes());
        Slices::of(&setup("/berth"), control, systemctl).unwrap()
    }

    #[tokio::test]
    async fn a_slice_is_given_its_limits_once_and_forgotten_with_its_task() {
        let directory = tempfile::tempdir().unwrap();
        let slices = fake(directory.path());
        let limits = TaskLimits {
            cpu: Some(CpuUnits(512)),
            memory: Some(MemoryMib(64)),
            shares: 512,
        };
        let task = TaskId::from_bits(0x2a);
        let slice = format!("berth-{task}.slice");
        for _ in 0..2 {
            assert_eq!(slices.make(task, &limits).await.as_ref(), Ok(&slice));
        }
        assert_eq!(slices.tasks(), BTreeSet::from([task]));
        slices.remove(task).await.unwrap();
        assert!(slices.tasks().is_empty());
        let asked = fs::read_to_string(directory.path().join("log")).unwrap();
        let lines: Vec<&str> = asked.lines().collect();
        let set = format!(
            "set-property --runtime {slice} CPUWeight=20 CPUQuota=50.00% CPUQuotaPeriodSec=100000us MemoryMax=67108864"
        );
        assert_eq!(lines, [set, format!("stop {slice}"), format!("revert {slice}")]);
    }

    #[test]
    fn a_name_that_would_be_several_levels_is_refused() {
        for parent in ["/a/b", "a-b", "/"] {
            assert!(
                Slices::of(&setup(parent), PathBuf::new(), PathBuf::new()).is_err(),
                "{parent}"
            );
        }
    }

    #[tokio::test]
    async fn what_systemd_says_against_it_is_told() {
        let slices = Slices::of(&setup("berth"), PathBuf::new(), "/bin/false".into()).unwrap();
        let problem = slices.remove(TaskId::from_bits(1)).await.unwrap_err();
        assert!(problem.contains("stop berth-"), "{problem}");
    }
}
