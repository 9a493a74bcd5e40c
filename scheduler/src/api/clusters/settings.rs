//! `settings`, `configuration` and `serviceConnectDefaults` of requests. What nothing here would do is refused by name.

use berth_model::cluster::{self, ClusterUpdate, ExecuteCommandLogging};
use berth_model::fault::Fault;
use berth_model::name::LogGroup;
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
    refuse_unsupported(&[(
        "configuration.managedStorageConfiguration",
        configuration.managed_storage_configuration.is_some(),
    )])?;
    let Some(commands) = &configuration.execute_command_configuration else {
        return Ok(None);
    };
    refuse_unsupported(&[(&format!("{AT}.kmsKeyId"), given(commands.kms_key_id.as_ref()).is_some())])?;
    let log_group = commands
        .log_configuration
        .as_ref()
        .map(log_group)
        .transpose()?
        .flatten();
    let logging = given(commands.logging.as_ref());
    if let Some(text) = logging {
        one_of(&format!("{AT}.logging"), text, &ExecuteCommandLogging::NAMES)?;
    }
    match (logging, log_group) {
        (None, None) => Ok(None),
        (Some("OVERRIDE"), Some(log_group)) => Ok(Some(ExecuteCommandLogging::Override { log_group })),
        (Some("OVERRIDE"), None) => Err(Fault::invalid(format!(
            "{AT}.logConfiguration can not be empty where logging is OVERRIDE: a cloudWatchLogGroupName must be given."
        ))),
        (Some("NONE"), None) => Ok(Some(ExecuteCommandLogging::None)),
        (Some(_), None) => Ok(Some(ExecuteCommandLogging::Default)),
        (other, Some(_)) => Err(Fault::invalid(format!(
            "{AT}.logging '{}' should be OVERRIDE where logConfiguration is given.",
            other.unwrap_or_default()
        ))),
    }
}

/// The log group that is given; there are no buckets, and nothing is encrypted but on its way.
fn log_group(log: &ecs::ExecuteCommandLogConfiguration) -> Result<Option<LogGroup>, Fault> {
    const AT: &str = "configuration.executeCommandConfiguration.logConfiguration";
    refuse_unsupported(&[
        (
            &format!("{AT}.cloudWatchEncryptionEnabled"),
            log.cloud_watch_encryption_enabled == Some(true),
        ),
        (
            &format!("{AT}.s3BucketName"),
            given(log.s3_bucket_name.as_ref()).is_some(),
        ),
        (
            &format!("{AT}.s3EncryptionEnabled"),
            log.s3_encryption_enabled == Some(true),
        ),
        (
            &format!("{AT}.s3KeyPrefix"),
            given(log.s3_key_prefix.as_ref()).is_some(),
        ),
    ])?;
    let name = given(log.cloud_watch_log_group_name.as_ref());
    name.map(|name| LogGroup::parse(&format!("{AT}.cloudWatchLogGroupName"), name))
        .transpose()
}
