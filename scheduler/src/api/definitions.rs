//! RegisterTaskDefinition, DescribeTaskDefinition, DeregisterTaskDefinition, DeleteTaskDefinitions and the two lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::arn::DefinitionReference;
use berth_model::fault::Fault;
use berth_model::id::DefinitionId;
use berth_model::name::Family;
use berth_model::status::DefinitionStatus;
use berth_model::task_definition::TaskDefinition;
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::definition::{DeleteDefinitions, DeregisterDefinition, RegisterDefinition, find};
use berth_scheduler_core::state::{RegisteredDefinition, State};

use super::page::Page;
use super::request::{convert, given, includes, one_of, required, tags};
use super::{Api, Caller, describe};

/// Revisions in one DeleteTaskDefinitions (ECS API).
const MAX_DELETED: usize = 10;
/// What ECS says of a reference that names no revision.
const INVALID_REFERENCE: &str =
    "The specified task definition identifier is invalid. Specify a valid name or ARN and try again.";

/// Members of a definition that only answers have, where somebody sends them back.
const ANSWERED: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "deregisteredAt",
    "deleteRequestedAt",
    "registeredBy",
];

pub(super) async fn register(
    api: &Api,
    mut request: ecs::RegisterTaskDefinitionRequest,
    caller: &Caller,
) -> Result<ecs::RegisterTaskDefinitionResponse, Fault> {
    let tags = tags(std::mem::take(&mut request.tags))?;
    let mut definition = convert::<TaskDefinition>(&request)?;
    definition.rest.retain(|member, _| !ANSWERED.contains(&member.as_str()));
    let definition = definition.validated()?;
    let command = RegisterDefinition {
        family: Family::parse(&definition.family)?,
        definition: Arc::new(definition),
        tags,
    };
    let id = api.submit(command, caller).await?;
    let state = api.view();
    let registered = state.definition(&id);
    Ok(ecs::RegisterTaskDefinitionResponse {
        task_definition: registered.map(|registered| describe::task_definition(registered, &api.namespace)),
        tags: registered.map_or_else(Vec::new, |registered| describe::tags(&registered.tags)),
    })
}

pub(super) async fn describe(
    api: &Api,
    request: ecs::DescribeTaskDefinitionRequest,
    _caller: &Caller,
) -> Result<ecs::DescribeTaskDefinitionResponse, Fault> {
    let reference = api
        .namespace
        .parse_definition(required("taskDefinition", request.task_definition.as_ref())?)?;
    let with_tags = includes(&request.include, &["TAGS"], "TAGS")?;
    let state = api.view();
    let registered = find(&state, &reference).ok_or_else(|| Fault::client("Unable to describe task definition."))?;
    Ok(ecs::DescribeTaskDefinitionResponse {
        task_definition: Some(describe::task_definition(registered, &api.namespace)),
        tags: match with_tags {
            true => describe::tags(&registered.tags),
            false => Vec::new(),
        },
    })
}

pub(super) async fn deregister(
    api: &Api,
    request: ecs::DeregisterTaskDefinitionRequest,
    caller: &Caller,
) -> Result<ecs::DeregisterTaskDefinitionResponse, Fault> {
    let reference = api
        .namespace
        .parse_definition(required("taskDefinition", request.task_definition.as_ref())?)?;
    let id = api.submit(DeregisterDefinition { reference }, caller).await?;
    let state = api.view();
    Ok(ecs::DeregisterTaskDefinitionResponse {
        task_definition: state
            .definition(&id)
            .map(|registered| describe::task_definition(registered, &api.namespace)),
    })
}

pub(super) async fn delete(
    api: &Api,
    request: ecs::DeleteTaskDefinitionsRequest,
    caller: &Caller,
) -> Result<ecs::DeleteTaskDefinitionsResponse, Fault> {
    let named = &request.task_definitions;
    if named.is_empty() {
        return Err(Fault::invalid(
            "size of TaskDefinition references list must be greater than 0",
        ));
    }
    if named.len() > MAX_DELETED {
        return Err(Fault::invalid(format!(
            "Size of TaskDefinition references list cannot exceed {MAX_DELETED}"
        )));
    }
    let failed = |arn: String, reason: &str| ecs::Failure {
        arn: Some(arn),
        reason: Some(reason.to_owned()),
        detail: None,
    };
    let mut response = ecs::DeleteTaskDefinitionsResponse::default();
    let mut ids = Vec::new();
    for text in named {
        match api.namespace.parse_definition(text) {
            Ok(DefinitionReference {
                family,
                revision: Some(revision),
            }) => ids.push(DefinitionId { family, revision }),
            Ok(_) | Err(_) => response.failures.push(failed(text.clone(), INVALID_REFERENCE)),
        }
    }
    let outcome = api.submit(DeleteDefinitions { ids }, caller).await?;
    let state = api.view();
    for one in outcome {
        match one {
            Ok(id) => {
                let registered = state.definition(&id);
                let described = registered.map(|registered| describe::task_definition(registered, &api.namespace));
                response.task_definitions.extend(described);
            }
            Err(kept) => {
                let arn = api.namespace.definition(&kept.id);
                response.failures.push(failed(arn, kept.reason));
            }
        }
    }
    Ok(response)
}

pub(super) async fn list(
    api: &Api,
    request: ecs::ListTaskDefinitionsRequest,
    _caller: &Caller,
) -> Result<ecs::ListTaskDefinitionsResponse, Fault> {
    let status = match given(request.status.as_ref()) {
        None => DefinitionStatus::Active,
        Some(name) => {
            one_of(
                "status",
                name,
                &DefinitionStatus::ALL
                    .iter()
                    .map(|status| status.name())
                    .collect::<Vec<_>>(),
            )?;
            DefinitionStatus::from_name(name).unwrap_or(DefinitionStatus::Active)
        }
    };
    let descending = match given(request.sort.as_ref()) {
        None => false,
        Some(order) => {
            one_of("sort", order, &["ASC", "DESC"])?;
            order == "DESC"
        }
    };
    let page = Page::read(request.max_results, request.next_token.as_ref())?;
    let after = page
        .after
        .as_deref()
        .map(|key| api.namespace.parse_definition(key))
        .transpose()?;
    let state = api.view();
    let mut ids: Vec<&DefinitionId> = definitions(&state, given(request.family_prefix.as_ref()))
        .filter(|registered| registered.status == status)
        .map(|registered| &registered.id)
        .collect();
    if descending {
        ids.reverse();
    }
    let rest = ids.into_iter().skip_while(|id| {
        let passed = |after: &DefinitionReference| {
            let key = (&id.family, Some(id.revision));
            let last = (&after.family, after.revision);
            if descending { key >= last } else { key <= last }
        };
        after.as_ref().is_some_and(passed)
    });
    let (ids, next_token) = page.take(rest, |id| id.to_string());
    Ok(ecs::ListTaskDefinitionsResponse {
        task_definition_arns: ids.into_iter().map(|id| api.namespace.definition(id)).collect(),
        next_token,
    })
}

/// The revisions of the family, or of all; oldest first within a family.
fn definitions<'s>(state: &'s State, family: Option<&'s str>) -> impl Iterator<Item = &'s RegisteredDefinition> {
    state
        .families()
        .filter(move |(name, _)| family.is_none_or(|family| name.as_str() == family))
        .flat_map(|(_, revisions)| revisions.iter().map(Arc::as_ref))
}

pub(super) async fn list_families(
    api: &Api,
    request: ecs::ListTaskDefinitionFamiliesRequest,
    _caller: &Caller,
) -> Result<ecs::ListTaskDefinitionFamiliesResponse, Fault> {
    let status = given(request.status.as_ref()).unwrap_or("ALL");
    one_of("status", status, &["ACTIVE", "INACTIVE", "ALL"])?;
    let page = Page::read(request.max_results, request.next_token.as_ref())?;
    let prefix = given(request.family_prefix.as_ref()).unwrap_or_default();
    let state = api.view();
    let after = page.after.clone();
    let rest: BTreeMap<&Family, bool> = state
        .families()
        .filter(|(name, revisions)| name.as_str().starts_with(prefix) && !revisions.is_deleted())
        .filter(|(name, _)| after.as_deref().is_none_or(|after| name.as_str() > after))
        .map(|(name, revisions)| (name, revisions.newest_active().is_some()))
        .filter(|(_, active)| match status {
            "ACTIVE" => *active,
            "INACTIVE" => !*active,
            _ => true,
        })
        .collect();
    let (families, next_token) = page.take(rest.into_keys(), |name| name.to_string());
    Ok(ecs::ListTaskDefinitionFamiliesResponse {
        families: families.into_iter().map(Family::to_string).collect(),
        next_token,
    })
}
