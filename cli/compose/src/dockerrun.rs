//! `Dockerrun.aws.json` of Elastic Beanstalk: version 1, one container, and version 2, the containers of a task.

mod kept;

use std::collections::{BTreeMap, BTreeSet};

use berth_model::task_definition::{
    ContainerDefinition, HostVolume, KeyValuePair, MountPoint, PortMapping, TaskDefinition, Volume,
};
use berth_model::words;
use serde_json::{Map, Value as Json};

use crate::fields::{At, Field, Row, before, by, not, rows, walk};
use crate::node::{Node, Value};
use crate::service::{self, UpdateConfig};
use crate::translation::{Kind, Note, Scheduling, Service, Translation};
use crate::{Error, units};

/// The member that says which version a file has.
const VERSION: &str = "AWSEBDockerrunVersion";
/// Where Elastic Beanstalk keeps what the containers of version 1 and 2 log to files.
const LOGS_1: &str = "/var/log/eb-docker/containers";
const LOGS_2: &str = "/var/log/containers";
/// How mounts of such logs are called in version 2, which declares no volume for them.
const LOGS_PREFIX: &str = "awseb-logs-";

/// What the caller decides beside the file.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of the service, of the family, and in version 1 of the container.
    pub name: String,
    /// How many tasks.
    pub count: u16,
    /// Variables for all containers, as environment properties are.
    pub environment: BTreeMap<String, String>,
    /// MiB that are reserved for the container of version 1, which names no memory.
    pub default_memory: i32,
}

/// A version 1 while it is read.
#[derive(Default)]
struct Single {
    container: ContainerDefinition,
    volumes: Vec<Volume>,
    logs: Option<String>,
}

const VERSION_1: &[Field<Single>] = &[
    before(VERSION, "1"),
    not("Authentication", "have the agent log in to the registry, see images.md"),
    by("Command", "`command`, split as a shell splits it", |single, at, _| {
        single.container.command = line(at)?;
        Ok(())
    }),
    by(
        "Entrypoint",
        "`entryPoint`, split as a shell splits it",
        |single, at, _| {
            single.container.entry_point = line(at)?;
            Ok(())
        },
    ),
    by("Image", "see below", |single, at, notes| walk(single, at, IMAGE, notes)),
    by(
        "Logging",
        "a directory of the host, `/var/log/eb-docker/containers/NAME`, at this path",
        |single, at, _| {
            single.logs = Some(at.string()?);
            Ok(())
        },
    ),
    by("Ports", "`portMappings`", |single, at, notes| {
        for at in at.items()? {
            let mut port = PortMapping::default();
            walk(&mut port, &at, PORT, notes)?;
            if port.container_port.is_none() {
                return Err(at.error("it must have a 'ContainerPort'"));
            }
            if port.host_port.is_none() {
                let says = "it has no HostPort and no proxy of Elastic Beanstalk's: Docker chooses a port";
                notes.push(Note::known(&at.path, says));
            }
            single.container.port_mappings.push(port);
        }
        Ok(())
    }),
    by(
        "Volumes",
        "`volumes` of the host, and `mountPoints`",
        |single, at, notes| {
            for at in at.items()? {
                let mut directories = Directories::default();
                walk(&mut directories, &at, VOLUME, notes)?;
                single.mount(directories.host, directories.container);
            }
            Ok(())
        },
    ),
];

const IMAGE: &[Field<Single>] = &[
    by("Name", "`image`", |single, at, _| {
        single.container.image = at.string()?;
        Ok(())
    }),
    not(
        "Update",
        "`image-pull-behavior` of the agent says when images are pulled",
    ),
];

const PORT: &[Field<PortMapping>] = &[
    by("ContainerPort", "`containerPort`", |port, at, _| {
        port.container_port = Some(at.by(units::port, "a port, 1 to 65535")?.into());
        Ok(())
    }),
    by("HostPort", "`hostPort`", |port, at, _| {
        port.host_port = Some(at.by(units::port, "a port, 1 to 65535")?.into());
        Ok(())
    }),
];

#[derive(Default)]
struct Directories {
    host: String,
    container: String,
}

const VOLUME: &[Field<Directories>] = &[
    by("ContainerDirectory", "`containerPath`", |directories, at, _| {
        directories.container = at.string()?;
        Ok(())
    }),
    by("HostDirectory", "`host.sourcePath`", |directories, at, _| {
        directories.host = at.string()?;
        Ok(())
    }),
];

/// A version 2 while it is read: members as they stand, and those that are taken over.
struct Several {
    given: Map<String, Json>,
    taken: Map<String, Json>,
}

const VERSION_2: &[Field<Several>] = &[
    before(VERSION, "2"),
    not("authentication", "have the agent log in to the registry, see images.md"),
    by("containerDefinitions", "as ECS's, see task-definitions.md", take),
    by(
        "volumes",
        "as ECS's; `awseb-logs-NAME` is `/var/log/containers/NAME` of the host",
        take,
    ),
];

fn take(several: &mut Several, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    if let Some(value) = several.given.get(&at.path) {
        several.taken.insert(at.path.clone(), value.clone());
    }
    Ok(())
}

/// The documentation's rows.
pub(crate) fn sections() -> Vec<Vec<Row>> {
    vec![
        rows("", VERSION_1),
        rows("Image", IMAGE),
        rows("Ports[*]", PORT),
        rows("Volumes[*]", VOLUME),
        rows("", VERSION_2),
    ]
}

/// Translates a file.
///
/// # Errors
/// It is no JSON, has no version that is known, or what it asks for breaks a rule of ECS.
pub fn translate(text: &str, options: &Options) -> Result<Translation, Error> {
    let wrong = |rule: String| Error::new("Dockerrun.aws.json", rule);
    let json: Json = serde_json::from_str(text).map_err(|error| wrong(format!("it is no JSON: {error}")))?;
    let Json::Object(given) = &json else {
        return Err(wrong("it must be one JSON object".to_owned()));
    };
    let version = given.get(VERSION);
    let version = version.map(|version| version.as_str().map_or_else(|| version.to_string(), str::to_owned));
    let node = node(&json);
    let at = At {
        path: String::new(),
        node: &node,
    };
    let mut notes = Vec::new();
    let mut definition = match version.as_deref() {
        Some("1") => single(&at, options, &mut notes)?,
        Some("2") => several(&at, given.clone(), options, &mut notes)?,
        Some(other) => {
            let other = berth_model::fault::shortened(other);
            return Err(Error::new(
                VERSION,
                format!("'{other}' must be 1 or 2; version 3 is a Compose file"),
            ));
        }
        None => return Err(Error::new(VERSION, "it is missing: it must be 1 or 2")),
    };
    for container in &mut definition.container_definitions {
        add(container, &options.environment);
    }
    let task_definition = definition.validated().map_err(|fault| wrong(fault.message))?;
    let scheduling = Scheduling::Replicas(options.count);
    let stands_alone = service::stands_alone(&task_definition);
    notes.sort_by_key(|note| !note.lost);
    let service = Service {
        name: options.name.clone(),
        service_name: options.name.clone(),
        kind: Kind::Service,
        task_definition,
        scheduling,
        update: service::update(UpdateConfig::default(), scheduling, stands_alone),
        placement_constraints: Vec::new(),
        placement_strategy: Vec::new(),
        listeners: Vec::new(),
        depends_on: Vec::new(),
        tags: BTreeMap::new(),
    };
    Ok(Translation {
        project: options.name.clone(),
        services: vec![service],
        left_out: BTreeSet::new(),
        notes,
    })
}

/// Environment properties win over what the file says.
fn add(container: &mut ContainerDefinition, environment: &BTreeMap<String, String>) {
    container
        .environment
        .retain(|variable| !environment.contains_key(&variable.name));
    container
        .environment
        .extend(environment.iter().map(|(name, value)| KeyValuePair {
            name: name.clone(),
            value: value.clone(),
            ..KeyValuePair::default()
        }));
}

fn single(at: &At<'_>, options: &Options, notes: &mut Vec<Note>) -> Result<TaskDefinition, Error> {
    let mut single = Single::default();
    walk(&mut single, at, VERSION_1, notes)?;
    if let Some(path) = single.logs.take() {
        single.mount(format!("{LOGS_1}/{}", options.name), path);
    }
    let mut container = single.container;
    if container.image.is_empty() {
        return Err(Error::new(
            "Image.Name",
            "it is missing: Berth runs images, so build it and push it first",
        ));
    }
    container.name.clone_from(&options.name);
    container.memory_reservation = Some(options.default_memory);
    Ok(definition(&options.name, vec![container], single.volumes))
}

fn several(
    at: &At<'_>,
    given: Map<String, Json>,
    options: &Options,
    notes: &mut Vec<Note>,
) -> Result<TaskDefinition, Error> {
    let mut several = Several {
        given,
        taken: Map::new(),
    };
    walk(&mut several, at, VERSION_2, notes)?;
    let read = |member: &str| several.taken.get(member).cloned().unwrap_or(Json::Array(Vec::new()));
    let containers: Vec<ContainerDefinition> = understood(&read("containerDefinitions"), "containerDefinitions")?;
    let volumes: Vec<Volume> = understood(&read("volumes"), "volumes")?;
    let of_containers = containers.iter().enumerate();
    let of_containers =
        of_containers.flat_map(|(index, one)| kept::of_container(one, &format!("containerDefinitions[{index}]")));
    let of_volumes = volumes.iter().enumerate();
    let of_volumes = of_volumes.flat_map(|(index, one)| kept::of_volume(one, &format!("volumes[{index}]")));
    for path in of_containers.chain(of_volumes) {
        notes.push(Note::lost(path, "it is kept, and nothing is done with it"));
    }
    let mut definition = definition(&options.name, containers, volumes);
    let logs: Vec<String> = definition
        .container_definitions
        .iter()
        .flat_map(|container| &container.mount_points)
        .filter_map(|mount| mount.source_volume.clone())
        .filter(|name| name.starts_with(LOGS_PREFIX))
        .collect();
    for name in logs {
        if !definition.volumes.iter().any(|volume| volume.name == name) {
            let of = name.trim_start_matches(LOGS_PREFIX);
            let path = format!("{LOGS_2}/{of}");
            definition.volumes.push(directory(&name, path));
        }
    }
    Ok(definition)
}

/// The member as ECS has it.
fn understood<T: serde::de::DeserializeOwned>(given: &Json, path: &str) -> Result<T, Error> {
    T::deserialize(given).map_err(|error| Error::new(path, error.to_string()))
}

impl Single {
    fn mount(&mut self, host: String, container: String) {
        let name = format!("mount-{}", self.volumes.len());
        self.volumes.push(directory(&name, host));
        self.container.mount_points.push(MountPoint {
            source_volume: Some(name),
            container_path: Some(container),
            read_only: None,
            ..MountPoint::default()
        });
    }
}

fn directory(name: &str, path: String) -> Volume {
    Volume {
        name: name.to_owned(),
        host: Some(HostVolume {
            source_path: Some(path),
            ..HostVolume::default()
        }),
        ..Volume::default()
    }
}

fn definition(family: &str, containers: Vec<ContainerDefinition>, volumes: Vec<Volume>) -> TaskDefinition {
    TaskDefinition {
        family: family.to_owned(),
        container_definitions: containers,
        volumes,
        network_mode: None,
        cpu: None,
        memory: None,
        placement_constraints: Vec::new(),
        requires_compatibilities: Vec::new(),
        runtime_platform: None,
        pid_mode: None,
        ipc_mode: None,
        rest: Map::new(),
    }
}

fn line(at: &At<'_>) -> Result<Vec<String>, Error> {
    words::split(at.text()?).map_err(|rule| at.wrong(&format!("a command line: {rule}")))
}

/// JSON as the tree that fields are read from.
fn node(json: &Json) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Text(truth.to_string()),
        Json::Number(number) => Value::Text(number.to_string()),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(node).collect()),
        Json::Object(members) => Value::Map(members.iter().map(|(key, value)| (key.clone(), node(value))).collect()),
    };
    Node::new(value, 0)
}

#[cfg(test)]
mod tests;
