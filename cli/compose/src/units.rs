//! Figures as Compose writes them: times, sizes, processors, ports.

use std::ops::RangeInclusive;

/// Ports of one range, at most.
pub(crate) const MAX_RANGE: usize = 100;

/// Milliseconds of a time such as `1m30s`, `2.5s` or `100ms`, rounded up.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut nanoseconds = 0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, behind) = rest.split_at_checked(digits)?;
        let letters = behind
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(behind.len());
        let (unit, after) = behind.split_at_checked(letters)?;
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            "d" => 8.64e13,
            "w" => 6.048e14,
            _ => return None,
        };
        nanoseconds += decimal(number)? * scale;
        rest = after;
    }
    (!text.is_empty()).then(|| whole((nanoseconds / 1e6).ceil())).flatten()
}

/// Whole seconds of such a time, rounded up.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    Some(milliseconds(text)?.div_ceil(1000))
}

/// Bytes of a size such as `512`, `64k`, `1.5 GB` or `2gib`; units are powers of 1024, as for Docker.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let scale = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 1,
        "m" | "mb" | "mi" | "mib" => 2,
        "g" | "gb" | "gi" | "gib" => 3,
        "t" | "tb" | "ti" | "tib" => 4,
        _ => return None,
    };
    whole((decimal(number)? * 1024_f64.powi(scale)).floor())
}

/// MiB of such a size, rounded up.
pub(crate) fn mebibytes(text: &str) -> Option<i32> {
    i32::try_from(bytes(text)?.div_ceil(1 << 20)).ok()
}

/// CPU units of a number of processors such as `0.5`, rounded up.
pub(crate) fn cpu_units(text: &str) -> Option<i32> {
    let units = whole((decimal(text)? * 1024.0).ceil())?;
    i32::try_from(units).ok()
}

/// Digits with at most one point among them.
fn decimal(text: &str) -> Option<f64> {
    let fits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    (fits && has_digit).then(|| text.parse().ok()).flatten()
}

/// The whole number that it is, where one can be exact.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the bounds have been checked"
)]
fn whole(number: f64) -> Option<u64> {
    const MOST: f64 = 9_007_199_254_740_992.0;
    (0.0..=MOST).contains(&number).then_some(number as u64)
}

/// A port, 1 to 65535.
pub(crate) fn port(text: &str) -> Option<u16> {
    let fits = text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}

/// A port or a range of ports: `80`, `8000-8010`.
pub(crate) fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    match text.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            (first <= last).then_some(first..=last)
        }
        None => port(text).map(|port| port..=port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units_and_rounded_up() {
        for (text, expected) in [
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("2500us", Some(3)),
            ("1h5m30s20ms", Some(3_930_020)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("2d", Some(172_800_000)),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
        for text in ["", "10", "s", "1x", "-1s", "1.2.3s", ".s", "1e3s", "99999999999999999h"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
        assert_eq!(seconds("1001ms"), Some(2));
    }

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        for (text, expected) in [
            ("512", Some(512)),
            ("64k", Some(65_536)),
            ("1.5 GB", Some(1_610_612_736)),
            ("2gib", Some(2 << 30)),
            ("5b", Some(5)),
            ("1T", Some(1 << 40)),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        for text in ["", "k", "-1", "1x", "1kk", "99999999999999999999", "1 0"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        assert_eq!(mebibytes("1048577"), Some(2));
        assert_eq!(mebibytes("50M"), Some(50));
    }

    #[test]
    fn processors_become_units_and_ports_ranges() {
        assert_eq!(cpu_units("0.5"), Some(512));
        assert_eq!(cpu_units("0.001"), Some(2));
        assert_eq!(cpu_units("two"), None);
        assert_eq!(ports("80"), Some(80..=80));
        assert_eq!(ports("8000-8010"), Some(8000..=8010));
        for text in ["", "0", "65536", "-1", "8-", "9-8", "+80", "a"] {
            assert_eq!(ports(text), None, "{text}");
        }
    }
}
