//! What a container asks of the kernel.

use berth_model::task_definition::{Device, LinuxParameters, RuntimePlatform, SystemControl, Ulimit};

use super::Draft;
use crate::fields::At;
use crate::translation::Note;
use crate::{Error, units};

fn parameters(draft: &mut Draft) -> &mut LinuxParameters {
    draft.container.linux_parameters.get_or_insert_default()
}

/// Names as ECS has them: capitals, and no `CAP_` before them.
fn capabilities(at: &At<'_>) -> Result<Vec<String>, Error> {
    let ecs = |name: String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
    };
    Ok(at.texts()?.into_iter().map(ecs).collect())
}

pub(crate) fn cap_add(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    parameters(draft).capabilities.get_or_insert_default().add = capabilities(at)?;
    Ok(())
}

pub(crate) fn cap_drop(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    parameters(draft).capabilities.get_or_insert_default().drop = capabilities(at)?;
    Ok(())
}

pub(crate) fn devices(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    for at in at.items()? {
        let (host, container, permissions) = match at.node.as_text() {
            Some(text) => {
                let mut parts = text.split(':').map(str::to_owned);
                (parts.next(), parts.next(), parts.next())
            }
            None => {
                let part = |key: &str| at.node.get(key).and_then(|node| node.as_text()).map(str::to_owned);
                (part("source"), part("target"), part("permissions"))
            }
        };
        let host_path = host.ok_or_else(|| at.error("it must name a 'source'"))?;
        if !host_path.starts_with('/') {
            notes.push(Note::lost(
                &at.path,
                "a device is a path of the host; those of CDI have no member in ECS",
            ));
            continue;
        }
        let permission = |letter: char| match letter {
            'r' => Ok("read".to_owned()),
            'w' => Ok("write".to_owned()),
            'm' => Ok("mknod".to_owned()),
            _ => Err(at.wrong("SOURCE[:TARGET[:PERMISSIONS]], the permissions of the letters r, w and m")),
        };
        let permissions = permissions
            .unwrap_or_default()
            .chars()
            .map(permission)
            .collect::<Result<_, _>>()?;
        parameters(draft).devices.push(Device {
            host_path,
            container_path: container,
            permissions,
            ..Device::default()
        });
    }
    Ok(())
}

pub(crate) fn init(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    parameters(draft).init_process_enabled = Some(at.truth()?);
    Ok(())
}

pub(crate) fn shm_size(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    parameters(draft).shared_memory_size = Some(at.by(units::mebibytes, "a size such as 64m")?);
    Ok(())
}

pub(crate) fn swappiness(draft: &mut Draft, at: &At<'_>, _: &mut Vec<Note>) -> Result<(), Error> {
    parameters(draft).swappiness = Some(at.number()?);
    Ok(())
}

pub(crate) fn ipc(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    match at.text()? {
        mode @ ("host" | "none") => draft.ipc_mode = Some(mode.to_owned()),
        "private" | "shareable" => {}
        _ => notes.push(Note::lost(
            &at.path,
            "services are tasks of their own, which share no IPC",
        )),
    }
    Ok(())
}

pub(crate) fn pid(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    match at.text()? {
        "host" => draft.pid_mode = Some("host".to_owned()),
        _ => notes.push(Note::lost(
            &at.path,
            "services are tasks of their own, which share no processes",
        )),
    }
    Ok(())
}

pub(crate) fn platform(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    let architecture = match at.text()? {
        "linux/amd64" | "linux/x86_64" => "X86_64",
        "linux/arm64" | "linux/arm64/v8" | "linux/aarch64" => "ARM64",
        _ => {
            notes.push(Note::lost(&at.path, "ECS knows linux/amd64 and linux/arm64"));
            return Ok(());
        }
    };
    draft.platform = Some(RuntimePlatform {
        cpu_architecture: Some(architecture.to_owned()),
        operating_system_family: Some("LINUX".to_owned()),
        ..RuntimePlatform::default()
    });
    Ok(())
}

pub(crate) fn sysctls(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    const KNOWN: [&str; 5] = ["net.", "fs.mqueue.", "kernel.msg", "kernel.sem", "kernel.shm"];
    for (name, at) in at.each_entry()? {
        if !KNOWN.iter().any(|prefix| name.starts_with(prefix)) {
            notes.push(Note::lost(
                &at.path,
                "ECS takes net.*, fs.mqueue.* and kernel settings of IPC",
            ));
            continue;
        }
        draft.container.system_controls.push(SystemControl {
            namespace: Some(name.to_owned()),
            value: Some(at.string()?),
            ..SystemControl::default()
        });
    }
    Ok(())
}

pub(crate) fn ulimits(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    for (name, at) in at.each_entry()? {
        let mut limits = (None, None);
        if at.node.as_text().is_some() {
            let limit = at.number()?;
            limits = (Some(limit), Some(limit));
        } else {
            for (key, at) in at.each_entry()? {
                match key {
                    "soft" => limits.0 = Some(at.number()?),
                    "hard" => limits.1 = Some(at.number()?),
                    _ => notes.push(Note::lost(at.path, "there is no such field")),
                }
            }
        }
        let (Some(soft_limit), Some(hard_limit)) = limits else {
            return Err(at.error("it must be a number, or have 'soft' and 'hard'"));
        };
        draft.container.ulimits.push(Ulimit {
            name: name.to_owned(),
            soft_limit,
            hard_limit,
            ..Ulimit::default()
        });
    }
    Ok(())
}
