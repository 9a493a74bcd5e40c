//! `berth run`.

use berth_proto::ecs::v1::{ContainerDefinition, TaskDefinition};

use crate::berth::berth;
use crate::fake::Fake;

/// A fake that knows `web:1`, with one essential container.
fn with_definition() -> anyhow::Result<Fake> {
    let fake = Fake::start()?;
    fake.state().definitions.push(TaskDefinition {
        family: Some("web".to_owned()),
        revision: Some(1),
        container_definitions: vec![ContainerDefinition {
            name: Some("app".to_owned()),
            ..Default::default()
        }],
        ..Default::default()
    });
    Ok(fake)
}

#[test]
fn more_than_ten_tasks_are_asked_for_in_calls_of_ten() -> anyhow::Result<()> {
    let fake = with_definition()?;
    let ran = berth(&fake.url, &["run", "web", "--count", "25", "--output", "json"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let counts: Vec<_> = fake.state().runs.iter().map(|run| run.count()).collect();
    assert_eq!(counts, [10, 10, 5]);
    assert_eq!(ran.json()?["tasks"].as_array().map(Vec::len), Some(25));
    Ok(())
}

#[test]
fn what_may_wait_for_room_is_told_with_its_reason_and_does_not_fail() -> anyhow::Result<()> {
    let fake = with_definition()?;
    fake.state().capacity = 1;
    let ran = berth(&fake.url, &["run", "web", "--count", "2", "--queue", "30m"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let tags = fake.state().runs[0].tags.clone();
    let tags: Vec<_> = tags.iter().map(|tag| (tag.key(), tag.value())).collect();
    assert_eq!(tags, [("berth:queue", "1800s")]);
    let row = ran.stdout.lines().find(|line| line.contains("PROVISIONING"));
    let told = "waits until 2026-11-21T12:00:00.000Z: RESOURCE:MEMORY";
    assert!(row.is_some_and(|row| row.ends_with(told)), "{}", ran.stdout);
    assert_eq!(berth(&fake.url, &["run", "web", "--queue", "8h30"])?.code, Some(2));
    Ok(())
}

#[test]
fn what_was_not_placed_is_told_by_reason_and_fails() -> anyhow::Result<()> {
    let fake = with_definition()?;
    fake.state().capacity = 1;
    let ran = berth(&fake.url, &["run", "web", "--count", "12"])?;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stdout.ends_with(
            "\n11 of 12 tasks were not placed\n\
             COUNT  REASON           DETAIL\n   \
             11  RESOURCE:MEMORY  needs 900 MiB, 512 MiB free\n"
        ),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.starts_with("TASK                DEFINITION"),
        "{}",
        ran.stdout
    );
    Ok(())
}

#[test]
fn what_was_placed_before_a_call_failed_is_told() -> anyhow::Result<()> {
    let fake = with_definition()?;
    fake.state().runs_at_most = Some(1);
    let ran = berth(
        &fake.url,
        &["run", "web", "--count", "25", "--wait", "--output", "json"],
    )?;
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.json()?["tasks"].as_array().map(Vec::len), Some(10));
    assert_eq!(
        ran.stderr,
        "error: after 10 of 25 tasks were placed: ServerException: Service Unavailable. Please try again later.\n"
    );
    Ok(())
}

#[test]
fn overrides_and_placement_reach_the_scheduler() -> anyhow::Result<()> {
    let fake = with_definition()?;
    let ran = berth(
        &fake.url,
        &[
            "run",
            "web",
            "--group",
            "g",
            "--started-by",
            "me",
            "--env",
            "app:A=1",
            "--env",
            "app:B=x=y",
            "--constraint",
            "distinctInstance",
            "--constraint",
            "attribute:zone == a",
            "--strategy",
            "spread=instanceId",
            "--strategy",
            "binpack=memory",
            "--command",
            "app",
            "--",
            "echo",
            "-n",
            "a b",
        ],
    )?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let state = fake.state();
    let request = serde_json::to_value(&state.runs[0])?;
    assert_eq!(
        request,
        serde_json::json!({
            "count": 1, "group": "g", "startedBy": "me", "taskDefinition": "web",
            "overrides": {"containerOverrides": [{
                "name": "app", "command": ["echo", "-n", "a b"],
                "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "x=y"}],
            }]},
            "placementConstraints": [
                {"type": "distinctInstance"}, {"type": "memberOf", "expression": "attribute:zone == a"},
            ],
            "placementStrategy": [
                {"type": "spread", "field": "instanceId"}, {"type": "binpack", "field": "memory"},
            ],
        })
    );
    Ok(())
}

#[test]
fn waiting_ends_when_the_tasks_run() -> anyhow::Result<()> {
    let fake = with_definition()?;
    let ran = berth(&fake.url, &["run", "web", "--count", "2", "--wait"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "waiting for RUNNING: 2 PENDING\nwaiting for RUNNING: 2 RUNNING\n"
    );
    assert!(ran.stdout.contains("RUNNING  RUNNING"), "{}", ran.stdout);
    Ok(())
}

#[test]
fn the_end_of_a_job_decides_the_exit_status() -> anyhow::Result<()> {
    for (exit_code, status) in [(0, 0), (3, 1)] {
        let fake = with_definition()?;
        fake.state().short_lived = true;
        fake.state().exit_code = exit_code;
        let ran = berth(&fake.url, &["run", "web", "--wait=stopped"])?;
        assert_eq!(ran.code, Some(status), "{ran:?}");
        let row = ran.stdout.lines().nth(1).unwrap_or_default();
        assert!(row.contains("STOPPED"), "{row}");
        assert!(row.trim_end().ends_with(&format!("{exit_code}     -")), "{row}");
    }
    Ok(())
}

#[test]
fn a_wait_that_lasts_too_long_fails() -> anyhow::Result<()> {
    let fake = with_definition()?;
    fake.state().stuck = true;
    let ran = berth(&fake.url, &["run", "web", "--wait", "--wait-timeout", "1s"])?;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr
            .ends_with("error: the tasks were not RUNNING within 1 s: 1 PENDING\n"),
        "{}",
        ran.stderr
    );
    Ok(())
}

#[test]
fn a_command_needs_both_its_container_and_its_words() -> anyhow::Result<()> {
    let fake = with_definition()?;
    for arguments in [&["run", "web", "--command", "app"][..], &["run", "web", "--", "ls"]] {
        assert_eq!(berth(&fake.url, arguments)?.code, Some(2), "{arguments:?}");
    }
    assert!(fake.state().runs.is_empty());
    Ok(())
}
