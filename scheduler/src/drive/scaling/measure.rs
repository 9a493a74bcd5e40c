//! Figures of services, by ECS's formulas. Pure: what agents and gateways said is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_model::status::{DesiredStatus, TaskStatus};
use berth_model::time::Timestamp;
use berth_scheduler_core::keys::InstanceKey;
use berth_scheduler_core::state::{Service, State, Task};

use crate::gateways::Load;
use crate::nodes::{Sum, Told};

/// How long after its start nobody expects to have heard of a task: three messages of an agent.
const NEW: Duration = Duration::from_secs(30);
const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;

/// Why a figure is not known, in words.
pub(super) type Problem = Arc<str>;

/// What was measured, for one task on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub(super) value: f64,
    /// Whether all tasks that should be in it are.
    pub(super) whole: bool,
}

/// What the running tasks of a service use and reserve.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Used {
    running: u32,
    cpu: Part,
    memory: Part,
}

/// Of those tasks of which something is known.
#[derive(Debug, Default, PartialEq)]
struct Part {
    used: f64,
    reserved: f64,
    tasks: u32,
    /// Tasks that should have been heard of and were not.
    silent: u32,
}

/// Sums what agents said last of the service's running tasks, and what these reserve.
pub(super) fn used(
    state: &State,
    service: &Service,
    mut told: impl FnMut(InstanceKey) -> Option<(Arc<Told>, Duration)>,
    now: Timestamp,
) -> Used {
    let mut hosts: BTreeMap<InstanceKey, Option<Arc<Told>>> = BTreeMap::new();
    let mut used = Used::default();
    let runs = |task: &&Arc<Task>| task.last == TaskStatus::Running && task.desired == DesiredStatus::Running;
    for task in state.live_tasks_of(service).filter(runs) {
        used.running += 1;
        let host = InstanceKey {
            cluster: service.cluster,
            instance: task.instance,
        };
        let host = hosts.entry(host).or_insert_with(|| fresh(told(host)?));
        let mut sum = Sum::default();
        for container in host.iter().flat_map(|told| told.of_task(task.id)) {
            sum += container.counted();
        }
        let is_new = task.times.started.is_some_and(|started| now.since(started) < NEW);
        let demand = &task.launch.demand;
        let memory = (sum.containers > 0).then_some(sum.memory_bytes as f64 / BYTES_PER_MIB);
        used.cpu.add(sum.cpu_units, f64::from(demand.cpu.0), is_new);
        used.memory.add(memory, f64::from(demand.memory.0), is_new);
    }
    used
}

/// What an agent said, unless it has missed saying more.
fn fresh((told, age): (Arc<Told>, Duration)) -> Option<Arc<Told>> {
    let longest = Duration::from_millis(u64::from(told.interval_ms) * 3) + Duration::from_secs(5);
    (age <= longest).then_some(told)
}

impl Part {
    fn add(&mut self, used: Option<f64>, reserved: f64, is_new: bool) {
        match used {
            Some(used) => {
                self.used += used;
                self.reserved += reserved;
                self.tasks += 1;
            }
            None if is_new => {}
            None => self.silent += 1,
        }
    }

    fn percent(&self, running: u32, what: &str) -> Result<Figure, Problem> {
        if running == 0 {
            return Err("No task runs.".into());
        }
        if self.tasks == 0 {
            return Err(format!("No agent has told what {what} the tasks use.").into());
        }
        if self.reserved <= 0.0 {
            return Err(format!("The tasks reserve no {what}.").into());
        }
        Ok(Figure {
            value: 100.0 * self.used / self.reserved,
            whole: self.silent == 0,
        })
    }
}

impl Used {
    /// `CPUUtilization` of the service: CPU units that tasks use, of those that they reserve, in percent (Amazon ECS
    /// guide, "Amazon ECS service utilization metrics").
    pub(super) fn cpu(&self) -> Result<Figure, Problem> {
        self.cpu.percent(self.running, "CPU")
    }

    /// `MemoryUtilization` of the service, likewise.
    pub(super) fn memory(&self) -> Result<Figure, Problem> {
        self.memory.percent(self.running, "memory")
    }
}

/// Requests and connections that a task has open.
pub(super) fn connections(load: &Load, running: u32) -> Result<Figure, Problem> {
    per_task(load.open as f64, load.whole, running)
}

/// Requests that a task gets in a minute.
pub(super) fn requests(per_minute: f64, whole: bool, running: u32) -> Result<Figure, Problem> {
    per_task(per_minute, whole, running)
}

fn per_task(sum: f64, whole: bool, running: u32) -> Result<Figure, Problem> {
    if running == 0 {
        return Err("No task runs.".into());
    }
    Ok(Figure {
        value: sum / f64::from(running),
        whole,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(of: &[(Option<f64>, f64, bool)]) -> Part {
        let mut part = Part::default();
        for (used, reserved, is_new) in of {
            part.add(*used, *reserved, *is_new);
        }
        part
    }

    #[test]
    fn utilization_is_what_all_tasks_use_of_what_all_reserve() {
        let part = part(&[(Some(100.0), 100.0, false), (Some(20.0), 300.0, true)]);
        let figure = part.percent(2, "CPU").unwrap();
        assert_eq!((figure.value, figure.whole), (30.0, true));
    }

    #[test]
    fn a_task_that_nobody_tells_of_is_missed_unless_it_is_new() {
        let known = (Some(50.0), 100.0, false);
        let missed = part(&[known, (None, 100.0, false)]).percent(2, "CPU").unwrap();
        assert_eq!((missed.value, missed.whole), (50.0, false));
        let new = part(&[known, (None, 100.0, true)]).percent(2, "CPU").unwrap();
        assert_eq!((new.value, new.whole), (50.0, true));
    }

    #[test]
    fn what_cannot_be_measured_says_why() {
        let problem = |part: Part, running| part.percent(running, "CPU").unwrap_err();
        assert_eq!(&*problem(Part::default(), 0), "No task runs.");
        assert_eq!(
            &*problem(part(&[(None, 1.0, true)]), 1),
            "No agent has told what CPU the tasks use."
        );
        assert_eq!(
            &*problem(part(&[(Some(1.0), 0.0, false)]), 1),
            "The tasks reserve no CPU."
        );
    }

    #[test]
    fn what_agents_said_long_ago_is_not_what_tasks_use() {
        let told = |age| {
            let told = Told {
                interval_ms: 1000,
                ..Told::default()
            };
            fresh((Arc::new(told), Duration::from_secs(age))).is_some()
        };
        assert!(told(8) && !told(9));
    }

    #[test]
    fn what_gateways_say_is_shared_by_the_tasks() {
        let load = Load {
            open: 30,
            requests: 0,
            whole: false,
        };
        let figure = connections(&load, 4).unwrap();
        assert_eq!((figure.value, figure.whole), (7.5, false));
        assert_eq!(requests(120.0, true, 4).unwrap().value, 30.0);
        assert!(connections(&load, 0).is_err());
    }
}
