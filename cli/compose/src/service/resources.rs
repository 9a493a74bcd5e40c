//! Processors, memory and GPUs of a service.

use berth_model::task_definition::ResourceRequirement;

use super::{Draft, NO_MEMBER};
use crate::Error;
use crate::fields::{At, Field, by, not, walk};
use crate::translation::Note;
use crate::units;

/// The smallest cap that a task may have (ECS API, RegisterTaskDefinition).
const LEAST_CAP: i32 = 128;

pub(crate) const LIMITS: &[Field<Draft>] = &[
    by(
        "cpus",
        "the task's `cpu`: a cap, at least 0.125, that is reserved as well",
        cpu_limit,
    ),
    by("memory", "the container's `memory`", memory_limit),
    not("pids", "the agent's `task-pids-limit` holds for all tasks of a host"),
];

pub(crate) const RESERVATIONS: &[Field<Draft>] = &[
    by(
        "cpus",
        "the container's `cpu`: what is reserved, and its share",
        |draft, at, _| {
            draft.container.cpu = at.by(units::cpu_units, "a number of processors such as 0.5")?;
            Ok(())
        },
    ),
    by("memory", "the container's `memoryReservation`", memory_reservation),
    by(
        "devices",
        "those with the capability `gpu`: `resourceRequirements`, as `gpus`",
        gpus,
    ),
    not("generic_resources", "GPUs are counted, and nothing else is"),
];

/// A device that is counted.
#[derive(Default)]
pub(crate) struct Devices {
    count: Option<u32>,
    is_gpu: bool,
    of_nvidia: Option<bool>,
}

pub(crate) const DEVICE: &[Field<Devices>] = &[
    by("capabilities", "`gpu` is counted", |device, at, _| {
        device.is_gpu = at.texts()?.iter().any(|capability| capability == "gpu");
        Ok(())
    }),
    by("count", "how many; `all` is not honoured", |device, at, notes| {
        if at.text()? == "all" {
            notes.push(Note::lost(&at.path, "GPUs are given by number: name one"));
        } else {
            device.count = Some(at.number()?);
        }
        Ok(())
    }),
    not("device_ids", "the scheduler chooses which"),
    by("driver", "`nvidia`", |device, at, _| {
        device.of_nvidia = Some(at.text()? == "nvidia");
        Ok(())
    }),
    not("options", NO_MEMBER),
];

pub(crate) fn cpu_limit(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    let units = at.by(units::cpu_units, "a number of processors such as 0.5")?;
    // Compose's way of saying that there is no limit.
    if units == 0 {
        return Ok(());
    }
    if units < LEAST_CAP {
        notes.push(Note::lost(&at.path, "the smallest cap is 0.125, which it becomes"));
    }
    draft.cpu_limit = Some(units.max(LEAST_CAP));
    Ok(())
}

pub(crate) fn cpu_shares(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    draft.container.cpu = at.number()?;
    Ok(())
}

const SIZE: &str = "a size such as 512m or 1.5gb";

pub(crate) fn memory_limit(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    draft.container.memory = Some(at.by(units::mebibytes, SIZE)?).filter(|mib| *mib != 0);
    Ok(())
}

pub(crate) fn memory_reservation(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    draft.container.memory_reservation = Some(at.by(units::mebibytes, SIZE)?).filter(|mib| *mib != 0);
    Ok(())
}

pub(crate) fn swap_limit(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    match at.text()? {
        "-1" => notes.push(Note::lost(&at.path, "swap without a bound has no member in ECS")),
        _ => draft.swap_limit = Some(at.by(units::bytes, SIZE)?),
    }
    Ok(())
}

pub(crate) fn gpus(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    if at.node.as_text().is_some() {
        notes.push(Note::lost(&at.path, "GPUs are given by number: name one with `count`"));
        return Ok(());
    }
    let mut gpus = 0_u32;
    for at in at.items()? {
        // An entry of `gpus` needs no capability to be one.
        let mut device = Devices {
            is_gpu: at.path.contains(".gpus["),
            ..Devices::default()
        };
        walk(&mut device, &at, DEVICE, notes)?;
        if !device.is_gpu || device.of_nvidia == Some(false) {
            notes.push(Note::lost(&at.path, "only GPUs of NVIDIA are counted"));
        } else if let Some(count) = device.count {
            gpus = gpus.saturating_add(count);
        }
    }
    if gpus > 0 {
        draft.container.resource_requirements = vec![ResourceRequirement {
            value: gpus.to_string(),
            kind: "GPU".to_owned(),
            ..ResourceRequirement::default()
        }];
    }
    Ok(())
}
