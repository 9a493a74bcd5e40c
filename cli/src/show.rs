//! How answers look to people: tables, short ids, ages. Calls nothing and reads no clock.

pub(crate) mod access_keys;
pub(crate) mod autoscaling;
pub(crate) mod capacity;
pub(crate) mod clusters;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod ids;
pub(crate) mod instances;
pub(crate) mod logs;
pub(crate) mod placement;
pub(crate) mod plan;
pub(crate) mod schedules;
pub(crate) mod services;
pub(crate) mod settings;
mod size;
mod table;
pub(crate) mod task_definitions;
pub(crate) mod tasks;
mod time;
pub(crate) mod trust;
pub(crate) mod usage;

pub(crate) use table::Table;
pub(crate) use time::Now;
