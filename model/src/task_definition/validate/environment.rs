//! The rules of what a container is given to know: environment, files of it, secrets, and options of its log driver.

use std::collections::BTreeSet;

use super::container::ContainerRules;
use crate::fault::{Fault, shortened};
use crate::task_definition::Secret;

/// Environment files of a container (ECS API, ContainerDefinition).
const MAX_ENVIRONMENT_FILES: usize = 10;
/// What the name of an environment file ends with (ECS API, EnvironmentFile).
const ENVIRONMENT_FILE_SUFFIX: &str = ".env";
/// GPUs that one container may ask for.
const GPUS: std::ops::RangeInclusive<u32> = 1..=64;

impl ContainerRules<'_> {
    pub(super) fn check_environment(&self) -> Result<(), Fault> {
        for (at, variable) in self.container.environment.iter().enumerate() {
            if !is_variable(&variable.name) || variable.value.contains('\0') {
                return Err(self.fault(format_args!(
                    "'environment[{at}].name' is '{}', it must not be empty nor contain '=', and no NUL may stand in name or value.",
                    shortened(&variable.name)
                )));
            }
        }
        let files = &self.container.environment_files;
        if files.len() > MAX_ENVIRONMENT_FILES {
            return Err(self.fault(format_args!(
                "'environmentFiles' has {} entries, at most {MAX_ENVIRONMENT_FILES} are allowed.",
                files.len()
            )));
        }
        for (at, file) in files.iter().enumerate() {
            if file.kind != "s3" {
                return Err(self.fault(format_args!(
                    "'environmentFiles[{at}].type' is '{}', it should be one of [s3].",
                    shortened(&file.kind)
                )));
            }
            if !is_place(&file.value) || !file.value.ends_with(ENVIRONMENT_FILE_SUFFIX) {
                return Err(self.fault(format_args!(
                    "'environmentFiles[{at}].value' is '{}', it must be the ARN of an S3 object, or file:// and an absolute path, and end with {ENVIRONMENT_FILE_SUFFIX}.",
                    shortened(&file.value)
                )));
            }
        }
        Ok(())
    }

    pub(super) fn check_secrets(&self) -> Result<(), Fault> {
        let container = self.container;
        self.check_references("secrets", &container.secrets)?;
        let mut taken: BTreeSet<&str> = container.environment.iter().map(|v| v.name.as_str()).collect();
        for secret in &container.secrets {
            if !taken.insert(&secret.name) {
                return Err(Fault::client(format!(
                    "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '{}'.",
                    shortened(&secret.name)
                )));
            }
        }
        if let Some(credentials) = &container.repository_credentials
            && credentials.credentials_parameter.is_empty()
        {
            return Err(self.fault("'repositoryCredentials.credentialsParameter' must be given."));
        }
        self.check_log()
    }

    fn check_log(&self) -> Result<(), Fault> {
        let Some(log) = &self.container.log_configuration else {
            return Ok(());
        };
        if log.log_driver.is_empty() {
            return Err(self.fault("'logConfiguration.logDriver' must be given."));
        }
        self.check_references("logConfiguration.secretOptions", &log.secret_options)?;
        let mut taken: BTreeSet<&str> = log.options.keys().map(String::as_str).collect();
        for option in &log.secret_options {
            if !taken.insert(&option.name) {
                return Err(self.fault(format_args!(
                    "The log option '{}' is given more than once in 'options' and 'secretOptions'.",
                    shortened(&option.name)
                )));
            }
        }
        Ok(())
    }

    fn check_references(&self, field: &str, secrets: &[Secret]) -> Result<(), Fault> {
        for (at, secret) in secrets.iter().enumerate() {
            if !is_variable(&secret.name) {
                return Err(self.fault(format_args!(
                    "'{field}[{at}].name' is '{}', it must not be empty nor contain '=' or NUL.",
                    shortened(&secret.name)
                )));
            }
            if secret.value_from.is_empty() || secret.value_from.contains('\0') {
                return Err(self.fault(format_args!(
                    "'{field}[{at}].valueFrom' of '{}' must name a secret.",
                    shortened(&secret.name)
                )));
            }
        }
        Ok(())
    }

    pub(super) fn check_resources(&self) -> Result<(), Fault> {
        let requirements = &self.container.resource_requirements;
        for (at, requirement) in requirements.iter().enumerate() {
            if requirements[..at].iter().any(|before| before.kind == requirement.kind) {
                return Err(self.fault(format_args!(
                    "'resourceRequirements[{at}].type' is '{}' once more, each type may be given once.",
                    shortened(&requirement.kind)
                )));
            }
            match requirement.kind.as_str() {
                "GPU" if requirement.value.parse().is_ok_and(|n| GPUS.contains(&n)) => {}
                "GPU" => {
                    return Err(self.fault(format_args!(
                        "'resourceRequirements[{at}].value' is '{}', for a GPU it must be their number, 1 to 64.",
                        shortened(&requirement.value)
                    )));
                }
                "InferenceAccelerator" | "NeuronDevice" => {}
                other => {
                    return Err(self.fault(format_args!(
                        "'resourceRequirements[{at}].type' is '{}', it should be one of [GPU, InferenceAccelerator, NeuronDevice].",
                        shortened(other)
                    )));
                }
            }
        }
        Ok(())
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// An object's ARN in S3, or a file of the host.
fn is_place(value: &str) -> bool {
    if let Some(path) = value.strip_prefix("file://") {
        return path.starts_with('/');
    }
    let mut parts = value.splitn(6, ':');
    let arn = parts.next() == Some("arn") && parts.next().is_some() && parts.next() == Some("s3");
    let object = parts.nth(2).and_then(|resource| resource.split_once('/'));
    arn && object.is_some_and(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
}
