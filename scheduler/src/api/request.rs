//! Reading members of requests: what several operations check in the same way.

use berth_model::fault::{Fault, shortened};
use berth_model::placement::{RawConstraint, RawStrategy};
use berth_model::status::LaunchType;
use berth_model::tag::{self, Tag};
use berth_proto::ecs::v1 as ecs;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Rereads a wire shape as the model's type of the same JSON, or the other way round.
///
/// Both have ECS's member names, so that the JSON is the common form and no member is copied by hand.
///
/// # Errors
/// `ClientException` naming the member when the types differ.
pub(crate) fn convert<T: DeserializeOwned>(shape: &impl Serialize) -> Result<T, Fault> {
    let value = serde_json::to_value(shape).map_err(|error| Fault::client(error.to_string()))?;
    serde_path_to_error::deserialize(value)
        .map_err(|error| Fault::client(format!("{}: {}", error.path(), error.inner())))
}

/// The text of a member, unless it is empty.
pub(super) fn given(member: Option<&String>) -> Option<&str> {
    member.map(String::as_str).filter(|text| !text.is_empty())
}

/// A member that must be given.
pub(super) fn required<'a>(name: &str, member: Option<&'a String>) -> Result<&'a str, Fault> {
    given(member).ok_or_else(|| Fault::invalid(format!("{name} can not be empty.")))
}

pub(super) fn tags(tags: Vec<ecs::Tag>) -> Result<Vec<Tag>, Fault> {
    let tags: Vec<Tag> = tags
        .into_iter()
        .map(|tag| Tag {
            key: tag.key.unwrap_or_default(),
            value: tag.value.unwrap_or_default(),
        })
        .collect();
    tag::validate(&tags)?;
    Ok(tags)
}

/// Where a request asks for its tasks to run.
pub(super) fn launch_type(name: Option<&str>) -> Result<LaunchType, Fault> {
    let Some(name) = name else {
        return Ok(LaunchType::default());
    };
    LaunchType::from_name(name).ok_or_else(|| {
        Fault::invalid(format!(
            "launch type should be one of [EC2,FARGATE,EXTERNAL]. launchType is '{name}'."
        ))
    })
}

/// Constraints as the model reads them.
pub(super) fn raw_constraints(constraints: Vec<ecs::PlacementConstraint>) -> Vec<RawConstraint> {
    let raw = constraints.into_iter().map(|constraint| RawConstraint {
        kind: constraint.r#type,
        expression: constraint.expression,
        ..RawConstraint::default()
    });
    raw.collect()
}

/// Strategies as the model reads them. `host` is another word for `instanceId`, which is what ECS answers.
pub(super) fn raw_strategies(strategies: Vec<ecs::PlacementStrategy>) -> Vec<RawStrategy> {
    let raw = strategies.into_iter().map(|strategy| RawStrategy {
        kind: strategy.r#type,
        field: strategy.field.map(|field| match field.as_str() {
            "host" => "instanceId".to_owned(),
            _ => field,
        }),
    });
    raw.collect()
}

/// A digest of a request, by which a repeated one is known: FNV-1a over the JSON form, the same on every build, as it
/// goes into the journal.
pub(super) fn fingerprint(shape: &impl Serialize) -> Result<u64, Fault> {
    let bytes = serde_json::to_vec(shape).map_err(|error| Fault::server(format!("cannot be written: {error}")))?;
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Ok(hash)
}

/// Checks the length of a batch.
pub(super) fn at_most<T>(name: &str, list: &[T], limit: usize) -> Result<(), Fault> {
    if list.len() <= limit {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "{name} has {} entries, at most {limit} are allowed.",
        list.len()
    )))
}

/// Checks a value against those that ECS knows.
pub(super) fn one_of(name: &str, value: &str, values: &[&str]) -> Result<(), Fault> {
    if values.contains(&value) {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "{name} '{}' should be one of [{}].",
        shortened(value),
        values.join(", ")
    )))
}

/// Whether `include` asks for the part; refuses a part that ECS does not know.
pub(super) fn includes(include: &[String], known: &[&str], part: &str) -> Result<bool, Fault> {
    for name in include {
        one_of("include", name, known)?;
    }
    Ok(include.iter().any(|name| name == part))
}

/// The first of the members that is given although this scheduler cannot honour it.
///
/// # Errors
/// `UnsupportedFeatureException` naming it: nothing that a caller asks for is silently left out.
pub(super) fn refuse_unsupported(members: &[(&str, bool)]) -> Result<(), Fault> {
    match members.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(Fault::unsupported(format!(
            "{name} is not supported by this scheduler."
        ))),
    }
}
