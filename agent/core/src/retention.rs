//! Which ended tasks are removed before their time: the containers of those that ended last are kept for inspection,
//! so many of a host.

use berth_model::id::TaskId;
use berth_model::time::Timestamp;

use crate::record::Record;

/// An ended task whose end the scheduler holds, with what Docker still has of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The task.
    pub task: TaskId,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Containers of it that Docker has.
    pub containers: usize,
}

impl Kept {
    /// The task, if it is one that may be removed.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        Some(Self {
            task: record.spec.id,
            ended_at: record.ended_at.filter(|_| record.acknowledged)?,
            containers: record
                .containers
                .iter()
                .filter(|container| container.runtime_id.is_some() && !container.removed)
                .count(),
        })
    }
}

/// The tasks to remove so that no more than so many containers are kept: those that ended first.
#[must_use]
pub fn surplus(mut kept: Vec<Kept>, most: usize) -> Vec<TaskId> {
    kept.sort_by_key(|kept| std::cmp::Reverse((kept.ended_at, kept.task)));
    let mut containers = 0_usize;
    let over = kept.into_iter().filter(|kept| {
        containers += kept.containers;
        containers > most
    });
    over.map(|kept| kept.task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(task: u128, ended: i64, containers: usize) -> Kept {
        Kept {
            task: TaskId::from_bits(task),
            ended_at: Timestamp::from_millis(ended),
            containers,
        }
    }

    #[test]
    fn the_tasks_that_ended_first_go_first() {
        let all = vec![kept(1, 10, 2), kept(2, 30, 1), kept(3, 20, 2)];
        let ids = |tasks: &[u128]| tasks.iter().map(|task| TaskId::from_bits(*task)).collect::<Vec<_>>();
        assert_eq!(surplus(all.clone(), 5), ids(&[]));
        assert_eq!(surplus(all.clone(), 4), ids(&[1]));
        assert_eq!(surplus(all.clone(), 2), ids(&[3, 1]));
        assert_eq!(surplus(all, 0), ids(&[2, 3, 1]));
    }
}
