//! What the agent reads from its spool and from the kernel.

use berth_agent_core::metadata::{Surroundings, container, task};
use berth_agent_core::name;
use berth_agent_core::record::Record;
use berth_agent_core::stream::{Line, Lines};
use berth_agent_core::usage::{Mounts, V1, V2, interfaces};

pub(crate) const CONTROL_GROUP_TOKENS: &[&str] = &[
    "usage_usec ",
    "nr_throttled ",
    "inactive_file ",
    "hierarchical_memory_limit ",
    "total_rss ",
    "8:0 ",
    "rbytes=",
    "Read ",
    "max",
    "0",
    "18446744073709551615",
    "\n",
    " ",
    ":",
    " - ",
    "cgroup2 ",
    "cgroup ",
    "rw,memory",
    "/sys/fs/cgroup",
    "/docker/",
    "0::/",
    "eth0: ",
];

/// What is read back is what was written, and everything that is made from it can be made.
pub(crate) fn check_record(text: &str) -> Result<bool, String> {
    let Ok(record) = serde_json::from_str::<Record>(text) else {
        return Ok(false);
    };
    for at in 0..=record.spec.containers().len() {
        drop((container(&record, at), record.image_request(at)));
        if at < record.spec.containers().len() {
            drop(name::container(&record.spec, at));
        }
    }
    drop((
        task(&record, &Surroundings::default(), true),
        name::labels(&record.spec),
    ));
    let written = serde_json::to_string(&record).map_err(|error| error.to_string())?;
    let again: Record = serde_json::from_str(&written).map_err(|error| format!("{written}: {error}"))?;
    if again == record {
        Ok(true)
    } else {
        Err(format!("it is read again as another: {written}"))
    }
}

/// Any text gives figures; what is no figure counts as none.
pub(crate) fn check_control_groups(text: &str) -> Result<bool, String> {
    let v1 = V1 {
        cpu_usage: text,
        cpu_modes: text,
        cpu_quota: text,
        memory_usage: text,
        memory_peak: text,
        memory_stat: text,
        block: text,
        pids: text,
        pids_limit: text,
    };
    let v2 = V2 {
        cpu: text,
        memory: text,
        memory_peak: text,
        memory_stat: text,
        memory_limit: text,
        memory_limit_above: None,
        block: text,
        pids: text,
        pids_limit: text,
    };
    drop((v1.cpu(), v1.pids(), v1.devices(), v2.cpu(), v2.pids(), v2.devices()));
    for memory in [v1.memory(), v2.memory()] {
        if memory.charged < memory.inactive_file && !text.contains("inactive_file") {
            return Err(format!("{memory:?} has figures that the text has not"));
        }
    }
    let mounts = Mounts::parse(text);
    if let Some(mounts) = &mounts {
        drop(mounts.directories(text, "0123456789abcdef"));
    }
    Ok(mounts.is_some() || !interfaces(text).is_empty())
}

pub(crate) const STREAM_TOKENS: &[&str] = &[
    "\u{1}\0\0\0\0\0\0\u{4}",
    "\u{2}\0\0\0\0\0\0\u{1f}",
    "2026-11-21T06:30:00.123456789Z ",
    "1969-12-31T23:59:59.9Z ",
    "\r\n",
    "\n",
    " ",
    "\0",
    ".",
    "Z",
];

/// What Docker sends of a log is told the same however it is cut up on its way, and nothing of it is left over.
pub(crate) fn check_stream(text: &str) -> Result<bool, String> {
    let mut found = 0;
    for terminal in [false, true] {
        let whole = lines(terminal, text.as_bytes(), text.len().max(1));
        for at_once in [1, 7] {
            let parts = lines(terminal, text.as_bytes(), at_once);
            if parts != whole {
                return Err(format!(
                    "terminal {terminal}, {at_once} bytes at once: {parts:?} is not {whole:?}"
                ));
            }
        }
        found += whole.map_or(0, |lines| lines.len());
    }
    Ok(found > 1)
}

/// All lines, or nothing where it is no stream. What came before the fault is told in any case, so that it is not compared.
fn lines(terminal: bool, bytes: &[u8], at_once: usize) -> Option<Vec<Line>> {
    let (mut lines, mut found) = (Lines::new(terminal), Vec::new());
    for part in bytes.chunks(at_once) {
        lines.push(part);
        while let Some(line) = lines.next(false).ok()? {
            found.push(line);
        }
    }
    while let Some(line) = lines.next(true).ok()? {
        found.push(line);
    }
    Some(found)
}
