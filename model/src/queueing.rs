//! How a request asks for its tasks to wait where there is no room for them.
//!
//! RunTask of ECS has no member for it, so a tag says it: every client can send one.

use std::time::Duration;

use crate::fault::{Fault, shortened};
use crate::span;
use crate::tag::Tag;

/// The key of the tag whose value is how long a task may wait.
pub const QUEUE_TAG: &str = "berth:queue";
/// The longest wait: seven days.
const LONGEST: u64 = 7 * 24 * 3600;

/// How long the tasks of a request with these tags may wait for room; nothing where they may not.
///
/// # Errors
/// `InvalidParameterException` naming the tag, its value and the rule.
pub fn patience(tags: &[Tag]) -> Result<Option<Duration>, Fault> {
    let Some(tag) = tags.iter().find(|tag| tag.key == QUEUE_TAG) else {
        return Ok(None);
    };
    match span::seconds(&tag.value) {
        Some(seconds @ 1..=LONGEST) => Ok(Some(Duration::from_secs(seconds))),
        Some(_) | None => Err(Fault::invalid(format!(
            "The value '{}' of tag {QUEUE_TAG} must be a whole number of seconds, or one with the unit s, m, h or d, from \
             1s to 7d.",
            shortened(&tag.value)
        ))),
    }
}

/// Refuses tags that ask for a wait where there is none.
///
/// # Errors
/// `InvalidParameterException` naming the tag and the operation.
pub fn refuse(tags: &[Tag], operation: &str) -> Result<(), Fault> {
    match tags.iter().any(|tag| tag.key == QUEUE_TAG) {
        false => Ok(()),
        true => Err(Fault::invalid(format!(
            "Tag {QUEUE_TAG} is for RunTask; {operation} does not wait for room."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(value: &str) -> [Tag; 2] {
        [("team", "a"), (QUEUE_TAG, value)].map(|(key, value)| Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }

    #[test]
    fn a_tag_says_how_long_a_task_may_wait() {
        for (value, seconds) in [("90", 90), ("1s", 1), ("30m", 1800), ("2h", 7200), ("7d", 604_800)] {
            assert_eq!(
                patience(&tagged(value)),
                Ok(Some(Duration::from_secs(seconds))),
                "{value}"
            );
        }
        assert_eq!(patience(&tagged("1m")[..1]), Ok(None));
    }

    #[test]
    fn what_is_no_wait_is_refused_with_the_rule() {
        for value in [
            "",
            "0",
            "8d",
            "-1",
            "+5s",
            "1.5h",
            "1 s",
            "m",
            "1w",
            "99999999999999999999",
        ] {
            let fault = patience(&tagged(value)).unwrap_err();
            let rule = "of tag berth:queue must be a whole number of seconds";
            assert!(fault.message.contains(rule), "{value}: {}", fault.message);
        }
    }

    #[test]
    fn only_run_task_takes_the_tag() {
        assert_eq!(refuse(&tagged("1m")[..1], "StartTask"), Ok(()));
        let fault = refuse(&tagged("1m"), "StartTask").unwrap_err();
        assert_eq!(
            fault.message,
            "Tag berth:queue is for RunTask; StartTask does not wait for room."
        );
    }
}
