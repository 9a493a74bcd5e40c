//! One small file a task: what the agent must know of it after a restart and Docker cannot tell.
//!
//! A record is written before the first effect that it must outlive and removed when nothing is left of the task. A
//! file is replaced whole: written beside, synced, renamed, and the directory synced. Blocking; [`Writer`] has a thread
//! for it. A file that cannot be read, or whose checksum is not that of its content, is set aside, never a reason not
//! to start: the task is known by the labels of its containers then.

mod writer;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use berth_agent_core::fingerprint::fingerprint;
use berth_agent_core::record::Record;
use berth_model::id::TaskId;
use serde::{Deserialize, Serialize};

use crate::failpoint::fail_point;
pub(crate) use writer::Writer;

const DIRECTORY: &str = "tasks";
const SUFFIX: &str = "json";
/// Raised when readers of the number before could no longer make sense of a file.
const VERSION: u32 = 1;

/// How a file begins; the checksum follows. It is that of the whole content with zeros in its place.
const HEAD: &[u8] = br#"{"version":1,"checksum":""#;
const NO_CHECKSUM: &str = "0000000000000000";

/// The files of all tasks.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    directory: PathBuf,
}

/// A change of one file.
#[derive(Debug)]
pub(crate) enum Change {
    /// The whole new content.
    Write(TaskId, Vec<u8>),
    /// The task is no more.
    Remove(TaskId),
}

/// The spool could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{operation} '{}'", path.display())]
pub(crate) struct SpoolError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    checksum: &'static str,
    task: &'a Record,
}

#[derive(Deserialize)]
struct Read {
    task: Record,
}

/// The content of a task's file.
pub(crate) fn encode(record: &Record) -> Result<Vec<u8>, serde_json::Error> {
    let mut content = serde_json::to_vec(&Written {
        version: VERSION,
        checksum: NO_CHECKSUM,
        task: record,
    })?;
    let sum = fingerprint(&content);
    if let Some(place) = checksum_in(&mut content) {
        place.copy_from_slice(sum.as_bytes());
    }
    Ok(content)
}

/// The record in a task's file. One of a later version of the agent may begin otherwise: it has no checksum that this
/// one knows.
fn decode(mut content: Vec<u8>) -> io::Result<Record> {
    if let Some(place) = checksum_in(&mut content) {
        let given = place.to_vec();
        place.copy_from_slice(NO_CHECKSUM.as_bytes());
        if given != fingerprint(&content).as_bytes() {
            let problem = "the checksum is not that of the content";
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
    }
    Ok(serde_json::from_slice::<Read>(&content)?.task)
}

fn checksum_in(content: &mut [u8]) -> Option<&mut [u8]> {
    if content.starts_with(HEAD) {
        content.get_mut(HEAD.len()..HEAD.len() + NO_CHECKSUM.len())
    } else {
        None
    }
}

impl Spool {
    /// The spool within the state directory, made where it is not there yet.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, SpoolError> {
        let directory = state_dir.join(DIRECTORY);
        fs::create_dir_all(&directory).map_err(failed("create directory", &directory))?;
        Ok(Self { directory })
    }

    /// All records. What cannot be read is set aside and logged.
    pub(crate) fn load(&self) -> Result<Vec<Record>, SpoolError> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed("read directory", &self.directory))? {
            let path = entry.map_err(failed("read directory", &self.directory))?.path();
            if path.extension().is_none_or(|extension| extension != SUFFIX) {
                continue;
            }
            match read(&path) {
                Ok(record) => records.push(record),
                Err(error) => set_aside(&path, &error),
            }
        }
        Ok(records)
    }

    /// Makes the changes; they are durable when this returns.
    pub(crate) fn commit(&self, changes: &[Change]) -> Result<(), SpoolError> {
        for change in changes {
            match change {
                Change::Write(task, content) => {
                    fail_point!("before", "record-write");
                    self.write(*task, content)?;
                    fail_point!("after", "record-write");
                }
                Change::Remove(task) => {
                    fail_point!("before", "record-removal");
                    let path = self.path(*task);
                    match fs::remove_file(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            return Err(failed("remove", &path)(error));
                        }
                        Ok(()) | Err(_) => {}
                    }
                    fail_point!("after", "record-removal");
                }
            }
        }
        sync_directory(&self.directory)
    }

    fn write(&self, task: TaskId, content: &[u8]) -> Result<(), SpoolError> {
        replace(&self.path(task), content)
    }

    fn path(&self, task: TaskId) -> PathBuf {
        self.directory.join(format!("{task}.{SUFFIX}"))
    }
}

/// Replaces the file whole. Durable only once its directory is synced.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), SpoolError> {
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside).map_err(failed("create", &beside))?;
    file.write_all(content).map_err(failed("write", &beside))?;
    file.sync_all().map_err(failed("sync", &beside))?;
    fs::rename(&beside, path).map_err(failed("rename into place", path))
}

/// Makes what was renamed into and removed from the directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), SpoolError> {
    let opened = File::open(directory).and_then(|file| file.sync_all());
    opened.map_err(failed("sync directory", directory))
}

fn read(path: &Path) -> io::Result<Record> {
    decode(fs::read(path)?)
}

fn set_aside(path: &Path, error: &io::Error) {
    let aside = path.with_extension("json.corrupt");
    let moved = fs::rename(path, &aside);
    tracing::error!(
        path = %path.display(),
        %error,
        set_aside = moved.is_ok(),
        "a task's record cannot be read; the task is known by its containers alone"
    );
}

fn failed<'p>(operation: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> SpoolError + 'p {
    move |source| SpoolError {
        operation,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_agent_core::context::TaskContext;
    use berth_agent_core::spec::TaskSpec;
    use berth_model::id::InstanceId;

    use super::*;

    fn record(id: u128) -> Record {
        let definition = serde_json::from_str(
            r#"{"family": "web", "containerDefinitions": [{"name": "app", "image": "busybox", "memory": 8}]}"#,
        );
        Record::new(TaskSpec {
            id: TaskId::from_bits(id),
            arn: format!("arn:aws:ecs:us-east-1:000000000000:task/prod/{}", TaskId::from_bits(id)),
            cluster: "prod".to_owned(),
            instance: InstanceId::from_bits(1),
            definition_arn: "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1".to_owned(),
            revision: 1,
            definition: Arc::new(definition.unwrap()),
            context: TaskContext::default(),
        })
    }

    fn write(record: &Record) -> Change {
        Change::Write(record.spec.id, encode(record).unwrap())
    }

    #[test]
    fn records_come_back_as_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let (one, two) = (record(1), record(2));
        spool.commit(&[write(&one), write(&two)]).unwrap();
        spool
            .commit(&[Change::Remove(one.spec.id), Change::Remove(one.spec.id)])
            .unwrap();
        let again = Spool::open(directory.path()).unwrap();
        assert_eq!(again.load().unwrap(), [two]);
    }

    #[test]
    fn what_cannot_be_read_is_set_aside_and_the_rest_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let good = record(1);
        spool.commit(&[write(&good)]).unwrap();
        let tasks = directory.path().join(DIRECTORY);
        fs::write(tasks.join("00000000000000000000000000000002.json"), b"").unwrap();
        fs::write(tasks.join("00000000000000000000000000000003.tmp"), b"half").unwrap();
        assert_eq!(spool.load().unwrap(), [good]);
        assert!(tasks.join("00000000000000000000000000000002.json.corrupt").exists());
        assert_eq!(spool.load().unwrap().len(), 1);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed_or_does_no_harm() {
        let known = record(1);
        let content = encode(&known).unwrap();
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // In the head it may only hide the checksum.
            if let Ok(read) = decode(flipped) {
                assert!(bit / 8 < HEAD.len(), "bit {bit} went unnoticed");
                assert_eq!(read, known);
            }
        }
        for length in 0..content.len() {
            assert!(decode(content[..length].to_vec()).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn members_of_later_versions_are_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let known = record(1);
        let mut later: serde_json::Value = serde_json::from_slice(&encode(&known).unwrap()).unwrap();
        later["version"] = 2.into();
        later["checksum"] = "another kind".into();
        later["task"]["added_later"] = true.into();
        spool
            .commit(&[Change::Write(known.spec.id, later.to_string().into_bytes())])
            .unwrap();
        assert_eq!(spool.load().unwrap(), [known]);
    }
}
