//! What agents at other schedulers say, and what those here say for the schedulers that listen.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_model::time::Timestamp;
use berth_proto::agent::v1::Conditions;
use berth_scheduler_core::keys::{InstanceKey, ReplicaId};

use super::{Registry, Told};

/// What other schedulers tell of their agents' hosts. As with an agent here, the newest replaces all before it.
#[derive(Debug, Default)]
pub(super) struct Others {
    hosts: HashMap<InstanceKey, Host>,
}

#[derive(Debug)]
struct Host {
    teller: ReplicaId,
    /// When the agent last said something, as far as it is known.
    heard: Instant,
    usage: Option<(Arc<Told>, Instant)>,
    conditions: Option<(Conditions, Timestamp)>,
}

/// News of one host. What is absent has not changed.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) key: InstanceKey,
    /// The stream of its agent is not at the teller any more.
    pub(crate) gone: bool,
    pub(crate) usage: Option<(Arc<Told>, Duration)>,
    pub(crate) conditions: Option<(Conditions, Timestamp)>,
}

/// What a scheduler that listens was told of each host.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    told: HashMap<InstanceKey, (Option<Instant>, Option<Timestamp>)>,
}

impl Others {
    fn hear(&mut self, teller: ReplicaId, news: News, now: Instant) {
        let heard = news.usage.as_ref().map_or(Duration::ZERO, |(_, age)| *age);
        let heard = now.checked_sub(heard).unwrap_or(now);
        let host = match self.hosts.entry(news.key) {
            Entry::Occupied(known) if news.gone => {
                if known.get().teller == teller {
                    known.remove();
                }
                return;
            }
            Entry::Vacant(_) if news.gone => return,
            // An agent has one stream. Of two schedulers that think they have it, one has not heard it for longer.
            Entry::Occupied(known) if known.get().teller != teller && known.get().heard > heard => return,
            entry @ (Entry::Occupied(_) | Entry::Vacant(_)) => entry.or_insert(Host {
                teller,
                heard,
                usage: None,
                conditions: None,
            }),
        };
        if host.teller != teller {
            host.teller = teller;
            host.conditions = None;
        }
        host.heard = heard;
        if let Some((told, _)) = news.usage {
            host.usage = Some((told, heard));
        }
        host.conditions = news.conditions.or_else(|| host.conditions.take());
    }

    fn keep(&mut self, teller: ReplicaId, keep: impl Fn(&InstanceKey) -> bool) {
        self.hosts.retain(|key, host| host.teller != teller || keep(key));
    }

    pub(super) fn usage(&self, key: InstanceKey) -> Option<(Arc<Told>, Duration)> {
        let (told, at) = self.hosts.get(&key)?.usage.as_ref()?;
        Some((Arc::clone(told), at.elapsed()))
    }

    pub(super) fn conditions(&self, key: InstanceKey) -> Option<(Conditions, Timestamp)> {
        self.hosts.get(&key)?.conditions.clone()
    }
}

impl Registry {
    /// What is new of the hosts of agents here, since the listener was last told.
    pub(crate) fn news(&self, listener: &mut Listener) -> Vec<News> {
        let mut news = Vec::new();
        let sessions = self.lock();
        let is_here = |key: &InstanceKey| sessions.get(key).is_some_and(|presence| presence.stream.is_ok());
        listener.told.retain(|key, _| {
            let here = is_here(key);
            if !here {
                news.push(News::gone(*key));
            }
            here
        });
        let here = sessions.iter().filter(|(_, presence)| presence.stream.is_ok());
        for (key, presence) in here {
            let now = (
                presence.usage.as_ref().map(|(_, at)| *at),
                presence.conditions.as_ref().map(|(_, at)| *at),
            );
            let before = listener.told.insert(*key, now).unwrap_or_default();
            if now == before {
                continue;
            }
            let usage = presence.usage.as_ref().filter(|_| now.0 != before.0);
            let conditions = presence.conditions.as_ref().filter(|_| now.1 != before.1);
            news.push(News {
                key: *key,
                gone: false,
                usage: usage.map(|(told, at)| (Arc::clone(told), at.elapsed())),
                conditions: conditions.cloned(),
            });
        }
        news
    }

    /// Takes in what another scheduler tells of its agents' hosts.
    pub(crate) fn hear_other(&self, teller: ReplicaId, news: Vec<News>) {
        let now = Instant::now();
        let mut others = self.others();
        for one in news {
            others.hear(teller, one, now);
        }
    }

    /// Of what another scheduler told keeps these hosts alone.
    pub(crate) fn keep_of(&self, teller: ReplicaId, keep: impl Fn(&InstanceKey) -> bool) {
        self.others().keep(teller, keep);
    }
}

impl News {
    fn gone(key: InstanceKey) -> Self {
        Self {
            key,
            gone: true,
            usage: None,
            conditions: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_model::id::InstanceId;
    use berth_proto::agent::v1::Usage;
    use berth_scheduler_core::keys::ClusterKey;
    use tokio_util::sync::CancellationToken;

    use super::super::Handle;
    use super::*;

    const B: ReplicaId = ReplicaId(2);
    const C: ReplicaId = ReplicaId(3);

    fn key(number: u128) -> InstanceKey {
        InstanceKey {
            cluster: ClusterKey(1),
            instance: InstanceId::from_bits(number),
        }
    }

    fn usage(cpu_units: u32, age: u64) -> News {
        let told = Told {
            cpu_units,
            ..Told::default()
        };
        News {
            usage: Some((Arc::new(told), Duration::from_secs(age))),
            gone: false,
            ..News::gone(key(1))
        }
    }

    fn handle() -> Handle {
        Handle {
            changes: Arc::default(),
            end: CancellationToken::new(),
            let_go: None,
            sessions: tokio::sync::mpsc::channel(1).0,
        }
    }

    fn figure(registry: &Registry) -> Option<u32> {
        registry.usage(key(1)).map(|(told, _)| told.cpu_units)
    }

    #[test]
    fn the_newest_word_of_a_host_counts_whoever_tells_it() {
        let registry = Registry::default();
        registry.hear_other(B, vec![usage(100, 10)]);
        assert_eq!(figure(&registry), Some(100));
        let age = registry.usage(key(1)).unwrap().1;
        assert!(age >= Duration::from_secs(10), "{age:?}");
        registry.hear_other(C, vec![usage(200, 1)]);
        assert_eq!(figure(&registry), Some(200));
        registry.hear_other(B, vec![usage(300, 9)]);
        assert_eq!(figure(&registry), Some(200), "its stream there is dead");
        registry.hear_other(B, vec![News::gone(key(1))]);
        assert_eq!(figure(&registry), Some(200));
        registry.hear_other(C, vec![News::gone(key(1))]);
        assert_eq!(figure(&registry), None);
    }

    #[test]
    fn an_agent_that_is_here_speaks_for_itself() {
        let registry = Registry::default();
        registry.hear_other(B, vec![usage(100, 0)]);
        registry.arrive(key(1), handle());
        assert_eq!(figure(&registry), Some(100), "it has said nothing here yet");
        registry.put_usage(
            key(1),
            Usage {
                cpu_units: 7,
                ..Usage::default()
            },
        );
        assert_eq!(figure(&registry), Some(7));
    }

    #[test]
    fn a_listener_is_told_all_and_then_what_is_new() {
        let registry = Registry::default();
        let handle = handle();
        registry.arrive(key(1), handle.clone());
        registry.arrive(key(2), self::handle());
        registry.put_usage(key(1), Usage::default());
        let mut listener = Listener::default();
        let mut tell = || {
            let news = registry.news(&mut listener);
            news.into_iter()
                .map(|one| (one.key, one.gone, one.usage.is_some(), one.conditions.is_some()))
                .collect::<Vec<_>>()
        };
        assert_eq!(tell(), [(key(1), false, true, false)]);
        assert_eq!(tell(), []);
        registry.put_conditions(key(1), Conditions::default());
        assert_eq!(tell(), [(key(1), false, false, true)]);
        registry.put_usage(key(1), Usage::default());
        assert_eq!(tell(), [(key(1), false, true, false)]);
        registry.leave(key(1), &handle);
        assert_eq!(tell(), [(key(1), true, false, false)]);
        assert_eq!(tell(), []);
    }

    #[test]
    fn agents_are_let_go_once_and_only_those_that_know_another_scheduler() {
        let registry = Registry::default();
        let knows_others = || Handle {
            let_go: Some(CancellationToken::new()),
            sessions: tokio::sync::mpsc::channel(1).0,
            ..handle()
        };
        let gone = |handle: &Handle| handle.let_go.as_ref().is_some_and(CancellationToken::is_cancelled);
        let handles = [1, 2, 3].map(|number| {
            let handle = knows_others();
            registry.arrive(key(number), handle.clone());
            handle
        });
        registry.arrive(key(4), handle());
        assert_eq!(registry.streams(), 4);
        registry.let_go(2);
        assert_eq!(handles.iter().filter(|handle| gone(handle)).count(), 2);
        registry.let_go(5);
        assert_eq!(handles.iter().filter(|handle| gone(handle)).count(), 3);
        let back = knows_others();
        registry.arrive(key(1), back.clone());
        registry.let_go(5);
        assert!(!gone(&back), "the others would not have it");
    }

    #[test]
    fn of_what_a_scheduler_told_all_but_what_is_kept_goes() {
        let registry = Registry::default();
        registry.hear_other(B, vec![usage(100, 0)]);
        registry.keep_of(C, |_| false);
        assert_eq!(figure(&registry), Some(100));
        registry.keep_of(B, |kept| *kept == key(1));
        assert_eq!(figure(&registry), Some(100));
        registry.keep_of(B, |_| false);
        assert_eq!(figure(&registry), None);
    }
}
