//! From what was read of a service to a task definition that keeps ECS's rules.

use std::collections::BTreeMap;

use berth_model::placement;
use berth_model::task_definition::{ContainerDefinition, DockerVolume, KeyValuePair, TaskDefinition, Volume};
use serde_json::Map;

use crate::Error;
use crate::service::{self, Draft, ProjectVolume};
use crate::translation::{Dependency, Kind, Listener, Note, Scheduling, Service};

/// Labels by which Compose's own tools find containers.
const PROJECT_LABEL: &str = "com.docker.compose.project";
const SERVICE_LABEL: &str = "com.docker.compose.service";

/// What a service needs of its project.
pub(super) struct Context<'a> {
    pub(super) project: &'a str,
    pub(super) volumes: &'a BTreeMap<String, ProjectVolume>,
    pub(super) default_memory: i32,
    pub(super) listeners: Vec<Listener>,
}

/// The name in the cluster.
pub(super) fn service_name(project: &str, service: &str) -> String {
    format!("{project}-{}", container_name(service))
}

/// The name of the one container; a dot has no place in ECS's names.
pub(super) fn container_name(service: &str) -> String {
    service.replace('.', "-")
}

/// The service as ECS has it.
pub(super) fn service(
    name: &str,
    mut draft: Draft,
    context: Context<'_>,
    notes: &mut Vec<Note>,
) -> Result<Service, Error> {
    let path = format!("services.{name}");
    mount_named(&mut draft, &context, notes);
    limit(&mut draft, &path, context.default_memory, notes)?;
    let container = container(name, &mut draft, context.project);
    let definition = TaskDefinition {
        family: service_name(context.project, name),
        container_definitions: vec![container],
        volumes: draft.volumes,
        network_mode: draft.network_mode,
        cpu: draft.cpu_limit.map(|units| units.to_string()),
        memory: None,
        placement_constraints: Vec::new(),
        requires_compatibilities: Vec::new(),
        runtime_platform: draft.platform,
        pid_mode: draft.pid_mode,
        ipc_mode: draft.ipc_mode,
        rest: Map::new(),
    };
    let task_definition = definition
        .validated()
        .map_err(|fault| Error::new(&path, fault.message))?;
    placement::parse_constraints(&draft.constraints).map_err(|fault| Error::new(&path, fault.message))?;
    placement::parse_strategies(&draft.strategy).map_err(|fault| Error::new(&path, fault.message))?;
    let scheduling = match draft.is_global && !draft.is_job {
        true => Scheduling::Daemon,
        false => Scheduling::Replicas(draft.replicas.unwrap_or(1)),
    };
    if scheduling == Scheduling::Daemon && !draft.strategy.is_empty() {
        notes.push(Note::lost(
            format!("{path}.deploy.placement.preferences"),
            "a task is on every host",
        ));
        draft.strategy.clear();
    }
    let stands_alone = service::stands_alone(&task_definition);
    Ok(Service {
        name: name.to_owned(),
        service_name: task_definition.family.clone(),
        kind: if draft.is_job { Kind::Job } else { Kind::Service },
        update: service::update(draft.update, scheduling, stands_alone),
        task_definition,
        scheduling,
        placement_constraints: draft.constraints,
        placement_strategy: draft.strategy,
        listeners: context.listeners,
        depends_on: draft
            .depends_on
            .into_iter()
            .map(|need| Dependency {
                service: need.service,
                condition: need.condition,
            })
            .collect(),
        tags: draft.tags,
    })
}

fn container(name: &str, draft: &mut Draft, project: &str) -> ContainerDefinition {
    let mut container = std::mem::take(&mut draft.container);
    container.name = container_name(name);
    container.environment = std::mem::take(&mut draft.environment)
        .into_iter()
        .map(|(name, value)| KeyValuePair {
            name,
            value: value.unwrap_or_default(),
            ..KeyValuePair::default()
        })
        .collect();
    for (label, value) in [(PROJECT_LABEL, project), (SERVICE_LABEL, name)] {
        container.docker_labels.insert(label.to_owned(), value.to_owned());
    }
    container
}

/// Memory and swap, once all that is said of them is known.
fn limit(draft: &mut Draft, path: &str, default_memory: i32, notes: &mut Vec<Note>) -> Result<(), Error> {
    let container = &mut draft.container;
    if container.memory.is_none() && container.memory_reservation.is_none() {
        container.memory_reservation = Some(default_memory);
    }
    let both = draft
        .swap_limit
        .map(|bytes| i32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(i32::MAX));
    if let Some(both) = both {
        match container.memory {
            Some(memory) if both >= memory => {
                let parameters = container.linux_parameters.get_or_insert_default();
                parameters.max_swap = Some(both - memory);
            }
            Some(_) => {
                let rule = "it counts memory and swap together, and must not be less than the memory";
                return Err(Error::new(format!("{path}.memswap_limit"), rule));
            }
            None => notes.push(Note::lost(
                format!("{path}.memswap_limit"),
                "it needs a limit of the memory",
            )),
        }
    }
    if let Some(limit) = draft.cpu_limit {
        if container.cpu != 0 && container.cpu < limit {
            let says = "it is to reserve less than its limit of `cpus`: placement counts the limit";
            notes.push(Note::lost(path, says));
        }
        if container.cpu > limit {
            let rule = "it is to reserve more than its limit of `cpus`";
            return Err(Error::new(path, rule));
        }
    }
    Ok(())
}

/// Makes volumes of the definition of those that the project names.
fn mount_named(draft: &mut Draft, context: &Context<'_>, notes: &mut Vec<Note>) {
    for named in std::mem::take(&mut draft.named) {
        let none = ProjectVolume::default();
        let volume = context.volumes.get(&named.volume).unwrap_or(&none);
        let of_project = || format!("{}_{}", context.project, named.volume.replace('.', "-"));
        let name = match (&volume.name, volume.is_external) {
            (Some(name), _) => name.clone(),
            (None, true) => named.volume.clone(),
            (None, false) => of_project(),
        };
        if let Some(mount) = draft.container.mount_points.get_mut(named.mount) {
            mount.source_volume = Some(name.clone());
        }
        if draft.volumes.iter().any(|there| there.name == name) {
            continue;
        }
        if volume.driver.as_deref().is_none_or(|driver| driver == "local") && !draft.is_global {
            let says = format!(
                "each host has a volume '{}' of its own: a task that starts on another host finds that one's",
                named.volume
            );
            notes.push(Note::known(named.place, says));
        }
        draft.volumes.push(Volume {
            name,
            docker_volume_configuration: Some(DockerVolume {
                scope: Some("shared".to_owned()),
                autoprovision: (!volume.is_external).then_some(true),
                driver: volume.driver.clone(),
                driver_opts: volume.options.iter().cloned().collect(),
                labels: volume.labels.iter().cloned().collect(),
                ..DockerVolume::default()
            }),
            ..Volume::default()
        });
    }
}
