//! `berth compose`, and `berth deploy` of a Dockerrun.aws.json.

use std::fs;

use crate::berth::berth;
use crate::fake::Fake;

const FILE: &str = "\
services:
  web:
    image: nginx:${TAG:-1}
    ports: ['8080:80']
    container_name: one
    depends_on: [db]
    deploy: {replicas: 3, labels: {team: blue}}
  db: {image: postgres, expose: [5432]}
";

/// A directory with these files; paths in it.
fn project(files: &[(&str, &str)]) -> anyhow::Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    for (name, text) in files {
        fs::write(directory.path().join(name), text)?;
    }
    Ok(directory)
}

fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).display().to_string()
}

#[test]
fn config_shows_what_files_become_and_asks_nobody() -> anyhow::Result<()> {
    let directory = project(&[("compose.yaml", FILE), (".env", "TAG=7\n")])?;
    let file = path(&directory, "compose.yaml");
    let ran = berth("http://127.0.0.1:1", &["compose", "-f", &file, "-p", "shop", "config"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let json = ran.json()?;
    assert_eq!(json["services"][1]["serviceName"], "shop-web");
    assert_eq!(
        json["services"][1]["taskDefinition"]["containerDefinitions"][0]["image"],
        "nginx:7"
    );
    assert_eq!(json["notes"][0]["path"], "services.web.container_name");
    Ok(())
}

#[test]
fn up_creates_in_order_then_changes_only_what_differs() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let directory = project(&[("compose.yaml", FILE)])?;
    let file = path(&directory, "compose.yaml");
    // Nothing ever runs here, so that nothing may wait for it.
    let text = FILE.replace("depends_on: [db]", "restart: always");
    fs::write(&file, &text)?;
    let up = [
        "compose",
        "-f",
        &file,
        "-p",
        "shop",
        "--gateway",
        "10.0.0.9",
        "up",
        "--detach",
    ];
    let ran = berth(&fake.url, &up)?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stderr.contains("not honoured: services.web.container_name"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("shop-web"), "{ran:?}");
    {
        let state = fake.state();
        let [web, db] = state.creations.as_slice() else {
            panic!("{:?}", state.creations);
        };
        assert_eq!(
            (web.service_name(), web.desired_count(), db.desired_count()),
            ("shop-web", 3, 1)
        );
        assert!(
            web.load_balancers[0]
                .target_group_arn()
                .ends_with(":targetgroup/shop-web/tcp-8080")
        );
        let has_tag = |key: &str, value: &str| web.tags.iter().any(|tag| tag.key() == key && tag.value() == value);
        assert!(
            has_tag("berth:compose-project", "shop") && has_tag("team", "blue"),
            "{:?}",
            web.tags
        );
    }
    let ran = berth(&fake.url, &up)?;
    assert!(
        ran.stderr.contains("web: unchanged") && ran.stderr.contains("db: unchanged"),
        "{ran:?}"
    );
    {
        let state = fake.state();
        let made = (state.creations.len(), state.updates.len(), state.definitions.len());
        assert_eq!(made, (2, 0, 2));
    }

    fs::write(&file, text.replace("replicas: 3", "replicas: 5"))?;
    let ran = berth(&fake.url, &up)?;
    assert!(
        ran.stderr.contains("web: changed") && ran.stderr.contains("db: unchanged"),
        "{ran:?}"
    );
    {
        let state = fake.state();
        let [update] = state.updates.as_slice() else {
            panic!("{:?}", state.updates);
        };
        assert_eq!((update.desired_count(), update.task_definition()), (5, ""));
        let constraints = update.placement_constraints.as_ref();
        assert_eq!(
            constraints.map(|list| list.items.len()),
            Some(0),
            "what the file does not have is taken away"
        );
        assert_eq!(state.definitions.len(), 2);
    }

    fs::write(
        &file,
        text.replace("replicas: 3", "replicas: 5")
            .replace("postgres", "postgres:17"),
    )?;
    let ran = berth(&fake.url, &up)?;
    assert!(
        ran.stderr.contains("web: unchanged") && ran.stderr.contains("db: changed"),
        "{ran:?}"
    );
    let state = fake.state();
    assert_eq!(state.updates.len(), 2);
    assert!(state.updates[1].task_definition().ends_with("shop-db:2"));
    assert_eq!(state.updates[1].desired_count, None);
    Ok(())
}

#[test]
fn up_tells_orphans_and_leaves_other_peoples_services_alone() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let directory = project(&[
        ("a.yaml", "services: {a: {image: x}, b: {image: x}}"),
        ("b.yaml", "services: {b: {image: x}}"),
    ])?;
    let (both, one) = (path(&directory, "a.yaml"), path(&directory, "b.yaml"));
    berth(&fake.url, &["compose", "-f", &both, "-p", "p", "up", "-d"])?;
    let ran = berth(&fake.url, &["compose", "-f", &one, "-p", "p", "up", "-d"])?;
    assert!(
        ran.stderr
            .contains("p-a: is of the project, and the files do not have it"),
        "{ran:?}"
    );
    fake.state()
        .services
        .iter_mut()
        .for_each(|service| service.tags.clear());
    let ran = berth(&fake.url, &["compose", "-f", &one, "-p", "p", "up", "-d"])?;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr
            .contains("the service \"p-b\" is there and not of the project"),
        "{ran:?}"
    );
    Ok(())
}

#[test]
fn up_of_a_service_leaves_the_others_and_ps_shows_it_alone() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let text = "services: {a: {image: x}, b: {image: x}, c: {image: x, profiles: [more]}}";
    let directory = project(&[("a.yaml", text)])?;
    let file = path(&directory, "a.yaml");
    let compose = |arguments: &[&str]| {
        let project = ["compose", "-f", &file, "-p", "p"];
        berth(&fake.url, &[&project, arguments].concat())
    };
    let made = || -> Vec<String> {
        let state = fake.state();
        let names = state
            .creations
            .iter()
            .map(|creation| creation.service_name().to_owned());
        names.collect()
    };
    let ran = compose(&["up", "-d", "b", "--scale", "b=3"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(made(), ["p-b"]);
    assert_eq!(fake.state().creations[0].desired_count(), 3);
    compose(&["up", "-d", "c"])?;
    assert_eq!(made(), ["p-b", "p-c"]);
    // Neither what was not asked for nor what no active profile has is an orphan.
    for up in [
        &["up", "-d", "b", "--remove-orphans"][..],
        &["up", "-d", "--remove-orphans"],
    ] {
        let ran = compose(up)?;
        assert!(!ran.stderr.contains("the files do not have it"), "{ran:?}");
    }
    assert_eq!(fake.state().services.len(), 3);
    let ran = compose(&["up", "-d", "d"])?;
    assert!(
        ran.stderr
            .contains("services.d: there is no such service; there are a, b"),
        "{ran:?}"
    );
    let ran = compose(&["ps", "d"])?;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("the project \"p\" has no service \"d\""), "{ran:?}");
    Ok(())
}

#[test]
fn up_that_is_strict_does_nothing_where_a_field_is_not_honoured() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let directory = project(&[("compose.yaml", FILE)])?;
    let file = path(&directory, "compose.yaml");
    let ran = berth(&fake.url, &["compose", "-f", &file, "up", "--strict"])?;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("2 field(s) are not honoured: nothing was done"),
        "{ran:?}"
    );
    assert!(fake.state().creations.is_empty());
    Ok(())
}

#[test]
fn files_that_are_wrong_or_missing_are_named() -> anyhow::Result<()> {
    let directory = project(&[("bad.yaml", "services:\n  web: {image: x, ports: [70000]}\n")])?;
    let (bad, gone) = (path(&directory, "bad.yaml"), path(&directory, "gone.yaml"));
    for (file, expected) in [
        (&bad, "services.web.ports[0]: '70000': it must be"),
        (&gone, "gone.yaml: there is no such file"),
    ] {
        let ran = berth("http://127.0.0.1:1", &["compose", "-f", file, "config", "--quiet"])?;
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains(expected), "{ran:?}");
    }
    Ok(())
}

#[test]
fn a_source_bundle_is_refused_by_name_with_what_to_do() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let directory = project(&[("site.ZIP", "PK")])?;
    let ran = berth(&fake.url, &["deploy", &path(&directory, "site.ZIP")])?;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("site.ZIP: source bundles are not read: unpack it"),
        "{ran:?}"
    );
    Ok(())
}

#[test]
fn a_dockerrun_becomes_a_service_once() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let text = r#"{"AWSEBDockerrunVersion": "1", "Image": {"Name": "site:1", "Update": "true"}, "Ports": [{"ContainerPort": 80}]}"#;
    let directory = project(&[("Dockerrun.aws.json", text)])?;
    let file = path(&directory, "Dockerrun.aws.json");
    let arguments = [
        "deploy",
        &file,
        "--name",
        "site",
        "--env",
        "A=1",
        "--timeout-after",
        "1s",
    ];
    let ran = berth(&fake.url, &arguments)?;
    assert!(ran.stderr.contains("not honoured: Image.Update"), "{ran:?}");
    {
        let state = fake.state();
        assert_eq!(state.creations[0].service_name(), "site");
        let environment = &state.definitions[0].container_definitions[0].environment;
        assert_eq!((environment[0].name(), environment[0].value()), ("A", "1"));
    }
    fake.state().services[0].desired_count = Some(1);
    let ran = berth(&fake.url, &arguments)?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("site: unchanged"), "{ran:?}");
    Ok(())
}
