//! From what is known of hosts and gateways to the messages between schedulers, and back.
//!
//! What a scheduler sends is checked for what cannot be: it may be of another version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_model::id::{InstanceId, TaskId};
use berth_model::time::Timestamp;
use berth_proto::gateway::v1::{LoadReport, TargetGroupLoad, TargetState};
use berth_proto::replica::v1 as wire;
use berth_scheduler_core::keys::{ClusterKey, InstanceKey};

use crate::gateways::GatewayKey;
use crate::gateways::loads::{self, GroupLoads};
use crate::gateways::sharing::{Standing, Told};
use crate::gateways::targets::{Said, Saying};
use crate::nodes::{self, others::News};

/// Containers and ports that are told at once: some hundred kilobytes.
const AT_ONCE: usize = 4000;
/// Ports that take as much room as a container.
const PORTS_OF_CONTAINER: usize = 32;

/// The hosts in parts that are not too large.
pub(super) fn hosts(news: Vec<News>) -> impl Iterator<Item = Vec<wire::Host>> {
    let mut news = news.into_iter().peekable();
    std::iter::from_fn(move || {
        news.peek()?;
        let mut weight = 0;
        let mut hosts = Vec::new();
        while weight < AT_ONCE
            && let Some(one) = news.next()
        {
            let told = one.usage.as_ref().map_or(0, |(told, _)| {
                told.containers.len() + (told.tcp_ports.len() + told.udp_ports.len()) / PORTS_OF_CONTAINER
            });
            weight += 1 + told;
            hosts.push(host(&one));
        }
        Some(hosts)
    })
}

fn host(news: &News) -> wire::Host {
    let told = |(told, age): &(Arc<nodes::Told>, Duration)| wire::Told {
        usage: Some(told.tell()),
        age_ms: millis(*age),
    };
    let conditions = news.conditions.as_ref().map(|(conditions, at)| wire::ConditionsTold {
        conditions: Some(conditions.clone()),
        at: at.as_epoch_seconds(),
    });
    wire::Host {
        cluster: news.key.cluster.0,
        instance: news.key.instance.to_bits().to_be_bytes().to_vec(),
        gone: news.gone,
        usage: news.usage.as_ref().map(told),
        conditions,
    }
}

/// What is told of a host; nothing where it has no name.
pub(super) fn read_host(host: wire::Host) -> Option<News> {
    let read = |told: wire::Told| Some((Arc::new(nodes::Told::read(told.usage?)), duration(told.age_ms)));
    let conditions = |told: wire::ConditionsTold| Some((told.conditions?, Timestamp::from_epoch_seconds(told.at)));
    Some(News {
        key: InstanceKey {
            cluster: ClusterKey(host.cluster),
            instance: InstanceId::from_bits(bits(&host.instance)?),
        },
        gone: host.gone,
        usage: host.usage.and_then(read),
        conditions: host.conditions.and_then(conditions),
    })
}

/// What is told of a gateway.
pub(super) fn gateway(told: Told) -> wire::Gateway {
    use wire::gateway::Stream;
    let stream = told.standing.map(|standing| match standing {
        Standing::There => Stream::There(wire::There {}),
        Standing::Away(time) => Stream::Away(wire::Away { for_ms: millis(time) }),
        Standing::Gone => Stream::Gone(wire::Gone {}),
    });
    let mut groups = BTreeMap::<Arc<str>, Vec<wire::TargetTold>>::new();
    for said in told.said {
        let (state, reason) = saying(&said.saying);
        let target = wire::TargetTold {
            task: said.task.to_bits().to_be_bytes().to_vec(),
            state: state.into(),
            reason,
        };
        groups.entry(said.group).or_default().push(target);
    }
    let targets = groups.into_iter().map(|(group, targets)| wire::TargetsTold {
        target_group: group.to_string(),
        targets,
    });
    let load = |loads: GroupLoads| LoadReport {
        groups: loads
            .into_iter()
            .map(|(group, load)| TargetGroupLoad {
                target_group: group.to_string(),
                open: load.open,
                requests: load.requests,
            })
            .collect(),
    };
    wire::Gateway {
        cluster: told.key.cluster.0,
        id: told.key.id.to_string(),
        stream,
        targets: targets.collect(),
        load: told.load.map(load),
    }
}

fn saying(saying: &Saying) -> (TargetState, String) {
    let state = match saying {
        Saying::Initial => TargetState::Initial,
        Saying::Healthy => TargetState::Healthy,
        Saying::Unhealthy(reason) => return (TargetState::Unhealthy, reason.to_string()),
        Saying::Draining => TargetState::Draining,
        Saying::Drained => TargetState::Drained,
    };
    (state, String::new())
}

/// What was told of a gateway.
pub(super) fn read_gateway(gateway: wire::Gateway) -> Told {
    use wire::gateway::Stream;
    let standing = gateway.stream.map(|stream| match stream {
        Stream::There(_) => Standing::There,
        Stream::Away(away) => Standing::Away(duration(away.for_ms)),
        Stream::Gone(_) => Standing::Gone,
    });
    let said = gateway.targets.into_iter().flat_map(|told| {
        let group: Arc<str> = told.target_group.into();
        told.targets.into_iter().filter_map(move |target| {
            Some(Said {
                task: TaskId::from_bits(bits(&target.task)?),
                group: Arc::clone(&group),
                saying: Saying::read(target.state(), &target.reason)?,
            })
        })
    });
    Told {
        key: GatewayKey {
            cluster: ClusterKey(gateway.cluster),
            id: gateway.id.into(),
        },
        standing,
        said: said.collect(),
        load: gateway.load.map(loads::read),
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

fn duration(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

fn bits(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use berth_proto::agent::v1::{Conditions, ContainerUsage, NetworkUsage, Usage};

    use super::*;
    use crate::gateways::loads::GroupLoad;

    fn task(number: u128) -> TaskId {
        TaskId::from_bits(number)
    }

    #[test]
    fn what_is_told_of_a_gateway_is_read_as_it_was() {
        let said = |number, group: &str, saying| Said {
            task: task(number),
            group: group.into(),
            saying,
        };
        let load = GroupLoad {
            open: 3,
            requests: u64::MAX,
        };
        for standing in [
            None,
            Some(Standing::There),
            Some(Standing::Gone),
            Some(Standing::Away(Duration::from_millis(1500))),
        ] {
            let told = || Told {
                key: GatewayKey {
                    cluster: ClusterKey(7),
                    id: "a".into(),
                },
                standing,
                said: vec![
                    said(1, "g", Saying::Initial),
                    said(2, "g", Saying::Unhealthy("status 500".into())),
                    said(u128::MAX, "g", Saying::Drained),
                    said(1, "h", Saying::Healthy),
                    said(2, "h", Saying::Draining),
                ],
                load: Some([(Arc::from("g"), load)].into()),
            };
            assert_eq!(read_gateway(gateway(told())), told());
        }
    }

    #[test]
    fn what_is_told_of_a_host_is_read_as_it_was() {
        let usage = nodes::Told::read(Usage {
            containers: vec![ContainerUsage {
                task_id: task(5).to_string(),
                ..ContainerUsage::default()
            }],
            ..Usage::default()
        });
        let told = News {
            key: InstanceKey {
                cluster: ClusterKey(7),
                instance: InstanceId::from_bits(u128::MAX - 1),
            },
            gone: false,
            usage: Some((Arc::new(usage), Duration::from_millis(2500))),
            conditions: Some((Conditions::default(), Timestamp::from_millis(1_700_000_000_123))),
        };
        let read = read_host(host(&told)).unwrap();
        assert_eq!((read.key, read.gone), (told.key, false));
        assert_eq!((read.usage, read.conditions), (told.usage, told.conditions));
        let nameless = wire::Host {
            instance: vec![1; 15],
            ..wire::Host::default()
        };
        assert!(read_host(nameless).is_none());
    }

    /// Of 5,000 hosts with 20 containers each, which tell every 10 s, a scheduler hears 0.6 MB a second if half are at another.
    #[test]
    fn a_container_takes_little_room() {
        use prost::Message;

        let network = NetworkUsage {
            received_bytes: 1 << 40,
            sent_bytes: 1 << 40,
            received_packets: 1 << 30,
            sent_packets: 1 << 30,
        };
        let container = |number: u128| ContainerUsage {
            task_id: task(u128::MAX - number).to_string(),
            name: "application".to_owned(),
            cpu_ns: 1 << 50,
            cpu_units: Some(100.0),
            memory_bytes: 1 << 32,
            memory_limit_bytes: Some(1 << 33),
            network: Some(network),
            block_read_bytes: 1 << 40,
            block_written_bytes: 1 << 40,
            pids: 300,
            ..ContainerUsage::default()
        };
        let usage = Usage {
            containers: (0..20).map(container).collect(),
            tcp_ports: (20_000..20_020).collect(),
            interval_ms: 10_000,
            ..Usage::default()
        };
        let news = News {
            key: InstanceKey {
                cluster: ClusterKey(1),
                instance: InstanceId::from_bits(u128::MAX),
            },
            gone: false,
            usage: Some((Arc::new(nodes::Told::read(usage)), Duration::ZERO)),
            conditions: None,
        };
        let bytes = host(&news).encoded_len();
        assert!(bytes <= 20 * 140, "{bytes} bytes");
    }

    #[test]
    fn hosts_are_told_in_parts() {
        let news = |containers: u32| {
            let of_one = |number: u32| ContainerUsage {
                task_id: task(number.into()).to_string(),
                ..ContainerUsage::default()
            };
            let usage = nodes::Told::read(Usage {
                containers: (0..containers).map(of_one).collect(),
                ..Usage::default()
            });
            News {
                key: InstanceKey {
                    cluster: ClusterKey(1),
                    instance: InstanceId::from_bits(containers.into()),
                },
                gone: false,
                usage: Some((Arc::new(usage), Duration::ZERO)),
                conditions: None,
            }
        };
        let parts: Vec<usize> = hosts(vec![news(3000), news(3001), news(1), news(2), news(0)])
            .map(|part| part.len())
            .collect();
        assert_eq!(parts, [2, 3]);
        assert_eq!(hosts(Vec::new()).count(), 0);
    }
}
