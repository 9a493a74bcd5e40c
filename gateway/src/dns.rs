//! Where tasks are reached, as DNS: what a question gets. Pure.
//!
//! `SERVICE.CLUSTER.berth` has A and AAAA records of the hosts of its tasks, and SRV records of all their TCP ports;
//! `_PORT._tcp.SERVICE.CLUSTER.berth` has the SRV records of one port, by its name or its number in the container;
//! `TASK.SERVICE.CLUSTER.berth`, which SRV records point to, has the address of one task's host. Tasks that are about
//! to stop are left out, and so are those known to be unhealthy, unless there are no others.

mod server;

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use berth_proto::gateway::v1::Health;

use crate::endpoints::{Endpoint, Port, Service, Table};
use crate::report::{States, TargetId, TargetState};

pub(crate) use server::serve;

const TOP: &str = "berth";
/// Seconds for which an answer may be kept, also that there is nothing: tasks come and go.
const TTL: u32 = 5;
/// Of SRV records, as those of ECS service discovery.
const PRIORITY: u16 = 1;
const WEIGHT: u16 = 1;

/// What is answered from.
#[derive(Debug)]
struct Zone<'a> {
    table: &'a Table,
    states: &'a States,
    /// Name of the cluster.
    cluster: &'a str,
}

/// What a name is.
enum Subject<'a> {
    Service(&'a Service),
    /// A port of a service's tasks, by name or number.
    Port(&'a Service, String),
    Task(&'a Endpoint),
    /// There is something below it.
    Empty,
    Nothing,
}

impl Zone<'_> {
    /// The answer to a message; `None` where it is no question.
    fn answer(&self, question: &Message) -> Option<Message> {
        if question.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        answer.add_queries(question.queries.iter().cloned());
        if question.metadata.op_code != OpCode::Query {
            answer.metadata.response_code = ResponseCode::NotImp;
            return Some(answer);
        }
        let [query] = question.queries.as_slice() else {
            answer.metadata.response_code = ResponseCode::FormErr;
            return Some(answer);
        };
        let asked = labels(query.name());
        let apex = [self.cluster.to_ascii_lowercase(), TOP.to_owned()];
        let (Some(below), DNSClass::IN) = (asked.strip_suffix(apex.as_slice()), query.query_class()) else {
            answer.metadata.response_code = ResponseCode::Refused;
            return Some(answer);
        };
        answer.metadata.authoritative = true;
        let subject = self.subject(below);
        if matches!(subject, Subject::Nothing) {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        self.records(&subject, query.name(), query.query_type(), &mut answer);
        if answer.answers.is_empty() {
            answer.add_authorities(self.authority());
        }
        Some(answer)
    }

    fn subject(&self, below: &[String]) -> Subject<'_> {
        let service = |name: &str| {
            let mut services = self.table.services.values();
            services.find(|service| service.name.eq_ignore_ascii_case(name))
        };
        match below {
            [] => Subject::Empty,
            [name] => service(name).map_or(Subject::Nothing, |service| Subject::Service(service)),
            [protocol, name] if protocol == "_tcp" => service(name).map_or(Subject::Nothing, |_| Subject::Empty),
            [task, name] => {
                let endpoint = service(name).and_then(|service| {
                    let mut endpoints = service.endpoints.iter();
                    endpoints.find(|endpoint| id(&endpoint.task).eq_ignore_ascii_case(task))
                });
                endpoint.map_or(Subject::Nothing, |endpoint| Subject::Task(endpoint))
            }
            [port, protocol, name] if protocol == "_tcp" && port.starts_with('_') => {
                let port = port.trim_start_matches('_').to_owned();
                let has = |service: &&std::sync::Arc<Service>| {
                    let mut ports = service.endpoints.iter().flat_map(|endpoint| &endpoint.ports);
                    ports.any(|one| is_called(one, &port))
                };
                match service(name).filter(has) {
                    Some(service) => Subject::Port(service, port),
                    None => Subject::Nothing,
                }
            }
            _ => Subject::Nothing,
        }
    }

    fn records(&self, subject: &Subject<'_>, name: &Name, kind: RecordType, answer: &mut Message) {
        let every = kind == RecordType::ANY;
        match subject {
            Subject::Service(service) => {
                let endpoints = self.usable(service);
                let hosts: BTreeSet<IpAddr> = endpoints.iter().map(|endpoint| endpoint.address).collect();
                answer.add_answers(hosts.into_iter().filter_map(|host| address(name, host, kind)));
                if every || kind == RecordType::SRV {
                    self.ports(service, name, &endpoints, |_| true, answer);
                }
            }
            Subject::Port(service, port) if every || kind == RecordType::SRV => {
                let endpoints = self.usable(service);
                self.ports(service, name, &endpoints, |one| is_called(one, port), answer);
            }
            Subject::Task(endpoint) => {
                answer.add_answers(address(name, endpoint.address, kind));
            }
            Subject::Port(..) | Subject::Empty | Subject::Nothing => {}
        }
    }

    /// SRV records, and the addresses that they point to.
    fn ports(
        &self,
        service: &Service,
        name: &Name,
        endpoints: &[&Endpoint],
        wanted: impl Fn(&Port) -> bool,
        answer: &mut Message,
    ) {
        for endpoint in endpoints {
            let Ok(target) = self.name(&[id(&endpoint.task), &service.name]) else {
                continue;
            };
            let ports = endpoint
                .ports
                .iter()
                .filter(|port| port.protocol == "tcp" && wanted(port));
            let records: Vec<Record> = ports
                .map(|port| {
                    let record = SRV::new(PRIORITY, WEIGHT, port.host_port, target.clone());
                    Record::from_rdata(name.clone(), TTL, RData::SRV(record))
                })
                .collect();
            if !records.is_empty() {
                answer.add_answers(records);
                answer.add_additionals(address(&target, endpoint.address, RecordType::ANY));
            }
        }
    }

    /// Who may be told of: those not known to be unhealthy, or all where there are no others.
    fn usable<'s>(&self, service: &'s Service) -> Vec<&'s Endpoint> {
        let stay = || {
            service
                .endpoints
                .iter()
                .map(AsRef::as_ref)
                .filter(|one: &&Endpoint| one.deregister_by.is_none())
        };
        let well: Vec<&Endpoint> = stay().filter(|endpoint| self.is_well(service, endpoint)).collect();
        if well.is_empty() { stay().collect() } else { well }
    }

    fn is_well(&self, service: &Service, endpoint: &Endpoint) -> bool {
        let unhealthy = service.target_groups.iter().any(|group| {
            let id = TargetId {
                group: std::sync::Arc::clone(&group.arn),
                task: std::sync::Arc::clone(&endpoint.task),
            };
            matches!(self.states.get(&id), Some(TargetState::Unhealthy(_)))
        });
        !unhealthy && endpoint.health != Health::Unhealthy
    }

    fn name(&self, below: &[&str]) -> Result<Name, hickory_proto::ProtoError> {
        let labels = below.iter().copied().chain([self.cluster, TOP]);
        Name::from_labels(labels.map(str::as_bytes))
    }

    /// Says for how long nothing is nothing.
    fn authority(&self) -> Option<Record> {
        let apex = self.name(&[]).ok()?;
        let mailbox = self.name(&["hostmaster"]).ok()?;
        let ttl = i32::try_from(TTL).ok()?;
        let soa = SOA::new(apex.clone(), mailbox, 1, ttl, ttl, ttl, TTL);
        Some(Record::from_rdata(apex, TTL, RData::SOA(soa)))
    }
}

/// Lower case, as DNS compares names.
fn labels(name: &Name) -> Vec<String> {
    let label = |label: &[u8]| String::from_utf8_lossy(label).to_ascii_lowercase();
    name.iter().map(label).collect()
}

/// The last part of a task's ARN.
fn id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn is_called(port: &Port, name: &str) -> bool {
    port.container_port.to_string() == name || (!port.name.is_empty() && port.name.eq_ignore_ascii_case(name))
}

/// The record of an address, where it is of the kind that is asked for.
fn address(name: &Name, address: IpAddr, kind: RecordType) -> Option<Record> {
    let (of, data) = match address {
        IpAddr::V4(address) => (RecordType::A, RData::A(A(address))),
        IpAddr::V6(address) => (RecordType::AAAA, RData::AAAA(AAAA(address))),
    };
    (kind == of || kind == RecordType::ANY).then(|| Record::from_rdata(name.clone(), TTL, data))
}

#[cfg(test)]
mod tests;
