//! Ports that something on the host listens on.

use std::collections::BTreeSet;
use std::fs;

/// State of a TCP socket that listens.
const LISTEN: &str = "0A";

/// Sorted, each once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) tcp: Vec<u32>,
    pub(super) udp: Vec<u32>,
}

/// Reads the kernel's tables; one that is not there has no ports.
pub(super) fn listening() -> Listening {
    let read = |names: [&str; 2], wanted: fn(&str, &str) -> bool| {
        let tables = names.map(|name| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default());
        let ports: BTreeSet<u32> = tables.iter().flat_map(|table| ports(table, wanted)).collect();
        ports.into_iter().collect()
    };
    Listening {
        tcp: read(["tcp", "tcp6"], |_, state| state == LISTEN),
        // A UDP socket that is connected to somebody is a client's.
        udp: read(["udp", "udp6"], |remote, _| remote.ends_with(":0000")),
    }
}

fn ports(table: &str, wanted: fn(&str, &str) -> bool) -> impl Iterator<Item = u32> + '_ {
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        let port = u32::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        wanted(remote, state).then_some(port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let listening = listening();
        assert!(listening.tcp.contains(&u32::from(socket.local_addr().unwrap().port())));
        assert!(
            listening
                .udp
                .contains(&u32::from(datagrams.local_addr().unwrap().port()))
        );
    }

    #[test]
    fn connections_do_not_listen() {
        let table = "  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A\n   1: 0100007F:1F91 0100007F:0016 01\n";
        let found: Vec<u32> = ports(table, |_, state| state == LISTEN).collect();
        assert_eq!(found, [8080]);
    }
}
