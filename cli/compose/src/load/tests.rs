use std::collections::BTreeMap;

use super::*;

/// Files by their paths.
pub(crate) struct Texts(pub(crate) BTreeMap<String, String>);

impl Files for Texts {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.0.get(path).cloned())
    }
}

fn texts(files: &[(&str, &str)]) -> Texts {
    Texts(
        files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect(),
    )
}

fn request(files: &[&str]) -> Request {
    Request {
        files: files.iter().map(|file| (*file).to_owned()).collect(),
        directory: "/srv/app".to_owned(),
        home: Some("/home/me".to_owned()),
        name: None,
        profiles: BTreeSet::new(),
        named: BTreeSet::new(),
        variables: Variables::new([("TAG".to_owned(), "7".to_owned())].into()),
    }
}

fn loaded(files: &[(&str, &str)], order: &[&str]) -> Result<Loaded, Error> {
    load(&request(order), &texts(files))
}

fn at<'n>(node: &'n Node, path: &str) -> &'n Node {
    path.split('.').fold(node, |node, key| match key.parse::<usize>() {
        Ok(index) => &node.as_list().unwrap()[index],
        Err(_) => node
            .get(key)
            .unwrap_or_else(|| panic!("no {key} of {path} in {node:?}")),
    })
}

fn text<'n>(node: &'n Node, path: &str) -> &'n str {
    at(node, path).as_text().unwrap()
}

#[test]
fn short_forms_are_written_out_and_paths_absolute() {
    let file = "services:\n  web:\n    image: nginx:$TAG\n    environment: [A=1, B]\n    env_file: ./web.env\n\
                \x20   ports: ['8080-8081:80-81', '127.0.0.1::53/udp', 443]\n    volumes: [./data:/data:ro, db:/db, /tmp]\n\
                \x20   depends_on: [db]\n    extra_hosts: {one: 10.0.0.1}\n";
    let root = loaded(&[("/srv/app/c.yaml", file)], &["/srv/app/c.yaml"]).unwrap().root;
    let web = at(&root, "services.web");
    assert_eq!(text(web, "image"), "nginx:7");
    assert_eq!(text(web, "environment.A"), "1");
    assert!(at(web, "environment.B").is_null());
    assert_eq!(text(web, "env_file.0.path"), "/srv/app/web.env");
    assert_eq!(at(web, "ports").as_list().unwrap().len(), 4);
    assert_eq!(
        (text(web, "ports.1.target"), text(web, "ports.1.published")),
        ("81", "8081")
    );
    assert_eq!(
        (text(web, "ports.2.protocol"), text(web, "ports.2.host_ip")),
        ("udp", "127.0.0.1")
    );
    assert_eq!(text(web, "ports.3.target"), "443");
    assert_eq!(
        (text(web, "volumes.0.source"), text(web, "volumes.0.read_only")),
        ("/srv/app/data", "true")
    );
    assert_eq!(
        (text(web, "volumes.1.type"), text(web, "volumes.2.target")),
        ("volume", "/tmp")
    );
    assert_eq!(text(web, "depends_on.db.condition"), "service_started");
    assert_eq!(text(web, "extra_hosts.0"), "one=10.0.0.1");
}

#[test]
fn later_files_are_merged_onto_earlier_ones() {
    let base = "name: shop\nservices: {web: {image: a, command: [x], ports: ['80:80'], environment: {A: 1, B: 2}}}\n";
    let over = "services: {web: {command: y z, ports: ['80:80', '81:81'], environment: [B=3]}, db: {image: b}}\n";
    let loaded = loaded(&[("/a", base), ("/b", over)], &["/a", "/b"]).unwrap();
    assert_eq!(loaded.name, "shop");
    let web = at(&loaded.root, "services.web");
    assert_eq!((text(web, "image"), text(web, "command")), ("a", "y z"));
    assert_eq!(at(web, "ports").as_list().unwrap().len(), 2);
    assert_eq!((text(web, "environment.A"), text(web, "environment.B")), ("1", "3"));
    assert_eq!(text(&loaded.root, "services.db.image"), "b");
}

#[test]
fn services_begin_as_what_they_extend() {
    let file = "services:\n  base: {image: a, environment: {A: 1}}\n  web: {extends: base, environment: {B: 2}}\n\
                \x20 other: {extends: {file: ../common/c.yaml, service: app}, image: mine}\n";
    let common = "services: {app: {extends: root, env_file: e.env}, root: {image: x, init: true}}\n";
    let root = loaded(
        &[("/srv/app/c.yaml", file), ("/srv/common/c.yaml", common)],
        &["/srv/app/c.yaml"],
    )
    .unwrap()
    .root;
    let web = at(&root, "services.web");
    assert_eq!(
        (
            text(web, "image"),
            text(web, "environment.A"),
            text(web, "environment.B")
        ),
        ("a", "1", "2")
    );
    assert!(web.get("extends").is_none());
    let other = at(&root, "services.other");
    assert_eq!((text(other, "image"), text(other, "init")), ("mine", "true"));
    assert_eq!(text(other, "env_file.0.path"), "/srv/common/e.env");
}

#[test]
fn included_projects_bring_their_resources_and_their_own_variables() {
    let file = "include: [db/compose.yaml]\nservices: {web: {image: a}}\n";
    let included = "services: {db: {image: 'pg:$VERSION-$TAG', volumes: ['./d:/d']}}\nvolumes: {v: {}}\n";
    let files = [
        ("/srv/app/c.yaml", file),
        ("/srv/app/db/compose.yaml", included),
        ("/srv/app/db/.env", "VERSION=16\nTAG=no\n"),
    ];
    let root = loaded(&files, &["/srv/app/c.yaml"]).unwrap().root;
    assert_eq!(text(&root, "services.db.image"), "pg:16-7");
    assert_eq!(text(&root, "services.db.volumes.0.source"), "/srv/app/db/d");
    assert!(at(&root, "volumes.v").as_map().is_some());
    let clash = "include: [db/compose.yaml]\nservices: {db: {image: other}}\n";
    let files = [("/srv/app/c.yaml", clash), files[1], files[2]];
    let error = loaded(&files, &["/srv/app/c.yaml"]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it brings services.db, which is there already"),
        "{error}"
    );
}

#[test]
fn services_of_profiles_are_there_when_one_is_active() {
    let file = "services: {a: {image: x}, b: {image: x, profiles: [debug]}, c: {image: x, profiles: [test, more]}}\n";
    let services = |profiles: &[&str]| {
        let mut request = request(&["/c"]);
        request.profiles = profiles.iter().map(|profile| (*profile).to_owned()).collect();
        let loaded = load(&request, &texts(&[("/c", file)])).unwrap();
        let names: Vec<_> = at(&loaded.root, "services")
            .as_map()
            .unwrap()
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        (names.join(" "), loaded.inactive.len())
    };
    assert_eq!(services(&[]), ("a".to_owned(), 2));
    assert_eq!(services(&["debug"]), ("a b".to_owned(), 1));
    assert_eq!(services(&["*"]), ("a b c".to_owned(), 0));
}

#[test]
fn the_profiles_of_a_service_that_is_named_are_active() {
    let file = "services: {a: {image: x}, b: {image: x, profiles: [debug]}, c: {image: x, profiles: [debug, more]},\
                d: {image: x, profiles: [more]}}\n";
    let mut request = request(&["/c"]);
    request.named = ["b".to_owned()].into();
    let loaded = load(&request, &texts(&[("/c", file)])).unwrap();
    assert_eq!(loaded.inactive, ["d".to_owned()].into());
}

#[test]
fn the_project_is_named_by_the_request_the_file_or_the_directory() {
    let name = |given: Option<&str>, text: &str| {
        let mut request = request(&["/c"]);
        request.name = given.map(str::to_owned);
        request.directory = "/srv/My App".to_owned();
        load(&request, &texts(&[("/c", text)])).map(|loaded| loaded.name)
    };
    assert_eq!(name(Some("one"), "name: two\n").unwrap(), "one");
    assert_eq!(name(None, "name: two\n").unwrap(), "two");
    assert_eq!(name(None, "services: {}\n").unwrap(), "myapp");
    assert!(name(Some("One"), "services: {}\n").is_err());
}

#[test]
fn what_cannot_be_loaded_is_named_with_its_place() {
    for (text, expected) in [
        (
            "services: {a: {image: x, extends: a}}\n",
            "services.a.extends: services extend one another",
        ),
        ("services: {a: {extends: b}}\n", "services.b: /c has no such service"),
        (
            "services: {a: {extends: {file: gone.yaml, service: b}}}\n",
            "/srv/app/gone.yaml: there is no such file",
        ),
        (
            "services: {a: 1}\n",
            "services.a: it must be a map, it is a single value",
        ),
        ("services: [a]\n", "services: it must be a map, it is a list"),
        (
            "a: ${X?needed}\n",
            "/c:1: required variable X is missing a value: needed",
        ),
        ("- a\n", "/c: it must be a map"),
        (
            "services: {a: {ports: ['x:80']}}\n",
            "services.a.ports[0]: 'x:80': it must be",
        ),
        (
            "services: {a: {ports: ['1-3:80-81']}}\n",
            "PUBLISHED and TARGET must have as many ports",
        ),
        (
            "services: {a: {volumes: ['a:b:c:d']}}\n",
            "services.a.volumes[0]: 'a:b:c:d'",
        ),
        ("include: [/c]\n", "files include one another"),
        ("a: b: c\n", "/c:1: "),
    ] {
        let error = loaded(&[("/c", text)], &["/c"]).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}
