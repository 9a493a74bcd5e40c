//! What gateways here say, for the schedulers that listen, and what those elsewhere say, from the schedulers that tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_model::id::TaskId;
use berth_scheduler_core::keys::{ReplicaId, Revision};
use tokio::sync::Notify;

use super::hearing::Whole;
use super::streams::Via;
use super::targets::Said;
use super::{GatewayKey, GroupLoads, Inner, Registry};

/// Sayings and loads that are told at once: some hundred kilobytes.
const AT_ONCE: usize = 4000;

/// What a scheduler that listens has not been told, by gateway.
#[derive(Debug, Default)]
pub(crate) struct News(BTreeMap<GatewayKey, New>);

#[derive(Debug, Default)]
struct New {
    /// It came or went.
    stream: bool,
    /// It said something of these.
    tasks: BTreeSet<TaskId>,
    load: bool,
}

/// News of one gateway.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) key: GatewayKey,
    /// None where that has not changed.
    pub(crate) standing: Option<Standing>,
    pub(crate) said: Vec<Said>,
    /// None where that has not changed.
    pub(crate) load: Option<GroupLoads>,
}

/// What a gateway is to the scheduler that tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has its stream.
    There,
    /// It had its stream, which ended so long ago.
    Away(Duration),
    /// It knows nothing of it any more.
    Gone,
}

/// Those who listen, each with what it has not been told.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    last: u64,
    news: BTreeMap<u64, (News, Arc<Notify>)>,
}

impl Listeners {
    fn add(&mut self, key: &GatewayKey, add: impl Fn(&mut New)) {
        for (news, wake) in self.news.values_mut() {
            add(news.0.entry(key.clone()).or_default());
            wake.notify_one();
        }
    }

    /// A gateway here has come or gone.
    pub(super) fn moved(&mut self, key: &GatewayKey) {
        self.add(key, |new| new.stream = true);
    }

    /// A gateway here has said something of these.
    pub(super) fn said(&mut self, key: &GatewayKey, tasks: &BTreeSet<TaskId>) {
        self.add(key, |new| new.tasks.extend(tasks));
    }

    /// A gateway here has said what goes through it.
    pub(super) fn loaded(&mut self, key: &GatewayKey) {
        self.add(key, |new| new.load = true);
    }
}

/// One who listens, until this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    registry: Arc<Registry>,
    number: u64,
    /// There is something to tell.
    pub(crate) wake: Arc<Notify>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.registry.lock().listeners.news.remove(&self.number);
    }
}

impl Listener {
    /// What is new since this was last asked; all in the beginning.
    pub(crate) fn take(&self) -> News {
        let mut inner = self.registry.lock();
        let news = inner.listeners.news.get_mut(&self.number);
        news.map(|(news, _)| std::mem::take(news)).unwrap_or_default()
    }

    /// The next part of the news as they are now; empty when there is no more.
    pub(crate) fn tell(&self, news: &mut News) -> Vec<Told> {
        let inner = self.registry.lock();
        let mut told = Vec::new();
        let mut room = AT_ONCE;
        while room > 0
            && let Some(mut first) = news.0.first_entry()
        {
            let new = first.get_mut();
            let rest = new.tasks.iter().nth(room).copied();
            let later = rest.map_or_else(BTreeSet::new, |rest| new.tasks.split_off(&rest));
            let tasks = std::mem::replace(&mut new.tasks, later);
            let one = inner.told(first.key(), first.get(), tasks);
            let load = one.load.as_ref().map_or(0, BTreeMap::len);
            room = room.saturating_sub(one.said.len() + load + 1);
            told.push(one);
            if first.get().tasks.is_empty() {
                first.remove();
            } else {
                first.get_mut().stream = false;
                first.get_mut().load = false;
            }
        }
        told
    }
}

impl Inner {
    fn told(&self, key: &GatewayKey, new: &New, tasks: BTreeSet<TaskId>) -> Told {
        let streams = &self.targets.streams;
        let standing = || match streams.left(key, Via::Here) {
            Some(None) => Standing::There,
            Some(Some(left)) => Standing::Away(left.elapsed()),
            None => Standing::Gone,
        };
        let load = || self.loads.streams.said(key, Via::Here)?.clone();
        Told {
            key: key.clone(),
            standing: new.stream.then(standing),
            said: self.targets.said(key, Via::Here, tasks.into_iter()),
            load: new.load.then(load).flatten(),
        }
    }

    fn drop_stream(&mut self, key: &GatewayKey, via: Via) {
        self.loads.drop_stream(key, via);
        let said = self.targets.streams.drop_stream(key, via).unwrap_or_default();
        self.dirty.entry(key.cluster).or_default().extend(said.into_keys());
    }
}

impl Registry {
    /// Begins to listen: all that is known of gateways here is news.
    pub(crate) fn listen(self: &Arc<Self>) -> Listener {
        let mut inner = self.lock();
        let of_one = |key: &GatewayKey| {
            let said = inner.targets.streams.said(key, Via::Here);
            New {
                stream: true,
                tasks: said.into_iter().flat_map(|said| said.keys().copied()).collect(),
                load: true,
            }
        };
        let here = inner.targets.streams.via(Via::Here);
        let news = News(here.map(|key| (key.clone(), of_one(key))).collect());
        let wake = Arc::new(Notify::new());
        inner.listeners.last += 1;
        let number = inner.listeners.last;
        inner.listeners.news.insert(number, (news, Arc::clone(&wake)));
        Listener {
            registry: Arc::clone(self),
            number,
            wake,
        }
    }

    /// Takes in what another scheduler tells of its gateways.
    pub(crate) fn hear_other(&self, other: ReplicaId, told: Vec<Told>) {
        let via = Via::Other(other);
        let now = Instant::now();
        let mut inner = self.lock();
        for Told {
            key,
            standing,
            said,
            load,
        } in told
        {
            match standing {
                Some(Standing::There) => {
                    inner.targets.streams.arrive(&key, via);
                    inner.loads.streams.arrive(&key, via);
                }
                Some(Standing::Away(time)) => {
                    // Where the clock has not run for so long, it left when the clock began.
                    let since = now.checked_sub(time).unwrap_or(now);
                    inner.targets.streams.away(&key, via, since);
                    inner.loads.streams.away(&key, via, since);
                }
                Some(Standing::Gone) => inner.drop_stream(&key, via),
                None => {}
            }
            for one in said {
                inner.dirty.entry(key.cluster).or_default().insert(one.task);
                inner.targets.hear(&key, via, one);
            }
            if let Some(load) = load {
                inner.loads.hear(&key, via, load);
            }
        }
    }

    /// Another scheduler has told all that it knew when it had this revision. In the beginning of a stream the gateways
    /// that it named by then are all.
    pub(crate) fn heard_all(
        &self,
        other: ReplicaId,
        revision: Revision,
        gateways: u32,
        all: Option<&BTreeSet<GatewayKey>>,
    ) {
        let via = Via::Other(other);
        let mut inner = self.lock();
        if let Some(all) = all {
            let known = inner.targets.streams.via(via);
            let gone: Vec<GatewayKey> = known.filter(|key| !all.contains(*key)).cloned().collect();
            for key in gone {
                inner.drop_stream(&key, via);
            }
        }
        let whole = Whole {
            revision,
            gateways,
            at: Instant::now(),
        };
        inner.hearing.hear(other, whole);
        self.wake.notify_one();
    }

    /// Another scheduler is not heard any more: its gateways may be anywhere.
    pub(crate) fn lose(&self, other: ReplicaId) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.hearing.lose(other);
        inner.targets.streams.leave_all(Via::Other(other), now);
        inner.loads.streams.leave_all(Via::Other(other), now);
    }

    /// Takes in which other schedulers live; none where that is not known.
    pub(crate) fn observe_others(&self, live: Option<&BTreeSet<ReplicaId>>) {
        self.lock().hearing.observe(live, Instant::now());
    }

    /// Whether all gateways are known that any scheduler had when it had seen `since`.
    pub(crate) fn hears_all(&self, since: Revision) -> bool {
        self.lock().hearing.is_whole(since, Instant::now())
    }
}

#[cfg(test)]
mod tests;
