//! Account settings: what an account, or a principal of it, wants of ECS (ECS API, PutAccountSetting).

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, shortened};
use crate::status::named;

named! {
    /// The settings that ECS has.
    SettingName {
        /// ARNs of services have the name of their cluster in them: always here.
        ServiceLongArnFormat = "serviceLongArnFormat",
        /// ARNs of tasks have: always here.
        TaskLongArnFormat = "taskLongArnFormat",
        /// ARNs of container instances have: always here.
        ContainerInstanceLongArnFormat = "containerInstanceLongArnFormat",
        /// Instances get more network interfaces: tasks have addresses on a bridge here, as many as it has.
        AwsvpcTrunking = "awsvpcTrunking",
        /// What `containerInsights` of new clusters is.
        ContainerInsights = "containerInsights",
        /// Fargate uses validated cryptography.
        FargateFipsMode = "fargateFIPSMode",
        /// Who tags what it creates must be allowed to tag.
        TagResourceAuthorization = "tagResourceAuthorization",
        /// Days before Fargate retires a task: none is retired here.
        FargateTaskRetirementWaitPeriod = "fargateTaskRetirementWaitPeriod",
        /// GuardDuty watches tasks.
        GuardDutyActivate = "guardDutyActivate",
        /// What log drivers without a `mode` do when their buffer is full.
        DefaultLogDriverMode = "defaultLogDriverMode",
        /// Fargate retires tasks in windows.
        FargateEventWindows = "fargateEventWindows",
    }
}

impl SettingName {
    /// What it is where nobody has set it.
    #[must_use]
    pub const fn default_value(self) -> &'static str {
        match self {
            Self::ServiceLongArnFormat | Self::TaskLongArnFormat | Self::ContainerInstanceLongArnFormat => "enabled",
            Self::AwsvpcTrunking | Self::ContainerInsights | Self::FargateFipsMode | Self::FargateEventWindows => {
                "disabled"
            }
            Self::TagResourceAuthorization | Self::GuardDutyActivate => "off",
            Self::FargateTaskRetirementWaitPeriod => "7",
            Self::DefaultLogDriverMode => "blocking",
        }
    }

    /// The values that ECS knows.
    const fn values(self) -> &'static [&'static str] {
        match self {
            Self::ServiceLongArnFormat
            | Self::TaskLongArnFormat
            | Self::ContainerInstanceLongArnFormat
            | Self::AwsvpcTrunking
            | Self::FargateFipsMode
            | Self::FargateEventWindows => &["enabled", "disabled"],
            Self::ContainerInsights => &["enabled", "disabled", "enhanced"],
            Self::TagResourceAuthorization | Self::GuardDutyActivate => &["on", "off"],
            Self::FargateTaskRetirementWaitPeriod => &["0", "7", "14"],
            Self::DefaultLogDriverMode => &["blocking", "non-blocking"],
        }
    }

    /// Whether every value that ECS knows can be held here; what cannot has its default for ever.
    const fn is_free(self) -> bool {
        matches!(
            self,
            Self::AwsvpcTrunking | Self::ContainerInsights | Self::FargateTaskRetirementWaitPeriod
        )
    }

    /// The setting of the name in a request.
    ///
    /// # Errors
    /// `InvalidParameterException` naming those that there are.
    pub fn parse(name: &str) -> Result<Self, Fault> {
        Self::from_name(name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|known| known.name()).collect();
            Fault::invalid(format!(
                "name '{}' should be one of [{}].",
                shortened(name),
                names.join(", ")
            ))
        })
    }

    /// Checks the value that somebody wants it to have.
    ///
    /// # Errors
    /// `InvalidParameterException` for a value that ECS does not know, and for one that cannot be had here.
    pub fn check(self, value: &str) -> Result<(), Fault> {
        if !self.values().contains(&value) {
            return Err(Fault::invalid(format!(
                "value '{}' of {self} should be one of [{}].",
                shortened(value),
                self.values().join(", ")
            )));
        }
        if value == "disabled" && self.name().ends_with("LongArnFormat") {
            return Err(Fault::invalid("You can no longer disable Long Arn settings"));
        }
        if !self.is_free() && value != self.default_value() {
            return Err(Fault::invalid(format!(
                "value '{value}' of {self} cannot be had: it is always '{}' on this scheduler.",
                self.default_value()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_can_be_set() {
        for name in SettingName::ALL {
            assert_eq!(name.check(name.default_value()), Ok(()), "{name}");
            assert_eq!(SettingName::parse(name.name()), Ok(*name));
        }
    }

    #[test]
    fn values_are_refused_that_are_unknown_or_cannot_be_had() {
        for (name, value, says) in [
            (
                "containerInsights",
                "yes",
                "value 'yes' of containerInsights should be one of [enabled, disabled, enhanced].",
            ),
            (
                "taskLongArnFormat",
                "disabled",
                "You can no longer disable Long Arn settings",
            ),
            ("guardDutyActivate", "on", "it is always 'off' on this scheduler."),
        ] {
            let fault = SettingName::parse(name).unwrap().check(value).unwrap_err();
            assert!(fault.message.contains(says), "{fault}");
        }
        let fault = SettingName::parse("shortArnFormat").unwrap_err();
        assert!(
            fault
                .message
                .contains("name 'shortArnFormat' should be one of [serviceLongArnFormat, "),
            "{fault}"
        );
    }
}
