//! Where a host finds its join token: in a file, in a setting, or somewhere that is asked for it. Never on a command line, which everybody on the host can read.

use std::env;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use berth_trust::{JoinToken, NotAToken};

use crate::files;

/// Where the file is looked for that nobody has named.
pub const FILE: &str = "/etc/berth/join-token";

/// There is something in the place of a token, and it is none.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file that was named.
    #[error("cannot read the join token in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in a file, or in a setting.
    #[error("the join token of {place}")]
    Content {
        /// Where it was found.
        place: String,
        /// The rule.
        source: NotAToken,
    },
    /// Who was asked for it.
    #[error("ask {place} for the join token: {reason}")]
    Asked {
        /// Who.
        place: String,
        /// Why there is none.
        reason: String,
    },
}

/// What can be asked for a token when there is need of one: at each attempt to join, not before.
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// The token.
    ///
    /// # Errors
    /// [`TokenError`]; another attempt may go better.
    fn find(&self) -> Pin<Box<dyn Future<Output = Result<JoinToken, TokenError>> + Send + '_>>;
}

/// The token that a setting says, else that of the file that was named, else that of a file that there may be: [`FILE`], or the
/// one of this name among the credentials that systemd hands to the unit (`LoadCredential=`).
///
/// # Errors
/// [`TokenError`].
pub fn find(given: Option<&str>, named: Option<&Path>, credential: &str) -> Result<Option<JoinToken>, TokenError> {
    if let Some(text) = given {
        return parse(text, "the settings").map(Some);
    }
    let of_systemd = env::var_os("CREDENTIALS_DIRECTORY").map(|directory| Path::new(&directory).join(credential));
    let usual = [of_systemd, Some(PathBuf::from(FILE))];
    let places = match named {
        Some(path) => vec![path.to_owned()],
        None => usual.into_iter().flatten().collect(),
    };
    for path in places {
        let text = match files::read(&path) {
            Ok(text) => text,
            // A file that everybody may have, and this one may not read, is none of its.
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(source) => return Err(TokenError::Read { path, source }),
        };
        match text {
            Some(text) => return parse(&text, &path.display().to_string()).map(Some),
            None if named.is_some() => {
                let source = io::ErrorKind::NotFound.into();
                return Err(TokenError::Read { path, source });
            }
            None => {}
        }
    }
    Ok(None)
}

/// Reads the text of a token that was found at a place.
///
/// # Errors
/// [`TokenError::Content`], which does not repeat it.
pub fn parse(text: &str, place: &str) -> Result<JoinToken, TokenError> {
    text.parse().map_err(|source| TokenError::Content {
        place: place.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_where_it_was_said_to_be_and_what_is_none_is_not_repeated() {
        let token = format!("berth1.0123456789abcdef.{}.{}", "ab".repeat(32), "cd".repeat(32));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, format!("{token}\n")).unwrap();
        assert_eq!(find(None, Some(&path), "none").unwrap().unwrap().reveal(), token);
        assert_eq!(
            find(Some(&token), Some(Path::new("/nonexistent")), "none")
                .unwrap()
                .unwrap()
                .reveal(),
            token
        );
        let missing = find(None, Some(&directory.path().join("none")), "none").unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
        std::fs::write(&path, &token[..100]).unwrap();
        for wrong in [find(None, Some(&path), "none"), find(Some(&token[..100]), None, "none")] {
            let text = format!("{:?} {0}", wrong.unwrap_err());
            assert!(!text.contains("abababab"), "{text}");
        }
    }
}
