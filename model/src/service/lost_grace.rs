//! When the tasks of a service are replaced whose instance is away.
//!
//! ECS has no member for it; a tag of the service says it, which every client can send.

use crate::fault::{Fault, shortened};
use crate::span;
use crate::tag::Tag;

/// The key of the tag that says for how long an instance may be away before tasks of the service on it are replaced.
pub const LOST_GRACE_TAG: &str = "berth:lost-grace";

/// Seconds: a week. Who wants no replacement at all drains or deregisters by hand.
const LONGEST: u64 = 7 * 24 * 3600;

/// What the tags of a service say of it, in seconds; none where they say nothing.
///
/// # Errors
/// `InvalidParameterException` naming the tag, its value and the rule.
pub fn lost_grace(tags: &[Tag]) -> Result<Option<u32>, Fault> {
    let Some(tag) = tags.iter().find(|tag| tag.key == LOST_GRACE_TAG) else {
        return Ok(None);
    };
    let seconds = span::seconds(&tag.value).filter(|seconds| *seconds <= LONGEST);
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    seconds.map(Some).ok_or_else(|| {
        Fault::invalid(format!(
            "The value '{}' of tag {LOST_GRACE_TAG} must be a whole number of seconds, or one with the unit s, m, h or d, \
             from 0s to 7d.",
            shortened(&tag.value)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<u32>, Fault> {
        lost_grace(&[Tag {
            key: LOST_GRACE_TAG.to_owned(),
            value: value.to_owned(),
        }])
    }

    #[test]
    fn a_grace_is_a_time_of_up_to_a_week() {
        assert_eq!(lost_grace(&[]), Ok(None));
        for (text, seconds) in [("0s", 0), ("5m", 300), ("90", 90), ("7d", 604_800)] {
            assert_eq!(read(text), Ok(Some(seconds)), "{text}");
        }
        for text in ["", "soon", "-1s", "8d", "1.5h"] {
            let fault = read(text).unwrap_err();
            assert!(fault.message.contains(LOST_GRACE_TAG), "{text}: {fault}");
        }
    }
}
