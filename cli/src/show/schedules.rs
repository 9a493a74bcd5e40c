//! Schedules as tables.

use anstyle::AnsiColor;
use berth_model::schedule::Zone;
use berth_model::time::Timestamp;
use berth_proto::v1::{DescribeScheduleResponse, Schedule, ScheduleRun};

use super::table::{Cell, maybe, number, text};
use super::{Now, Table, ids};
use crate::output::Presentation;

/// Runs that `show` prints.
const LAST_RUNS: usize = 8;

pub(crate) fn list(schedules: &[Schedule], now: Now) -> Presentation {
    let mut table = Table::with_headings([
        "SCHEDULE",
        "STATE",
        "EXPRESSION",
        "TIMEZONE",
        "NEXT",
        "LAST",
        "OUTCOME",
        "RUNNING",
    ]);
    for schedule in schedules {
        let last = schedule.last_run.as_ref();
        table.row([
            text(&schedule.name),
            state(&schedule.state),
            text(&schedule.schedule_expression),
            text(&schedule.schedule_expression_timezone),
            maybe(schedule.next_begin.map(|at| now.ahead(at))),
            maybe(last.map(|run| now.ago(run.at))),
            last.map_or_else(|| text(""), outcome),
            number(schedule.running),
        ]);
    }
    Presentation::default().table(&table)
}

/// One schedule, with the next times at which it is due and its last runs.
pub(crate) fn one(answer: &DescribeScheduleResponse, now: Now) -> Presentation {
    let Some(schedule) = &answer.schedule else {
        return Presentation::default();
    };
    let mut presentation = pairs(schedule, now);
    if !answer.upcoming.is_empty() {
        let mut table = Table::with_headings(["DUE", "IN"]);
        for at in &answer.upcoming {
            table.row([text(in_zone(*at, Some(schedule))), text(now.ahead(*at))]);
        }
        presentation = presentation.section("Next", &table);
    }
    match answer.runs.is_empty() {
        true => presentation,
        false => {
            let last = answer.runs.iter().take(LAST_RUNS);
            presentation.section("Runs", &of_runs(last.rev(), Some(schedule), now))
        }
    }
}

/// What a schedule is told to do.
pub(crate) fn pairs(schedule: &Schedule, now: Now) -> Presentation {
    let target = schedule.target.clone().unwrap_or_default();
    let mut table = Table::pairs();
    table.pair("Schedule", text(&schedule.name));
    table.pair("ARN", text(&schedule.arn));
    table.pair("State", state(&schedule.state));
    if let Some(description) = &schedule.description {
        table.pair("Description", text(description));
    }
    let zone = &schedule.schedule_expression_timezone;
    table.pair(
        "Expression",
        text(format!("{} in {zone}", schedule.schedule_expression)),
    );
    if let Some(start) = schedule.start_date {
        table.pair("Not before", text(in_zone(start, Some(schedule))));
    }
    if let Some(end) = schedule.end_date {
        table.pair("Not after", text(in_zone(end, Some(schedule))));
    }
    let window = schedule.flexible_time_window.clone().unwrap_or_default();
    if let Some(minutes) = window.maximum_window_in_minutes {
        table.pair("Window", text(format!("{minutes}m")));
    }
    table.pair("Next", maybe(next(schedule, now)));
    table.pair("Task definition", text(ids::of_arn(target.task_definition())));
    table.pair("Count", text(target.count()));
    table.pair("Overlap", text(&schedule.overlap_policy));
    let retry = schedule.retry_policy.unwrap_or_default();
    let retries = format!(
        "{} times within {}s",
        retry.maximum_retry_attempts(),
        retry.maximum_event_age_in_seconds()
    );
    table.pair("Retries", text(retries));
    if schedule.action_after_completion == "DELETE" {
        table.pair("After the last", text("it is deleted"));
    }
    table.pair("Running", text(schedule.running));
    if schedule.missed > 0 {
        table.pair("Missed", text(schedule.missed));
    }
    table.pair("Created", text(now.ago(schedule.creation_date)));
    Presentation::default().table(&table)
}

pub(crate) fn deleted(name: &str) -> Presentation {
    Presentation::default().line(format!("{} deleted", ids::of_arn(name)))
}

/// The runs in that order; times as clocks of the schedule's zone show them.
pub(crate) fn runs<'r>(
    runs: impl Iterator<Item = &'r ScheduleRun>,
    schedule: Option<&Schedule>,
    now: Now,
) -> Presentation {
    Presentation::default().table(&of_runs(runs, schedule, now))
}

fn of_runs<'r>(runs: impl Iterator<Item = &'r ScheduleRun>, schedule: Option<&Schedule>, now: Now) -> Table {
    let mut table = Table::with_headings([
        "RUN", "DUE", "BEGUN", "OUTCOME", "TASKS", "OK", "FAILED", "ENDED", "MISSED", "REASON",
    ]);
    for run in runs {
        let due = run.due.map(|due| in_zone(due, schedule));
        table.row([
            number(run.number),
            text(due.unwrap_or_else(|| "on request".to_owned())),
            text(now.ago(run.at)),
            outcome(run),
            number(run.task_arns.len()),
            number(run.succeeded),
            number(run.failed),
            maybe(run.ended.map(|at| now.ago(at))),
            number(run.missed),
            maybe(run.failure.as_deref().or(run.reason.as_deref())),
        ]);
    }
    table
}

/// When it begins next, and that it was due before where it has a window.
fn next(schedule: &Schedule, now: Now) -> Option<String> {
    let begin = schedule.next_begin?;
    let at = in_zone(begin, Some(schedule));
    let due = schedule.next_due.filter(|due| (begin - due).abs() >= 1.0);
    Some(match due {
        None => format!("{at}, {}", now.ahead(begin)),
        Some(due) => format!("{at}, {}, due {}", now.ahead(begin), in_zone(due, Some(schedule))),
    })
}

/// As clocks of the schedule's time zone show it, or those of UTC.
fn in_zone(at: f64, schedule: Option<&Schedule>) -> String {
    let at = Timestamp::from_epoch_seconds(at);
    let zone = schedule.and_then(|schedule| Zone::parse(&schedule.schedule_expression_timezone).ok());
    match zone.or_else(|| Zone::parse(Zone::DEFAULT).ok()) {
        Some(zone) => zone.show(at),
        None => at.to_rfc3339(),
    }
}

fn state(state: &str) -> Cell {
    let color = match state {
        "ENABLED" => AnsiColor::Green,
        _ => AnsiColor::BrightBlack,
    };
    text(state).colored(color)
}

fn outcome(run: &ScheduleRun) -> Cell {
    let color = match run.outcome.as_str() {
        "STARTED" if run.failed == 0 => AnsiColor::Green,
        "STARTED" | "FAILED" | "MISSED" => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    text(&run.outcome).colored(color)
}
