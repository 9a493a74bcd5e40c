//! Secrets and environment files: they reach the container and nothing that stays behind.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::container_of;
use serde_json::json;

use super::{OneHost, definition, shell, with};

const PASSWORD: &str = "correct-horse-battery-staple";
const TOKEN: &str = "8f14e45fceea167a5a36dedd4bea2543";

fn write(path: &Path, text: &str) -> Result<()> {
    let parent = path.parent().context("no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

pub(super) fn secrets_and_environment_files_reach_the_container_and_nothing_else(bed: &OneHost) -> Result<()> {
    let (secrets, files) = (bed.bed.data_dir("secrets"), bed.bed.data_dir("environment"));
    write(&secrets.join("prod/db"), &format!("{PASSWORD}\n"))?;
    write(&secrets.join("api"), &json!({"token": TOKEN}).to_string())?;
    write(&secrets.join("log/size"), "1m")?;
    write(
        &files.join("bucket/first.env"),
        &format!("# comment\nFILE={TOKEN}-file\nGIVEN=file\nBOTH=first\n"),
    )?;
    write(&files.join("second.env"), "BOTH=second\n")?;
    let second = format!("file://{}", files.join("second.env").display());
    let api = "arn:aws:secretsmanager:us-east-1:000000000000:secret:api-AbCdEf:token::";
    let keeper = with(
        shell("keeper", "echo \"$PASSWORD|$TOKEN|$FILE|$GIVEN|$BOTH\"; exec sleep 600"),
        &json!({
            "environment": [{"name": "GIVEN", "value": "definition"}],
            "environmentFiles": [
                {"type": "s3", "value": "arn:aws:s3:::bucket/first.env"},
                {"type": "s3", "value": second},
            ],
            "secrets": [{"name": "PASSWORD", "valueFrom": "/prod/db"}, {"name": "TOKEN", "valueFrom": api}],
            "logConfiguration": {
                "logDriver": "json-file",
                "secretOptions": [{"name": "max-size", "valueFrom": "log/size"}],
            },
        }),
    );
    let (arn, _) = bed.running("secrets", json!([keeper]))?;
    let container = bed.container(&arn, "keeper")?;
    let environment = &container.inspect["Config"]["Env"];
    for variable in [
        format!("PASSWORD={PASSWORD}"),
        format!("TOKEN={TOKEN}"),
        format!("FILE={TOKEN}-file"),
        "GIVEN=definition".to_owned(),
        "BOTH=first".to_owned(),
    ] {
        ensure!(
            environment.as_array().is_some_and(|all| all.contains(&json!(variable))),
            "{variable} is not in {environment}"
        );
    }
    assert_eq!(container.host_config("LogConfig")["Config"]["max-size"], "1m");
    bed.stop(&arn)?;
    assert_eq!(
        bed.printed(&arn, "keeper")?,
        format!("{PASSWORD}|{TOKEN}|{TOKEN}-file|definition|first\n")
    );

    let labels = container.inspect["Config"]["Labels"].to_string();
    ensure!(!labels.contains(PASSWORD) && !labels.contains(TOKEN), "{labels}");
    let mut searched = 0;
    for place in [
        bed.bed.data_dir("a").join("agents"),
        bed.bed.data_dir("scheduler-features"),
        bed.bed.lane().log_dir(),
    ] {
        searched += search(&place)?;
    }
    ensure!(searched >= 4, "only {searched} files were searched");
    Ok(())
}

/// Counts the files under the directory, none of which may hold a secret.
fn search(directory: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            count += search(&path)?;
            continue;
        }
        // A record of another test's task may go meanwhile.
        let Ok(content) = fs::read(&path) else { continue };
        for secret in [PASSWORD, TOKEN] {
            let holds = content.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
            ensure!(!holds, "{} holds '{secret}'", path.display());
        }
        count += 1;
    }
    Ok(count)
}

pub(super) fn a_missing_secret_fails_the_task_and_is_named(bed: &OneHost) -> Result<()> {
    let needy = with(
        shell("needy", "exit 0"),
        &json!({"secrets": [{"name": "KEY", "valueFrom": "arn:aws:ssm:us-east-1:000000000000:parameter/no/key"}]}),
    );
    let arn = bed.cluster.run_one(&definition("nosecret", json!([needy])))?;
    let task = bed.stopped(&arn)?;
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task}");
    let missing = bed.bed.data_dir("secrets").join("no/key");
    let says = format!(
        "ResourceInitializationError: secrets: 'KEY': secret 'arn:aws:ssm:us-east-1:000000000000:parameter/no/key': no file '{}'",
        missing.display()
    );
    assert_eq!(task["stoppedReason"], says);
    assert_eq!(container_of(&task, "needy")?["reason"], says);
    let left = bed.host().engine().task_containers(&arn)?;
    ensure!(left.is_empty(), "{} containers", left.len());
    Ok(())
}
