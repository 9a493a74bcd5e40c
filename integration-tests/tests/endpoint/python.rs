//! boto3 as it is, inside a container that has nothing but BusyBox and the machine's Python.

use anyhow::{Context, Result, ensure};
use berth_integration_tests::aws;
use serde_json::{Value, json};

use super::{Hosts, ROLE, asking, read};

const SCRIPT: &str = r#"
import json, os, urllib.request, boto3
assert not [name for name in os.environ if name.startswith("AWS_ACCESS") or name == "AWS_PROFILE"]
credentials = boto3.Session().get_credentials()
frozen = credentials.get_frozen_credentials()
with urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task") as answer:
    task = json.load(answer)
print(json.dumps({"method": credentials.method, "key": frozen.access_key, "secret": frozen.secret_key,
                  "token": frozen.token, "task": task["TaskARN"]}))
"#;

pub(super) fn boto3_gets_credentials_and_metadata_with_no_change(hosts: &Hosts) -> Result<()> {
    let directories = aws::python_directories()?;
    let python = directories.get(1).context("no environment")?.join("bin/python");
    let mut definition = asking("boto3", &format!("{} -c \"$SCRIPT\"", python.display()));
    definition["taskRoleArn"] = json!(ROLE);
    definition["volumes"] = volumes(
        &directories
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>(),
    );
    let container = &mut definition["containerDefinitions"][0];
    container["memory"] = json!(256);
    container["environment"] = json!([{"name": "SCRIPT", "value": SCRIPT}, {"name": "HOME", "value": "/tmp"}]);
    let mounts: Vec<Value> = directories
        .iter()
        .enumerate()
        .map(|(at, path)| json!({"sourceVolume": format!("v{at}"), "containerPath": path, "readOnly": true}))
        .collect();
    container["mountPoints"] = json!(mounts);
    let arn = hosts.run("a", &definition, &json!({}))?;
    let lines = hosts.printed("a", &arn)?;
    let said = read(lines.first()).with_context(|| lines.join("\n"))?;
    ensure!(
        said == json!({"method": "container-role", "key": "key of web", "secret": "secret", "token": "token",
            "task": arn}),
        "{said}"
    );
    Ok(())
}

fn volumes(paths: &[String]) -> Value {
    let volume = |(at, path): (usize, &String)| json!({"name": format!("v{at}"), "host": {"sourcePath": path}});
    paths.iter().enumerate().map(volume).collect()
}
