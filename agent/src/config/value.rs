//! From text to a value. An error is the rule, and reads on after "the value": "must be ...".

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use berth_model::task_definition::capability::CAPABILITIES;
use berth_otlp::Collector;
use tonic::transport::Endpoint;

/// For the bounds of durations.
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A number of this type within bounds.
pub(super) fn number<T>(bounds: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    move |text| {
        let number = text.parse::<T>().ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| format!("must be a number from {} to {}", bounds.start(), bounds.end()))
    }
}

/// A duration within bounds, as Go writes them (`1h30m`, `500ms`); a bare number is of seconds.
pub(super) fn duration(bounds: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let duration = any_duration(text).filter(|duration| bounds.contains(duration));
        duration.ok_or_else(|| {
            format!(
                "must be a duration from {} to {}, such as 30s, 1h30m or 500ms; a bare number is of seconds",
                Short(*bounds.start()),
                Short(*bounds.end())
            )
        })
    }
}

fn any_duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(total).ok())?
}

/// A duration as an operator writes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Short(pub(crate) Duration);

impl Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        if millis > 0 {
            return write!(f, "{}ms", self.0.as_millis());
        }
        for (unit, length) in [("h", 3600), ("m", 60)] {
            if seconds > 0 && seconds % length == 0 {
                return write!(f, "{}{unit}", seconds / length);
            }
        }
        write!(f, "{seconds}s")
    }
}

/// Something, as it is.
pub(super) fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(text.to_owned())
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

/// A path.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// A path from the root on, without `.` and `..`.
pub(super) fn absolute(text: &str) -> Result<String, String> {
    let path = Path::new(text);
    let is_plain = |part: &str| part != "." && part != "..";
    if !path.is_absolute() || !text.split('/').all(is_plain) {
        return Err("must be a path from / on, without . and ..".to_owned());
    }
    // As comparisons have it: without a slash at its end.
    Ok(match text.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    })
}

/// A capability of Linux as task definitions name it; `CAP_` and small letters are as good.
pub(super) fn linux_capability(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    if !CAPABILITIES.contains(&name) {
        return Err(format!("must be one of {}", CAPABILITIES.join(", ")));
    }
    Ok(name.to_owned())
}

/// One of a few words.
pub(super) fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            format!("must be one of {}", words.join(", "))
        })
    }
}

/// A scheduler's URL.
pub(super) fn scheduler(url: &str) -> Result<Endpoint, String> {
    let rule = || "must be a URL such as https://10.0.0.5:7700".to_owned();
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| rule())?;
    let uri = endpoint.uri();
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return Err(rule());
    }
    Ok(endpoint)
}

/// Path of a Unix socket, from the URL by which Docker's own tools name it.
pub(super) fn unix_socket(url: &str) -> Result<String, String> {
    let path = url.strip_prefix("unix://").filter(|path| path.starts_with('/'));
    path.map(str::to_owned)
        .ok_or_else(|| "must be 'unix://' and an absolute path".to_owned())
}

/// An address and a port, or `off`.
pub(super) fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    let address = text.parse().map(Some);
    address.map_err(|_| "must be an address with a port, such as 127.0.0.1:51678, or off".to_owned())
}

/// An address of a host, without a port.
pub(super) fn host_address(text: &str) -> Result<IpAddr, String> {
    let address = text.parse().map(|address: IpAddr| address.to_canonical());
    let address = address
        .ok()
        .filter(|address| !address.is_unspecified() && !address.is_multicast());
    address.ok_or_else(|| "must be an IP address under which other hosts reach this one, such as 10.0.0.7".to_owned())
}

/// A host and a port, as `169.254.169.254:80`.
pub(super) fn authority(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let port = port.and_then(|(_, port)| port.parse::<u16>().ok());
    let valid = text.parse::<http::uri::Authority>().is_ok() && port.is_some_and(|port| port > 0);
    let rule = || "must be a host and a port, such as 169.254.169.254:80".to_owned();
    valid.then(|| text.to_owned()).ok_or_else(rule)
}

/// Where figures are sent.
pub(super) fn collector(text: &str) -> Result<Collector, String> {
    text.parse()
}

/// The first and the last port of a range.
pub(super) fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = text.split_once('-').and_then(|(first, last)| {
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first > 0 && first <= last).then_some(first..=last)
    });
    range.ok_or_else(|| "must be two ports, the lower first, such as 49153-65535".to_owned())
}

/// A network of IPv4 addresses: its first address and the length of the prefix.
pub(super) fn subnet(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let subnet = text.split_once('/').and_then(|(address, length)| {
        let (address, length): (Ipv4Addr, u8) = (address.parse().ok()?, length.parse().ok()?);
        let hosts = u32::MAX.checked_shr(length.into()).unwrap_or(0);
        ((8..=28).contains(&length) && u32::from(address) & hosts == 0).then_some((address, length))
    });
    subnet.ok_or_else(|| {
        "must be a network of IPv4 addresses with a prefix of 8 to 28 bits, such as 172.30.0.0/16".to_owned()
    })
}

/// Requests a second, steadily and at once.
pub(super) fn rate(text: &str) -> Result<(u32, u32), String> {
    let rate = text.split_once(',').and_then(|(steady, burst)| {
        let (steady, burst) = (steady.trim().parse().ok()?, burst.trim().parse().ok()?);
        (0 < steady && steady <= burst).then_some((steady, burst))
    });
    rate.ok_or_else(|| "must be two numbers from 1, the second not below the first, such as 40,60".to_owned())
}

/// What an operator wants to see in the log: a level, or levels of modules.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |text: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text.trim()));
    let parts_hold = text.split(',').all(|part| match part.rsplit_once('=') {
        Some((target, level)) => !target.trim().is_empty() && is_level(level),
        None => is_level(part),
    });
    if !parts_hold || !berth_daemon::log::is_filter(text) {
        return Err(format!(
            "must be {}, or such levels of modules: info,berth_agent::link=debug",
            LEVELS.join(", ")
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go_and_bare_seconds() {
        let read = duration(Duration::ZERO..=DAY);
        for (text, millis) in [
            ("30", 30_000),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("500ms", 500),
            ("0", 0),
        ] {
            assert_eq!(read(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "1x", "-1s", "1s2", "25h", "1..2s", "99999999999999999999h"] {
            assert!(
                read(text).unwrap_err().starts_with("must be a duration from 0s to 24h"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_range_of_ports_goes_up() {
        assert_eq!(port_range("49153-65535"), Ok(49153..=65535));
        for text in ["", "1", "0-9", "9-1", "1-65536", "a-b"] {
            assert!(port_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_subnet_is_a_network_and_not_an_address_in_it() {
        assert_eq!(subnet("172.30.0.0/16"), Ok((Ipv4Addr::new(172, 30, 0, 0), 16)));
        for text in ["172.30.0.1/16", "172.30.0.0", "10.0.0.0/7", "10.0.0.0/29", "fd00::/64"] {
            assert!(subnet(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_hosts_address_is_one_that_others_can_dial() {
        for good in ["10.0.0.7", "2001:db8::7", "127.0.0.1"] {
            assert_eq!(
                host_address(good).map(|address| address.to_string()).as_deref(),
                Ok(good)
            );
        }
        for bad in [
            "",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "10.0.0.7:80",
            "host-a",
            "10.0.0.0/8",
        ] {
            assert!(
                host_address(bad).unwrap_err().starts_with("must be an IP address"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        for good in ["info", "DEBUG", "warn,berth_agent::link=debug"] {
            assert_eq!(log_filter(good).as_deref(), Ok(good));
        }
        for bad in ["dbug", "info,berth_agent=loud", "=debug", ""] {
            assert!(log_filter(bad).is_err(), "{bad}");
        }
    }
}
