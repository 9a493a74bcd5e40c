//! ARNs, ids, times and names of images.

use berth_agent_core::image::reference::Reference;
use berth_model::arn::Namespace;
use berth_model::name::ClusterName;
use berth_model::time::Timestamp;

pub(crate) const ARN_TOKENS: &[&str] = &[
    "arn:aws:ecs:us-east-1:000000000000:",
    "cluster/",
    "task/",
    "container-instance/",
    "task-definition/",
    "default",
    ":",
    "/",
    "web",
    ":7",
    "0123456789abcdef0123456789abcdef",
    "us-east-1",
    "000000000000",
    "aws",
    "2026-11-21T06:30:00.25Z",
    "+01:00",
];

pub(crate) const IMAGE_TOKENS: &[&str] = &[
    "docker.io/",
    "index.docker.io/",
    "library/",
    "localhost",
    ":5000",
    "/",
    ":",
    "@sha256:",
    "registry.example.com",
    "latest",
    "0123456789abcdef",
    "busybox",
];

/// What a name or ARN was read as is written as an ARN that reads as the same.
pub(crate) fn check_arns(text: &str) -> Result<bool, String> {
    let namespace = Namespace::new("us-east-1", "000000000000")?;
    let cluster = ClusterName::parse("default").map_err(|fault| fault.message)?;
    let mut accepted = false;
    if let Ok(name) = namespace.parse_cluster(Some(text)) {
        accepted = true;
        same(
            &Ok(name.clone()),
            &namespace.parse_cluster(Some(&namespace.cluster(&name))),
        )?;
    }
    if let Ok(task) = namespace.parse_task(&cluster, text) {
        accepted = true;
        same(
            &Ok(task),
            &namespace.parse_task(&cluster, &namespace.task(&cluster, task)),
        )?;
    }
    if let Ok(instance) = namespace.parse_instance(&cluster, text) {
        accepted = true;
        let arn = namespace.instance(&cluster, instance);
        same(&Ok(instance), &namespace.parse_instance(&cluster, &arn))?;
    }
    accepted |= namespace.parse_definition(text).is_ok();
    if let Some(time) = Timestamp::from_rfc3339(text) {
        accepted = true;
        let again = Timestamp::from_rfc3339(&time.to_rfc3339());
        // Years before 1 and after 9999 can be meant by an offset, and cannot be written.
        if again.is_some_and(|again| again != time) {
            return Err(format!("{time:?} is read again as {again:?}"));
        }
    }
    Ok(accepted)
}

/// An image is pulled from the registry that its name means.
pub(crate) fn check_images(text: &str) -> Result<bool, String> {
    let reference = Reference::parse(text);
    let pulled = Reference::parse(&reference.to_pull());
    if reference.registry() != pulled.registry() {
        return Err(format!("{reference:?} is pulled as {pulled:?}"));
    }
    Ok(reference.same_image(&pulled))
}

fn same<T: PartialEq + std::fmt::Debug>(one: &T, other: &T) -> Result<(), String> {
    if one == other {
        Ok(())
    } else {
        Err(format!("{one:?} is read again as {other:?}"))
    }
}
