//! Names, each a type of its own so that they cannot be mixed up.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, shortened};

/// Longest name of a cluster, a family or a service, in characters.
const MAX_NAME: usize = 255;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

pub(crate) use name;

name! {
    /// The name of a cluster: 1 to 255 of letters, digits, `-` and `_`.
    ClusterName
}

name! {
    /// A family of task definitions: 1 to 255 of letters, digits, `-` and `_`.
    Family
}

name! {
    /// The name of a service within its cluster: 1 to 255 of letters, digits, `-` and `_`.
    ServiceName
}

name! {
    /// The name of a schedule within its cluster: 1 to 64 of letters, digits, `-`, `_` and `.`.
    ScheduleName
}

name! {
    /// The name of a capacity provider: 1 to 255 of letters, digits, `-` and `_`.
    ProviderName
}

name! {
    /// The name of a scaling policy within its service: 1 to 256 printable characters.
    PolicyName
}

name! {
    /// The name of who an access key is for: 1 to 64 letters, digits and `+=,.@_-`, as IAM's users have.
    UserName
}

name! {
    /// The name of a group of logs: 1 to 512 of letters, digits and `_-/.#`, as CloudWatch's have.
    LogGroup
}

impl LogGroup {
    /// The name, when it is one (CloudWatch Logs API, CreateLogGroup); `member` is what the request calls it.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the rule that the text breaks.
    pub fn parse(member: &str, text: &str) -> Result<Self, Fault> {
        checked(member, text, 512, "_-/.#").map(Self)
    }
}

impl UserName {
    /// The name, when it is one.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        checked("userName", text, 64, "+=,.@_-").map(Self)
    }
}

impl PolicyName {
    /// The name, when it is one (Application Auto Scaling API, PutScalingPolicy).
    ///
    /// # Errors
    /// `InvalidParameterException` naming the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        const MOST: usize = 256;
        if text.is_empty() || text.chars().count() > MOST || text.chars().any(char::is_control) {
            return Err(Fault::invalid(format!(
                "PolicyName '{}' must be 1 to {MOST} printable characters.",
                shortened(text).escape_default()
            )));
        }
        Ok(Self(text.into()))
    }
}

impl ScheduleName {
    /// The name, when it is one.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        checked("name", text, 64, "-_.").map(Self)
    }
}

impl ServiceName {
    /// The name, when it is one.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        as_ecs_names("serviceName", text).map(Self).map_err(Fault::invalid)
    }
}

impl ClusterName {
    /// The cluster that a request means when it names none.
    pub const DEFAULT: &'static str = "default";

    /// The name, when it is one.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        as_ecs_names("clusterName", text).map(Self).map_err(Fault::invalid)
    }
}

impl ProviderName {
    /// The provider of tasks with an address and a size of their own; there is always one.
    pub const FARGATE: &'static str = "FARGATE";
    /// The same, on instances that may be taken away; there is always one.
    pub const FARGATE_SPOT: &'static str = "FARGATE_SPOT";

    /// The name of a provider that may be, or of one that always is.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        as_ecs_names("capacityProvider", text).map(Self).map_err(Fault::invalid)
    }

    /// The name of a provider that is to be made (ECS API, CreateCapacityProvider).
    ///
    /// # Errors
    /// `ClientException` with ECS's text.
    pub fn of_new(text: &str) -> Result<Self, Fault> {
        let reserved = |prefix: &str| {
            text.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        if !is_name(text) || ["aws", "ecs", "fargate"].into_iter().any(reserved) {
            return Err(Fault::client(
                "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters \
                 (upper and lowercase), numbers, underscores, and hyphens. The name cannot be prefixed with \"aws\", \
                 \"ecs\", or \"fargate\".",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The provider of a task whose launch type is FARGATE.
    #[must_use]
    pub fn fargate() -> Self {
        Self(Self::FARGATE.into())
    }

    /// Whether it is one of Fargate, which nobody makes or deletes.
    #[must_use]
    pub fn is_fargate(&self) -> bool {
        [Self::FARGATE, Self::FARGATE_SPOT].contains(&self.as_str())
    }
}

impl Family {
    /// The family, when the text is one.
    ///
    /// # Errors
    /// `ClientException` naming the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        as_ecs_names("family", text).map(Self).map_err(Fault::client)
    }
}

/// Letters, digits, hyphens and underscores, 1 to 255 of them: ECS's rule for clusters, families and containers.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The text, when it keeps that rule; else what is said against it.
fn as_ecs_names(member: &str, text: &str) -> Result<Arc<str>, String> {
    if is_name(text) {
        return Ok(text.into());
    }
    Err(format!(
        "{member} '{}' is invalid. Up to {MAX_NAME} letters (uppercase and lowercase), numbers, underscores, and hyphens are allowed, and at least one is needed.",
        shortened(text)
    ))
}

/// The text, when it is of letters, digits and the other characters, and has one to so many of them.
fn checked(member: &str, text: &str, most: usize, others: &str) -> Result<Arc<str>, Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || others.as_bytes().contains(&byte);
    if (1..=most).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.into());
    }
    Err(Fault::invalid(format!(
        "{member} '{}' must be 1 to {most} letters, digits and {others} characters.",
        shortened(text)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_has_a_name_of_up_to_64_characters() {
        for good in ["nightly", "a", "Backup_2.daily-eu", &"x".repeat(64)] {
            assert_eq!(ScheduleName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "ü", &"x".repeat(65)] {
            assert!(ScheduleName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scaling_policy_has_a_name_of_up_to_256_characters() {
        for good in ["cpu", "keep CPU at 60 %", "größe", &"x".repeat(256)] {
            assert_eq!(PolicyName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\nb", &"x".repeat(257)] {
            assert!(PolicyName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_new_capacity_providers_do_not_begin_like_those_of_aws() {
        assert!(ProviderName::of_new("web-hosts_1").is_ok());
        for bad in [
            "",
            "a b",
            "aws-hosts",
            "ECS1",
            "FargateLike",
            "FARGATE",
            &"x".repeat(256),
        ] {
            let fault = ProviderName::of_new(bad).unwrap_err();
            assert!(fault.message.contains("cannot be prefixed with"), "{bad}: {fault}");
        }
        assert!(ProviderName::parse("FARGATE_SPOT").unwrap().is_fargate());
        assert!(!ProviderName::parse("web").unwrap().is_fargate());
    }

    #[test]
    fn names_keep_the_rule_of_ecs() {
        assert!(ClusterName::parse("my_cluster-1").is_ok());
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(256)] {
            assert!(ClusterName::parse(bad).is_err(), "{bad}");
        }
    }
}
