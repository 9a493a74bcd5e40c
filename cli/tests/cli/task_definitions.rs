//! `berth task-definitions`.

use std::io::Write;
use std::process::Stdio;

use crate::berth::{Ran, berth, command};
use crate::fake::Fake;

const WEB: &str = r#"{"family": "web", "containerDefinitions": [
    {"name": "app", "image": "web:1", "memory": 64, "portMappings": [{"containerPort": 80}]}]}"#;

fn register(fake: &Fake, document: &str) -> anyhow::Result<Ran> {
    let arguments = ["task-definitions", "register", "-"];
    let mut child = command(&fake.url, &arguments).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(document.as_bytes())?;
    }
    child.wait_with_output()?.try_into()
}

#[test]
fn a_document_is_registered_and_shown() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let registered = register(&fake, WEB)?;
    assert_eq!(registered.code, Some(0), "{registered:?}");
    assert!(
        registered.stdout.ends_with(
            "\nContainers\n\
             NAME  IMAGE  CPU  MEMORY  ESSENTIAL  PORTS    COMMAND\n\
             app   web:1    0      64  yes        any->80  -\n"
        ),
        "{}",
        registered.stdout
    );
    let shown = berth(&fake.url, &["td", "show", "web", "--output", "json"])?;
    assert_eq!(shown.json()?["taskDefinition"]["revision"], 1);
    Ok(())
}

#[test]
fn a_misspelt_member_is_refused_before_anything_is_sent() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let ran = register(&fake, r#"{"family": "web", "containerDefinition": []}"#)?;
    // An empty list says nothing: there is nothing to lose in leaving it out.
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = register(&fake, r#"{"family": "web", "containerDefinition": [{}]}"#)?;
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        "error: standard input is not a task definition: containerDefinition: there is no such member\n"
    );
    assert_eq!(fake.state().definitions.len(), 1);
    Ok(())
}

#[test]
fn revisions_are_listed_by_family_and_status() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    for _ in 0..3 {
        register(&fake, WEB)?;
    }
    let deregistered = berth(&fake.url, &["td", "deregister", "web:2"])?;
    assert_eq!(deregistered.code, Some(0), "{deregistered:?}");
    let names = |ran: Ran| -> Vec<String> {
        let rows = ran.stdout.lines().skip(1);
        rows.filter_map(|row| row.split_whitespace().next().map(str::to_owned))
            .collect()
    };
    assert_eq!(
        names(berth(&fake.url, &["td", "list", "--family", "web"])?),
        ["web:1", "web:3"]
    );
    assert_eq!(
        names(berth(&fake.url, &["td", "list", "--status", "inactive"])?),
        ["web:2"]
    );
    Ok(())
}

#[test]
fn an_unknown_definition_is_told_with_a_way_out() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let ran = berth(&fake.url, &["td", "show", "nothing"])?;
    assert_eq!(
        ran.stderr,
        "error: ClientException: Unable to describe task definition.\n\
         hint: `berth task-definitions list` shows those that are registered\n"
    );
    Ok(())
}

#[test]
fn only_what_is_inactive_is_deleted() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    register(&fake, WEB)?;
    register(&fake, WEB)?;
    berth(&fake.url, &["td", "deregister", "web:1"])?;
    let ran = berth(&fake.url, &["td", "delete", "web:1", "web:2"])?;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        ran.stdout,
        "TASK DEFINITION  STATUS\nweb:1            DELETE_IN_PROGRESS\n"
    );
    assert_eq!(
        ran.stderr,
        "error: task definition \"web:2\": The specified task definition is still in ACTIVE status.\n"
    );
    Ok(())
}
