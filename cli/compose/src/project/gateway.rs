//! How services are reached: by ports of their hosts, or where there is a gateway by its ports and by one another's names.
//!
//! Behind a gateway a name is the gateway's address in the container's list of hosts, and the port leads to the service.
//! As all names are one address, a port belongs to one service.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::task_definition::{HostEntry, PortMapping};

use crate::Error;
use crate::service::{Draft, Port};
use crate::translation::{Listener, Note};

/// Target groups of a service, at most (ECS service quotas).
const MAX_LISTENERS: usize = 5;
/// The network of a service that names none.
const DEFAULT: &str = "default";

/// Fills port mappings and lists of hosts; the listeners of each service come back.
pub(super) fn reach(
    drafts: &mut BTreeMap<String, Draft>,
    gateway: Option<&str>,
    notes: &mut Vec<Note>,
) -> Result<BTreeMap<String, Vec<Listener>>, Error> {
    let Some(gateway) = gateway else {
        for draft in drafts.values_mut() {
            let ports = std::mem::take(&mut draft.ports);
            draft.container.port_mappings = ports.iter().map(|port| mapping(draft, port, port.published)).collect();
            for link in &draft.links {
                notes.push(Note::lost(
                    &link.place,
                    "without --gateway no name leads to another service",
                ));
            }
        }
        if drafts.len() > 1 {
            let says = "without --gateway services do not reach one another by name";
            notes.push(Note::lost("networks", says));
        }
        return Ok(BTreeMap::new());
    };
    let mut ports = Ports::default();
    let mut listeners = BTreeMap::new();
    for (name, draft) in drafts.iter_mut() {
        listeners.insert(name.clone(), published(name, draft, &mut ports)?);
    }
    let mut named = BTreeSet::new();
    for (name, draft) in drafts.iter_mut() {
        let own = listeners.entry(name.clone()).or_default();
        if exposed(name, draft, own, &mut ports, notes) {
            named.insert(name.clone());
        }
    }
    name_one_another(drafts, &named, gateway, notes);
    Ok(listeners)
}

/// Whose the ports of gateways are, and where they lead.
type Ports = BTreeMap<u16, (String, u16)>;

/// Whether gateways can lead to it: in the host's network and in none there is nothing to map.
fn is_behind(draft: &Draft) -> bool {
    !draft.is_job && matches!(draft.network_mode.as_deref(), None | Some("bridge"))
}

fn mapping(draft: &Draft, port: &Port, published: Option<u16>) -> PortMapping {
    // In the host's network a port is what it is inside.
    let of_host = draft.network_mode.as_deref() == Some("host");
    let host_port = if of_host { Some(port.target) } else { published };
    PortMapping {
        container_port: Some(port.target.into()),
        host_port: host_port.map(i32::from),
        protocol: port.is_udp.then(|| "udp".to_owned()),
        ..PortMapping::default()
    }
}

/// A port of the host that is free, for gateways to reach the port inside.
fn free_port(draft: &mut Draft, target: u16) {
    let there = draft.container.port_mappings.iter().any(|mapping| {
        mapping.container_port == Some(target.into()) && mapping.host_port.is_none() && mapping.protocol.is_none()
    });
    if !there {
        draft.container.port_mappings.push(PortMapping {
            container_port: Some(target.into()),
            ..PortMapping::default()
        });
    }
}

/// The listeners of what the file publishes.
fn published(name: &str, draft: &mut Draft, ports: &mut Ports) -> Result<Vec<Listener>, Error> {
    let mut listeners = Vec::new();
    for port in draft.ports.clone() {
        let by_gateway = port
            .published
            .filter(|_| is_behind(draft) && !port.is_udp && !port.of_host);
        let Some(public) = by_gateway else {
            let mapping = mapping(draft, &port, port.published);
            draft.container.port_mappings.push(mapping);
            continue;
        };
        if let Some((other, _)) = ports.insert(public, (name.to_owned(), port.target)) {
            let rule = format!("port {public} is published by the service '{other}' already");
            return Err(Error::new(&port.place, rule));
        }
        free_port(draft, port.target);
        listeners.push(Listener {
            protocol: port.protocol.unwrap_or("tcp"),
            port: public,
            container: super::task::container_name(name),
            container_port: port.target,
        });
        if listeners.len() > MAX_LISTENERS {
            let rule = format!("gateways listen on at most {MAX_LISTENERS} ports for a service");
            return Err(Error::new(&port.place, format!("{rule}: publish it with `mode: host`")));
        }
    }
    Ok(listeners)
}

/// Adds listeners for others to reach the service by the ports that it has inside. Whether they reach any.
fn exposed(
    name: &str,
    draft: &mut Draft,
    listeners: &mut Vec<Listener>,
    ports: &mut Ports,
    notes: &mut Vec<Note>,
) -> bool {
    if !is_behind(draft) {
        return false;
    }
    let of_ports = draft.ports.iter().filter(|port| !port.is_udp).map(|port| port.target);
    let of_expose = draft
        .exposed
        .iter()
        .filter(|(_, is_udp)| !is_udp)
        .map(|(port, _)| *port);
    let inside: BTreeSet<u16> = of_ports.chain(of_expose).collect();
    let mut reached = false;
    for target in inside {
        match ports.get(&target) {
            Some((owner, leads)) if owner == name && *leads == target => {
                reached = true;
                continue;
            }
            Some((owner, _)) => {
                let says = format!("its port {target} is not reached by its name: gateways have it for '{owner}'");
                notes.push(Note::lost(format!("services.{name}"), says));
                continue;
            }
            None => {}
        }
        if listeners.len() == MAX_LISTENERS {
            let says = format!("its port {target} is not reached by its name: gateways have {MAX_LISTENERS} for it");
            notes.push(Note::lost(format!("services.{name}"), says));
            continue;
        }
        reached = true;
        ports.insert(target, (name.to_owned(), target));
        free_port(draft, target);
        listeners.push(Listener {
            protocol: "tcp",
            port: target,
            container: super::task::container_name(name),
            container_port: target,
        });
    }
    reached
}

/// The networks of a service, and its other names in them.
fn networks(draft: &Draft) -> BTreeMap<String, Vec<String>> {
    let of_none = || BTreeMap::from([(DEFAULT.to_owned(), Vec::new())]);
    match draft.network_mode.as_deref() {
        None => draft.networks.clone().unwrap_or_else(of_none),
        Some(_) => BTreeMap::new(),
    }
}

/// Adds to each service the names of those that it shares a network with.
fn name_one_another(
    drafts: &mut BTreeMap<String, Draft>,
    named: &BTreeSet<String>,
    gateway: &str,
    notes: &mut Vec<Note>,
) {
    let memberships: BTreeMap<String, BTreeMap<String, Vec<String>>> = drafts
        .iter()
        .map(|(name, draft)| (name.clone(), networks(draft)))
        .collect();
    for (name, draft) in drafts.iter_mut() {
        let mut hosts: BTreeSet<&str> = BTreeSet::new();
        let own = memberships.get(name);
        for (other, theirs) in memberships
            .iter()
            .filter(|(other, _)| *other != name && named.contains(*other))
        {
            for (network, aliases) in theirs {
                if own.is_some_and(|own| own.contains_key(network)) {
                    hosts.insert(other);
                    hosts.extend(aliases.iter().map(String::as_str));
                }
            }
        }
        for link in &draft.links {
            if named.contains(&link.service) {
                hosts.insert(&link.alias);
            } else {
                notes.push(Note::lost(
                    &link.place,
                    "the other has no port that gateways lead to: name it in `expose`",
                ));
            }
        }
        let said: BTreeSet<String> = draft
            .container
            .extra_hosts
            .iter()
            .map(|host| host.hostname.clone())
            .collect();
        let entries = hosts
            .into_iter()
            .filter(|host| !said.contains(*host))
            .map(|host| HostEntry {
                hostname: host.to_owned(),
                ip_address: gateway.to_owned(),
                ..HostEntry::default()
            });
        let entries: Vec<HostEntry> = entries.collect();
        draft.container.extra_hosts.extend(entries);
    }
}
