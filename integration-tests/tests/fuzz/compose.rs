//! Files of Compose and of Elastic Beanstalk.

use std::collections::{BTreeMap, BTreeSet};

use berth_compose::{Files, Options, Request, Translation, Variables, dockerrun, translate};
use berth_model::task_definition::TaskDefinition;

pub(crate) const COMPOSE_TOKENS: &[&str] = &[
    "services:\n",
    "  web:\n",
    "    image: x\n",
    "{image: x, ",
    "*a",
    "&a ",
    "<<: *a\n",
    "!reset ",
    "!override ",
    "${A:-",
    "${A:?b}",
    "$$",
    "|\n      ",
    ">-\n",
    "---\n",
    "# \n",
    "~",
    "[]",
    "{}",
    "include: [compose.yaml]\n",
    "extends: {service: web}\n",
    "extends: {file: compose.yaml, service: web}\n",
    "depends_on: [web]\n",
    "depends_on: {web: {condition: service_completed_successfully}}\n",
    "deploy: {mode: global, replicas: 2}\n",
    "ports: ['1-100:1-100', '[::1]:80:80/udp']\n",
    "volumes: ['./a:/b:ro', 'c:/d']\n",
    "env_file: .env\n",
    "mem_limit: 1e3g\n",
    "healthcheck: {interval: 1h2m3.5s}\n",
    "profiles: [a]\n",
    "name: b\n",
];

pub(crate) const DOCKERRUN_TOKENS: &[&str] = &[
    "\"AWSEBDockerrunVersion\": \"1\",",
    "\"AWSEBDockerrunVersion\": 2,",
    "\"Image\": {\"Name\": \"x\"},",
    "\"Ports\": [{\"ContainerPort\": \"80\"}],",
    "\"Volumes\": [{\"HostDirectory\": \"/a\", \"ContainerDirectory\": \"/b\"}],",
    "\"Logging\": \"/c\",",
    "\"Command\": \"a 'b c\",",
    "\"containerDefinitions\": [{\"name\": \"a\", \"image\": \"b\", \"memory\": 64}],",
    "\"volumes\": [{\"name\": \"v\", \"host\": {\"sourcePath\": \"/v\"}}],",
    "\"sourceVolume\": \"awseb-logs-a\",",
    "null",
    "[]",
    "{}",
    "\"\"",
    "65536",
    "-1",
];

/// The project's one file, and a file of variables.
struct Folder<'t>(&'t str);

impl Files for Folder<'_> {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(match path {
            "/p/compose.yaml" => Some(self.0.to_owned()),
            "/p/.env" => Some("A=1\nB='2 $A'\n".to_owned()),
            _ => None,
        })
    }
}

/// What is read becomes services that ECS takes, in the order of their needs, and the same again; each can go alone.
pub(crate) fn check_compose(text: &str) -> Result<bool, String> {
    let mut accepted = false;
    for gateway in [None, Some("10.0.0.9".to_owned())] {
        let request = Request {
            files: vec!["/p/compose.yaml".to_owned()],
            directory: "/p".to_owned(),
            home: None,
            name: None,
            profiles: BTreeSet::new(),
            named: BTreeSet::new(),
            variables: Variables::new([("A".to_owned(), "a".to_owned())].into()),
        };
        let options = Options {
            gateway,
            default_memory: 128,
            scale: BTreeMap::new(),
        };
        let translation = match translate(&request, &Folder(text), &options) {
            Ok(translation) => translation,
            Err(error) => {
                says_why(&error)?;
                continue;
            }
        };
        accepted = true;
        sound(&translation)?;
        if translate(&request, &Folder(text), &options).as_ref() != Ok(&translation) {
            return Err("read a second time it is another".to_owned());
        }
        let mut before = BTreeSet::new();
        for service in &translation.services {
            if let Some(need) = service.depends_on.iter().find(|need| !before.contains(&need.service)) {
                return Err(format!("{} comes before {}", service.name, need.service));
            }
            before.insert(service.name.clone());
            let name = BTreeSet::from([service.name.clone()]);
            let alone = translation
                .clone()
                .only(&name, true)
                .map_err(|error| error.to_string())?;
            let here = |name: &String| alone.service(name).is_some();
            if !here(&service.name)
                || !alone
                    .services
                    .iter()
                    .flat_map(|one| &one.depends_on)
                    .all(|need| here(&need.service))
            {
                return Err(format!("{} goes without what it depends on", service.name));
            }
        }
    }
    Ok(accepted)
}

/// What is read becomes one service that ECS takes, with the variables that were asked for.
pub(crate) fn check_dockerrun(text: &str) -> Result<bool, String> {
    let options = dockerrun::Options {
        name: "site".to_owned(),
        count: 1,
        environment: BTreeMap::from([("STAGE".to_owned(), "prod".to_owned())]),
        default_memory: 128,
    };
    let translation = match dockerrun::translate(text, &options) {
        Ok(translation) => translation,
        Err(error) => return says_why(&error).map(|()| false),
    };
    sound(&translation)?;
    for container in translation
        .services
        .iter()
        .flat_map(|one| &one.task_definition.container_definitions)
    {
        let set = container.environment.iter().filter(|variable| variable.name == "STAGE");
        let values: Vec<&str> = set.map(|variable| variable.value.as_str()).collect();
        if values != ["prod"] {
            return Err(format!("STAGE of {} is {values:?}", container.name));
        }
    }
    Ok(true)
}

fn says_why(error: &berth_compose::Error) -> Result<(), String> {
    let text = error.to_string();
    let (place, rule) = text.split_once(": ").unwrap_or_default();
    if place.is_empty() || rule.is_empty() {
        return Err(format!("it is refused without a word: {text:?}"));
    }
    Ok(())
}

/// Definitions are valid as they are and after they were sent, names are told apart, and notes say something.
fn sound(translation: &Translation) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for service in &translation.services {
        if !names.insert(&service.service_name) {
            return Err(format!("two services are called {}", service.service_name));
        }
        let definition = &service.task_definition;
        let sent = serde_json::to_string(definition).map_err(|error| error.to_string())?;
        let read: TaskDefinition = serde_json::from_str(&sent).map_err(|error| format!("{sent}: {error}"))?;
        match read.validated() {
            Ok(valid) if valid == *definition => {}
            Ok(_) => return Err(format!("registered it is another: {sent}")),
            Err(fault) => return Err(format!("{}: {sent}", fault.message)),
        }
    }
    match translation
        .notes
        .iter()
        .find(|note| note.path.is_empty() || note.says.is_empty())
    {
        Some(note) => Err(format!("a note says nothing: {note:?}")),
        None => Ok(()),
    }
}
