//! `berth-agent drain`: speaks to the agent of this host over its socket, and waits.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::control::{self, Ask, Standing};
use crate::config::Short;

/// For the agent to take the request.
const TAKEN: Duration = Duration::from_secs(10);
/// How long ends that the scheduler does not record are waited for: they are kept, and told when the host is back.
const UNRECORDED: Duration = Duration::from_secs(15);

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    pub(crate) state_dir: PathBuf,
    /// In how long what still runs is stopped; none takes back what was said.
    pub(crate) within: Option<Duration>,
}

impl Drain {
    /// Tells the agent, and each change on `out`, until nothing runs and every end is recorded.
    ///
    /// # Errors
    /// There is no agent, it refuses, or it ends before it is done.
    pub fn run(&self, mut out: impl Write) -> anyhow::Result<()> {
        let ask = match self.within {
            Some(within) => Ask::Drain {
                within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
            },
            None => Ask::Stay,
        };
        let mut answers = self.ask(ask)?;
        let mut told = None;
        let mut ended: Option<Instant> = None;
        loop {
            match answers.next(ended) {
                Ok(Some(Standing::Refused(problem))) => bail!("the agent refuses: {problem}"),
                Ok(Some(Standing::Staying)) => {
                    writeln!(out, "the host stays: the agent does not drain")?;
                    return Ok(());
                }
                Ok(Some(Standing::Draining {
                    tasks: 0,
                    unrecorded: 0,
                })) => {
                    writeln!(out, "drained: nothing runs, and every end is recorded")?;
                    return Ok(());
                }
                Ok(Some(standing @ Standing::Draining { tasks, unrecorded })) => {
                    if told.as_ref() != Some(&standing) {
                        let when = self
                            .within
                            .map(|within| format!(", which stop in {} at the latest", Short(within)));
                        let when = when.filter(|_| told.is_none()).unwrap_or_default();
                        writeln!(
                            out,
                            "draining: {tasks} tasks left{when}; {unrecorded} ends not recorded yet"
                        )?;
                        told = Some(standing);
                    }
                    ended = (tasks == 0).then(|| ended.unwrap_or_else(Instant::now));
                }
                Ok(None) => bail!("the agent ended before it had drained"),
                Err(error) if error.kind() == ErrorKind::TimedOut || error.kind() == ErrorKind::WouldBlock => {
                    bail!("nothing runs, but the scheduler does not record it: the agent tells it when both are back")
                }
                Err(error) => return Err(error).context("listen to the agent"),
            }
        }
    }

    fn ask(&self, ask: Ask) -> anyhow::Result<Answers> {
        let path = control::path(&self.state_dir);
        let mut stream = connect(&path)?;
        stream.set_write_timeout(Some(TAKEN))?;
        let mut line = serde_json::to_vec(&ask)?;
        line.push(b'\n');
        stream.write_all(&line).context("ask the agent")?;
        Ok(Answers {
            reader: BufReader::new(stream),
        })
    }
}

fn connect(path: &Path) -> anyhow::Result<UnixStream> {
    UnixStream::connect(path).with_context(|| {
        format!(
            "no agent answers at {}; --state-dir, before `drain`, names the directory of another",
            path.display()
        )
    })
}

struct Answers {
    reader: BufReader<UnixStream>,
}

impl Answers {
    /// The next answer; where all tasks ended at `ended`, it is not waited for for ever.
    fn next(&mut self, ended: Option<Instant>) -> std::io::Result<Option<Standing>> {
        let patience = ended.map(|ended| {
            let left = UNRECORDED.saturating_sub(ended.elapsed());
            left.max(Duration::from_millis(1))
        });
        self.reader.get_ref().set_read_timeout(patience)?;
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }
}
