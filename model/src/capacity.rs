//! Capacity providers: named groups of instances, what ECS calls an Auto Scaling group's, and how tasks are divided among
//! them.

mod strategy;

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, shortened};

pub use strategy::{MAX_BASE, MAX_ITEMS, MAX_WEIGHT, RawItem, StrategyItem, has_weight, next, parse, split};

/// The attribute of an instance that says which capacity provider it is of: the provider's name, or that of its Auto
/// Scaling group.
pub const PROVIDER_ATTRIBUTE: &str = "berth.capacity-provider";
/// Capacity providers of a cluster, at most (ECS service quotas).
pub const MAX_PROVIDERS: usize = 20;
/// The greatest step of managed scaling (ECS API, `ManagedScaling`).
const MAX_STEP: i32 = 10_000;
/// The longest warm-up of managed scaling in seconds (ECS API, `ManagedScaling`).
const MAX_WARMUP: i32 = 10_000;

/// The group of instances of a capacity provider, and how large it is kept (ECS API, `AutoScalingGroupProvider`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupProvider {
    /// The ARN or the name of the Auto Scaling group, as it was given.
    pub group: String,
    /// How its size follows what is to run on it.
    #[serde(default)]
    pub scaling: ManagedScaling,
    /// Whether instances with tasks are never taken away.
    #[serde(default)]
    pub termination_protection: bool,
    /// Whether instances that are to be taken away are made DRAINING first.
    #[serde(default = "yes")]
    pub draining: bool,
}

/// How the size of a capacity provider follows what is to run on it (ECS API, `ManagedScaling`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedScaling {
    /// Whether it does.
    pub enabled: bool,
    /// How much of the instances is to be in use, in percent: 1 to 100.
    pub target_capacity: u32,
    /// Instances that are added at once, at least: 1 to 10000.
    pub minimum_step: u32,
    /// Instances that are added or taken away at once, at most: 1 to 10000.
    pub maximum_step: u32,
    /// Seconds in which a new instance is left alone: 0 to 10000.
    pub warmup_seconds: u32,
}

/// What a request says of managed scaling and its like; what it does not say stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawGroupProvider {
    /// ARN or name of the Auto Scaling group.
    pub group: Option<String>,
    /// Of `managedScaling`, where it is given.
    pub scaling: Option<RawScaling>,
    /// `ENABLED` or `DISABLED`.
    pub termination_protection: Option<String>,
    /// `ENABLED` or `DISABLED`.
    pub draining: Option<String>,
}

/// `managedScaling` as it stands in a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawScaling {
    /// `ENABLED` or `DISABLED`.
    pub status: Option<String>,
    /// In percent.
    pub target_capacity: Option<i32>,
    /// Instances.
    pub minimum_step: Option<i32>,
    /// Instances.
    pub maximum_step: Option<i32>,
    /// Seconds.
    pub warmup_seconds: Option<i32>,
}

const fn yes() -> bool {
    true
}

impl Default for ManagedScaling {
    /// DISABLED, with the figures that ECS has where nothing is said (ECS API, `ManagedScaling`).
    fn default() -> Self {
        Self {
            enabled: false,
            target_capacity: 100,
            minimum_step: 1,
            maximum_step: 10_000,
            warmup_seconds: 300,
        }
    }
}

impl GroupProvider {
    /// The name of the Auto Scaling group: the last part of its ARN, or what was given as a name.
    #[must_use]
    pub fn group_name(&self) -> &str {
        const BEFORE_NAME: &str = "autoScalingGroupName/";
        self.group.split_once(BEFORE_NAME).map_or(&self.group, |(_, name)| name)
    }

    /// What a new provider is to be (ECS API, CreateCapacityProvider).
    ///
    /// # Errors
    /// `InvalidParameterException` naming the member, its value and the rule.
    pub fn parse(raw: &RawGroupProvider) -> Result<Self, Fault> {
        let group = raw.group.as_deref().unwrap_or_default();
        if group.is_empty() {
            return Err(Fault::invalid(
                "autoScalingGroupProvider.autoScalingGroupArn can not be empty.",
            ));
        }
        let fresh = Self {
            group: group.to_owned(),
            scaling: ManagedScaling::default(),
            termination_protection: false,
            draining: true,
        };
        let is_arn_without_name = group.starts_with("arn:") && fresh.group_name() == group;
        if is_arn_without_name || fresh.group_name().is_empty() || group.chars().any(char::is_control) {
            return Err(Fault::invalid(format!(
                "autoScalingGroupProvider.autoScalingGroupArn '{}' should be the name of an Auto Scaling group, or an ARN \
                 that ends in autoScalingGroupName/NAME.",
                shortened(group)
            )));
        }
        fresh.updated(raw)
    }

    /// What the provider is to be from now on (ECS API, UpdateCapacityProvider).
    ///
    /// # Errors
    /// `InvalidParameterException` naming the member, its value and the rule.
    pub fn updated(&self, raw: &RawGroupProvider) -> Result<Self, Fault> {
        let mut next = self.clone();
        if let Some(scaling) = &raw.scaling {
            next.scaling = self.scaling.updated(scaling)?;
        }
        if let Some(text) = &raw.termination_protection {
            next.termination_protection = switch("managedTerminationProtection", text)?;
        }
        if let Some(text) = &raw.draining {
            next.draining = switch("managedDraining", text)?;
        }
        if next.termination_protection && !next.scaling.enabled {
            return Err(Fault::invalid(
                "managedTerminationProtection 'ENABLED' needs managedScaling.status 'ENABLED': nothing else takes \
                 instances away.",
            ));
        }
        Ok(next)
    }
}

impl ManagedScaling {
    /// Who speaks of scaling wants it, unless they say no.
    fn updated(self, raw: &RawScaling) -> Result<Self, Fault> {
        let enabled = raw.status.as_deref().map(|text| switch("managedScaling.status", text));
        let next = Self {
            enabled: enabled.transpose()?.unwrap_or(true),
            target_capacity: figure("targetCapacity", raw.target_capacity, 1, 100, self.target_capacity)?,
            minimum_step: figure(
                "minimumScalingStepSize",
                raw.minimum_step,
                1,
                MAX_STEP,
                self.minimum_step,
            )?,
            maximum_step: figure(
                "maximumScalingStepSize",
                raw.maximum_step,
                1,
                MAX_STEP,
                self.maximum_step,
            )?,
            warmup_seconds: figure(
                "instanceWarmupPeriod",
                raw.warmup_seconds,
                0,
                MAX_WARMUP,
                self.warmup_seconds,
            )?,
        };
        if next.minimum_step > next.maximum_step {
            return Err(Fault::invalid(format!(
                "managedScaling.minimumScalingStepSize {} should not be greater than maximumScalingStepSize {}.",
                next.minimum_step, next.maximum_step
            )));
        }
        Ok(next)
    }
}

fn figure(member: &str, given: Option<i32>, least: i32, most: i32, before: u32) -> Result<u32, Fault> {
    let Some(value) = given else { return Ok(before) };
    let known = u32::try_from(value).ok().filter(|_| (least..=most).contains(&value));
    known.ok_or_else(|| {
        Fault::invalid(format!(
            "managedScaling.{member} {value} should be between {least} and {most}."
        ))
    })
}

fn switch(member: &str, text: &str) -> Result<bool, Fault> {
    match text {
        "ENABLED" => Ok(true),
        "DISABLED" => Ok(false),
        other => Err(Fault::invalid(format!(
            "{member} '{}' should be one of [ENABLED, DISABLED].",
            shortened(other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1b:autoScalingGroupName/hosts";

    fn raw(group: &str) -> RawGroupProvider {
        RawGroupProvider {
            group: Some(group.to_owned()),
            ..RawGroupProvider::default()
        }
    }

    fn scaled(edit: impl FnOnce(&mut RawScaling)) -> RawGroupProvider {
        let mut scaling = RawScaling::default();
        edit(&mut scaling);
        RawGroupProvider {
            scaling: Some(scaling),
            ..raw("hosts")
        }
    }

    #[test]
    fn a_group_is_known_by_its_name_whether_that_or_the_arn_is_given() {
        for group in ["hosts", ARN] {
            let provider = GroupProvider::parse(&raw(group)).unwrap();
            assert_eq!((provider.group_name(), &*provider.group), ("hosts", group));
        }
        for group in [
            "",
            "arn:aws:autoscaling:us-east-1:000000000000:x",
            "autoScalingGroupName/",
        ] {
            let fault = GroupProvider::parse(&raw(group)).unwrap_err();
            assert!(fault.message.contains("autoScalingGroupArn"), "{group}: {fault}");
        }
    }

    #[test]
    fn what_is_not_said_is_as_ecs_has_it_and_then_stays() {
        let plain = GroupProvider::parse(&raw("hosts")).unwrap();
        assert!(!plain.scaling.enabled && plain.draining && !plain.termination_protection);
        let scaled = plain
            .updated(&scaled(|scaling| scaling.target_capacity = Some(80)))
            .unwrap();
        assert!(scaled.scaling.enabled);
        assert_eq!((scaled.scaling.target_capacity, scaled.scaling.minimum_step), (80, 1));
        let protect = RawGroupProvider {
            termination_protection: Some("ENABLED".to_owned()),
            draining: Some("DISABLED".to_owned()),
            ..RawGroupProvider::default()
        };
        let protected = scaled.updated(&protect).unwrap();
        assert_eq!(protected.scaling, scaled.scaling);
        assert!(protected.termination_protection && !protected.draining);
        let fault = plain.updated(&protect).unwrap_err();
        assert!(
            fault
                .message
                .starts_with("managedTerminationProtection 'ENABLED' needs"),
            "{fault}"
        );
    }

    #[test]
    fn figures_out_of_range_are_refused_by_name() {
        for (raw, says) in [
            (
                scaled(|scaling| scaling.target_capacity = Some(0)),
                "targetCapacity 0 should be between 1 and 100",
            ),
            (
                scaled(|scaling| scaling.minimum_step = Some(10_001)),
                "minimumScalingStepSize 10001 should be between 1 and 10000",
            ),
            (
                scaled(|scaling| scaling.warmup_seconds = Some(-1)),
                "instanceWarmupPeriod -1 should be between 0 and 10000",
            ),
            (
                scaled(|scaling| {
                    scaling.minimum_step = Some(5);
                    scaling.maximum_step = Some(4);
                }),
                "minimumScalingStepSize 5 should not be greater than maximumScalingStepSize 4",
            ),
            (
                scaled(|scaling| scaling.status = Some("on".to_owned())),
                "managedScaling.status 'on' should be one of [ENABLED, DISABLED]",
            ),
        ] {
            let fault = GroupProvider::parse(&raw).unwrap_err();
            assert!(fault.message.contains(says), "{says}: {fault}");
        }
    }
}
