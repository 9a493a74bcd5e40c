//! Where the demonstration keeps what it makes, and under which names.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Where its scheduler listens.
pub(super) const LISTEN: &str = "127.0.0.1:7700";
pub(super) const URL: &str = "http://127.0.0.1:7700";
pub(super) const CLUSTER: &str = "default";
pub(super) const FAMILY: &str = "demo";
pub(super) const IMAGE: &str = "berth-demo:latest";

/// The paths of one checkout.
#[derive(Debug)]
pub(super) struct Place {
    workspace: PathBuf,
    target: PathBuf,
}

impl Place {
    pub(super) fn of_this_checkout() -> anyhow::Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = package.parent().context("xtask lies in no workspace")?;
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| workspace.join("target"));
        Ok(Self {
            workspace: workspace.to_owned(),
            target: std::path::absolute(target)?,
        })
    }

    pub(super) fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The program `name` as the release build leaves it.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// The directory that `demo-stop` removes.
    pub(super) fn root(&self) -> PathBuf {
        self.target.join("demo")
    }

    /// Holds the id of the container instance: the label of the containers that are the demonstration's.
    pub(super) fn instance_id(&self) -> PathBuf {
        self.path("instance-id")
    }

    /// Something in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }
}
