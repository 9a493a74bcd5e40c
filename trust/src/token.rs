//! Join tokens: what an operator gives to a host so that it becomes a member.

use std::fmt;
use std::str::FromStr;

use crate::Fingerprint;
use crate::fingerprint::bytes;

/// What tokens begin with, by which scanners of secrets know them.
const PREFIX: &str = "berth1";
/// Digits of an id.
const ID: usize = 16;

/// A token: `berth1.ID.SECRET.PIN`.
///
/// The id is no secret: logs and lists name tokens by it. The pin is the fingerprint of the key of the cluster's authority,
/// so that who has the token trusts no other scheduler with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// 16 hexadecimal digits.
    pub id: String,
    /// What proves that somebody has the token.
    pub secret: Secret,
    /// Which authority vouches for the schedulers.
    pub pin: Fingerprint,
}

/// The secret of a token: 256 random bits. It prints as nothing; the scheduler keeps its hash alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

/// The text is no token. It is not repeated: it may be one with a slip in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a join token is {PREFIX}.ID.SECRET.PIN in one line, as `berth tokens create` shows it")]
pub struct NotAToken;

impl Secret {
    /// The secret that these bits are.
    #[must_use]
    pub const fn from_bytes(bits: [u8; 32]) -> Self {
        Self(bits)
    }

    /// The secret of the text that [`Self::reveal`] gives.
    ///
    /// # Errors
    /// The text is none.
    pub fn parse(text: &str) -> Result<Self, NotAToken> {
        bytes(text).map(Self).ok_or(NotAToken)
    }

    /// The secret itself, for the one who is to have it.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What the scheduler keeps of it. With 256 random bits in it no salt is needed and nothing slow.
    #[must_use]
    pub fn hash(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl JoinToken {
    /// The token as the operator gets it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}.{}.{}.{}", self.id, self.secret.reveal(), self.pin)
    }

    /// Whether the text can be the id of a token.
    #[must_use]
    pub fn is_id(text: &str) -> bool {
        text.len() == ID && bytes::<{ ID / 2 }>(text).is_some()
    }
}

impl FromStr for JoinToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let [PREFIX, id, secret, pin] = parts[..] else {
            return Err(NotAToken);
        };
        if !Self::is_id(id) {
            return Err(NotAToken);
        }
        Ok(Self {
            id: id.to_owned(),
            secret: Secret::parse(secret)?,
            pin: pin.parse().map_err(|_| NotAToken)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            id: "0123456789abcdef".to_owned(),
            secret: Secret::from_bytes([0xa5; 32]),
            pin: Fingerprint::of(b"authority"),
        }
    }

    #[test]
    fn a_token_is_one_word_that_is_read_as_it_is_written() {
        let text = token().reveal();
        assert_eq!(text.len(), 6 + 1 + 16 + 1 + 64 + 1 + 64);
        assert_eq!(format!(" {text}\n").parse(), Ok(token()));
    }

    #[test]
    fn a_token_that_is_printed_by_mistake_says_no_secret() {
        let secret = token().secret.reveal();
        assert!(!format!("{:?} {:#?}", token(), token()).contains(&secret[..8]));
        assert!(!NotAToken.to_string().contains(&secret[..8]));
    }

    #[test]
    fn what_is_cut_off_or_of_another_kind_is_no_token() {
        let text = token().reveal();
        for length in 0..text.len() {
            assert_eq!(text[..length].parse::<JoinToken>(), Err(NotAToken), "{length}");
        }
        for wrong in [
            text.replace("berth1", "berth2"),
            format!("{text}.x"),
            text.to_uppercase(),
            text.replace('.', "-"),
        ] {
            assert_eq!(wrong.parse::<JoinToken>(), Err(NotAToken), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_a_token_that_would_be_written_in_another_way(text in "\\PC{0,200}") {
            if let Ok(token) = text.parse::<JoinToken>() {
                prop_assert_eq!(token.reveal(), text.trim());
            }
        }
    }
}
