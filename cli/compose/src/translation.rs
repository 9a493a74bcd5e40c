//! What a file becomes.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::placement::{RawConstraint, RawStrategy};
use berth_model::task_definition::TaskDefinition;
use serde::Serialize;

use crate::Error;

/// A project as ECS has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Translation {
    /// The project's name.
    pub project: String,
    /// Its services, those that others wait for first.
    pub services: Vec<Service>,
    /// The names in the cluster of services that the files have beside these: no active profile has them, or they were not
    /// asked for.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<String>,
    /// What of the file is not honoured, and what means something else here.
    pub notes: Vec<Note>,
}

/// One service of a project.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its name in the file.
    pub name: String,
    /// Its name in the cluster, and the family of its definition.
    pub service_name: String,
    /// Whether it is kept running or runs once.
    pub kind: Kind,
    /// What it runs, valid by ECS's rules.
    pub task_definition: TaskDefinition,
    /// How many tasks it has, or that each instance has one.
    pub scheduling: Scheduling,
    /// How it is changed.
    pub update: Update,
    /// Where tasks may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub placement_constraints: Vec<RawConstraint>,
    /// Where they are rather than elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub placement_strategy: Vec<RawStrategy>,
    /// Ports of gateways that lead to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
    /// What must be before it is created.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// Tags of the service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// Whether a service goes on.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// It is kept running: a service of ECS.
    #[default]
    Service,
    /// It runs once, and others wait for its success: tasks of ECS.
    Job,
}

/// How many tasks a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Scheduling {
    /// So many.
    Replicas(u16),
    /// One on each instance.
    Daemon,
}

/// How tasks are replaced by those of another definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// Healthy tasks, at least, in percent.
    pub minimum_healthy_percent: u16,
    /// Tasks, at most, in percent.
    pub maximum_percent: u16,
    /// Whether a deployment whose tasks keep failing is given up.
    pub circuit_breaker: bool,
    /// Whether what was there before takes its place then.
    pub rollback: bool,
}

/// A port of gateways and the port of a container that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// `tcp`, `http` or `http2`.
    pub protocol: &'static str,
    /// The gateways' port.
    pub port: u16,
    /// The container.
    pub container: String,
    /// The container's port.
    pub container_port: u16,
}

/// What another service must have come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// The other's name in the file.
    pub service: String,
    /// How far it must be.
    pub condition: Condition,
}

/// How far a service must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// A task of it runs.
    Started,
    /// All its tasks run and are healthy.
    Healthy,
    /// It has ended with exit code 0.
    Completed,
}

/// A field that is not honoured, or means something else than the file may expect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Where it stands in the file.
    pub path: String,
    /// What becomes of it.
    pub says: String,
    /// Whether it is not honoured, at least in part.
    pub lost: bool,
}

impl Translation {
    /// The services of these names, with those that they depend on unless they are to go alone. Notes on the others go too.
    ///
    /// # Errors
    /// There is no such service.
    pub fn only(mut self, names: &BTreeSet<String>, with_dependencies: bool) -> Result<Self, Error> {
        let mut chosen = names.clone();
        // Those that others wait for come first: from the last on, each is known to be chosen when its own needs are added.
        for service in self.services.iter().rev() {
            if with_dependencies && chosen.contains(&service.name) {
                chosen.extend(service.depends_on.iter().map(|need| need.service.clone()));
            }
        }
        if let Some(name) = names.iter().find(|name| self.service(name).is_none()) {
            let rule = format!("there is no such service; there are {}", self.names().join(", "));
            return Err(Error::new(
                format!("services.{}", berth_model::fault::shortened(name)),
                rule,
            ));
        }
        let all: Vec<String> = self.names().into_iter().map(str::to_owned).collect();
        self.notes.retain(|note| {
            // Names may have dots: the longest that fits is meant.
            let about = all.iter().filter(|name| note.is_about(name));
            about
                .max_by_key(|name| name.len())
                .is_none_or(|name| chosen.contains(name))
        });
        let (kept, others) = self
            .services
            .into_iter()
            .partition(|service| chosen.contains(&service.name));
        self.services = kept;
        let others: Vec<Service> = others;
        self.left_out
            .extend(others.into_iter().map(|service| service.service_name));
        Ok(self)
    }

    /// A service by its name in the file.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    fn names(&self) -> Vec<&str> {
        self.services.iter().map(|service| service.name.as_str()).collect()
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.says)
    }
}

impl Note {
    /// Something that is not honoured.
    pub(crate) fn lost(path: impl Into<String>, says: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            says: says.into(),
            lost: true,
        }
    }

    /// Whether it stands in the service of this name.
    fn is_about(&self, service: &str) -> bool {
        let inside = self
            .path
            .strip_prefix("services.")
            .and_then(|rest| rest.strip_prefix(service));
        inside.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    /// Something to know.
    pub(crate) fn known(path: impl Into<String>, says: impl Into<String>) -> Self {
        Self {
            lost: false,
            ..Self::lost(path, says)
        }
    }
}

impl Service {
    /// Everything but the task definition that the cluster is told of it, to compare and to digest.
    #[must_use]
    pub fn settings(&self) -> impl Serialize + '_ {
        (
            self.scheduling,
            self.update,
            &self.placement_constraints,
            &self.placement_strategy,
            &self.listeners,
            &self.tags,
        )
    }
}
