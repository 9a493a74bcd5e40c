//! Who may ask: the host itself, and containers on its bridges. The address is the host's own, so that a neighbour on
//! the host's network could ask too if it were let.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use super::serve::Peer;

const ROUTES: &str = "/proc/net/route";
/// Hex digits that Docker names the bridge of a network of its own by.
const DOCKER_DIGITS: usize = 12;
/// The bridge of tasks that have an address of their own.
const TASK_BRIDGE: &str = "berth0";
/// Any port will do.
const DISCARD: u16 = 9;
/// The name of Docker's default bridge, where it says no other.
pub(crate) const DEFAULT_BRIDGE: &str = "docker0";

/// Whether the peer is on this host. `bridge` is the name of Docker's default one.
pub(super) fn is_local(peer: Peer, bridge: &str) -> bool {
    let from = peer.from.ip();
    if from.is_loopback() || from == peer.at.ip() || is_own(from) {
        return true;
    }
    let IpAddr::V4(from) = from else { return false };
    let routes = std::fs::read_to_string(ROUTES).unwrap_or_default();
    interface_to(&routes, from).is_some_and(|interface| is_dockers(interface, bridge))
}

/// To an address of its own the host speaks from the same. Nothing is sent: the kernel only chooses.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, DISCARD))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

fn is_dockers(interface: &str, bridge: &str) -> bool {
    let digits = interface.strip_prefix("br-").unwrap_or_default();
    [bridge, TASK_BRIDGE].contains(&interface)
        || digits.len() == DOCKER_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// The interface on whose own network the address is: that of the narrowest route to it, if it has no gateway.
fn interface_to(routes: &str, address: Ipv4Addr) -> Option<&str> {
    let number = |hex: &str| u32::from_str_radix(hex, 16).ok().map(u32::swap_bytes);
    let route = |line| {
        let fields: Vec<&str> = str::split_whitespace(line).collect();
        let (interface, gateway) = (*fields.first()?, number(fields.get(2)?)?);
        Some((interface, number(fields.get(1)?)?, gateway, number(fields.get(7)?)?))
    };
    let (interface, _, gateway, _) = routes
        .lines()
        .skip(1)
        .filter_map(route)
        .filter(|(_, network, _, mask)| address.to_bits() & mask == *network)
        .max_by_key(|(_, _, _, mask)| *mask)?;
    (gateway == 0).then_some(interface)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// A host behind 10.0.0.1 with Docker's bridge, one of a network of Docker's, and one that reaches the world.
    const HOST: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
br-0123456789ab\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
br-lan\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";

    #[test]
    fn an_address_is_where_its_narrowest_route_leads() {
        for (address, interface) in [
            ("172.17.0.2", Some("docker0")),
            ("172.18.0.9", Some("br-0123456789ab")),
            ("10.0.0.7", Some("eth0")),
            ("192.168.2.5", Some("br-lan")),
            ("8.8.8.8", None),
        ] {
            assert_eq!(interface_to(HOST, address.parse().unwrap()), interface, "{address}");
        }
        assert_eq!(interface_to("", Ipv4Addr::LOCALHOST), None);
    }

    #[test]
    fn only_bridges_of_dockers_have_containers() {
        for (interface, is) in [
            ("docker0", true),
            ("br-0123456789ab", true),
            ("eth0", false),
            ("br-lan", false),
            ("br-0123456789zz", false),
            ("", false),
        ] {
            assert_eq!(is_dockers(interface, DEFAULT_BRIDGE), is, "{interface}");
        }
        assert!(is_dockers("lan", "lan"));
    }

    #[test]
    fn the_host_is_local_and_the_world_is_not() {
        let peer = |from: &str| Peer {
            from: SocketAddr::new(from.parse().unwrap(), 4000),
            at: "169.254.170.2:51679".parse().unwrap(),
        };
        assert!(is_local(peer("127.0.0.1"), DEFAULT_BRIDGE));
        assert!(is_local(peer("169.254.170.2"), DEFAULT_BRIDGE));
        assert!(!is_local(peer("192.0.2.1"), DEFAULT_BRIDGE));
    }
}
