//! `settings`, `configuration` and `serviceConnectDefaults` of requests. What nothing here would do is refused by name.

use berth_model::cluster::{self, ClusterUpdate, ExecuteCommandLogging};
use berth_model::fault::Fault;
use berth_proto::ecs::v1 as ecs;

use crate::api::request::{given, one_of, refuse_unsupported};

/// The settings that are given.
pub(super) fn read(
    settings: &[ecs::ClusterSetting],
    configuration: Option<&ecs::ClusterConfiguration>,
    service_connect: Option<&ecs::ClusterServiceConnectDefaultsRequest>,
) -> Result<ClusterUpdate, Fault> {
    let pairs: Vec<(&str, &str)> = settings
        .iter()
        .map(|setting| (setting.name(), setting.value()))
        .collect();
    let namespace = service_connect.map(|defaults| defaults.namespace.as_ref());
    if let Some(namespace) = namespace.flatten().filter(|text| !text.is_empty()) {
        check_namespace(namespace)?;
    }
    Ok(ClusterUpdate {
        container_insights: cluster::container_insights(&pairs)?,
        execute_command_logging: configuration.map(logging).transpose()?,
        service_connect_namespace: namespace.map(|namespace| namespace.cloned().unwrap_or_default()),
    })
}

/// A name or an ARN of Cloud Map, which nobody is asked about.
fn check_namespace(namespace: &str) -> Result<(), Fault> {
    const LONGEST: usize = 1024;
    let length = namespace.chars().count();
    if length > LONGEST || namespace.chars().any(char::is_whitespace) {
        return Err(Fault::invalid(format!(
            "serviceConnectDefaults.namespace has {length} characters; it must be up to {LONGEST} without blanks."
        )));
    }
    Ok(())
}

/// What becomes of the output of commands.
fn logging(configuration: &ecs::ClusterConfiguration) -> Result<Option<ExecuteCommandLogging>, Fault> {
    const AT: &str = "configuration.executeCommandConfiguration";
    let commands = configuration.execute_command_configuration.as_ref();
    refuse_unsupported(&[
        (
            "configuration.managedStorageConfiguration",
            configuration.managed_storage_configuration.is_some(),
        ),
        (
            &format!("{AT}.kmsKeyId"),
            commands.is_some_and(|commands| commands.kms_key_id.is_some()),
        ),
        (
            &format!("{AT}.logConfiguration"),
            commands.is_some_and(|commands| commands.log_configuration.is_some()),
        ),
    ])?;
    let Some(text) = commands.and_then(|commands| given(commands.logging.as_ref())) else {
        return Ok(None);
    };
    let member = format!("{AT}.logging");
    one_of(&member, text, &["NONE", "DEFAULT", "OVERRIDE"])?;
    let logging = ExecuteCommandLogging::from_name(text);
    refuse_unsupported(&[(&format!("{member} {text}"), logging.is_none())])?;
    Ok(logging)
}
