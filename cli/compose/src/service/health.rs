//! `healthcheck`.

use std::ops::RangeInclusive;

use berth_model::task_definition::HealthCheck;

use super::{Draft, NO_MEMBER};
use crate::Error;
use crate::fields::{At, Field, by, not, walk};
use crate::translation::Note;
use crate::units;

/// Seconds that a check may take where the file does not say (Docker's default, which is not ECS's).
const TIMEOUT: i32 = 30;

/// A check while it is read.
#[derive(Default)]
pub(crate) struct Check {
    shape: HealthCheck,
    is_off: bool,
}

pub(crate) const FIELDS: &[Field<Check>] = &[
    by("disable", "`[\"NONE\"]`", |check, at, _| {
        check.is_off = at.truth()?;
        Ok(())
    }),
    by(
        "interval",
        "`interval`, 5 s to 5 min; 30 s where absent",
        |check, at, notes| {
            check.shape.interval = Some(bounded(at, 5..=300, notes)?);
            Ok(())
        },
    ),
    by("retries", "`retries`, 1 to 10; 3 where absent", |check, at, notes| {
        let given: i32 = at.number()?;
        let retries = given.clamp(1, 10);
        if retries != given {
            notes.push(Note::lost(&at.path, format!("ECS takes 1 to 10: it becomes {retries}")));
        }
        check.shape.retries = Some(retries);
        Ok(())
    }),
    not("start_interval", NO_MEMBER),
    by("start_period", "`startPeriod`, up to 5 min", |check, at, notes| {
        check.shape.start_period = Some(bounded(at, 0..=300, notes)?);
        Ok(())
    }),
    by("test", "`command`; a text is `CMD-SHELL`", |check, at, _| {
        check.shape.command = match at.node.as_text() {
            Some(text) => vec!["CMD-SHELL".to_owned(), text.to_owned()],
            None => at.texts()?,
        };
        Ok(())
    }),
    by(
        "timeout",
        "`timeout`, 2 s to 1 min; 30 s where absent",
        |check, at, notes| {
            check.shape.timeout = Some(bounded(at, 2..=60, notes)?);
            Ok(())
        },
    ),
];

/// Whole seconds within what ECS takes.
fn bounded(at: &At<'_>, bounds: RangeInclusive<i32>, notes: &mut Vec<Note>) -> Result<i32, Error> {
    let given = at.by(units::milliseconds, "a time such as 30s or 1m30s")?;
    let seconds = i32::try_from(given.div_ceil(1000)).unwrap_or(i32::MAX);
    let fitting = seconds.clamp(*bounds.start(), *bounds.end());
    if u64::try_from(fitting).is_ok_and(|fitting| fitting * 1000 != given) {
        let (least, most) = (bounds.start(), bounds.end());
        let says = format!("ECS takes {least} to {most} whole seconds: it becomes {fitting} s");
        notes.push(Note::lost(&at.path, says));
    }
    Ok(fitting)
}

pub(crate) fn healthcheck(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    let mut check = Check::default();
    walk(&mut check, at, FIELDS, notes)?;
    if check.is_off || check.shape.command.first().is_some_and(|kind| kind == "NONE") {
        draft.container.health_check = Some(HealthCheck {
            command: vec!["NONE".to_owned()],
            ..HealthCheck::default()
        });
        return Ok(());
    }
    if check.shape.command.is_empty() {
        let says = "it has no `test`: the image's own check runs, as the image says";
        notes.push(Note::lost(&at.path, says));
        return Ok(());
    }
    check.shape.timeout.get_or_insert(TIMEOUT);
    draft.container.health_check = Some(check.shape);
    Ok(())
}
