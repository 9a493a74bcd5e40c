//! The `berth` program against a scheduler that only pretends to be one.

mod autoscaling;
mod berth;
mod capacity;
mod clusters;
mod compose;
mod dev;
mod drain;
mod events;
mod fake;
mod history;
mod instances;
mod plan;
mod process;
mod run;
mod schedules;
mod services;
mod settings;
mod support_bundle;
mod task_definitions;
mod tasks;
mod top;
