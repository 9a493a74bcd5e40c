//! What a request says of who signed it, and whether that is so.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use berth_model::fault::{Fault, FaultClass, shortened};
use berth_model::time::Timestamp;

use crate::canonical::{ALGORITHM, SIGNATURE_PARAMETER, parameters_of, signing_key, string_to_sign};
use crate::{HttpRequest, SigningDate, digest};

/// By how much the clock of a caller may differ.
pub const SKEW: Duration = Duration::from_secs(5 * 60);
/// For how long a signed URL can be good (AWS: seven days).
const LONGEST_URL: u64 = 7 * 24 * 60 * 60;
/// Headers that one request may sign.
const MOST_SIGNED: usize = 128;
/// Headers of these names change what is asked, so that they must be signed where they are there.
const MUST_BE_SIGNED: [&str; 2] = ["x-amz-", "berth-"];

/// What a credential is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `20150830`
    pub day: String,
    /// `us-east-1`; any is taken.
    pub region: String,
    /// `ecs`
    pub service: String,
}

/// What a request presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// Whose secret it says to be signed with.
    pub access_key: String,
    /// What the signature is good for.
    pub scope: Scope,
    /// When it was signed.
    pub date: SigningDate,
    /// The token of a session.
    pub token: Option<String>,
    /// The signature.
    pub signature: [u8; digest::SIZE],
    /// Lower-case names, in order.
    signed_headers: Vec<String>,
    /// For how long it is good, where it is a signed URL.
    expires: Option<Duration>,
}

/// As the string to sign has it.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }
}

impl Presented {
    /// Reads what a request presents, in its `Authorization` header or in the query of a signed URL.
    ///
    /// # Errors
    /// `MissingAuthenticationTokenException` where it presents nothing, `IncompleteSignatureException` where something is
    /// missing, `InvalidSignatureException` where something is not signed that must be.
    pub fn read(request: &HttpRequest<'_>) -> Result<Self, Fault> {
        let mut headers = request.values("authorization");
        let presented = match (headers.next(), headers.next()) {
            (None, _) => Self::of_query(request)?,
            (Some(header), None) => Self::of_header(request, &text("Authorization", header)?)?,
            (Some(_), Some(_)) => return Err(incomplete("The request must have one Authorization header.")),
        };
        presented.check_signed(request)?;
        Ok(presented)
    }

    /// Checks what the signature is good for, and when.
    ///
    /// # Errors
    /// `InvalidSignatureException` for another service, another day, or a time too far from `now`.
    pub fn check_scope(&self, services: &[&str], now: Timestamp) -> Result<(), Fault> {
        let Scope { day, region, service } = &self.scope;
        if *day != self.date.day() {
            return Err(invalid(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', \
                 from '{}'.",
                shortened(day),
                self.date.day(),
                self.date
            )));
        }
        if region.is_empty() {
            return Err(invalid("Credential should be scoped to a valid region, not ''."));
        }
        if !services.contains(&service.as_str()) {
            return Err(invalid(format!(
                "Credential should be scoped to correct service: '{}', not '{}'.",
                services.join("' or '"),
                shortened(service)
            )));
        }
        let now = SigningDate::of(now);
        let minutes = SKEW.as_secs() / 60;
        let (date, latest) = (self.date, now.plus(SKEW));
        if date > latest {
            return Err(invalid(format!(
                "Signature not yet current: {date} is still later than {latest} ({now} + {minutes} min.)"
            )));
        }
        match self.expires {
            None if date < now.minus(SKEW) => Err(invalid(format!(
                "Signature expired: {date} is now earlier than {} ({now} - {minutes} min.)",
                now.minus(SKEW)
            ))),
            Some(expires) if date.plus(expires) < now => Err(invalid(format!(
                "Signature expired: {date} is now earlier than {} ({now} - {} s.)",
                now.minus(expires),
                expires.as_secs()
            ))),
            _ => Ok(()),
        }
    }

    /// Until when the signature is taken: what came before need be remembered no longer.
    #[must_use]
    pub fn good_until(&self) -> Timestamp {
        self.date.plus(self.expires.unwrap_or(SKEW)).at()
    }

    /// Checks that the request was signed with the secret, in a time that does not say how much of the signature is right.
    ///
    /// # Errors
    /// `InvalidSignatureException`.
    pub fn verify(&self, request: &HttpRequest<'_>, secret: &str) -> Result<(), Fault> {
        let hash = digest::hex(&digest::sha256(request.body));
        for claimed in request.values("x-amz-content-sha256") {
            if claimed != hash.as_bytes() {
                let claimed = shortened(&String::from_utf8_lossy(claimed));
                return Err(invalid(match claimed.as_str() {
                    "UNSIGNED-PAYLOAD" => {
                        "x-amz-content-sha256 is 'UNSIGNED-PAYLOAD': this service wants the body to be signed."
                            .to_owned()
                    }
                    _ => format!("x-amz-content-sha256 is '{claimed}', the SHA-256 of the body is '{hash}'."),
                }));
            }
        }
        let canonical = request.canonical(&self.signed_headers);
        let string = string_to_sign(self.date, &self.scope, &canonical);
        let key = signing_key(secret, &self.scope);
        if digest::is_hmac(&key, string.as_bytes(), &self.signature) {
            return Ok(());
        }
        Err(invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
             and signing method. Consult the service documentation for details.",
        ))
    }

    fn of_header(request: &HttpRequest<'_>, header: &str) -> Result<Self, Fault> {
        let (algorithm, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if algorithm != ALGORITHM {
            return Err(incomplete(format!(
                "Unsupported AWS 'algorithm': '{}': it must be {ALGORITHM}.",
                shortened(algorithm)
            )));
        }
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let known = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                other => {
                    return Err(incomplete(format!(
                        "'{}' is no parameter of an Authorization header: Credential, SignedHeaders and Signature are.",
                        shortened(other)
                    )));
                }
            };
            if known.replace(value).is_some() {
                return Err(incomplete(format!(
                    "Authorization header must have one '{name}' parameter."
                )));
            }
        }
        let dates = [one(request, "x-amz-date")?, one(request, "date")?];
        let mut missing = String::new();
        for (name, value) in [
            ("Credential", credential),
            ("Signature", signature),
            ("SignedHeaders", signed),
        ] {
            if value.is_none_or(str::is_empty) {
                missing += &format!("Authorization header requires '{name}' parameter. ");
            }
        }
        if dates.iter().all(Option::is_none) {
            missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
        }
        if !missing.is_empty() {
            return Err(incomplete(missing.trim_end()));
        }
        let date = match &dates {
            [Some(date), _] => SigningDate::from_basic(date),
            [None, date] => date.as_deref().and_then(SigningDate::from_date_header),
        };
        let date = date.ok_or_else(|| {
            let [amz, http] = &dates;
            let given = amz.as_ref().or(http.as_ref()).map(String::as_str).unwrap_or_default();
            incomplete(format!(
                "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
                shortened(given)
            ))
        })?;
        let (access_key, scope) = credential_of(credential.unwrap_or_default())?;
        Ok(Self {
            access_key,
            scope,
            date,
            token: one(request, "x-amz-security-token")?,
            signature: signature_of(signature.unwrap_or_default())?,
            signed_headers: signed_of(signed.unwrap_or_default())?,
            expires: None,
        })
    }

    fn of_query(request: &HttpRequest<'_>) -> Result<Self, Fault> {
        let missing = || Fault::new(FaultClass::MissingAuthenticationToken, "Missing Authentication Token");
        let parameters: Vec<(String, String)> = parameters_of(request.query)
            .map(|(name, value)| (lossy(&name), lossy(&value)))
            .filter(|(name, _)| name.starts_with("X-Amz-"))
            .collect();
        let get = |name: &str| -> Result<Option<&str>, Fault> {
            let mut values = parameters.iter().filter(|(known, _)| known == name);
            match (values.next(), values.next()) {
                (value, None) => Ok(value.map(|(_, value)| value.as_str())),
                _ => Err(incomplete(format!("The query must have one '{name}' parameter."))),
            }
        };
        let required = |name: &str| {
            let value = get(name)?.filter(|value| !value.is_empty());
            value.ok_or_else(|| {
                incomplete(format!(
                    "AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."
                ))
            })
        };
        match get("X-Amz-Algorithm")? {
            None => return Err(missing()),
            Some(ALGORITHM) => {}
            Some(other) => {
                return Err(incomplete(format!(
                    "Unsupported AWS 'algorithm': '{}': it must be {ALGORITHM}.",
                    shortened(other)
                )));
            }
        }
        let date = required("X-Amz-Date")?;
        let date = SigningDate::from_basic(date).ok_or_else(|| {
            incomplete(format!(
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\". Got '{}'.",
                shortened(date)
            ))
        })?;
        let expires = required("X-Amz-Expires")?;
        let seconds = expires
            .parse()
            .ok()
            .filter(|seconds| (1..=LONGEST_URL).contains(seconds));
        let seconds = seconds.ok_or_else(|| {
            incomplete(format!(
                "X-Amz-Expires '{}' must be between 1 and {LONGEST_URL} seconds.",
                shortened(expires)
            ))
        })?;
        let (access_key, scope) = credential_of(required("X-Amz-Credential")?)?;
        Ok(Self {
            access_key,
            scope,
            date,
            token: get("X-Amz-Security-Token")?.map(str::to_owned),
            signature: signature_of(required(SIGNATURE_PARAMETER)?)?,
            signed_headers: signed_of(required("X-Amz-SignedHeaders")?)?,
            expires: Some(Duration::from_secs(seconds)),
        })
    }

    /// What could be changed on the way without anybody noticing must not change what is asked.
    fn check_signed(&self, request: &HttpRequest<'_>) -> Result<(), Fault> {
        let is_signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        if !is_signed("host") {
            return Err(invalid(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization header.",
            ));
        }
        let mut names = request.headers.iter().map(|(name, _)| *name);
        let unsigned =
            names.find(|name| MUST_BE_SIGNED.iter().any(|prefix| name.starts_with(prefix)) && !is_signed(name));
        match unsigned {
            None => Ok(()),
            Some(name) => Err(invalid(format!(
                "'{name}' must be a 'SignedHeader' in the AWS Authorization header."
            ))),
        }
    }
}

fn credential_of(text: &str) -> Result<(String, Scope), Fault> {
    let parts: Vec<&str> = text.split('/').collect();
    let [key, day, region, service, terminator] = parts[..] else {
        return Err(incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'",
            shortened(text)
        )));
    };
    if terminator != "aws4_request" {
        return Err(invalid(format!(
            "Credential should be scoped with a valid terminator: 'aws4_request', not '{}'.",
            shortened(terminator)
        )));
    }
    let scope = Scope {
        day: day.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
    };
    Ok((key.to_owned(), scope))
}

fn signature_of(text: &str) -> Result<[u8; digest::SIZE], Fault> {
    digest::unhex(text).ok_or_else(|| {
        incomplete(format!(
            "Signature '{}' must be 64 hexadecimal digits.",
            shortened(text)
        ))
    })
}

fn signed_of(text: &str) -> Result<Vec<String>, Fault> {
    let names: BTreeSet<String> = text.split(';').map(|name| name.trim().to_ascii_lowercase()).collect();
    if names.len() > MOST_SIGNED || names.contains("") {
        return Err(incomplete(format!(
            "SignedHeaders '{}' must be 1 to {MOST_SIGNED} names of headers with ';' between them.",
            shortened(text)
        )));
    }
    Ok(names.into_iter().collect())
}

/// The value of a header that may stand once.
fn one(request: &HttpRequest<'_>, name: &str) -> Result<Option<String>, Fault> {
    let mut values = request.values(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(text(name, value)?.trim().to_owned())),
        (Some(_), Some(_)) => Err(incomplete(format!("The request must have one {name} header."))),
    }
}

fn text(name: &str, value: &[u8]) -> Result<String, Fault> {
    let text = std::str::from_utf8(value).map(str::to_owned);
    text.map_err(|_| incomplete(format!("The {name} header is no text.")))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn incomplete(text: impl Into<String>) -> Fault {
    Fault::new(FaultClass::IncompleteSignature, text)
}

fn invalid(text: impl Into<String>) -> Fault {
    Fault::new(FaultClass::InvalidSignature, text)
}

#[cfg(test)]
mod tests;
