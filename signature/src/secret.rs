//! The secrets of access keys: they follow from the id of the key and a master key of the operator's, so that they are kept
//! nowhere.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::digest::{hex, hmac, unhex};

/// Bytes of a master key.
pub const MASTER_SIZE: usize = 32;
/// Bytes of a secret: 40 characters of Base64, as AWS's secrets have.
const SECRET_SIZE: usize = 30;
/// What ids of the operator's own key begin with.
const ROOT: &str = "AKIAROOT";

/// What all secrets follow from. Prints nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; MASTER_SIZE]);

/// The master keys of an operator: the first makes new access keys, the others verify older ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKeys(Vec<MasterKey>);

/// Why a text has no master keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterError {
    /// There is no line with one.
    Empty,
    /// The line of this number is none.
    Line(usize),
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.fingerprint())
    }
}

impl fmt::Display for MasterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it has no master key"),
            // Not the line itself: it may be a key with a slip of the pen.
            Self::Line(number) => write!(
                f,
                "line {number} is no master key, which is {} hexadecimal digits",
                2 * MASTER_SIZE
            ),
        }
    }
}

impl std::error::Error for MasterError {}

impl MasterKey {
    /// The master key with these bytes, which chance must have chosen.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; MASTER_SIZE]) -> Self {
        Self(bytes)
    }

    /// As a line of a file.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{}\n", hex(&self.0))
    }

    /// By what it is known: tells nothing of it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = hmac(&self.0, b"berth master key fingerprint");
        hex(&digest[..8])
    }

    /// The secret of the access key.
    #[must_use]
    pub fn secret_of(&self, access_key: &str) -> String {
        self.derive("berth access key secret", access_key)
    }

    /// The id of the operator's own access key, which exists wherever the master key is.
    #[must_use]
    pub fn root_id(&self) -> String {
        format!("{ROOT}{}", self.fingerprint().to_ascii_uppercase())
    }

    /// A secret for the purpose.
    pub(crate) fn derive(&self, purpose: &str, subject: &str) -> String {
        let digest = hmac(&self.0, format!("{purpose}\n{subject}").as_bytes());
        STANDARD.encode(&digest[..SECRET_SIZE])
    }

    /// The code by which a text is known again, all of it.
    pub(crate) fn code(&self, purpose: &str, text: &str) -> [u8; 32] {
        hmac(&self.0, format!("{purpose}\n{text}").as_bytes())
    }

    /// Whether it is that code.
    pub(crate) fn is_code(&self, purpose: &str, text: &str, code: &[u8]) -> bool {
        crate::digest::is_hmac(&self.0, format!("{purpose}\n{text}").as_bytes(), code)
    }
}

impl MasterKeys {
    /// Reads a file of master keys, one a line, each of 64 hexadecimal digits. Empty lines and such that begin with `#` do
    /// not count.
    ///
    /// # Errors
    /// What is wrong with the text, without quoting it.
    pub fn parse(text: &str) -> Result<Self, MasterError> {
        let lines = text.lines().map(str::trim).enumerate();
        let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let keys: Result<Vec<_>, _> = keys
            .map(|(at, line)| unhex(line).map(MasterKey).ok_or(MasterError::Line(at + 1)))
            .collect();
        match keys? {
            keys if keys.is_empty() => Err(MasterError::Empty),
            keys => Ok(Self(keys)),
        }
    }

    /// The one that makes new access keys.
    #[must_use]
    pub fn newest(&self) -> &MasterKey {
        // There is one: `parse` and `from` see to it.
        &self.0[0]
    }

    /// The one of a fingerprint.
    #[must_use]
    pub fn of_fingerprint(&self, fingerprint: &str) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.fingerprint() == fingerprint)
    }

    /// The one whose own access key has the id.
    #[must_use]
    pub fn of_root_id(&self, access_key: &str) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.root_id() == access_key)
    }
}

impl From<MasterKey> for MasterKeys {
    fn from(key: MasterKey) -> Self {
        Self(vec![key])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_follows_from_the_master_key_and_the_id_and_from_nothing_less() {
        let (one, other) = (MasterKey::from_bytes([1; 32]), MasterKey::from_bytes([2; 32]));
        let secret = one.secret_of("AKIAAAAAAAAAAAAAAAAA");
        assert_eq!(secret.len(), 40);
        assert_eq!(secret, one.secret_of("AKIAAAAAAAAAAAAAAAAA"));
        assert_ne!(secret, one.secret_of("AKIAAAAAAAAAAAAAAAAB"));
        assert_ne!(secret, other.secret_of("AKIAAAAAAAAAAAAAAAAA"));
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert!(!secret.contains(&one.fingerprint()));
    }

    #[test]
    fn a_master_key_prints_nothing_of_itself() {
        let key = MasterKey::from_bytes([0xab; 32]);
        assert!(!format!("{key:?} {:?}", MasterKeys::from(key.clone())).contains("abab"));
        assert_eq!(MasterKeys::parse(&key.to_line()), Ok(key.into()));
    }

    #[test]
    fn a_file_of_master_keys_has_one_a_line_the_newest_first() {
        let [new, old] = [[7; 32], [8; 32]].map(MasterKey::from_bytes);
        let text = format!("# since May\n{}\n\n  {}", new.to_line(), old.to_line());
        let keys = MasterKeys::parse(&text).unwrap();
        assert_eq!(keys.newest(), &new);
        assert_eq!(keys.of_fingerprint(&old.fingerprint()), Some(&old));
        assert_eq!(keys.of_root_id(&old.root_id()), Some(&old));
        assert_eq!(keys.of_fingerprint("00"), None);
        assert_eq!(MasterKeys::parse("# none\n"), Err(MasterError::Empty));
        let wrong = MasterKeys::parse(&format!("{}secret", new.to_line())).unwrap_err();
        assert_eq!(wrong, MasterError::Line(2));
        assert!(!wrong.to_string().contains("secret"), "{wrong}");
    }
}
