//! Ids, each a type of its own so that they cannot be mixed up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fault::shortened;
use crate::name::{Family, name};

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an id: 32 lower-case hexadecimal digits are")]
pub struct InvalidId {
    text: String,
}

/// The bits of an id in two halves: a `u128` would be aligned to 16 bytes, and every key that begins with something
/// else would grow by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Bits {
    high: u64,
    low: u64,
}

impl Bits {
    #[expect(clippy::cast_possible_truncation, reason = "each half is what is left of the other")]
    const fn of(bits: u128) -> Self {
        Self {
            high: (bits >> 64) as u64,
            low: bits as u64,
        }
    }

    const fn joined(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// Ids are written in every answer, report and record: this is quicker than the formatter of numbers.
    fn with_digits<T>(self, then: impl FnOnce(&str) -> T) -> T {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.joined().to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        then(std::str::from_utf8(&text).unwrap_or_default())
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Bits);

        impl $name {
            /// The id with these bits.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(Bits::of(bits))
            }

            /// The bits of the id.
            #[must_use]
            pub const fn to_bits(self) -> u128 {
                self.0.joined()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.with_digits(|digits| f.write_str(digits))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_hex(text).map(Self::from_bits).ok_or_else(|| InvalidId { text: text.to_owned() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.with_digits(|digits| serializer.serialize_str(digits))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id! {
    /// A task, for ever: written as 32 lower-case hex digits. Ids of one scheduler grow with time, so that their order
    /// is the order of creation.
    TaskId
}

hex_id! {
    /// A container instance: chosen once by its agent, written as 32 lower-case hex digits.
    InstanceId
}

impl InstanceId {
    /// What its host is called where ECS has the id of an EC2 instance and it is none: `mi-` and 17 hex digits, the form
    /// of Systems Manager's managed instances, which external instances of ECS are (ECS guide, "External instances").
    #[must_use]
    pub fn managed(self) -> String {
        const DIGITS: u32 = 17;
        let of_digits = self.to_bits() & ((1 << (4 * DIGITS)) - 1);
        format!("mi-{of_digits:017x}")
    }
}

fn parse_hex(text: &str) -> Option<u128> {
    let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == 32 && text.bytes().all(digits))
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

name! {
    /// The id of an access key: `AKIA` and 16 of the letters and digits of Base32 (RFC 4648), as AWS's have.
    AccessKeyId
}

impl AccessKeyId {
    /// The id with these bits, of which 80 count, after four letters that say what it is.
    #[must_use]
    pub fn from_bits(kind: &str, bits: u128) -> Self {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let letter = |nth: u32| char::from(LETTERS[usize::try_from((bits >> (5 * nth)) & 31).unwrap_or(0)]);
        let text: String = kind.chars().chain((0..16).map(letter)).collect();
        Self(text.into())
    }

    /// The id that the text is: nobody need have it.
    #[must_use]
    pub fn named(text: &str) -> Self {
        Self(text.into())
    }
}

/// The revision of a task definition within its family: 1, 2, 3 ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DefinitionRevision(pub u32);

impl fmt::Display for DefinitionRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One revision of one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DefinitionId {
    /// The family.
    pub family: Family,
    /// The revision within it.
    pub revision: DefinitionRevision,
}

impl fmt::Display for DefinitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.family, self.revision)
    }
}

/// The text is not `ecs-svc/` and 19 digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not the id of a deployment: ecs-svc/ and 19 digits are")]
pub struct InvalidDeploymentId {
    text: String,
}

/// A number of 19 digits of which the first is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
struct Digits(u64);

impl Digits {
    const FIRST: u64 = 1_000_000_000_000_000_000;
    /// What a signed number can hold: clients read these ids as such.
    const COUNT: u64 = i64::MAX as u64 - Self::FIRST;

    const fn of(bits: u64) -> Self {
        Self(Self::FIRST + bits % Self::COUNT)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 19 && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        digits.then(|| text.parse().ok().map(Self)).flatten()
    }
}

/// A deployment of a service: written as `ecs-svc/` and 19 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentId(Digits);

impl DeploymentId {
    const PREFIX: &'static str = "ecs-svc/";

    /// The id that random bits lead to.
    #[must_use]
    pub const fn from_random(bits: u64) -> Self {
        Self(Digits::of(bits))
    }

    /// The 19 digits as a number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.0
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.0)
    }
}

impl FromStr for DeploymentId {
    type Err = InvalidDeploymentId;

    fn from_str(text: &str) -> Result<Self, InvalidDeploymentId> {
        let digits = text.strip_prefix(Self::PREFIX).and_then(Digits::parse);
        digits
            .map(Self)
            .ok_or_else(|| InvalidDeploymentId { text: shortened(text) })
    }
}

/// What a service's deployment consisted of, as it was when it began: written as 19 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceRevisionId(Digits);

impl ServiceRevisionId {
    /// The id that random bits lead to.
    #[must_use]
    pub const fn from_random(bits: u64) -> Self {
        Self(Digits::of(bits))
    }

    /// The id that the text is; nothing where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Digits::parse(text).map(Self)
    }
}

impl fmt::Display for ServiceRevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployments_are_written_with_19_digits() {
        for bits in [0, 1, 7_123_456_789_012_345_678, u64::MAX] {
            let id = DeploymentId::from_random(bits);
            let text = id.to_string();
            assert_eq!(text.len(), "ecs-svc/".len() + 19, "{text}");
            assert_eq!(text.parse(), Ok(id));
            let revision = ServiceRevisionId::from_random(bits);
            assert_eq!(ServiceRevisionId::parse(&revision.to_string()), Some(revision));
        }
        for bad in [
            "ecs-svc/1",
            "1234567890123456789",
            "ecs-svc/123456789012345678x",
            "ecs-svc/0234567890123456789",
            "ecs-svc/",
        ] {
            assert!(bad.parse::<DeploymentId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_32_lower_case_hex_digits() {
        let text = "00d6b2d3a1f04be8b4f00a1b2c3d4e5f";
        let id: TaskId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        for bad in [
            "",
            "00D6B2D3A1F04BE8B4F00A1B2C3D4E5F",
            "00d6",
            "+0d6b2d3a1f04be8b4f00a1b2c3d4e5f",
        ] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad}");
        }
    }
}
