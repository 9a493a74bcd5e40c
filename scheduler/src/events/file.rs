//! Events appended to a file, one JSON object a line, each at least once and in order.
//!
//! A line is written as soon as its event is known and is on disk a few seconds later. What a crash takes with it is told
//! again: where to go on is what the last whole line says, or, where the file was rotated or nothing has happened for
//! long, what is written beside it in `PATH.position`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_daemon::Backoff;
use berth_scheduler_core::event::Position;
use futures_util::{Stream, StreamExt};
use serde_json::Value;

use super::{Batch, Events, Filter, Start, WatchError};

/// How often what was written is brought to disk, while something is.
const SYNC: Duration = Duration::from_secs(1);
/// How often the position beside the file is written, while it moves.
const SAVE: Duration = Duration::from_secs(10);
/// Bytes that are read at once to find the last line.
const LOOK_BACK: u64 = 64 * 1024;
/// What each line begins with.
const BEGINNING: &str = r#"{"version":"0","#;

/// The file, open for appending.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    /// Behind what was written.
    position: Option<Position>,
    /// What is written beside the file.
    saved: Option<Position>,
    saved_at: Instant,
    synced_at: Instant,
    /// Something was written since.
    dirty: bool,
}

/// Appends all events to the file until the scheduler ends. A file that cannot be written is tried again.
pub async fn keep_file(events: Arc<Events>, path: PathBuf) {
    let mut backoff = Backoff::default();
    loop {
        match append_all(&events, &path, &mut backoff).await {
            Ok(()) => return,
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, error = format!("{error:#}"), "events not written to the file, tried again");
            }
        }
        tokio::time::sleep(backoff.next_pause()).await;
    }
}

/// Appends until the scheduler ends.
async fn append_all(events: &Arc<Events>, path: &Path, backoff: &mut Backoff) -> anyhow::Result<()> {
    let path = path.to_owned();
    let mut log = blocking(move || Log::open(path)).await?;
    if log.position.is_none() {
        let now = Position::from(events.head());
        log.position = Some(now);
        log = blocking(move || log.save()).await?;
    }
    loop {
        let start = log.position.map_or(Start::Now, Start::After);
        let told = events.watch(start, Filter::default()).await;
        let error;
        (log, error) = match told {
            Ok(told) => append(log, told, backoff).await?,
            Err(error) => (log, error),
        };
        match error {
            WatchError::Compacted { asked, oldest } => {
                tracing::error!(%asked, %oldest, "events are lost to the file: the journal does not have them any more");
                log.position = Some(Position::before(oldest));
            }
            WatchError::Slow { .. } => {}
            WatchError::Shutdown { .. } => {
                blocking(move || log.save()).await?;
                return Ok(());
            }
            other @ (WatchError::Ahead { .. }
            | WatchError::TooMany(_)
            | WatchError::TooManyBehind(_)
            | WatchError::Failed(_)) => return Err(other.into()),
        }
    }
}

/// Appends what a stream tells; gives why it ended.
async fn append(
    mut log: Log,
    told: impl Stream<Item = Result<Batch, WatchError>>,
    backoff: &mut Backoff,
) -> anyhow::Result<(Log, WatchError)> {
    let mut told = std::pin::pin!(told);
    while let Some(batch) = told.next().await {
        match batch {
            Ok(batch) => log = blocking(move || log.write(&batch)).await?,
            Err(error) => return Ok((log, error)),
        }
        *backoff = Backoff::default();
    }
    Ok((log, WatchError::Failed("the stream has ended".into())))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> anyhow::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

impl Log {
    /// Opens the file, or makes it, and finds out how far it is. A line that was not written whole is taken away.
    fn open(path: PathBuf) -> io::Result<Self> {
        let mut file = open(&path)?;
        let last = last_position(&mut file)?;
        let saved = match fs::read_to_string(beside(&path)) {
            Ok(text) => text.trim().parse().ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        Ok(Self {
            path,
            file,
            position: last.max(saved),
            saved,
            saved_at: now,
            synced_at: now,
            dirty: false,
        })
    }

    fn write(mut self, batch: &Batch) -> io::Result<Self> {
        if !batch.events.is_empty() {
            self.follow_rotation()?;
            let lines: String = batch.events.iter().map(|event| format!("{}\n", event.json)).collect();
            self.file.write_all(lines.as_bytes())?;
            self.dirty = true;
        }
        self.position = Some(batch.position);
        if self.dirty && self.synced_at.elapsed() >= SYNC {
            self.sync()?;
        }
        if self.saved != self.position && self.saved_at.elapsed() >= SAVE {
            return self.save();
        }
        Ok(self)
    }

    /// Goes on in the file that has the name now.
    fn follow_rotation(&mut self) -> io::Result<()> {
        let is_same = match fs::metadata(&self.path) {
            Ok(named) => {
                let own = self.file.metadata()?;
                (named.dev(), named.ino()) == (own.dev(), own.ino())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !is_same {
            self.sync()?;
            self.file = open(&self.path)?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced_at = Instant::now();
        self.dirty = false;
        Ok(())
    }

    /// Writes beside the file how far it is, once that is on disk.
    fn save(mut self) -> io::Result<Self> {
        self.sync()?;
        if let Some(position) = self.position {
            let (path, next) = (beside(&self.path), with_suffix(&self.path, ".position.new"));
            let mut file = File::create(&next)?;
            writeln!(file, "{position}")?;
            file.sync_data()?;
            fs::rename(&next, &path)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        self.saved = self.position;
        self.saved_at = Instant::now();
        Ok(self)
    }
}

/// Opens the file for appending; it is this process's alone.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::other("another process appends to it"),
        TryLockError::Error(error) => error,
    })?;
    Ok(file)
}

fn beside(path: &Path) -> PathBuf {
    with_suffix(path, ".position")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The position of the last whole line; nothing where there is none. What follows it was not written whole and is taken
/// away; what is no file of events is left alone.
fn last_position(file: &mut File) -> io::Result<Option<Position>> {
    let length = file.metadata()?.len();
    let Some(end) = line_break_before(file, length)? else {
        let text = read(file, 0, BEGINNING.len() as u64)?;
        if !BEGINNING.as_bytes().starts_with(&text) {
            return Err(no_events("it has no whole line"));
        }
        file.set_len(0)?;
        return Ok(None);
    };
    let begin = line_break_before(file, end)?.map_or(0, |before| before + 1);
    let line = read(file, begin, end - begin)?;
    let event: Value = serde_json::from_slice(&line).map_err(|_| no_events("its last line is no event"))?;
    let position = event["berth"]["position"].as_str().and_then(|text| text.parse().ok());
    let position = position.ok_or_else(|| no_events("its last line has no position"))?;
    if end + 1 < length {
        tracing::warn!(
            bytes = length - end - 1,
            "a line that was not written whole is taken away"
        );
        file.set_len(end + 1)?;
    }
    Ok(Some(position))
}

fn no_events(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("this is not a file of events: {why}"),
    )
}

fn read(file: &mut File, begin: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    Read::take(&mut *file, length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where the last line break before an offset is.
fn line_break_before(file: &mut File, mut end: u64) -> io::Result<Option<u64>> {
    while end > 0 {
        let begin = end.saturating_sub(LOOK_BACK);
        let chunk = read(file, begin, end - begin)?;
        if let Some(place) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(begin + u64::try_from(place).unwrap_or(0)));
        }
        end = begin;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
