//! What a container uses, as Docker's `stats` has it: the form that the ECS agent hands on.
//!
//! Members that Docker's own answer has and the kernel's files do not tell are absent. Docker ECS documents them as
//! Docker's, so that clients read `docker stats` formulas off them.

use std::time::SystemTime;

use berth_agent_core::usage::{Figures, Interface, Traffic};
use berth_model::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::usage::{Pair, Reading};

/// The figures of one container.
pub(super) fn stats(name: &str, id: &str, pair: &Pair) -> Value {
    let newest = &pair.newest;
    let figures = &newest.figures;
    let previous = pair.previous.as_deref();
    let mut stats = json!({
        "id": id,
        "name": format!("/{name}"),
        "read": time(newest.at),
        "preread": previous.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |previous| time(previous.at)),
        "num_procs": 0,
        "pids_stats": pids(figures),
        "cpu_stats": cpu(newest),
        "precpu_stats": previous.map_or_else(|| json!({}), cpu),
        "memory_stats": memory(figures),
        "blkio_stats": {"io_service_bytes_recursive": devices(figures)},
        "storage_stats": {},
    });
    if let Some(interfaces) = &figures.interfaces {
        let networks: Map<String, Value> = interfaces
            .iter()
            .map(|interface| (interface.name.clone(), traffic(interface)))
            .collect();
        stats["networks"] = Value::Object(networks);
    }
    if let Some((received, sent)) = pair.network_rate() {
        stats["network_rate_stats"] = json!({"rx_bytes_per_sec": received, "tx_bytes_per_sec": sent});
    }
    stats
}

fn time(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)).to_rfc3339()
}

fn pids(figures: &Figures) -> Value {
    let mut pids = json!({"current": figures.pids.current});
    if let Some(limit) = figures.pids.limit {
        pids["limit"] = limit.into();
    }
    pids
}

fn cpu(reading: &Reading) -> Value {
    let cpu = &reading.figures.cpu;
    json!({
        "cpu_usage": {
            "total_usage": cpu.total_ns,
            "usage_in_kernelmode": cpu.system_ns,
            "usage_in_usermode": cpu.user_ns,
        },
        "system_cpu_usage": reading.host_cpu_ns,
        "online_cpus": reading.cores,
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled_ns,
        },
    })
}

fn memory(figures: &Figures) -> Value {
    let memory = &figures.memory;
    let mut told = json!({
        "usage": memory.charged,
        // Both names: version 1 of control groups has the first, version 2 the second, and clients look for either.
        "stats": {
            "cache": memory.cache,
            "rss": memory.anonymous,
            "total_inactive_file": memory.inactive_file,
            "inactive_file": memory.inactive_file,
        },
    });
    if let Some(peak) = memory.peak {
        told["max_usage"] = peak.into();
    }
    if let Some(limit) = memory.limit {
        told["limit"] = limit.into();
    }
    told
}

fn devices(figures: &Figures) -> Vec<Value> {
    let entry = |major: u32, minor: u32, operation: &str, value: u64| json!({"major": major, "minor": minor, "op": operation, "value": value});
    let both = figures.devices.iter().flat_map(|device| {
        [
            entry(device.major, device.minor, "Read", device.read_bytes),
            entry(device.major, device.minor, "Write", device.written_bytes),
        ]
    });
    both.collect()
}

fn traffic(interface: &Interface) -> Value {
    let Interface { received, sent, .. } = interface;
    let mut told = Map::new();
    let mut tell = |way: &str, traffic: &Traffic| {
        told.insert(format!("{way}_bytes"), traffic.bytes.into());
        told.insert(format!("{way}_packets"), traffic.packets.into());
        told.insert(format!("{way}_errors"), traffic.errors.into());
        told.insert(format!("{way}_dropped"), traffic.dropped.into());
    };
    tell("rx", received);
    tell("tx", sent);
    Value::Object(told)
}
