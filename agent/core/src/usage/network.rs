//! The interfaces of a network namespace.

/// The interface by which a host talks to itself: not traffic, and Docker does not count it either.
const LOOPBACK: &str = "lo";

/// What went through one interface since it was made.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name in the container, such as `eth0`.
    pub name: String,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub sent: Traffic,
}

/// One direction.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets with errors.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}

/// The interfaces in a text of `/proc/<pid>/net/dev`, without loopback.
#[must_use]
pub fn interfaces(text: &str) -> Vec<Interface> {
    // Two lines of headings; then a name, a colon, eight counters of what came in and eight of what went out.
    let of_line = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        let mut counters = counters.split_ascii_whitespace().map(str::parse::<u64>);
        let mut direction = || {
            let mut next = || counters.next()?.ok();
            let traffic = Traffic {
                bytes: next()?,
                packets: next()?,
                errors: next()?,
                dropped: next()?,
            };
            for _ in 0..4 {
                next()?;
            }
            Some(traffic)
        };
        Some(Interface {
            name: name.trim().to_owned(),
            received: direction()?,
            sent: direction()?,
        })
    };
    text.lines()
        .skip(2)
        .filter_map(of_line)
        .filter(|interface| interface.name != LOOPBACK)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
        lo: 7402336983 18473870    0    0    0     0          0         0 7402336983 18473870    0    0    0     0       0          0\n  \
        eth0:     736       8    1    2    0     0          0         0     1272      14    3    4    0     0       0          0\n\
        eth1:5009      63    0    0    0     0          0         0     6735      84    0    6    0     0       0          0\n";

    #[test]
    fn interfaces_are_read_without_loopback() {
        let found = interfaces(DEV);
        let traffic = |bytes, packets, errors, dropped| Traffic {
            bytes,
            packets,
            errors,
            dropped,
        };
        let eth0 = Interface {
            name: "eth0".to_owned(),
            received: traffic(736, 8, 1, 2),
            sent: traffic(1272, 14, 3, 4),
        };
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], eth0);
        // A long counter leaves no space behind the colon.
        assert_eq!(found[1].received, traffic(5009, 63, 0, 0));
    }

    #[test]
    fn a_line_that_is_cut_off_is_left_out() {
        assert_eq!(interfaces("a\nb\neth0: 1 2 3\n"), []);
        assert_eq!(interfaces(""), []);
    }
}
