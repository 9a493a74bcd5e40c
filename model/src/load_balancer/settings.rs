//! How a service's targets are checked, and for how long they may end what is open.
//!
//! ECS has no members for it, as it is a matter of the target group there; tags of the service say it, which every
//! client can send.

use serde::{Deserialize, Serialize};

use super::{GatewayProtocol, LoadBalancer};
use crate::fault::{Fault, shortened};
use crate::span;
use crate::tag::Tag;

/// The key of the tag that says how targets are checked.
pub const HEALTH_CHECK_TAG: &str = "berth:health-check";
/// The key of the tag that says how long connections of a target have after its deregistration.
pub const DEREGISTRATION_DELAY_TAG: &str = "berth:deregistration-delay";

/// What a target's connections have where nothing is said: most end in that time, and a deployment is not held up.
const DEREGISTRATION_DELAY: u32 = 30;
/// Of the deregistration delay (Elastic Load Balancing, `deregistration_delay.timeout_seconds`).
const LONGEST_DELAY: u64 = 3600;
/// Of the interval and the timeout (Elastic Load Balancing, CreateTargetGroup).
const LONGEST_INTERVAL: u64 = 300;
/// Of checks in a row (Elastic Load Balancing, CreateTargetGroup).
const MOST_CHECKS: u32 = 10;
/// Characters of a path (Elastic Load Balancing, CreateTargetGroup).
const LONGEST_PATH: usize = 1024;

/// How a service's targets are treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSettings {
    /// How they are checked; what suits the protocol where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Seconds that open connections have from the deregistration on.
    pub deregistration_delay_seconds: u32,
}

/// How a target's health is found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// To GET; a TCP connection is enough where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Between two checks. Never 0.
    pub interval_seconds: u32,
    /// For an answer. Never 0, and less than the interval.
    pub timeout_seconds: u32,
    /// Checks in a row that turn a target healthy. Never 0.
    pub healthy_threshold: u32,
    /// Checks in a row that turn a target unhealthy. Never 0.
    pub unhealthy_threshold: u32,
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self {
            health_check: None,
            deregistration_delay_seconds: DEREGISTRATION_DELAY,
        }
    }
}

impl HealthCheck {
    /// A target that fails is noticed in about ten seconds, one that is new serves at once.
    const fn new(path: Option<String>) -> Self {
        Self {
            path,
            interval_seconds: 5,
            timeout_seconds: 2,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
        }
    }
}

impl TargetSettings {
    /// What the tags of a service say.
    ///
    /// # Errors
    /// `InvalidParameterException` naming the tag, its value and the rule.
    pub fn parse(tags: &[Tag]) -> Result<Self, Fault> {
        let mut settings = Self::default();
        for tag in tags {
            let read = match tag.key.as_str() {
                HEALTH_CHECK_TAG => check(&tag.value).map(|check| settings.health_check = Some(check)),
                DEREGISTRATION_DELAY_TAG => {
                    delay(&tag.value).map(|delay| settings.deregistration_delay_seconds = delay)
                }
                _ => continue,
            };
            let invalid = |rule: String| {
                Fault::invalid(format!(
                    "The value '{}' of tag {} {rule}.",
                    shortened(&tag.value),
                    tag.key
                ))
            };
            read.map_err(invalid)?;
        }
        Ok(settings)
    }

    /// How targets behind a load balancer are checked.
    #[must_use]
    pub fn check_of(&self, load_balancer: &LoadBalancer) -> HealthCheck {
        match &self.health_check {
            Some(check) => check.clone(),
            None if load_balancer.protocol == GatewayProtocol::Http => HealthCheck::new(Some("/".to_owned())),
            None => HealthCheck::new(None),
        }
    }
}

/// Refuses tags that say how targets are treated, of a service that has none.
///
/// # Errors
/// `InvalidParameterException` naming the tag.
pub fn refuse_settings(tags: &[Tag]) -> Result<(), Fault> {
    let is_setting = |tag: &&Tag| [HEALTH_CHECK_TAG, DEREGISTRATION_DELAY_TAG].contains(&tag.key.as_str());
    match tags.iter().find(is_setting) {
        None => Ok(()),
        Some(tag) => Err(Fault::invalid(format!(
            "Tag {} is for services with loadBalancers; this one has none.",
            tag.key
        ))),
    }
}

fn delay(text: &str) -> Result<u32, String> {
    let seconds = span::seconds(text).filter(|seconds| *seconds <= LONGEST_DELAY);
    seconds
        .and_then(|seconds| u32::try_from(seconds).ok())
        .ok_or_else(|| "must be a whole number of seconds, or one with the unit s, m or h, from 0s to 1h".to_owned())
}

/// `http /path interval=5s timeout=2s healthy=2 unhealthy=2` or `tcp ...`: what is left out has its default.
fn check(text: &str) -> Result<HealthCheck, String> {
    let mut words = text.split_ascii_whitespace().peekable();
    let mut check = match words.next() {
        Some("tcp") => HealthCheck::new(None),
        Some("http") => {
            let path = words.next_if(|word| word.starts_with('/')).unwrap_or("/");
            if path.len() > LONGEST_PATH {
                return Err(format!(
                    "has a path of {} characters, at most {LONGEST_PATH} are allowed",
                    path.len()
                ));
            }
            HealthCheck::new(Some(path.to_owned()))
        }
        Some(other) => return Err(format!("must begin with http or tcp, not with '{}'", shortened(other))),
        None => return Err("must begin with http or tcp".to_owned()),
    };
    let mut given = Vec::new();
    for word in words {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| format!("has the word '{}', which is no NAME=VALUE", shortened(word)))?;
        if given.contains(&name) {
            return Err(format!("gives {name} twice"));
        }
        given.push(name);
        match name {
            "interval" => check.interval_seconds = interval(name, value)?,
            "timeout" => check.timeout_seconds = interval(name, value)?,
            "healthy" => check.healthy_threshold = threshold(name, value)?,
            "unhealthy" => check.unhealthy_threshold = threshold(name, value)?,
            other => {
                return Err(format!(
                    "has the unknown setting '{}', there are interval, timeout, healthy and unhealthy",
                    shortened(other)
                ));
            }
        }
    }
    if !given.contains(&"timeout") {
        check.timeout_seconds = check.timeout_seconds.min(check.interval_seconds);
    }
    if check.timeout_seconds > check.interval_seconds {
        return Err(format!(
            "has a timeout of {} s, which must not be longer than the interval of {} s",
            check.timeout_seconds, check.interval_seconds
        ));
    }
    Ok(check)
}

fn interval(name: &str, value: &str) -> Result<u32, String> {
    span::seconds(value)
        .filter(|seconds| (1..=LONGEST_INTERVAL).contains(seconds))
        .and_then(|seconds| u32::try_from(seconds).ok())
        .ok_or_else(|| {
            format!(
                "has {name}={}, which must be from 1s to {LONGEST_INTERVAL}s",
                shortened(value)
            )
        })
}

fn threshold(name: &str, value: &str) -> Result<u32, String> {
    let checks: Option<u32> = value.parse().ok().filter(|_| !value.starts_with('+'));
    checks
        .filter(|checks| (1..=MOST_CHECKS).contains(checks))
        .ok_or_else(|| format!("has {name}={}, which must be from 1 to {MOST_CHECKS}", shortened(value)))
}
