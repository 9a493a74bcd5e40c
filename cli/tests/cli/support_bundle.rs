//! `berth support-bundle`: what is planted everywhere is nowhere in it.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use berth_proto::ecs::v1::{
    ContainerDefinition, ContainerOverride, KeyValuePair, LogConfiguration, Secret, Tag, TaskDefinition, TaskOverride,
};

use crate::berth::command;
use crate::fake::{Fake, instance, service, task};

const PLANTED: &str = "planted-hunter2";
const KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYPLANTEDKEY";
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// The secret of a join token, and a line of a private key.
const TOKEN: &str = "5ec2e700112233445566778899aabbccddeeff00112233445566778899aabbcc";
const PRIVATE: &str = "MIGHAgEAMBMGByqGSM49/AgEGCCqGSM49AwEHBG0waw/planted";

fn planted(name: &str) -> KeyValuePair {
    KeyValuePair {
        name: Some(name.to_owned()),
        value: Some(PLANTED.to_owned()),
        ..KeyValuePair::default()
    }
}

fn definition() -> TaskDefinition {
    TaskDefinition {
        task_definition_arn: Some("arn:aws:ecs:us-east-1:000000000000:task-definition/web:1".to_owned()),
        family: Some("web".to_owned()),
        revision: Some(1),
        container_definitions: vec![ContainerDefinition {
            name: Some("web".to_owned()),
            command: vec!["--password".to_owned(), PLANTED.to_owned()],
            environment: vec![planted("DATABASE")],
            secrets: vec![Secret {
                name: Some("API".to_owned()),
                value_from: Some(PLANTED.to_owned()),
                ..Secret::default()
            }],
            log_configuration: Some(LogConfiguration {
                log_driver: Some("splunk".to_owned()),
                options: [("splunk-token".to_owned(), PLANTED.to_owned())].into(),
                ..LogConfiguration::default()
            }),
            docker_labels: [("label".to_owned(), PLANTED.to_owned())].into(),
            ..ContainerDefinition::default()
        }],
        ..TaskDefinition::default()
    }
}

#[test]
fn a_bundle_has_what_helps_and_nothing_that_was_planted() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    {
        let mut state = fake.state();
        state.stuck = true;
        state.definitions.push(definition());
        let mut one = task("4a1b", "RUNNING");
        one.task_definition_arn = definition().task_definition_arn;
        one.overrides = Some(TaskOverride {
            container_overrides: vec![ContainerOverride {
                name: Some("web".to_owned()),
                environment: vec![planted("TOKEN")],
                command: vec![PLANTED.to_owned()],
                ..ContainerOverride::default()
            }],
            ..TaskOverride::default()
        });
        one.stopped_reason = Some(format!("login with secret={PLANTED} failed"));
        one.tags = vec![Tag {
            key: Some("tag".to_owned()),
            value: Some(PLANTED.to_owned()),
        }];
        for container in &mut one.containers {
            container.reason = Some(PLANTED.to_owned());
        }
        state.tasks.push(one);
        state.instances.push(instance("1"));
        state.services.push(service("web", Vec::new()));
    }
    let place = tempfile::tempdir()?;
    let (docker_config, file) = (place.path().join("config.json"), place.path().join("bundle.tar.gz"));
    std::fs::write(
        &docker_config,
        format!("{{\"auths\":{{\"r\":{{\"auth\":\"{PLANTED}\"}}}}}}"),
    )?;
    let journalctl = place.path().join("journalctl");
    std::fs::write(
        &journalctl,
        format!(
            "#!/bin/sh\ncat <<'END'\n\
             agent started task=4a1b\n\
             read join token berth1.0123456789abcdef.{TOKEN}.{TOKEN}\n\
             DATABASE_PASSWORD={PLANTED} was in its environment\n\
             called with {ACCESS_KEY} and {KEY}\n\
             -----BEGIN PRIVATE KEY-----\n{PRIVATE}\n-----END PRIVATE KEY-----\n\
             fetched https://user:{PLANTED}@registry.example.com/v2/\nEND\n"
        ),
    )?;
    std::fs::set_permissions(&journalctl, Permissions::from_mode(0o755))?;
    let path = format!(
        "{}:{}",
        place.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let run = command(&fake.url, &["support-bundle", &file.to_string_lossy()])
        .env("PATH", path)
        .env("DOCKER_CONFIG", place.path())
        .env("BERTH_REGISTRY_AUTH_DATA", PLANTED)
        .env("BERTH_CREDENTIALS_COMMAND", PLANTED)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", KEY)
        .output()?;
    assert!(run.status.success(), "{run:?}");

    let untarred = Command::new("tar")
        .args(["--extract", "--gzip", "--to-stdout"])
        .stdin(File::open(&file)?)
        .output()?;
    let text = String::from_utf8(untarred.stdout)?;
    for secret in [PLANTED, KEY, ACCESS_KEY, TOKEN, PRIVATE] {
        assert!(!text.contains(secret), "{secret} is in it:\n{text}");
    }
    for expected in [
        "\"DATABASE\"",
        "\"API\"",
        "4a1b",
        "splunk",
        "\"serviceName\": \"web\"",
        "Docker",
        "agent started task=4a1b",
        "read join token berth1.0123456789abcdef.(removed)",
        "registry.example.com",
    ] {
        assert!(text.contains(expected), "{expected} is not in it:\n{text}");
    }
    // It is for its owner alone, and nothing is written over.
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let again = command(&fake.url, &["support-bundle", &file.to_string_lossy()]).output()?;
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    Ok(())
}
