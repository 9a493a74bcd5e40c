//! What operators set of a cluster besides its tags (ECS API, CreateCluster and UpdateCluster).

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, shortened};
use crate::name::LogGroup;
use crate::status::named;

named! {
    /// How closely CloudWatch would look at a cluster: kept and told, as usage is measured in any case.
    #[derive(Default)]
    ContainerInsights {
        /// Not at all.
        #[default]
        Disabled = "disabled",
        /// At tasks and services.
        Enabled = "enabled",
        /// At containers too.
        Enhanced = "enhanced",
    }
}

/// What becomes of the output of commands in containers, besides going to the caller (ECS API,
/// ExecuteCommandConfiguration).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecuteCommandLogging {
    /// Nothing.
    #[serde(rename = "NONE")]
    None,
    /// On ECS it goes where an `awslogs` container's own output goes; here nothing, as for any other container on ECS.
    #[serde(rename = "DEFAULT")]
    Default,
    /// The container's host logs it.
    #[serde(rename = "OVERRIDE")]
    Override {
        /// Under this name.
        log_group: LogGroup,
    },
}

impl ExecuteCommandLogging {
    /// The names that ECS uses.
    pub const NAMES: [&str; 3] = ["NONE", "DEFAULT", "OVERRIDE"];

    /// The name that ECS uses.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        let [none, default, to_group] = Self::NAMES;
        match self {
            Self::None => none,
            Self::Default => default,
            Self::Override { .. } => to_group,
        }
    }

    /// Under which name the host logs it, where it does.
    #[must_use]
    pub const fn log_group(&self) -> Option<&LogGroup> {
        match self {
            Self::None | Self::Default => None,
            Self::Override { log_group } => Some(log_group),
        }
    }
}

/// The settings of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSettings {
    /// `containerInsights`.
    #[serde(default)]
    pub container_insights: ContainerInsights,
    /// `configuration.executeCommandConfiguration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execute_command_logging: Option<ExecuteCommandLogging>,
    /// `serviceConnectDefaults.namespace`: kept and told; no service uses Service Connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_connect_namespace: Option<String>,
}

/// Settings that a request gives; what it leaves out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterUpdate {
    /// `containerInsights`.
    pub container_insights: Option<ContainerInsights>,
    /// `configuration`, where it is given: whole.
    pub execute_command_logging: Option<Option<ExecuteCommandLogging>>,
    /// `serviceConnectDefaults.namespace`, where it is given; an empty one takes it away.
    pub service_connect_namespace: Option<String>,
}

impl ClusterUpdate {
    /// The settings once it is carried out.
    #[must_use]
    pub fn applied(&self, before: &ClusterSettings) -> ClusterSettings {
        let before = before.clone();
        ClusterSettings {
            container_insights: self.container_insights.unwrap_or(before.container_insights),
            execute_command_logging: self
                .execute_command_logging
                .clone()
                .unwrap_or(before.execute_command_logging),
            service_connect_namespace: match &self.service_connect_namespace {
                None => before.service_connect_namespace,
                Some(namespace) => Some(namespace.clone()).filter(|namespace| !namespace.is_empty()),
            },
        }
    }
}

/// `settings` of a request: `containerInsights` is the only name that ECS has.
///
/// # Errors
/// `InvalidParameterException` naming the member, the value and the rule.
pub fn container_insights(settings: &[(&str, &str)]) -> Result<Option<ContainerInsights>, Fault> {
    let mut found = None;
    for (at, (name, value)) in settings.iter().enumerate() {
        if *name != "containerInsights" {
            return Err(Fault::invalid(format!(
                "settings[{at}].name '{}' should be one of [containerInsights].",
                shortened(name)
            )));
        }
        if found.is_some() {
            return Err(Fault::invalid(format!("settings[{at}].name '{name}' is given twice.")));
        }
        let value = ContainerInsights::from_name(value).ok_or_else(|| {
            Fault::invalid(format!(
                "settings[{at}].value '{}' should be one of [enabled, disabled, enhanced].",
                shortened(value)
            ))
        })?;
        found = Some(value);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_changes_what_it_names_and_nothing_else() {
        let before = ClusterSettings {
            container_insights: ContainerInsights::Enhanced,
            execute_command_logging: Some(ExecuteCommandLogging::None),
            service_connect_namespace: Some("internal".to_owned()),
        };
        assert_eq!(ClusterUpdate::default().applied(&before), before);
        let update = ClusterUpdate {
            container_insights: Some(ContainerInsights::Disabled),
            execute_command_logging: Some(None),
            service_connect_namespace: Some(String::new()),
        };
        assert_eq!(update.applied(&before), ClusterSettings::default());
    }

    #[test]
    fn settings_are_refused_by_name_and_by_value() {
        assert_eq!(container_insights(&[]), Ok(None));
        let enabled = [("containerInsights", "enabled")];
        assert_eq!(container_insights(&enabled), Ok(Some(ContainerInsights::Enabled)));
        for (settings, says) in [
            (
                &[("insights", "enabled")][..],
                "settings[0].name 'insights' should be one of",
            ),
            (
                &[("containerInsights", "yes")],
                "settings[0].value 'yes' should be one of [enabled, disabled, enhanced].",
            ),
            (
                &[enabled[0], enabled[0]],
                "settings[1].name 'containerInsights' is given twice.",
            ),
        ] {
            let fault = container_insights(settings).unwrap_err();
            assert!(fault.message.contains(says), "{fault}");
        }
    }
}
