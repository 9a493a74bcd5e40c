//! Tags: up to fifty keys with values on a resource.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, shortened};

/// Tags of one resource, at most (ECS service quotas).
pub const MAX_TAGS: usize = 50;
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 256;

/// A key with an optional value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// 1 to 128 characters, not starting with `aws:`.
    #[serde(default)]
    pub key: String,
    /// Up to 256 characters.
    #[serde(default)]
    pub value: String,
}

/// Checks the tags of one request.
///
/// # Errors
/// `InvalidParameterException` naming the tag and the rule.
pub fn validate(tags: &[Tag]) -> Result<(), Fault> {
    if tags.len() > MAX_TAGS {
        return Err(Fault::invalid(format!(
            "tags has {} entries, at most {MAX_TAGS} are allowed.",
            tags.len()
        )));
    }
    for (at, tag) in tags.iter().enumerate() {
        let length = tag.key.chars().count();
        if !(1..=MAX_KEY).contains(&length) {
            return Err(Fault::invalid(format!(
                "tags[{at}].key '{}' must have 1 to {MAX_KEY} characters, it has {length}.",
                shortened(&tag.key)
            )));
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Fault::invalid(format!(
                "tags[{at}].key '{}' must not start with aws:, which is reserved.",
                shortened(&tag.key)
            )));
        }
        let length = tag.value.chars().count();
        if length > MAX_VALUE {
            return Err(Fault::invalid(format!(
                "tags[{at}].value of key '{}' must have at most {MAX_VALUE} characters, it has {length}.",
                tag.key
            )));
        }
        if tags[..at].iter().any(|earlier| earlier.key == tag.key) {
            return Err(Fault::invalid(format!(
                "Duplicate tag keys found: '{}'. A key may stand once.",
                tag.key
            )));
        }
    }
    Ok(())
}
