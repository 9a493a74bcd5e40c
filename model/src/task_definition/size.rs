//! Task-level `cpu` and `memory`: figures with or without a unit, brought to digits.

use crate::fault::{Fault, shortened};

/// CPU units that a task may have (ECS API, RegisterTaskDefinition).
const CPU_RANGE: std::ops::RangeInclusive<u32> = 128..=196_608;
/// Docker takes no less than 6 MiB.
const LEAST_MEMORY: u32 = 6;

/// CPU units as digits, from `"512"`, `"0.5 vCPU"` or `"1vcpu"`.
pub(super) fn cpu(text: &str) -> Result<String, Fault> {
    figure(text, "vcpu", 1024)
        .filter(|units| CPU_RANGE.contains(units))
        .map(|units| units.to_string())
        .ok_or_else(|| {
            invalid(
                "cpu",
                text,
                format_args!(
                    "{} to {} CPU units, or as many as '<n> vCPU' says",
                    CPU_RANGE.start(),
                    CPU_RANGE.end()
                ),
            )
        })
}

/// MiB as digits, from `"512"`, `"1 GB"` or `"0.5gb"`.
pub(super) fn memory(text: &str) -> Result<String, Fault> {
    figure(text, "gb", 1024)
        .filter(|mib| *mib >= LEAST_MEMORY)
        .map(|mib| mib.to_string())
        .ok_or_else(|| invalid("memory", text, format_args!("at least {LEAST_MEMORY} MiB, or '<n> GB'")))
}

fn invalid(field: &str, text: &str, rule: std::fmt::Arguments<'_>) -> Fault {
    Fault::client(format!(
        "Invalid '{field}' setting for task. '{}' is given; it must be {rule}.",
        shortened(text)
    ))
}

/// The number in the base unit: plain digits count it, a number with `unit` counts `scale` of it.
fn figure(text: &str, unit: &str, scale: u32) -> Option<u32> {
    let lower = text.trim().to_ascii_lowercase();
    let Some(number) = lower.strip_suffix(unit) else {
        return digits(&lower);
    };
    let (whole, fraction) = match number.trim_end().split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (number.trim_end(), ""),
    };
    if fraction.len() > 6 || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { digits(whole)? };
    let parts = if fraction.is_empty() {
        0
    } else {
        u64::from(digits(fraction)?)
    };
    let divisor = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let total = u64::from(whole) * u64::from(scale) + parts * u64::from(scale) / divisor;
    u32::try_from(total).ok()
}

fn digits(text: &str) -> Option<u32> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_become_digits() {
        for (text, units) in [
            ("256", "256"),
            ("1 vCPU", "1024"),
            ("0.5 vcpu", "512"),
            (".25vCPU", "256"),
            (" 2vCPU ", "2048"),
        ] {
            assert_eq!(cpu(text).as_deref(), Ok(units), "{text}");
        }
        for (text, mib) in [("512", "512"), ("1GB", "1024"), ("0.5 GB", "512")] {
            assert_eq!(memory(text).as_deref(), Ok(mib), "{text}");
        }
        for bad in [
            "",
            "abc",
            "-1",
            "127",
            "196609",
            "1.2.3 vCPU",
            "vCPU",
            "1 GB",
            "99999999999999",
            "1.0000000001 vCPU",
        ] {
            let fault = cpu(bad).unwrap_err();
            assert!(
                fault.message.starts_with("Invalid 'cpu' setting for task."),
                "{bad}: {fault}"
            );
        }
        assert!(memory("3").is_err());
    }
}
