//! Reads the files of one container.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use berth_agent_core::usage::{Directories, Figures, Mounts, V1, V2, interfaces};

use crate::docker::{Network, Process};

/// The most files that are read for one container.
const FILES: usize = 9;

/// Where one start of a container is read.
#[derive(Debug)]
pub(super) struct Place {
    directories: Directories,
    process: Process,
    /// The smallest memory limit of the groups above, which v2 does not show in the group itself.
    limit_above: Option<u64>,
}

impl Place {
    /// Finds the container's control groups through its process; nothing where that is not in the container any more,
    /// or not to be seen.
    pub(super) fn find(mounts: &Mounts, container: &str, process: Process) -> io::Result<Option<Self>> {
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", process.pid))?;
        Ok(mounts.directories(&groups, container).map(|directories| Self {
            limit_above: limit_above(&directories),
            directories,
            process,
        }))
    }

    /// The container whose network namespace this one uses; its own id where it has one for itself, none on the host's.
    pub(super) fn network<'a>(&'a self, container: &'a str) -> Option<&'a str> {
        match &self.process.network {
            Network::Own => Some(container),
            Network::Of(other) => Some(other),
            Network::Host => None,
        }
    }
}

fn limit_above(directories: &Directories) -> Option<u64> {
    let Directories::V2 { above, .. } = directories else {
        return None;
    };
    let limits = above.iter().filter_map(|directory| {
        let text = std::fs::read_to_string(directory.join("memory.max")).ok()?;
        text.trim().parse().ok()
    });
    limits.min()
}

/// Reads files into buffers that it keeps.
#[derive(Debug, Default)]
pub(super) struct Reader {
    texts: [String; FILES],
}

impl Reader {
    /// What the container uses now.
    ///
    /// # Errors
    /// Its groups or its process are gone, or cannot be read.
    pub(super) fn read(&mut self, place: &Place) -> io::Result<Figures> {
        let mut figures = match &place.directories {
            Directories::V1 {
                cpuacct,
                cpu,
                memory,
                blkio,
                pids,
            } => {
                let files = [
                    (cpuacct, "cpuacct.usage"),
                    (cpuacct, "cpuacct.stat"),
                    (cpu, "cpu.stat"),
                    (memory, "memory.usage_in_bytes"),
                    (memory, "memory.max_usage_in_bytes"),
                    (memory, "memory.stat"),
                    (blkio, "blkio.throttle.io_service_bytes_recursive"),
                    (pids, "pids.current"),
                    (pids, "pids.max"),
                ];
                for (text, (directory, file)) in self.texts.iter_mut().zip(files) {
                    text.clear();
                    if let Some(directory) = directory {
                        read(&directory.join(file), text)?;
                    }
                }
                let [
                    cpu_usage,
                    cpu_modes,
                    cpu_quota,
                    memory_usage,
                    memory_peak,
                    memory_stat,
                    block,
                    pids,
                    pids_limit,
                ] = &self.texts;
                let texts = V1 {
                    cpu_usage,
                    cpu_modes,
                    cpu_quota,
                    memory_usage,
                    memory_peak,
                    memory_stat,
                    block,
                    pids,
                    pids_limit,
                };
                gone_without(texts.cpu_usage)?;
                Figures {
                    cpu: texts.cpu(),
                    memory: texts.memory(),
                    pids: texts.pids(),
                    devices: texts.devices(),
                    interfaces: None,
                }
            }
            Directories::V2 { directory, .. } => {
                let files = [
                    "cpu.stat",
                    "memory.current",
                    "memory.peak",
                    "memory.stat",
                    "memory.max",
                    "io.stat",
                    "pids.current",
                    "pids.max",
                ];
                for (text, file) in self.texts.iter_mut().zip(files) {
                    text.clear();
                    read(&directory.join(file), text)?;
                }
                let [
                    cpu,
                    memory,
                    memory_peak,
                    memory_stat,
                    memory_limit,
                    block,
                    pids,
                    pids_limit,
                    _,
                ] = &self.texts;
                let texts = V2 {
                    cpu,
                    memory,
                    memory_peak,
                    memory_stat,
                    memory_limit,
                    memory_limit_above: place.limit_above,
                    block,
                    pids,
                    pids_limit,
                };
                gone_without(texts.cpu)?;
                Figures {
                    cpu: texts.cpu(),
                    memory: texts.memory(),
                    pids: texts.pids(),
                    devices: texts.devices(),
                    interfaces: None,
                }
            }
        };
        if !matches!(place.process.network, Network::Host) {
            let [text, ..] = &mut self.texts;
            text.clear();
            read(Path::new(&format!("/proc/{}/net/dev", place.process.pid)), text)?;
            gone_without(text)?;
            figures.interfaces = Some(interfaces(text));
        }
        Ok(figures)
    }
}

/// A file that a kernel does not have leaves the text empty: a controller may be off.
fn read(path: &Path, text: &mut String) -> io::Result<()> {
    match File::open(path).and_then(|mut file| file.read_to_string(text)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What every group and every namespace has.
fn gone_without(text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Err(ErrorKind::NotFound.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use berth_agent_core::usage::Memory;

    use super::*;

    fn place(directory: &Path, network: Network) -> Place {
        let directories = Directories::V2 {
            directory: directory.join("berth/task/id"),
            above: vec![directory.join("berth/task"), directory.join("berth")],
        };
        Place {
            limit_above: limit_above(&directories),
            directories,
            process: Process {
                pid: std::process::id(),
                network,
            },
        }
    }

    #[test]
    fn a_group_of_v2_is_read_with_the_limit_of_its_task() {
        let directory = tempfile::tempdir().unwrap();
        let group = directory.path().join("berth/task/id");
        std::fs::create_dir_all(&group).unwrap();
        let write = |file: &str, text: &str| std::fs::write(group.join(file), text).unwrap();
        write("cpu.stat", "usage_usec 7\nuser_usec 4\nsystem_usec 3\n");
        write("memory.current", "1000\n");
        write("memory.stat", "anon 600\nfile 400\ninactive_file 300\n");
        write("memory.max", "max\n");
        write("pids.current", "2\n");
        std::fs::write(directory.path().join("berth/task/memory.max"), "4096\n").unwrap();
        std::fs::write(directory.path().join("berth/memory.max"), "max\n").unwrap();
        let figures = Reader::default().read(&place(directory.path(), Network::Own)).unwrap();
        let memory = Memory {
            charged: 1000,
            peak: None,
            inactive_file: 300,
            cache: 400,
            anonymous: 600,
            limit: Some(4096),
        };
        assert_eq!((figures.cpu.total_ns, figures.memory), (7000, memory));
        assert_eq!((figures.pids.current, figures.devices), (2, Vec::new()));
        assert!(figures.interfaces.is_some());
    }

    #[test]
    fn a_group_that_is_gone_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = Reader::default()
            .read(&place(directory.path(), Network::Host))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
