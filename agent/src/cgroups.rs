//! Control groups around the containers of a task, which hold them to what the task may use together.
//!
//! With Docker's driver `cgroupfs` they are directories that the agent makes ([`files`]), with `systemd` they are slices
//! that it has systemd make ([`slices`]): writing past systemd would last until its next reload. A group is made
//! before each create, and before a start where it is gone, and is the same when it is made twice; it goes when its task
//! has ended. What a crash leaves is swept at the next start. Knows tasks by their ids alone; called by `perform`.

mod files;
mod slices;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::limits::{LimitPolicy, TaskLimits};
use berth_model::id::TaskId;

use files::Tree;
use slices::Slices;

/// For everything that is done to one group.
const DEADLINE: Duration = Duration::from_secs(20);
/// The kernel lets go of an ended process's group a moment later.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// What the operator and Docker say of control groups.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Where the file systems are, `/sys/fs/cgroup`.
    pub(crate) root: PathBuf,
    /// The group that those of all tasks are in, such as `/berth`.
    pub(crate) parent: String,
    /// Docker's driver: `cgroupfs`, `systemd` or `none`.
    pub(crate) driver: String,
    /// 1 or 2.
    pub(crate) version: u32,
    pub(crate) policy: LimitPolicy,
}

/// The groups of all tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Cgroups {
    kind: Arc<Kind>,
}

#[derive(Debug)]
enum Kind {
    Files(Tree),
    Slices(Slices),
}

impl Cgroups {
    /// Finds out, by trying, whether groups can be made on this host.
    ///
    /// # Errors
    /// Why not, in words for an operator.
    pub(crate) async fn find(setup: Setup) -> Result<Self, String> {
        let finding = tokio::task::spawn_blocking(move || match setup.driver.as_str() {
            "cgroupfs" => Tree::find(&setup).map(Kind::Files),
            "systemd" => Slices::find(&setup).map(Kind::Slices),
            other => Err(format!(
                "Docker's cgroup driver is '{other}', neither cgroupfs nor systemd"
            )),
        });
        match tokio::time::timeout(DEADLINE, finding).await {
            Ok(Ok(kind)) => Ok(Self { kind: Arc::new(kind?) }),
            Ok(Err(_)) | Err(_) => Err("the host's control groups could not be looked at in time".to_owned()),
        }
    }

    /// Makes the task's group and sets its limits; returns the parent that Docker is to be given.
    pub(crate) async fn prepare(&self, task: TaskId, limits: TaskLimits) -> Result<String, Failure> {
        self.provide(task, limits, Tree::make).await
    }

    /// Makes the group again if it is gone since a container was created in it.
    pub(crate) async fn keep(&self, task: TaskId, limits: TaskLimits) -> Result<String, Failure> {
        self.provide(task, limits, Tree::keep).await
    }

    async fn provide(
        &self,
        task: TaskId,
        limits: TaskLimits,
        of_files: fn(&Tree, TaskId, &TaskLimits) -> Result<String, String>,
    ) -> Result<String, Failure> {
        let kind = Arc::clone(&self.kind);
        let preparing = async {
            match &*kind {
                Kind::Files(tree) => {
                    let tree = tree.clone();
                    let made = tokio::task::spawn_blocking(move || of_files(&tree, task, &limits)).await;
                    made.unwrap_or_else(|_| Err("making it broke off".to_owned()))
                }
                Kind::Slices(slices) => slices.make(task, &limits).await,
            }
        };
        let made = tokio::time::timeout(DEADLINE, preparing).await;
        let late = || format!("it was not made within {} s", DEADLINE.as_secs());
        made.unwrap_or_else(|_| Err(late()))
            .map_err(|problem| Failure::new(FailureKind::Unprepared, format!("control group of the task: {problem}")))
    }

    /// Removes the group of a task that has ended; what cannot be removed yet is tried again a few times.
    pub(crate) async fn release(&self, task: TaskId) {
        for pause in PAUSES {
            let Err(problem) = self.remove(task).await else { return };
            tracing::debug!(%task, problem, "control group cannot be removed yet");
            tokio::time::sleep(pause).await;
        }
        if let Err(problem) = self.remove(task).await {
            tracing::warn!(%task, problem, "control group stays until the agent is started again");
        }
    }

    /// The tasks that have a group, whoever made it.
    pub(crate) async fn tasks(&self) -> BTreeSet<TaskId> {
        let kind = Arc::clone(&self.kind);
        let listing = tokio::task::spawn_blocking(move || match &*kind {
            Kind::Files(tree) => tree.tasks(),
            Kind::Slices(slices) => slices.tasks(),
        });
        listing.await.unwrap_or_default()
    }

    async fn remove(&self, task: TaskId) -> Result<(), String> {
        let kind = Arc::clone(&self.kind);
        let removing = async {
            match &*kind {
                Kind::Files(tree) => {
                    let tree = tree.clone();
                    let removed = tokio::task::spawn_blocking(move || tree.remove(task)).await;
                    removed.unwrap_or_else(|_| Err("removing it broke off".to_owned()))
                }
                Kind::Slices(slices) => slices.remove(task).await,
            }
        };
        let removed = tokio::time::timeout(DEADLINE, removing).await;
        removed.unwrap_or_else(|_| Err(format!("not removed within {} s", DEADLINE.as_secs())))
    }
}
