//! Ports of the host for mappings that leave them to it.
//!
//! A single port is Docker's choice, within the operator's range where one is set. For a range of ports Docker has no
//! choice to offer, so that the agent finds free ones in a row by trying to listen on them. Between that and the start
//! of the container another may take one; the start then fails, and waits for the port as for any other.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use berth_agent_core::create::{Forward, ForwardRange};
use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::port_range;
use berth_model::quantity::{HostPort, PortSet, Protocol};

/// What the kernel gives to sockets that ask for no port in particular (ip(7)).
const LOCAL_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// What ECS falls back on.
const DEFAULT: RangeInclusive<u16> = 49_153..=65_535;

/// Where mappings find ports. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HostPorts {
    /// The operator's.
    range: Option<RangeInclusive<u16>>,
    /// Which no task may have.
    reserved: Arc<PortSet>,
    /// Where the next search begins: behind the last find, whose container may not listen yet.
    next: Arc<Mutex<u16>>,
}

impl HostPorts {
    pub(crate) fn new(range: Option<RangeInclusive<u16>>, reserved: PortSet) -> Self {
        Self {
            range,
            reserved: Arc::new(reserved),
            next: Arc::default(),
        }
    }

    /// The range that Docker is to choose single ports from; its own where none is set.
    pub(crate) fn range(&self) -> Option<&RangeInclusive<u16>> {
        self.range.as_ref()
    }

    /// Chooses ports in a row for each of the ranges.
    ///
    /// # Errors
    /// Names the range for which there is no room.
    pub(crate) async fn choose(&self, wanted: &[ForwardRange]) -> Result<Vec<Forward>, Failure> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let (ports, wanted) = (self.clone(), wanted.to_vec());
        let choosing = tokio::task::spawn_blocking(move || ports.find(&wanted, is_free)).await;
        let broken = |_| Err("the search for them broke off".to_owned());
        choosing
            .unwrap_or_else(broken)
            .map_err(|problem| Failure::new(FailureKind::Unprepared, format!("ports of the host: {problem}")))
    }

    fn find(&self, wanted: &[ForwardRange], is_free: impl Fn(HostPort) -> bool) -> Result<Vec<Forward>, String> {
        let bounds = self.range.clone().unwrap_or_else(local_range);
        // No other search goes on meanwhile: two would find the same ports.
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut forwards = Vec::new();
        for range in wanted {
            let protocol = range.protocol;
            let free = |port| {
                let port = HostPort { protocol, port };
                !self.reserved.contains(port) && is_free(port)
            };
            let length = range.ports.last - range.ports.first;
            let from = if bounds.contains(&next) { *next } else { middle(&bounds) };
            let found = length
                .checked_add(1)
                .and_then(|length| port_range::find(&bounds, from, length, free));
            let Some(first) = found else {
                return Err(format!(
                    "containerPortRange {}/{} finds no {} free ports in a row from {} to {}",
                    range.ports,
                    protocol.name(),
                    u32::from(length) + 1,
                    bounds.start(),
                    bounds.end()
                ));
            };
            forwards.extend((0..=length).map(|offset| Forward {
                container_port: range.ports.first + offset,
                protocol,
                host_port: first + offset,
            }));
            *next = (first + length).saturating_add(1);
        }
        Ok(forwards)
    }
}

/// Docker takes its single ports one after the other from the low end, and a port that is found here is bound only when
/// its container starts: half the range lies between the two.
fn middle(bounds: &RangeInclusive<u16>) -> u16 {
    bounds.start() + (bounds.end() - bounds.start()) / 2
}

/// Whether somebody could listen on the port on all addresses, of both families where the host has both.
fn is_free(port: HostPort) -> bool {
    let (v4, v6) = ((Ipv4Addr::UNSPECIFIED, port.port), (Ipv6Addr::UNSPECIFIED, port.port));
    let open = |result: std::io::Result<()>| match result {
        Ok(()) => true,
        Err(error) => !matches!(
            error.kind(),
            std::io::ErrorKind::AddrInUse | std::io::ErrorKind::PermissionDenied
        ),
    };
    match port.protocol {
        Protocol::Tcp => open(TcpListener::bind(v4).map(drop)) && open(TcpListener::bind(v6).map(drop)),
        Protocol::Udp => open(UdpSocket::bind(v4).map(drop)) && open(UdpSocket::bind(v6).map(drop)),
    }
}

fn local_range() -> RangeInclusive<u16> {
    let text = fs::read_to_string(LOCAL_RANGE).unwrap_or_default();
    let mut ends = text.split_ascii_whitespace().filter_map(|end| end.parse::<u16>().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) if 0 < first && first <= last => first..=last,
        _ => DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use berth_model::task_definition::PortRange;

    use super::*;

    fn range(first: u16, last: u16, protocol: Protocol) -> ForwardRange {
        ForwardRange {
            ports: PortRange { first, last },
            protocol,
        }
    }

    fn hosts(forwards: &[Forward]) -> Vec<u16> {
        forwards.iter().map(|forward| forward.host_port).collect()
    }

    #[test]
    fn each_search_goes_on_behind_the_last_and_leaves_out_what_is_reserved() {
        let reserved = PortSet::from_iter([HostPort {
            protocol: Protocol::Tcp,
            port: 40_013,
        }]);
        let ports = HostPorts::new(Some(40_000..=40_019), reserved);
        let one = [range(80, 82, Protocol::Tcp)];
        let all = |_: HostPort| true;
        assert_eq!(hosts(&ports.find(&one, all).unwrap()), [40_009, 40_010, 40_011]);
        assert_eq!(hosts(&ports.find(&one, all).unwrap()), [40_014, 40_015, 40_016]);
        // Behind it there is no row any more: the search goes on at the low end.
        let around = ports.find(&one, |port| port.port != 40_018).unwrap();
        assert_eq!(hosts(&around), [40_000, 40_001, 40_002]);
        assert_eq!(around[2].container_port, 82);
        let udp = ports.find(&[range(53, 56, Protocol::Udp)], all).unwrap();
        assert_eq!(hosts(&udp), [40_003, 40_004, 40_005, 40_006]);
    }

    #[test]
    fn what_finds_no_room_is_named() {
        let ports = HostPorts::new(Some(40_000..=40_009), PortSet::default());
        let problem = ports.find(&[range(1, 11, Protocol::Udp)], |_| true).unwrap_err();
        assert_eq!(
            problem,
            "containerPortRange 1-11/udp finds no 11 free ports in a row from 40000 to 40009"
        );
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_taken_for_its_protocol_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let of = |protocol| HostPort { protocol, port };
        assert!(!is_free(of(Protocol::Tcp)));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(!is_free(HostPort {
            protocol: Protocol::Udp,
            port
        }));
    }
}
