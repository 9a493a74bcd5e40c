use super::*;

fn options() -> Options {
    Options {
        name: "site".to_owned(),
        count: 2,
        environment: [("STAGE".to_owned(), "prod".to_owned())].into(),
        default_memory: 128,
    }
}

fn paths(translation: &Translation) -> Vec<(&str, bool)> {
    translation
        .notes
        .iter()
        .map(|note| (note.path.as_str(), note.lost))
        .collect()
}

#[test]
fn version_1_is_one_container() {
    let text = r#"{
        "AWSEBDockerrunVersion": "1",
        "Authentication": {"Bucket": "b", "Key": ".dockercfg"},
        "Image": {"Name": "janedoe/image", "Update": "true"},
        "Ports": [{"ContainerPort": "1234", "HostPort": 8000}, {"ContainerPort": 53}],
        "Volumes": [{"HostDirectory": "/var/app/mydb", "ContainerDirectory": "/etc/mysql"}],
        "Logging": "/var/log/nginx",
        "Entrypoint": "/app/bin/myapp",
        "Command": "--argument 'two words'"
    }"#;
    let translation = translate(text, &options()).unwrap();
    let service = &translation.services[0];
    assert_eq!(
        (service.service_name.as_str(), service.scheduling),
        ("site", Scheduling::Replicas(2))
    );
    let definition = &service.task_definition;
    let container = &definition.container_definitions[0];
    assert_eq!(
        (container.name.as_str(), container.image.as_str()),
        ("site", "janedoe/image")
    );
    assert_eq!(container.entry_point, ["/app/bin/myapp"]);
    assert_eq!(container.command, ["--argument", "two words"]);
    assert_eq!(container.port_mappings[0].host_port, Some(8000));
    assert_eq!(container.port_mappings[1].host_port, None);
    assert_eq!(container.environment[0].name, "STAGE");
    let mounts: Vec<_> = definition
        .volumes
        .iter()
        .zip(&container.mount_points)
        .map(|(volume, mount)| (volume.source_path().unwrap(), mount.container_path.as_deref().unwrap()))
        .collect();
    let logs = "/var/log/eb-docker/containers/site";
    assert_eq!(mounts, [("/var/app/mydb", "/etc/mysql"), (logs, "/var/log/nginx")]);
    assert_eq!(
        paths(&translation),
        [("Authentication", true), ("Image.Update", true), ("Ports[1]", false)]
    );
}

#[test]
fn version_2_is_a_task_definition_with_logs_of_its_own() {
    let text = r#"{
        "AWSEBDockerrunVersion": 2,
        "authentication": {"bucket": "b", "key": "k"},
        "volumes": [{"name": "app", "host": {"sourcePath": "/var/app/current/app"}}],
        "containerDefinitions": [
            {"name": "php", "image": "php:fpm", "essential": true, "memory": 128,
             "environment": [{"name": "STAGE", "value": "dev"}, {"name": "A", "value": "1"}],
             "mountPoints": [{"sourceVolume": "app", "containerPath": "/var/www/html", "readOnly": true, "typo": 1}]},
            {"name": "nginx", "image": "nginx", "essential": true, "memory": 128, "links": ["php"], "novel": {"a": 1},
             "portMappings": [{"hostPort": 80, "containerPort": 80}],
             "mountPoints": [{"sourceVolume": "awseb-logs-nginx", "containerPath": "/var/log/nginx"}]}
        ]
    }"#;
    let translation = translate(text, &options()).unwrap();
    let service = &translation.services[0];
    let definition = &service.task_definition;
    assert_eq!(definition.family, "site");
    assert_eq!(definition.volumes[1].source_path(), Some("/var/log/containers/nginx"));
    let php = &definition.container_definitions[0];
    let environment: Vec<_> = php
        .environment
        .iter()
        .map(|v| (v.name.as_str(), v.value.as_str()))
        .collect();
    assert_eq!(environment, [("A", "1"), ("STAGE", "prod")]);
    assert_eq!(definition.container_definitions[1].links, ["php"]);
    // Its port is fixed, so that the old task leaves before the new one comes.
    assert_eq!(service.update.maximum_percent, 100);
    let expected = [
        ("authentication", true),
        ("containerDefinitions[0].mountPoints[0].typo", true),
        ("containerDefinitions[1].novel", true),
    ];
    assert_eq!(paths(&translation), expected);
}

#[test]
fn what_cannot_run_is_refused_with_its_place() {
    for (text, expected) in [
        ("", "Dockerrun.aws.json: it is no JSON"),
        ("[]", "Dockerrun.aws.json: it must be one JSON object"),
        ("{}", "AWSEBDockerrunVersion: it is missing: it must be 1 or 2"),
        (
            r#"{"AWSEBDockerrunVersion": "3"}"#,
            "AWSEBDockerrunVersion: '3' must be 1 or 2",
        ),
        (r#"{"AWSEBDockerrunVersion": 1}"#, "Image.Name: it is missing"),
        (
            r#"{"AWSEBDockerrunVersion": 1, "Image": {"Name": "a"}, "Ports": [{"ContainerPort": 0}]}"#,
            "Ports[0].ContainerPort: '0' must be a port, 1 to 65535",
        ),
        (
            r#"{"AWSEBDockerrunVersion": 1, "Image": {"Name": "a"}, "Command": "'a"}"#,
            "Command: ''a' must be a command line: a single quote does not end",
        ),
        (r#"{"AWSEBDockerrunVersion": 2}"#, "Container list cannot be empty."),
        (
            r#"{"AWSEBDockerrunVersion": 2, "containerDefinitions": [{"name": "a", "image": "b", "memory": "x"}]}"#,
            "containerDefinitions: invalid type",
        ),
    ] {
        let error = translate(text, &options()).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
