//! Services of a project that are asked for by name.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};

use berth_compose::{Files, Options, Request, Scheduling, Translation, Variables, translate};

const FILE: &str = r#"
services:
  web: {image: x, depends_on: [api], container_name: a, volumes: ["data:/data"]}
  api: {image: x, depends_on: {db: {condition: service_healthy}, migrate: {condition: service_completed_successfully}}}
  migrate: {image: x, depends_on: [db], build: .}
  db: {image: x, container_name: b}
  db.tools: {image: x, container_name: c}
  debug: {image: x, profiles: [debug], depends_on: [db]}
  everywhere: {image: x, deploy: {mode: global}}
volumes: {data: {}}
"#;

struct Text;

impl Files for Text {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok((path == "/p/compose.yaml").then(|| FILE.to_owned()))
    }
}

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

fn project(named: &[&str]) -> Translation {
    scaled(named, &[]).unwrap()
}

fn scaled(named: &[&str], counts: &[(&str, u16)]) -> Result<Translation, berth_compose::Error> {
    let request = Request {
        files: vec!["/p/compose.yaml".to_owned()],
        directory: "/p".to_owned(),
        home: None,
        name: None,
        profiles: BTreeSet::new(),
        named: names(named),
        variables: Variables::default(),
    };
    let options = Options {
        gateway: Some("10.0.0.9".to_owned()),
        default_memory: 128,
        scale: counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect::<BTreeMap<_, _>>(),
    };
    translate(&request, &Text, &options)
}

fn services(translation: &Translation) -> Vec<&str> {
    translation
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect()
}

#[test]
fn a_service_comes_with_all_that_it_depends_on_in_order() {
    let only = |named: &[&str], with: bool| project(named).only(&names(named), with).unwrap();
    assert_eq!(services(&only(&["api"], true)), ["db", "migrate", "api"]);
    assert_eq!(services(&only(&["api"], false)), ["api"]);
    assert_eq!(services(&only(&["debug"], true)), ["db", "debug"]);
    assert_eq!(
        services(&only(&["migrate", "db.tools"], false)),
        ["db.tools", "migrate"]
    );
}

#[test]
fn what_is_not_asked_for_is_known_to_be_of_the_files() {
    let only = project(&["api"]).only(&names(&["api"]), true).unwrap();
    assert_eq!(
        only.left_out,
        names(&["p-web", "p-db-tools", "p-debug", "p-everywhere"])
    );
    assert_eq!(project(&[]).left_out, names(&["p-debug"]));
}

#[test]
fn only_what_is_asked_for_is_told_of() {
    let paths = |named: &[&str]| -> Vec<String> {
        let only = project(named).only(&names(named), false).unwrap();
        only.notes
            .into_iter()
            .map(|note| note.path)
            .filter(|path| path.starts_with("services."))
            .collect()
    };
    assert_eq!(paths(&["db"]), ["services.db.container_name"]);
    assert_eq!(paths(&["db.tools"]), ["services.db.tools.container_name"]);
    assert_eq!(paths(&["migrate"]), ["services.migrate.build"]);
    assert_eq!(paths(&["api"]), [""; 0]);
}

#[test]
fn names_and_counts_that_make_no_sense_are_refused() {
    let refusal = project(&["wbe"]).only(&names(&["wbe"]), true).unwrap_err().to_string();
    assert!(
        refusal.starts_with("services.wbe: there is no such service; there are db,"),
        "{refusal}"
    );
    let refused = |name: &str| scaled(&[], &[(name, 2)]).unwrap_err().to_string();
    assert_eq!(
        refused("everywhere"),
        "services.everywhere: it cannot be scaled: it is global, each instance has one task of it"
    );
    assert!(
        refused("wbe").contains("there is no such service"),
        "{}",
        refused("wbe")
    );
    assert!(refused("debug").contains("that is active"), "{}", refused("debug"));
}

#[test]
fn a_count_that_is_asked_for_is_what_updates_go_by() {
    let scaled = scaled(&[], &[("web", 4)]).unwrap();
    let web = scaled.service("web").unwrap();
    assert_eq!(web.scheduling, Scheduling::Replicas(4));
    // Its volume is written to: one task after the other.
    assert_eq!(
        (web.update.minimum_healthy_percent, web.update.maximum_percent),
        (75, 100)
    );
}
