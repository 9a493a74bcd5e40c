//! `berth schedules`.

use berth_proto::v1::ScheduleRun;

use crate::berth::berth;
use crate::fake::{Fake, schedule, schedule_run};

fn with_nightly() -> anyhow::Result<Fake> {
    let fake = Fake::start()?;
    fake.state().schedules = vec![schedule("nightly")];
    Ok(fake)
}

#[test]
fn schedules_are_listed_from_all_pages() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    fake.state().schedules = ["a", "b", "c"].map(schedule).to_vec();
    fake.state().schedules[1].state = "DISABLED".to_owned();
    let ran = berth(&fake.url, &["schedules", "list"])?;
    assert_eq!(
        ran.stdout,
        "SCHEDULE  STATE     EXPRESSION         TIMEZONE       NEXT  LAST  OUTCOME  RUNNING\n\
         a         ENABLED   cron(0 3 * * ? *)  Europe/Berlin  -     -     -              0\n\
         b         DISABLED  cron(0 3 * * ? *)  Europe/Berlin  -     -     -              0\n\
         c         ENABLED   cron(0 3 * * ? *)  Europe/Berlin  -     -     -              0\n"
    );
    assert_eq!(ran.code, Some(0));
    Ok(())
}

#[test]
fn what_is_said_of_a_new_schedule_is_what_is_asked_for() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let words = "schedules create nightly --timezone Europe/Berlin --task-definition backup -n 2 --overlap skip \
                 --window 90s --retry-for 1h --retries 5 --start 2026-11-21T06:30:00+01:00 --delete-after-completion \
                 --disabled --env app:KIND=full --constraint distinctInstance --strategy random --queue 10m \
                 --cron";
    let mut words: Vec<&str> = words.split_whitespace().collect();
    words.extend(["0 3 * * ? *", "--command", "app", "--", "./dump", "--all"]);
    let ran = berth(&fake.url, &words)?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let state = fake.state();
    let asked = &state.new_schedules[0];
    assert_eq!(
        (asked.name(), asked.schedule_expression()),
        ("nightly", "cron(0 3 * * ? *)")
    );
    assert_eq!(asked.schedule_expression_timezone(), "Europe/Berlin");
    assert_eq!((asked.start_date, asked.end_date), (Some(1_795_239_000.0), None));
    assert_eq!(
        (asked.state(), asked.overlap_policy(), asked.action_after_completion()),
        ("DISABLED", "SKIP", "DELETE")
    );
    let window = asked.flexible_time_window.clone().unwrap_or_default();
    assert_eq!((window.mode(), window.maximum_window_in_minutes()), ("FLEXIBLE", 2));
    let retry = asked.retry_policy.unwrap_or_default();
    assert_eq!(
        (retry.maximum_event_age_in_seconds(), retry.maximum_retry_attempts()),
        (3600, 5)
    );
    let target = asked.target.clone().unwrap_or_default();
    assert_eq!((target.task_definition(), target.count()), ("backup", 2));
    let container = &target.overrides.clone().unwrap_or_default().container_overrides[0];
    assert_eq!(container.command, ["./dump", "--all"]);
    assert_eq!(container.environment[0].value(), "full");
    assert_eq!(target.placement_constraints[0].r#type(), "distinctInstance");
    assert_eq!(target.placement_strategy[0].r#type(), "random");
    assert_eq!(target.tags[0].value(), "600s");
    Ok(())
}

#[test]
fn one_expression_is_needed_and_no_more() -> anyhow::Result<()> {
    let fake = Fake::start()?;
    let words = ["schedules", "create", "x", "--task-definition", "job"];
    for more in [&[][..], &["--rate", "1 day", "--at", "2030-01-01T00:00:00"][..]] {
        let ran = berth(&fake.url, &[&words[..], more].concat())?;
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
    let expressions = [
        ("--rate", "5 minutes", "rate(5 minutes)"),
        ("--at", "2030-01-01T00:00:00", "at(2030-01-01T00:00:00)"),
    ];
    for (option, value, expression) in expressions {
        let ran = berth(&fake.url, &[&words[..], &[option, value][..]].concat())?;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let asked = fake.state().new_schedules.pop().unwrap_or_default();
        assert_eq!(asked.schedule_expression(), expression);
    }
    Ok(())
}

#[test]
fn an_update_asks_for_what_is_named_alone() -> anyhow::Result<()> {
    let fake = with_nightly()?;
    let ran = berth(
        &fake.url,
        &["schedules", "update", "nightly", "--rate", "1 hour", "--no-end"],
    )?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let asked = fake.state().schedule_updates.pop().unwrap_or_default();
    assert_eq!(asked.schedule_expression(), "rate(1 hour)");
    assert_eq!(asked.remove, ["endDate"]);
    assert_eq!((asked.target, asked.retry_policy, asked.version), (None, None, None));
    Ok(())
}

#[test]
fn a_part_of_what_runs_is_changed_in_what_was_seen() -> anyhow::Result<()> {
    let fake = with_nightly()?;
    let ran = berth(
        &fake.url,
        &["schedules", "update", "nightly", "-n", "4", "--retries", "0"],
    )?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let asked = fake.state().schedule_updates.pop().unwrap_or_default();
    let target = asked.target.clone().unwrap_or_default();
    assert_eq!(
        (target.task_definition(), target.count(), target.group()),
        ("backup", 4, "backups")
    );
    let retry = asked.retry_policy.unwrap_or_default();
    assert_eq!(
        (retry.maximum_event_age_in_seconds(), retry.maximum_retry_attempts()),
        (86_400, 0)
    );
    assert_eq!(asked.version, Some(3));
    Ok(())
}

#[test]
fn a_schedule_is_disabled_and_enabled() -> anyhow::Result<()> {
    let fake = with_nightly()?;
    for (word, state) in [("disable", "DISABLED"), ("enable", "ENABLED")] {
        let ran = berth(&fake.url, &["schedules", word, "nightly"])?;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains(&format!("State            {state}\n")), "{ran:?}");
    }
    Ok(())
}

#[test]
fn due_times_are_shown_as_clocks_of_the_zone_show_them() -> anyhow::Result<()> {
    let fake = with_nightly()?;
    fake.state().schedule_runs = vec![schedule_run(2, "STARTED"), schedule_run(1, "SKIPPED")];
    let ran = berth(&fake.url, &["schedules", "show", "nightly"])?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("\nNext\nDUE"), "{ran:?}");
    for due in ["2026-11-22 03:00:00 +01:00", "2027-06-01 03:00:00 +02:00"] {
        assert!(ran.stdout.contains(due), "{ran:?}");
    }
    let (skipped, started) = (ran.stdout.find("SKIPPED"), ran.stdout.find("STARTED"));
    assert!(skipped < started, "the newest comes last: {ran:?}");
    let json = berth(&fake.url, &["schedules", "show", "nightly", "--output", "json"])?.json()?;
    assert_eq!(json["schedule"]["scheduleExpressionTimezone"], "Europe/Berlin");
    assert_eq!(json["runs"][0]["number"], 2);
    Ok(())
}

#[test]
fn the_history_says_why_a_run_did_not_go_well() -> anyhow::Result<()> {
    let fake = with_nightly()?;
    let failed = ScheduleRun {
        succeeded: 0,
        failed: 1,
        failure: Some("container 'app' ended with 3".to_owned()),
        ..schedule_run(7, "STARTED")
    };
    fake.state().schedule_runs = vec![failed, schedule_run(6, "STARTED")];
    let ran = berth(&fake.url, &["schedules", "history", "nightly", "--last", "1"])?;
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(lines[1].starts_with("  7  2026-11-21 03:00:00 +01:00"), "{ran:?}");
    assert!(lines[1].ends_with("container 'app' ended with 3"), "{ran:?}");
    Ok(())
}

#[test]
fn a_run_that_starts_less_than_it_should_is_no_success() -> anyhow::Result<()> {
    let fake = with_nightly()?;
    for (outcome, code) in [("STARTED", 0), ("FAILED", 1), ("SKIPPED", 1)] {
        fake.state().schedule_runs = vec![schedule_run(9, outcome)];
        let ran = berth(&fake.url, &["schedules", "run", "nightly"])?;
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stdout.contains(outcome), "{ran:?}");
    }
    Ok(())
}

#[test]
fn a_schedule_that_is_gone_is_no_longer_listed() -> anyhow::Result<()> {
    let fake = with_nightly()?;
    let ran = berth(&fake.url, &["schedules", "delete", "nightly"])?;
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "nightly deleted\n"),
        "{ran:?}"
    );
    let again = berth(&fake.url, &["schedules", "delete", "ghost"])?;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(
        again
            .stderr
            .contains("hint: `berth schedules list` shows the schedules there are"),
        "{again:?}"
    );
    Ok(())
}
