//! Where credentials come from: a file, or a command that the operator names.
//!
//! One task owns what is held. A role's credentials are fetched once for all who wait, kept until five minutes before
//! they end, and asked for again no sooner than [`PAUSE`] after a failure. Whoever asks waits no longer than an SDK does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::document::Credentials;
use crate::driver::now;

/// Credentials are renewed when they last less than this.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// What names no end is looked at again after this, so that a change is seen.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// For a command.
const DEADLINE: Duration = Duration::from_secs(30);
/// Between a failure and the next try.
const PAUSE: Duration = Duration::from_secs(5);
/// botocore gives up after 2 s, so it is told before to ask again.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Commands at once.
const FETCHES: usize = 4;
/// Questions that wait for the task.
const QUESTIONS: usize = 64;
/// Bytes of a document, or of a file of them.
const LONGEST: u64 = 1024 * 1024;

/// What the operator configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A JSON object: a document for each role's ARN.
    File(PathBuf),
    /// A program and its first arguments; the role's ARN is the last. It writes a document.
    Command(Vec<String>),
}

/// Why there are no credentials now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unavailable {
    #[error("this instance has no provider of credentials")]
    Unconfigured,
    #[error("Credentials uninitialized for ID: they are being fetched")]
    Loading,
    #[error("Credentials uninitialized for ID: the provider of this instance failed")]
    Failing,
}

impl Unavailable {
    pub(super) fn retry_after_seconds(self) -> u64 {
        match self {
            Self::Loading => 1,
            Self::Failing | Self::Unconfigured => PAUSE.as_secs(),
        }
    }
}

type Outcome = Result<Arc<Credentials>, Unavailable>;

/// A handle to the task that holds credentials; it ends with the last handle.
#[derive(Debug, Clone)]
pub(crate) struct Provider(mpsc::Sender<Question>);

#[derive(Debug)]
struct Question {
    role: String,
    answer: oneshot::Sender<Outcome>,
}

impl Provider {
    /// Begins to hold credentials of the source.
    pub(crate) fn begin(source: Source) -> Self {
        let (questions, inbox) = mpsc::channel(QUESTIONS);
        let holder = Holder {
            source: Arc::new(source),
            roles: BTreeMap::new(),
            fetches: JoinSet::new(),
            places: Arc::new(Semaphore::new(FETCHES)),
        };
        drop(tokio::spawn(holder.run(inbox)));
        Self(questions)
    }

    /// The role's credentials. Dropped, the fetch goes on.
    pub(super) async fn credentials(&self, role: &str) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let question = Question {
            role: role.to_owned(),
            answer,
        };
        let asked = async {
            self.0.send(question).await.map_err(|_| Unavailable::Loading)?;
            answered.await.unwrap_or(Err(Unavailable::Loading))
        };
        let outcome = tokio::time::timeout(PATIENCE, asked).await;
        outcome.unwrap_or(Err(Unavailable::Loading))
    }

    /// Has the role's credentials fetched, so that they are there when they are asked for.
    pub(crate) async fn prepare(&self, role: &str) {
        if let Err(why) = self.credentials(role).await {
            tracing::debug!(role, %why, "credentials are not there yet");
        }
    }
}

struct Holder {
    source: Arc<Source>,
    roles: BTreeMap<String, Held>,
    fetches: JoinSet<(String, Result<Credentials, String>)>,
    places: Arc<Semaphore>,
}

/// What is known of one role.
#[derive(Default)]
struct Held {
    credentials: Option<Arc<Credentials>>,
    /// Until then they are given without another look.
    fresh_until: Option<Instant>,
    fetching: bool,
    failed_at: Option<Instant>,
    waiting: Vec<oneshot::Sender<Outcome>>,
}

impl Holder {
    async fn run(mut self, mut inbox: mpsc::Receiver<Question>) {
        loop {
            tokio::select! {
                question = inbox.recv() => match question {
                    Some(question) => self.asked(question),
                    None => return,
                },
                Some(fetched) = self.fetches.join_next() => {
                    // A fetch that was lost is made again when the next one asks.
                    if let Ok((role, result)) = fetched {
                        self.fetched(&role, result);
                    }
                }
            }
        }
    }

    fn asked(&mut self, question: Question) {
        let (wall, clock) = (now(), Instant::now());
        let held = self.roles.entry(question.role.clone()).or_default();
        let valid = held
            .credentials
            .as_ref()
            .filter(|credentials| credentials.expires > wall);
        let fresh = held.fresh_until.is_some_and(|until| until > clock);
        let pausing = held.failed_at.is_some_and(|at| clock < at + PAUSE);
        if !(valid.is_some() && fresh || held.fetching || pausing) {
            held.fetching = true;
            let (source, places) = (Arc::clone(&self.source), Arc::clone(&self.places));
            let role = question.role;
            self.fetches.spawn(async move {
                let result = match places.acquire().await {
                    Ok(_place) => fetch(&source, &role).await,
                    Err(_) => Err("the agent is stopping".to_owned()),
                };
                (role, result)
            });
        }
        match valid {
            // A static file is looked at anew for every answer; what is held is as good until that is done.
            Some(credentials) if fresh || credentials.ends => answer(question.answer, Ok(Arc::clone(credentials))),
            Some(_) | None if held.fetching => {
                held.waiting.retain(|waiting| !waiting.is_closed());
                held.waiting.push(question.answer);
            }
            // The last look failed: what was seen before still holds.
            valid => answer(question.answer, valid.cloned().ok_or(Unavailable::Failing)),
        }
    }

    fn fetched(&mut self, role: &str, result: Result<Credentials, String>) {
        let (wall, clock) = (now(), Instant::now());
        let held = self.roles.entry(role.to_owned()).or_default();
        held.fetching = false;
        match result {
            Ok(credentials) => {
                let fresh = if credentials.ends {
                    let early = credentials.expires.since(wall + EARLY);
                    early.max(LOOK_AGAIN)
                } else {
                    LOOK_AGAIN
                };
                held.fresh_until = Some(clock + fresh);
                held.failed_at = None;
                held.credentials = Some(Arc::new(credentials));
            }
            Err(error) => {
                tracing::warn!(role, error, "the provider of credentials failed");
                held.failed_at = Some(clock);
            }
        }
        let valid = held
            .credentials
            .clone()
            .filter(|credentials| credentials.expires > wall);
        for waiting in std::mem::take(&mut held.waiting) {
            answer(waiting, valid.clone().ok_or(Unavailable::Failing));
        }
        // Roles that nobody has asked for since theirs ended are those of tasks that are gone.
        self.roles.retain(|_, held| {
            held.fetching
                || held.failed_at.is_some_and(|at| clock < at + PAUSE)
                || held
                    .credentials
                    .as_ref()
                    .is_some_and(|credentials| credentials.expires > wall)
        });
    }
}

/// Whoever asked may have gone.
fn answer(to: oneshot::Sender<Outcome>, outcome: Outcome) {
    if to.send(outcome).is_err() {
        tracing::trace!("nobody waits for the credentials any more");
    }
}

async fn fetch(source: &Source, role: &str) -> Result<Credentials, String> {
    match source {
        Source::File(path) => {
            let shown = path.display().to_string();
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || read_file(&path));
            let text = match tokio::time::timeout(DEADLINE, read).await {
                Ok(Ok(text)) => text,
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("it was not read within {} s", DEADLINE.as_secs())),
            };
            let credentials = text.and_then(|text| Credentials::read_of_role(&text, role, now()));
            credentials.map_err(|problem| format!("'{shown}': {problem}"))
        }
        Source::Command(words) => {
            let output = match tokio::time::timeout(DEADLINE, run(words, role)).await {
                Ok(output) => output,
                Err(_) => Err(format!("it did not end within {} s", DEADLINE.as_secs())),
            };
            let credentials = output.and_then(|text| Credentials::read(&text, now()));
            credentials.map_err(|problem| format!("'{}': {problem}", words.join(" ")))
        }
    }
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    read.map(|_| text).map_err(|error| error.to_string())
}

/// What the command writes to its output. It dies with the future: one that hangs is not left behind.
async fn run(words: &[String], role: &str) -> Result<Vec<u8>, String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("there is no command".to_owned());
    };
    let mut child = Command::new(program)
        .args(arguments)
        .arg(role)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it complains of is for the operator, who finds it where the agent's own output goes.
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let mut text = Vec::new();
    if let Some(output) = child.stdout.take() {
        let read = output.take(LONGEST).read_to_end(&mut text).await;
        read.map_err(|error| error.to_string())?;
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        Ok(text)
    } else {
        Err(format!("it ended with {status}"))
    }
}

#[cfg(test)]
mod tests;
