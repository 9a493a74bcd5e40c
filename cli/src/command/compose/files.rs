//! The files of a project on the disk, and the environment that they are read with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use berth_compose::{Files, Options, Request, Translation, Variables, dotenv, translate as translate_files};

use super::ProjectArgs;

/// Files that are looked for, the first that is there.
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
/// Files that are merged onto it where they are there.
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];
/// Bytes of a file, at most.
const LARGEST: u64 = 4 << 20;

/// Files as they are on the disk.
pub(in crate::command) struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        let mut file = match File::open(path) {
            Ok(file) => file.take(LARGEST + 1),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| error.to_string())?;
        if file.limit() == 0 {
            return Err(format!("it is larger than {LARGEST} bytes"));
        }
        Ok(Some(text))
    }
}

/// A project by its name, and by its files where there are some.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) translation: Option<Translation>,
}

/// Which project is meant. Its files need not be there where it is named.
pub(super) fn identify(args: &ProjectArgs) -> anyhow::Result<Known> {
    match &args.project_name {
        Some(name) if args.file.is_empty() && find(&current()?).is_none() => Ok(Known {
            name: name.clone(),
            translation: None,
        }),
        _ => {
            let translation = translate(args, &BTreeSet::new(), BTreeMap::new())?;
            Ok(Known {
                name: translation.project.clone(),
                translation: Some(translation),
            })
        }
    }
}

/// Reads and translates the project; the profiles of the named services are active, and services have as many tasks as
/// `scale` says.
pub(super) fn translate(
    args: &ProjectArgs,
    named: &BTreeSet<String>,
    scale: BTreeMap<String, u16>,
) -> anyhow::Result<Translation> {
    let options = Options {
        gateway: args.gateway.clone(),
        default_memory: args.default_memory,
        scale,
    };
    Ok(translate_files(&request(args, named)?, &Disk, &options)?)
}

fn current() -> anyhow::Result<PathBuf> {
    std::env::current_dir().context("cannot tell the current directory")
}

fn request(args: &ProjectArgs, named: &BTreeSet<String>) -> anyhow::Result<Request> {
    let here = current()?;
    // What is no text cannot stand in a file that is.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut variables = Variables::new(environment.collect());
    let files = files(args, &here, &variables)?;
    let directory = match (&args.project_directory, files.first()) {
        (Some(directory), _) => here.join(directory),
        (None, Some(first)) if first != Path::new(STDIN) => {
            first.parent().map_or_else(|| here.clone(), Path::to_path_buf)
        }
        (None, _) => here.clone(),
    };
    let of_flags = args.env_file.iter().map(|file| (here.join(file), true));
    let usual = args.env_file.is_empty().then(|| (directory.join(".env"), false));
    for (file, required) in of_flags.chain(usual) {
        let path = text(&file)?;
        match Disk
            .read(&path)
            .map_err(anyhow::Error::msg)
            .with_context(|| path.clone())?
        {
            Some(text) => {
                let lines = dotenv::parse(&text, &variables)
                    .map_err(anyhow::Error::msg)
                    .with_context(|| path)?;
                for (name, value) in lines {
                    if let Some(value) = value {
                        variables.set_default(&name, value);
                    }
                }
            }
            None if required => bail!("{path}: there is no such file"),
            None => {}
        }
    }
    let of_environment = variables.get("COMPOSE_PROFILES").unwrap_or_default().split(',');
    let profiles = args.profile.iter().map(String::as_str).chain(of_environment);
    let profiles: BTreeSet<String> = profiles.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let name = args.project_name.clone();
    let name = name.or_else(|| {
        variables
            .get("COMPOSE_PROJECT_NAME")
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
    });
    Ok(Request {
        files: files.iter().map(|file| text(file)).collect::<Result<_, _>>()?,
        directory: text(&directory)?,
        home: variables.get("HOME").map(str::to_owned),
        name,
        profiles,
        named: named.clone(),
        variables,
    })
}

const STDIN: &str = "/dev/stdin";

/// The files of the project by absolute paths.
fn files(args: &ProjectArgs, here: &Path, variables: &Variables) -> anyhow::Result<Vec<PathBuf>> {
    let absolute = |file: &Path| match file {
        file if file == Path::new("-") => PathBuf::from(STDIN),
        file => here.join(file),
    };
    if !args.file.is_empty() {
        return Ok(args.file.iter().map(|file| absolute(file)).collect());
    }
    if let Some(list) = variables.get("COMPOSE_FILE").filter(|list| !list.is_empty()) {
        let separator = variables.get("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
        return Ok(list.split(separator).map(|file| absolute(Path::new(file))).collect());
    }
    let looked = args
        .project_directory
        .as_ref()
        .map_or_else(|| here.to_path_buf(), |directory| here.join(directory));
    let found = find(&looked);
    found.with_context(|| format!("no compose.yaml in {} or above: name a file with -f", looked.display()))
}

/// The project's file in the directory or the nearest one above that has one, and what overrides it.
fn find(directory: &Path) -> Option<Vec<PathBuf>> {
    directory.ancestors().find_map(|directory| {
        let there = |names: [&str; 4]| {
            names
                .iter()
                .map(|name| directory.join(name))
                .find(|file| file.is_file())
        };
        let first = there(NAMES)?;
        Some(std::iter::once(first).chain(there(OVERRIDES)).collect())
    })
}

fn text(path: &Path) -> anyhow::Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("{} is no text", path.display()))?;
    Ok(text.to_owned())
}
