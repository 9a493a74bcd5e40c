//! Schedules.

use std::sync::Arc;

use berth_model::id::TaskId;
use berth_model::name::ScheduleName;
use berth_model::time::Timestamp;
use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};

use super::State;
use crate::keys::{ClusterKey, ScheduleKey};
use crate::launch::ClientToken;
use crate::schedule::{Occurrence, Retry, Run, ScheduleSpec};

/// Runs that are kept.
const RUNS_KEPT: usize = 100;

/// A schedule with its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its cluster.
    pub cluster: ClusterKey,
    /// Its name.
    pub name: ScheduleName,
    /// What it is told to do.
    pub spec: Arc<ScheduleSpec>,
    /// Raised by each change that a user makes.
    pub version: u64,
    /// Where a rate without a start begins.
    pub anchor: Timestamp,
    /// When it is due next; none where it will not be, or is DISABLED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Occurrence>,
    /// What is missing of its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The number of its last run.
    #[serde(default)]
    pub last_run: u64,
    /// Its last hundred runs, newest first.
    #[serde(with = "runs")]
    pub runs: Vector<Run>,
    /// Its tasks that have not stopped, each with the number of its run.
    #[serde(default, with = "live")]
    pub live: OrdMap<TaskId, u64>,
    /// Times at which it was due that passed unused.
    #[serde(default)]
    pub missed: u64,
    /// The token that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<ClientToken>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a user last changed it.
    pub updated_at: Timestamp,
}

impl Schedule {
    /// Its place in the state.
    #[must_use]
    pub fn key(&self) -> ScheduleKey {
        ScheduleKey {
            cluster: self.cluster,
            schedule: self.name.clone(),
        }
    }

    /// When it has something to do.
    #[must_use]
    pub fn wake(&self) -> Option<Timestamp> {
        let begin = self.next.map(|next| next.begin);
        let again = self.retry.map(|retry| retry.at);
        begin.into_iter().chain(again).min()
    }

    /// A run that is remembered.
    #[must_use]
    pub fn run(&self, number: u64) -> Option<&Run> {
        self.runs.iter().find(|run| run.number == number)
    }

    pub(crate) fn with_run(&mut self, number: u64, edit: impl FnOnce(&mut Run)) {
        if let Some(run) = self.runs.iter_mut().find(|run| run.number == number) {
            edit(run);
        }
    }

    /// Adds a run with the tasks that it has started.
    pub(crate) fn begin(&mut self, run: &Run) {
        self.last_run = run.number;
        self.missed = self.missed.saturating_add(u64::from(run.missed));
        self.live.extend(run.tasks.iter().map(|task| (*task, run.number)));
        self.runs.push_front(run.clone());
        self.runs.truncate(RUNS_KEPT);
    }
}

/// The schedules of all clusters, and which has something to do first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schedules {
    by_cluster: OrdMap<ClusterKey, OrdMap<ScheduleName, Arc<Schedule>>>,
    due: OrdSet<(Timestamp, ScheduleKey)>,
}

impl Schedules {
    /// A schedule.
    #[must_use]
    pub fn get(&self, key: &ScheduleKey) -> Option<&Schedule> {
        self.by_cluster.get(&key.cluster)?.get(&key.schedule).map(Arc::as_ref)
    }

    /// The schedules of a cluster by name, those behind `after`.
    pub fn of<'s>(&'s self, cluster: ClusterKey, after: Option<&ScheduleName>) -> impl Iterator<Item = &'s Schedule> {
        use std::ops::Bound;
        let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
        let schedules = self.by_cluster.get(&cluster).into_iter();
        schedules
            .flat_map(move |schedules| schedules.range((start.clone(), Bound::Unbounded)))
            .map(|(_, schedule)| schedule.as_ref())
    }

    /// How many schedules a cluster has.
    #[must_use]
    pub fn count(&self, cluster: ClusterKey) -> usize {
        self.by_cluster.get(&cluster).map_or(0, OrdMap::len)
    }

    /// All schedules.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Schedule>> {
        self.by_cluster.values().flat_map(OrdMap::values)
    }

    /// The schedules that have something to do, with when, the first first.
    pub fn due(&self) -> impl Iterator<Item = (Timestamp, &ScheduleKey)> {
        self.due.iter().map(|(at, key)| (*at, key))
    }

    /// Puts a schedule in place of the one of its key.
    pub(crate) fn put(&mut self, schedule: Schedule) {
        let key = schedule.key();
        self.remove(&key);
        if let Some(at) = schedule.wake() {
            self.due.insert((at, key.clone()));
        }
        let schedules = self.by_cluster.entry(key.cluster).or_default();
        schedules.insert(key.schedule, Arc::new(schedule));
    }

    pub(crate) fn remove(&mut self, key: &ScheduleKey) {
        let Some(schedules) = self.by_cluster.get_mut(&key.cluster) else {
            return;
        };
        let Some(removed) = schedules.remove(&key.schedule) else {
            return;
        };
        if schedules.is_empty() {
            self.by_cluster.remove(&key.cluster);
        }
        if let Some(at) = removed.wake() {
            self.due.remove(&(at, key.clone()));
        }
    }

    /// Edits a schedule, and keeps the index true.
    pub(crate) fn edit(&mut self, key: &ScheduleKey, edit: impl FnOnce(&mut Schedule)) {
        let schedules = self.by_cluster.get_mut(&key.cluster);
        let Some(schedule) = schedules.and_then(|schedules| schedules.get_mut(&key.schedule)) else {
            return;
        };
        let schedule = Arc::make_mut(schedule);
        let before = schedule.wake();
        edit(schedule);
        let after = schedule.wake();
        if before != after {
            if let Some(at) = before {
                self.due.remove(&(at, key.clone()));
            }
            if let Some(at) = after {
                self.due.insert((at, key.clone()));
            }
        }
    }
}

impl State {
    /// The schedules.
    #[must_use]
    pub const fn schedules(&self) -> &Schedules {
        &self.schedules
    }
}

/// Lists that share what has not changed, written as lists.
mod runs {
    use imbl::Vector;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::schedule::Run;

    pub(super) fn serialize<S: Serializer>(runs: &Vector<Run>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(runs)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vector<Run>, D::Error> {
        Ok(Vec::<Run>::deserialize(deserializer)?.into_iter().collect())
    }
}

mod live {
    use berth_model::id::TaskId;
    use imbl::OrdMap;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(live: &OrdMap<TaskId, u64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(live)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OrdMap<TaskId, u64>, D::Error> {
        Ok(Vec::<(TaskId, u64)>::deserialize(deserializer)?.into_iter().collect())
    }
}
