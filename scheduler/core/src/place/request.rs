//! From a task definition and what a caller asks to what placement asks of instances.

use std::sync::Arc;

use berth_model::placement::{Constraint, Strategy};
use berth_model::query::Expression;
use berth_model::task_definition::{TaskDefinition, capability};

use super::Request;
use crate::state::RegisteredDefinition;

impl Request {
    /// What copies of a definition ask of any instance of their cluster; `effective` is the definition itself, or what the overrides of a call make of it.
    pub(crate) fn of(
        registered: &RegisteredDefinition,
        effective: &TaskDefinition,
        group: Arc<str>,
        constraints: Vec<Constraint>,
        strategies: Vec<Strategy>,
    ) -> Self {
        Self {
            demand: effective.demand(),
            required_attributes: required_attributes(registered, effective),
            cpu_architecture: cpu_architecture(effective),
            pool: None,
            member_of: Arc::clone(&registered.constraints),
            constraints,
            strategies,
            group,
        }
    }

    /// The expressions that an instance must satisfy.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let from_request = self.constraints.iter().filter_map(|constraint| match constraint {
            Constraint::MemberOf(expression) => Some(expression),
            Constraint::DistinctInstance => None,
        });
        self.member_of.iter().chain(from_request)
    }

    /// Whether an instance can come to satisfy the request by tasks that come to it, or get on there.
    pub(crate) fn follows_tasks(&self) -> bool {
        self.expressions().any(|expression| expression.mentions().per_instance)
    }
}

/// Overrides may ask for what the definition does not: a role, or limits of the task.
fn required_attributes(registered: &RegisteredDefinition, effective: &TaskDefinition) -> Arc<[String]> {
    match std::ptr::eq(effective, &*registered.definition) {
        true => Arc::clone(&registered.required_attributes),
        false => capability::required_by(effective).into(),
    }
}

/// The processor that the definition asks for, as instances name theirs.
fn cpu_architecture(effective: &TaskDefinition) -> Option<&'static str> {
    let platform = effective.runtime_platform.as_ref()?;
    match platform.cpu_architecture.as_deref()? {
        "ARM64" => Some("arm64"),
        _ => Some("x86_64"),
    }
}
