//! `berth ps` and `berth stop`.

use crate::berth::{Ran, berth};
use crate::fake::{Fake, task};

/// Three tasks that run, two of whose ids begin alike, and one that has stopped.
fn with_tasks() -> anyhow::Result<Fake> {
    let fake = Fake::start()?;
    fake.state().tasks = vec![
        task("aaaa1111", "RUNNING"),
        task("aaaa2222", "RUNNING"),
        task("bbbb", "RUNNING"),
        task("aabb", "STOPPED"),
    ];
    Ok(fake)
}

fn ids(ran: &Ran) -> Vec<&str> {
    let rows = ran.stdout.lines().skip(1);
    rows.filter_map(|row| row.split_whitespace().next()).collect()
}

#[test]
fn tasks_are_a_table() -> anyhow::Result<()> {
    let fake = with_tasks()?;
    let ran = berth(&fake.url, &["ps", "bbbb"])?;
    assert_eq!(
        ran.stdout,
        "TASK                DEFINITION  STATUS   DESIRED  INSTANCE  PORTS      STARTED\n\
         bbbb00000000000000  web:1       RUNNING  RUNNING  12345678  32768->80  -\n"
    );
    assert_eq!(ran.code, Some(0));
    Ok(())
}

#[test]
fn stopped_tasks_are_listed_only_when_asked_for() -> anyhow::Result<()> {
    let fake = with_tasks()?;
    let running = berth(&fake.url, &["ps"])?;
    assert_eq!(
        ids(&running),
        ["aaaa11110000000000", "aaaa22220000000000", "bbbb00000000000000"]
    );
    let all = berth(&fake.url, &["ps", "--all"])?;
    assert_eq!(
        ids(&all),
        [
            "aaaa11110000000000",
            "aaaa22220000000000",
            "bbbb00000000000000",
            "aabb00000000000000"
        ]
    );
    let other = berth(&fake.url, &["ps", "--all", "--family", "api"])?;
    assert!(ids(&other).is_empty(), "{other:?}");
    Ok(())
}

#[test]
fn a_stopped_task_can_be_named_too() -> anyhow::Result<()> {
    let fake = with_tasks()?;
    assert_eq!(ids(&berth(&fake.url, &["ps", "aabb"])?), ["aabb00000000000000"]);
    Ok(())
}

#[test]
fn a_whole_id_that_is_unknown_fails_beside_what_is_known() -> anyhow::Result<()> {
    let fake = with_tasks()?;
    let unknown = "c".repeat(32);
    let known = format!("{:0<32}", "bbbb");
    let ran = berth(&fake.url, &["ps", &unknown, &known])?;
    assert_eq!(ran.code, Some(1));
    assert_eq!(ids(&ran), ["bbbb00000000000000"]);
    assert_eq!(ran.stderr, format!("error: task \"{unknown}\": MISSING\n"));
    Ok(())
}

#[test]
fn stopping_by_the_beginning_of_an_id_waits_for_the_end() -> anyhow::Result<()> {
    let fake = with_tasks()?;
    let ran = berth(&fake.url, &["stop", "aaaa1", "--reason", "bad release", "--wait"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("bad release"), "{}", ran.stdout);
    let statuses: Vec<_> = fake
        .state()
        .tasks
        .iter()
        .map(|task| task.last_status().to_owned())
        .collect();
    assert_eq!(statuses, ["STOPPED", "RUNNING", "RUNNING", "STOPPED"]);
    Ok(())
}

#[test]
fn an_ambiguous_beginning_stops_nothing_and_lists_the_matches() -> anyhow::Result<()> {
    let fake = with_tasks()?;
    let ran = berth(&fake.url, &["stop", "bbbb", "aaaa"])?;
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        "error: task \"aaaa\" is ambiguous: the ids of 2 tasks begin so:\n  \
         aaaa1111000000000000000000000000\n  \
         aaaa2222000000000000000000000000\n"
    );
    let state = fake.state();
    assert!(state.tasks[..3].iter().all(|task| task.desired_status() == "RUNNING"));
    Ok(())
}

#[test]
fn a_beginning_must_have_four_characters() -> anyhow::Result<()> {
    let fake = with_tasks()?;
    let ran = berth(&fake.url, &["stop", "bbb"])?;
    assert_eq!(
        ran.stderr,
        "error: task \"bbb\": the beginning of an id must have at least 4 characters\n"
    );
    Ok(())
}

#[test]
fn a_task_that_cannot_be_stopped_does_not_keep_the_others_running() -> anyhow::Result<()> {
    let fake = with_tasks()?;
    let unknown = "c".repeat(32);
    let ran = berth(&fake.url, &["stop", &unknown, "bbbb", "--output", "json"])?;
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        format!("error: task \"{unknown}\": InvalidParameterException: The referenced task was not found.\n")
    );
    assert_eq!(ran.json()?["tasks"][0]["desiredStatus"], "STOPPED");
    Ok(())
}
