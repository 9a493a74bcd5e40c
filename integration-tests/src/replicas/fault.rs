//! What goes wrong, and when: from a seed. Pure.

use std::time::Duration;

use berth_scheduler_core::command::nth_draw;

/// Something that goes wrong. Numbers are places in the bed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A scheduler is killed and started again.
    KillScheduler(usize),
    /// A scheduler is stopped in its tracks and goes on.
    FreezeScheduler(usize),
    /// Nothing passes between a scheduler and etcd.
    CutJournal(usize),
    /// A scheduler's words reach etcd; etcd's do not reach it.
    DeafenScheduler(usize),
    /// Nothing passes between a scheduler and one host of clients.
    CutClients(usize),
    /// Nothing passes between a scheduler and one host of agents.
    CutAgents(usize),
    /// A member of etcd is killed and started again.
    KillMember(usize),
    /// A member of etcd is stopped in its tracks and goes on.
    FreezeMember(usize),
    /// Nothing passes between a member and the others; schedulers reach it.
    CutMember(usize),
    /// A member has a slow disk.
    SlowDisk(usize),
    /// A member has no room left on its disk; it is killed if that has not ended it, and started when there is room.
    FullDiskOfMember(usize),
    /// The same for the disk of a scheduler with a file.
    FullDiskOfScheduler(usize),
}

/// Faults at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// How long all is well before.
    pub after: Duration,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// For how long.
    pub lasts: Duration,
}

/// What can go wrong in a bed.
#[derive(Debug, Clone, Copy)]
pub struct Targets {
    /// Schedulers.
    pub schedulers: usize,
    /// Members of etcd; none where the journal is a file.
    pub members: usize,
    /// Whether disks can be made slow and full.
    pub disks: bool,
}

impl Fault {
    /// Its name, without what it befalls.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::KillScheduler(_) => "scheduler killed",
            Self::FreezeScheduler(_) => "scheduler stopped",
            Self::CutJournal(_) => "scheduler cut off from etcd",
            Self::DeafenScheduler(_) => "scheduler hears nothing of etcd",
            Self::CutClients(_) => "clients cut off from a scheduler",
            Self::CutAgents(_) => "agents cut off from a scheduler",
            Self::KillMember(_) => "member killed",
            Self::FreezeMember(_) => "member stopped",
            Self::CutMember(_) => "member cut off from members",
            Self::SlowDisk(_) => "member with a slow disk",
            Self::FullDiskOfMember(_) => "member with a full disk",
            Self::FullDiskOfScheduler(_) => "scheduler with a full disk",
        }
    }
}

/// One in so many episodes lasts longer than schedulers and agents wait for each other, which is 12 s.
const LONG: usize = 8;

/// The faults of a seed, as many as fit into a time. Each kind comes in its turn, in an order of the seed's; every third
/// time something happens to a scheduler and to etcd at once.
#[must_use]
pub fn plan(seed: u64, targets: Targets, span: Duration) -> Vec<Episode> {
    let mut random = Random { seed, drawn: 0 };
    let mut schedulers = Bag::new(targets.schedulers, of_schedulers(targets));
    let mut members = Bag::new(targets.members, of_members(targets));
    let mut episodes = Vec::new();
    let mut left = span;
    loop {
        let turn = episodes.len() % 3;
        let mut faults = Vec::new();
        if targets.members == 0 || turn != 1 {
            faults.push(schedulers.draw(&mut random));
        }
        if targets.members > 0 && turn != 0 {
            faults.push(members.draw(&mut random));
        }
        let (after, lasts) = match targets.members {
            // A file has nobody to find again.
            0 => (random.millis(600, 1500), random.millis(100, 1500)),
            _ if (episodes.len() + 1).is_multiple_of(LONG) => {
                (random.millis(1000, 3000), random.millis(13_000, 20_000))
            }
            _ => (random.millis(1000, 3000), random.millis(300, 4000)),
        };
        let episode = Episode { after, faults, lasts };
        let Some(rest) = left.checked_sub(episode.after + episode.lasts) else {
            return episodes;
        };
        left = rest;
        episodes.push(episode);
    }
}

type Make = fn(usize) -> Fault;

fn of_schedulers(targets: Targets) -> Vec<Make> {
    let mut kinds: Vec<Make> = vec![Fault::KillScheduler, Fault::FreezeScheduler];
    if targets.members > 0 {
        kinds.extend([Fault::CutJournal as Make, Fault::DeafenScheduler]);
    } else if targets.disks {
        kinds.push(Fault::FullDiskOfScheduler);
    }
    if targets.schedulers > 1 {
        kinds.extend([Fault::CutClients as Make, Fault::CutAgents]);
    }
    kinds
}

fn of_members(targets: Targets) -> Vec<Make> {
    let mut kinds: Vec<Make> = vec![Fault::KillMember, Fault::FreezeMember, Fault::CutMember];
    if targets.disks {
        kinds.extend([Fault::SlowDisk as Make, Fault::FullDiskOfMember]);
    }
    kinds
}

/// Kinds of faults, each drawn once before any is drawn again.
struct Bag {
    targets: usize,
    kinds: Vec<Make>,
    left: Vec<Make>,
}

impl Bag {
    const fn new(targets: usize, kinds: Vec<Make>) -> Self {
        Self {
            targets,
            kinds,
            left: Vec::new(),
        }
    }

    fn draw(&mut self, random: &mut Random) -> Fault {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
        }
        let make = self.left.swap_remove(random.below(self.left.len()));
        make(random.below(self.targets))
    }
}

struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        nth_draw(self.seed, self.drawn)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.draw() % end).unwrap_or(0)
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.draw() % (to - from))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: Targets = Targets {
        schedulers: 3,
        members: 3,
        disks: true,
    };

    fn kinds(episodes: &[Episode]) -> BTreeSet<&'static str> {
        let faults = episodes.iter().flat_map(|episode| &episode.faults);
        faults.map(|fault| fault.kind()).collect()
    }

    #[test]
    fn a_seed_says_all_that_goes_wrong_and_another_says_otherwise() {
        let span = Duration::from_secs(300);
        assert_eq!(plan(7, ALL, span), plan(7, ALL, span));
        assert_ne!(plan(7, ALL, span), plan(8, ALL, span));
    }

    #[test]
    fn in_five_minutes_everything_goes_wrong_and_all_of_it_ends_in_time() {
        for seed in 0..50 {
            let span = Duration::from_secs(300);
            let episodes = plan(seed, ALL, span);
            let takes: Duration = episodes.iter().map(|episode| episode.after + episode.lasts).sum();
            assert!(takes <= span, "{seed}: {takes:?}");
            assert_eq!(kinds(&episodes).len(), 11, "{seed}: {:?}", kinds(&episodes));
            assert!(episodes.iter().any(|episode| episode.faults.len() == 2));
        }
    }

    #[test]
    fn a_scheduler_alone_is_killed_and_stopped_and_its_disk_fills() {
        let kinds = |disks| {
            let alone = Targets {
                schedulers: 1,
                members: 0,
                disks,
            };
            kinds(&plan(1, alone, Duration::from_secs(60)))
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds(false), ["scheduler killed", "scheduler stopped"]);
        assert_eq!(
            kinds(true),
            ["scheduler killed", "scheduler stopped", "scheduler with a full disk"]
        );
    }
}
