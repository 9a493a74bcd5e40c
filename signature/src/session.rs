//! Sessions: credentials for a while, made from an access key. All there is to know of one is in its token, so that a
//! session is kept nowhere; it ends with its time, or with its access key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_model::fault::{Fault, FaultClass};
use berth_model::time::Timestamp;

use crate::secret::MasterKey;

const TOKEN: &str = "berth session token";
const SECRET: &str = "berth session secret";
/// What tokens begin with: says how to read the rest.
const FORMAT: &str = "berth1";

/// What a token says. Nobody has vouched for it before [`Session::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The access key that it was made from.
    pub access_key: String,
    /// Its own id.
    pub id: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl Session {
    /// Reads a token.
    ///
    /// # Errors
    /// `UnrecognizedClientException` for what is none.
    pub fn read(token: &str) -> Result<(Self, Code), Fault> {
        let parts: Vec<&str> = token.split('.').collect();
        let [FORMAT, access_key, id, expires, code] = parts[..] else {
            return Err(unrecognized());
        };
        let session = Self {
            access_key: access_key.to_owned(),
            id: id.to_owned(),
            expires: expires
                .parse()
                .map(Timestamp::from_millis)
                .map_err(|_| unrecognized())?,
        };
        let code = URL_SAFE_NO_PAD.decode(code).map_err(|_| unrecognized())?;
        Ok((session, Code(code)))
    }

    /// The token, and the secret to sign with.
    #[must_use]
    pub fn issue(&self, master: &MasterKey) -> (String, String) {
        let text = self.text();
        let code = URL_SAFE_NO_PAD.encode(master.code(TOKEN, &text));
        (format!("{FORMAT}.{text}.{code}"), master.derive(SECRET, &text))
    }

    /// The secret that requests of the session are signed with, where the token is one that this master key made.
    ///
    /// # Errors
    /// `UnrecognizedClientException` where it is not, `ExpiredTokenException` where its time is over.
    pub fn verify(&self, code: &Code, master: &MasterKey, now: Timestamp) -> Result<String, Fault> {
        let text = self.text();
        if !master.is_code(TOKEN, &text, &code.0) {
            return Err(unrecognized());
        }
        if self.expires <= now {
            return Err(Fault::new(
                FaultClass::ExpiredToken,
                "The security token included in the request is expired",
            ));
        }
        Ok(master.derive(SECRET, &text))
    }

    fn text(&self) -> String {
        format!("{}.{}.{}", self.access_key, self.id, self.expires.as_millis())
    }
}

/// What vouches for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(Vec<u8>);

/// The fault of an access key, or of a token, that nobody knows.
#[must_use]
pub fn unrecognized() -> Fault {
    Fault::new(
        FaultClass::UnrecognizedClient,
        "The security token included in the request is invalid.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            access_key: "AKIAAAAAAAAAAAAAAAAA".into(),
            id: "ASIABBBBBBBBBBBBBBBB".into(),
            expires: Timestamp::from_millis(10_000),
        }
    }

    #[test]
    fn a_token_is_read_back_and_gives_the_secret_until_its_time_is_over() {
        let master = MasterKey::from_bytes([1; 32]);
        let (token, secret) = session().issue(&master);
        let (read, code) = Session::read(&token).unwrap();
        assert_eq!(read, session());
        let at = |millis| read.verify(&code, &master, Timestamp::from_millis(millis));
        assert_eq!(at(9_999), Ok(secret.clone()));
        assert_eq!(at(10_000).unwrap_err().class, FaultClass::ExpiredToken);
        assert_ne!(secret, master.secret_of("AKIAAAAAAAAAAAAAAAAA"));
    }

    #[test]
    fn a_token_that_was_changed_or_made_elsewhere_is_not_taken() {
        let master = MasterKey::from_bytes([1; 32]);
        let (token, _) = session().issue(&master);
        let (_, code) = Session::read(&token).unwrap();
        let longer = Session {
            expires: Timestamp::from_millis(99_000),
            ..session()
        };
        let now = Timestamp::from_millis(1);
        assert_eq!(longer.verify(&code, &master, now), Err(unrecognized()));
        let elsewhere = MasterKey::from_bytes([2; 32]);
        assert_eq!(session().verify(&code, &elsewhere, now), Err(unrecognized()));
        for text in [
            "",
            "berth1",
            "berth1.a.b.c.d",
            "berth2.a.b.1.AA",
            "berth1.a.b.1.*",
            "berth1.a.b.1.AA.x",
        ] {
            assert_eq!(Session::read(text), Err(unrecognized()), "{text}");
        }
    }
}
