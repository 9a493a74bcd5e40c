//! A whole project: its services read, ordered, made known to one another, and checked by ECS's rules.

mod gateway;
mod order;
mod task;

use std::collections::{BTreeMap, BTreeSet};

use berth_model::fault::shortened;

use crate::Error;
use crate::fields::{At, Field, Row, before, by, not, rows, walk};
use crate::interpolate::Variables;
use crate::load::{self, Files, Loaded, Request};
use crate::node::Node;
use crate::service::{self, Draft, PROJECT_VOLUME, ProjectVolume};
use crate::translation::{Note, Translation};

/// Services of a project, at most.
const MAX_SERVICES: usize = 500;

/// What the caller decides beside the files.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where containers reach a gateway: an address, or `host-gateway` where each host has one of its own.
    pub gateway: Option<String>,
    /// MiB that are reserved for a service that names no memory.
    pub default_memory: i32,
    /// How many tasks services have, whatever the files say.
    pub scale: BTreeMap<String, u16>,
}

/// A project while it is read.
#[derive(Debug, Default)]
pub(crate) struct Project {
    volumes: BTreeMap<String, ProjectVolume>,
    /// The services in the order of the files.
    drafts: Vec<(String, Draft)>,
}

pub(crate) const FIELDS: &[Field<Project>] = &[
    not(
        "configs",
        "Berth puts no files into containers: have it in the image, or in a volume",
    ),
    before(
        "include",
        "the other project's services, networks and volumes beside one's own",
    ),
    not("models", "Berth runs containers alone"),
    before("name", "the project's name"),
    by("networks", "see below", |_, at, notes| {
        for (_, at) in at.each_entry()? {
            walk(&mut (), &at, NETWORK, notes)?;
        }
        Ok(())
    }),
    not(
        "secrets",
        "Berth puts no files into containers; `secrets` of a task definition are variables",
    ),
    by(
        "services",
        "a service and a task definition each, called PROJECT-SERVICE",
        |project, at, notes| {
            for (name, at) in at.each_entry()? {
                let mut draft = Draft::default();
                walk(&mut draft, &at, service::FIELDS, notes)?;
                project.drafts.push((name.to_owned(), draft));
            }
            if project.drafts.len() > MAX_SERVICES {
                return Err(at.error(format!(
                    "it has {} entries, at most {MAX_SERVICES} are read",
                    project.drafts.len()
                )));
            }
            Ok(())
        },
    ),
    before("version", "it is obsolete, and means nothing"),
    by(
        "volumes",
        "Docker volumes of each host (`scope: shared`), see below",
        |project, at, notes| {
            for (name, at) in at.each_entry()? {
                let mut volume = ProjectVolume::default();
                walk(&mut volume, &at, PROJECT_VOLUME, notes)?;
                project.volumes.insert(name.to_owned(), volume);
            }
            Ok(())
        },
    ),
];

/// Why the networks of a project are not.
const ONE_NETWORK: &str = "tasks are on their hosts' bridges: there are no networks of a project";

const NETWORK: &[Field<()>] = &[
    not("attachable", ONE_NETWORK),
    not("driver", ONE_NETWORK),
    not("driver_opts", ONE_NETWORK),
    not("enable_ipv4", ONE_NETWORK),
    not("enable_ipv6", ONE_NETWORK),
    not("external", ONE_NETWORK),
    not("internal", "nothing keeps services from the world"),
    not("ipam", ONE_NETWORK),
    not("labels", ONE_NETWORK),
    not("name", ONE_NETWORK),
];

/// The documentation's rows of what stands beside services.
pub(crate) fn sections() -> Vec<Vec<Row>> {
    vec![rows("networks.*", NETWORK), rows("volumes.*", PROJECT_VOLUME)]
}

/// Translates a project.
///
/// # Errors
/// A file cannot be read, is not valid, or asks for something without which a service cannot run.
pub fn translate(request: &Request, files: &dyn Files, options: &Options) -> Result<Translation, Error> {
    let loaded = load::load(request, files)?;
    let mut notes: Vec<Note> = loaded
        .variables
        .unset()
        .map(|name| Note::known(format!("${name}"), "it has no value, and is replaced by nothing"))
        .collect();
    let mut project = Project::default();
    let at = At {
        path: String::new(),
        node: &loaded.root,
    };
    walk(&mut project, &at, FIELDS, &mut notes)?;
    if project.drafts.is_empty() {
        return Err(Error::new("services", "there is none that is active"));
    }
    project.check_names(&loaded)?;
    project.scale(&options.scale)?;
    let order = order::order(&mut project.drafts, &loaded.inactive)?;
    let mut drafts = BTreeMap::new();
    for (name, mut draft) in project.drafts {
        environment(&mut draft, files, &loaded.variables)?;
        drafts.insert(name, draft);
    }
    for name in order.jobs() {
        if let Some(draft) = drafts.get_mut(name) {
            draft.is_job = true;
        }
    }
    let mut reached = gateway::reach(&mut drafts, options.gateway.as_deref(), &mut notes)?;
    let mut services = Vec::new();
    for name in order.names() {
        let Some(draft) = drafts.remove(name) else {
            continue;
        };
        let context = task::Context {
            project: &loaded.name,
            volumes: &project.volumes,
            default_memory: options.default_memory,
            listeners: reached.remove(name).unwrap_or_default(),
        };
        services.push(task::service(name, draft, context, &mut notes)?);
    }
    notes.sort_by_key(|note| !note.lost);
    Ok(Translation {
        left_out: loaded
            .inactive
            .iter()
            .map(|name| task::service_name(&loaded.name, name))
            .collect(),
        project: loaded.name,
        services,
        notes,
    })
}

impl Project {
    /// Has services have so many tasks.
    fn scale(&mut self, counts: &BTreeMap<String, u16>) -> Result<(), Error> {
        for (name, count) in counts {
            let wrong = |rule: &str| Error::new(format!("services.{}", shortened(name)), rule);
            let draft = self.drafts.iter_mut().find(|(other, _)| other == name);
            match draft {
                None => return Err(wrong("it cannot be scaled: there is no such service that is active")),
                Some((_, draft)) if draft.is_global => {
                    return Err(wrong(
                        "it cannot be scaled: it is global, each instance has one task of it",
                    ));
                }
                Some((_, draft)) => draft.replicas = Some(*count),
            }
        }
        Ok(())
    }

    /// No two services may have one name in the cluster, and dependencies and volumes must be there.
    fn check_names(&self, loaded: &Loaded) -> Result<(), Error> {
        let mut taken = BTreeSet::new();
        for (name, draft) in &self.drafts {
            let path = || format!("services.{name}");
            if !taken.insert(task::service_name(&loaded.name, name)) {
                return Err(Error::new(path(), "another service has the same name in the cluster"));
            }
            if draft.container.image.is_empty() {
                let rule = "it must name an 'image': Berth runs images, so build it and push it first";
                return Err(Error::new(path(), rule));
            }
            for named in &draft.named {
                if !self.volumes.contains_key(&named.volume) && !declares(&loaded.root, &named.volume) {
                    let volume = shortened(&named.volume);
                    return Err(Error::new(&named.place, format!("'volumes' has no '{volume}'")));
                }
            }
        }
        Ok(())
    }
}

/// Whether the project has the volume, be it without a word.
fn declares(root: &Node, volume: &str) -> bool {
    root.get("volumes").is_some_and(|volumes| volumes.get(volume).is_some())
}

/// Puts the environment together: files in their order, then what the service says itself.
fn environment(draft: &mut Draft, files: &dyn Files, variables: &Variables) -> Result<(), Error> {
    let mut merged: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: String, value: Option<String>| {
        if let Some(value) = value.or_else(|| variables.get(&name).map(str::to_owned)) {
            merged.insert(name, value);
        }
    };
    for file in &draft.env_files {
        let wrong = |rule: String| Error::new(format!("{} {}", file.place, file.path), rule);
        let Some(text) = files.read(&file.path).map_err(wrong)? else {
            if file.required {
                return Err(wrong("there is no such file".to_owned()));
            }
            continue;
        };
        let lines = if file.raw {
            crate::dotenv::parse_raw(&text)
        } else {
            crate::dotenv::parse(&text, variables)
        };
        for (name, value) in lines.map_err(wrong)? {
            set(name, value);
        }
    }
    for (name, value) in std::mem::take(&mut draft.environment) {
        set(name, value);
    }
    draft.environment = merged.into_iter().map(|(name, value)| (name, Some(value))).collect();
    Ok(())
}
