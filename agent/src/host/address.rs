//! Under which address other hosts reach this one: what the operator says, or the one from which it reaches them.
//!
//! A UDP socket that is connected has the local address that the routes give it; nothing is sent for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tonic::transport::Endpoint;

/// To find the address behind the scheduler's name; the stream to it stands already.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);
/// Stands for any other host; no route but the default one leads to addresses that documents use (RFC 5737, RFC 3849).
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
/// Any port will do to a socket that sends nothing, but for 0.
const ANY_PORT: u16 = 9;

/// The host's address as the one who reaches this scheduler would give it; none where nothing tells.
pub(crate) async fn towards(scheduler: &Endpoint) -> Option<IpAddr> {
    let host = scheduler.uri().host()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((host, ANY_PORT))).await;
    let schedulers = match found {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    choose(&schedulers, local)
}

/// The address from which the scheduler is reached. A scheduler on this very host says nothing of others: then the one
/// of the default route, of the scheduler's family first; of a host that reaches no other its loopback.
fn choose(schedulers: &[IpAddr], local: impl Fn(IpAddr) -> Option<IpAddr>) -> Option<IpAddr> {
    let is_far = |address: &IpAddr| !address.is_loopback();
    let nearest = schedulers.iter().find_map(|scheduler| local(*scheduler));
    if let Some(address) = nearest.filter(is_far) {
        return Some(address);
    }
    let [v4, v6] = ANYWHERE.map(|anywhere| local(anywhere).filter(is_far));
    let anywhere = if nearest.is_some_and(|nearest| nearest.is_ipv6()) {
        v6.or(v4)
    } else {
        v4.or(v6)
    };
    anywhere.or(nearest)
}

/// The local address of a socket that is connected to the address.
fn local(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(to, ANY_PORT)).ok()?;
    let local = socket.local_addr().ok()?.ip().to_canonical();
    // One of a single link means nothing without the link.
    let is_of_a_link = matches!(local, IpAddr::V6(v6) if v6.is_unicast_link_local());
    (!local.is_unspecified() && !is_of_a_link).then_some(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A host with these routes: to an address, from an address.
    fn routes<'a>(routes: &'a [(&'a str, &'a str)]) -> impl Fn(IpAddr) -> Option<IpAddr> + 'a {
        move |to| {
            let mut routes = routes.iter();
            routes.find(|(known, _)| ip(known) == to).map(|(_, from)| ip(from))
        }
    }

    #[test]
    fn it_is_the_one_from_which_the_scheduler_is_reached() {
        let known = [
            ("10.0.0.1", "10.0.0.7"),
            ("fd00::1", "fd00::7"),
            ("192.0.2.1", "198.51.100.7"),
        ];
        let of = |schedulers: &[&str]| {
            let schedulers: Vec<IpAddr> = schedulers.iter().map(|text| ip(text)).collect();
            choose(&schedulers, routes(&known))
        };
        assert_eq!(of(&["10.0.0.1", "fd00::1"]), Some(ip("10.0.0.7")));
        assert_eq!(of(&["fd00::1"]), Some(ip("fd00::7")));
        // There is no way to the first of the scheduler's addresses.
        assert_eq!(of(&["fd00::2", "10.0.0.1"]), Some(ip("10.0.0.7")));
        assert_eq!(of(&[]), Some(ip("198.51.100.7")));
    }

    #[test]
    fn beside_the_scheduler_it_is_the_one_of_the_default_route_and_at_last_the_loopback() {
        let v4 = ("192.0.2.1", "198.51.100.7");
        let v6 = ("2001:db8::1", "2001:db8:7::7");
        let beside = [("127.0.0.1", "127.0.0.1"), ("::1", "::1")];
        let of = |scheduler: &str, others: &[(&str, &str)]| {
            let all: Vec<_> = beside.iter().chain(others).copied().collect();
            choose(&[ip(scheduler)], routes(&all)).unwrap().to_string()
        };
        assert_eq!(of("127.0.0.1", &[v4, v6]), v4.1);
        assert_eq!(of("::1", &[v4, v6]), v6.1);
        assert_eq!(of("::1", &[v4]), v4.1);
        assert_eq!(of("127.0.0.1", &[v6]), v6.1);
        assert_eq!(of("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(of("::1", &[]), "::1");
    }

    #[tokio::test]
    async fn a_socket_tells_without_sending() {
        assert_eq!(local(ip("127.0.0.1")), Some(ip("127.0.0.1")));
        let found = towards(&Endpoint::from_static("http://127.0.0.1:7700")).await;
        let address = found.unwrap();
        assert!(
            address.is_loopback() || UdpSocket::bind((address, 0)).is_ok(),
            "{address}"
        );
    }
}
