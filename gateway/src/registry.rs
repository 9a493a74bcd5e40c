//! What lives here as the table says: groups with their targets, and what listens for them.
//!
//! The only place that makes and ends these. It compares tables with what there is, so that whatever did not change is
//! not touched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::endpoints::{Endpoint, Service, Table, TargetGroup};
use crate::group::Group;
use crate::health::Health;
use crate::listener::Listeners;
use crate::report::{Loads, TargetId};
use crate::supervise::{Board, supervise};
use crate::target::Target;

/// How often targets are forgotten that have left and are empty, and it is noted what goes to the others.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// All that lives.
#[derive(Debug)]
pub(crate) struct Registry {
    board: Arc<Board>,
    /// What goes to the targets.
    loads: watch::Sender<Arc<Loads>>,
    listeners: Listeners,
    /// By ARN.
    groups: BTreeMap<Arc<str>, Member>,
    /// Targets that are in no table any more and are not empty yet, or were a moment ago.
    leftovers: Vec<Arc<Target>>,
    lives: JoinSet<()>,
}

#[derive(Debug)]
struct Member {
    group: Arc<Group>,
    /// By the task's ARN.
    targets: BTreeMap<Arc<str>, Arc<Target>>,
}

impl Registry {
    pub(crate) fn new(board: Arc<Board>, loads: watch::Sender<Arc<Loads>>, listeners: Listeners) -> Self {
        Self {
            board,
            loads,
            listeners,
            groups: BTreeMap::new(),
            leftovers: Vec::new(),
            lives: JoinSet::new(),
        }
    }

    /// Follows the tables until told to stop; then closes all ports, and goes on for as long as anything is open, at most
    /// this long: targets that leave meanwhile are drained as ever.
    pub(crate) async fn run(
        mut self,
        mut tables: watch::Receiver<Arc<Table>>,
        stop: CancellationToken,
        within: Duration,
    ) {
        self.until(&mut tables, stop.cancelled()).await;
        let ended = self.listeners.close(within);
        self.until(&mut tables, ended).await;
    }

    /// Follows the tables until something has happened.
    async fn until(&mut self, tables: &mut watch::Receiver<Arc<Table>>, over: impl Future<Output = ()>) {
        let mut over = std::pin::pin!(over);
        let mut tidy = tokio::time::interval(TIDY_EVERY);
        loop {
            tokio::select! {
                () = &mut over => return,
                Ok(()) = tables.changed() => {
                    let table = Arc::clone(&tables.borrow_and_update());
                    self.follow(&table);
                }
                _ = tidy.tick() => {
                    self.tidy();
                    let load = |(arn, member): (&Arc<str>, &Member)| (Arc::clone(arn), member.group.load());
                    self.loads.send_replace(Arc::new(self.groups.iter().map(load).collect()));
                }
            }
        }
    }

    fn follow(&mut self, table: &Table) {
        let now = Instant::now();
        let mut wanted: BTreeMap<Arc<str>, (&Service, &Arc<TargetGroup>)> = BTreeMap::new();
        for service in table.services.values() {
            for settings in &service.target_groups {
                // Of two services that name the same group the first has it.
                wanted.entry(Arc::clone(&settings.arn)).or_insert((service, settings));
            }
        }
        let gone: Vec<Arc<str>> = self
            .groups
            .keys()
            .filter(|arn| !wanted.contains_key(*arn))
            .cloned()
            .collect();
        for arn in gone {
            if let Some(member) = self.groups.remove(&arn) {
                self.abandon(member, now);
            }
        }
        for (arn, (service, settings)) in &wanted {
            if self
                .groups
                .get(arn)
                .is_some_and(|member| member.group.service != service.name)
                && let Some(member) = self.groups.remove(arn)
            {
                self.abandon(member, now);
            }
            let member = self.groups.entry(Arc::clone(arn)).or_insert_with(|| Member {
                group: Arc::new(Group::new(service, settings)),
                targets: BTreeMap::new(),
            });
            member.group.update(service, settings);
            member.follow(service, settings, now, &mut self.leftovers, |target, group| {
                self.lives.spawn(supervise(target, group, Arc::clone(&self.board)));
            });
        }
        self.listeners.follow(self.groups.values().map(|member| &member.group));
    }

    /// Its targets have what the group gives them to end.
    fn abandon(&mut self, member: Member, now: Instant) {
        let by = now + member.group.settings().deregistration_delay;
        let targets: Vec<Arc<Target>> = member.targets.into_values().collect();
        member.group.replace_targets(Vec::new(), || {
            for target in &targets {
                leave_once(target, by);
            }
        });
        self.leftovers.extend(targets);
    }

    /// Forgets leftovers that are empty. The scheduler was told that they are: that is a second ago at least.
    fn tidy(&mut self) {
        while self.lives.try_join_next().is_some() {}
        let now = Instant::now();
        let board = &self.board;
        self.leftovers.retain(|target| {
            let drained = target.drained_at().is_some_and(|at| now >= at + TIDY_EVERY);
            if drained && !target.is_superseded() {
                board.forget(&target.id);
            }
            !drained
        });
    }
}

impl Member {
    fn follow(
        &mut self,
        service: &Service,
        settings: &TargetGroup,
        now: Instant,
        leftovers: &mut Vec<Arc<Target>>,
        mut begin: impl FnMut(Arc<Target>, Arc<Group>),
    ) {
        let delay = settings.deregistration_delay;
        let mut known = std::mem::take(&mut self.targets);
        let mut leaving = Vec::new();
        let mut begun = Vec::new();
        for endpoint in &service.endpoints {
            let Some(address) = endpoint.reached(settings) else {
                continue;
            };
            let leave_by = endpoint.deregister_by.map(|by| moment(by, now));
            let same = |target: &Arc<Target>| target.address == address && (leave_by.is_some() || !target.leaves());
            let target = match known.remove(&endpoint.task) {
                Some(target) if same(&target) => target,
                before => {
                    if let Some(before) = before {
                        leaving.push((Arc::clone(&before), now + delay));
                        leftovers.push(before);
                    }
                    let target = Arc::new(target(endpoint, settings, address));
                    for before in leftovers.iter().filter(|before| before.id == target.id) {
                        before.supersede();
                    }
                    begun.push(Arc::clone(&target));
                    target
                }
            };
            if let Some(by) = leave_by {
                leaving.push((Arc::clone(&target), by));
            }
            self.targets.insert(Arc::clone(&endpoint.task), target);
        }
        for target in known.into_values() {
            leaving.push((Arc::clone(&target), now + delay));
            leftovers.push(target);
        }
        let targets = self.targets.values().cloned().collect();
        self.group.replace_targets(targets, || {
            for (target, by) in &leaving {
                leave_once(target, *by);
            }
        });
        for target in begun {
            begin(target, Arc::clone(&self.group));
        }
    }
}

/// A later message does not give more time than the first.
fn leave_once(target: &Target, by: Instant) {
    let known = *target.leave_by.borrow();
    target.leave(known.map_or(by, |known| known.min(by)));
}

fn target(endpoint: &Endpoint, settings: &TargetGroup, address: std::net::SocketAddr) -> Target {
    let id = TargetId {
        group: Arc::clone(&settings.arn),
        task: Arc::clone(&endpoint.task),
    };
    Target::new(
        id,
        Arc::clone(&endpoint.deployment),
        address,
        Health::new(endpoint.health),
    )
}

/// A time since the epoch on the clock that timers use; now where it has passed.
fn moment(since_epoch: Duration, now: Instant) -> Instant {
    let by = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Beyond a year nothing is told apart, and no sum overflows.
    let left = since_epoch.saturating_sub(by).min(Duration::from_secs(366 * 24 * 3600));
    now + left
}
