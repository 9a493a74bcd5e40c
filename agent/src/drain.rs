//! The host goes away, and the agent is told in time: by an operator or a unit over its socket (`control`), or by EC2
//! (`spot`).
//!
//! [`Desk`] takes the notices. One that holds is durable before anybody hears of it, so that an agent that is started
//! again goes on draining; it is dropped when the host has been started again, or when it is taken back. What follows
//! from a notice is the driver's.

pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod spot;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_agent_core::drain::{Departure, Notice};
use berth_model::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::event::Event;
use crate::spool;

const FILE: &str = "drain.json";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Requests that wait; whoever has one more waits.
const REQUESTS: usize = 8;

/// Where draining stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The last notice, or its end, that the driver has taken in.
    pub(crate) taken: u64,
    /// When tasks are told to stop; none where the host stays.
    pub(crate) deadline: Option<Timestamp>,
    /// Tasks that have not ended.
    pub(crate) tasks: usize,
    /// Tasks whose end the scheduler has not recorded.
    pub(crate) unrecorded: usize,
}

/// What is asked of the desk.
#[derive(Debug)]
pub(crate) struct Request {
    /// Why the host goes and when tasks stop; none takes back what was said.
    pub(crate) leave: Option<(Departure, Timestamp)>,
    /// Told once it is durable and on its way to the driver: the number by which [`Progress::taken`] shows it.
    pub(crate) done: oneshot::Sender<Result<u64, String>>,
}

/// What listens for the host's end.
#[derive(Debug)]
pub(crate) struct Begun {
    /// What an agent before this one was told.
    pub(crate) notice: Option<Notice>,
    /// For the driver to say how far it is.
    pub(crate) progress: watch::Sender<Progress>,
    /// To be aborted at the end.
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

/// Begins to listen, on the agent's socket and, where it may be, to EC2.
///
/// # Errors
/// The state directory cannot be read or written.
pub(crate) fn begin(
    state_dir: &Path,
    config: &Config,
    on_ec2: bool,
    events: &mpsc::Sender<Event>,
) -> io::Result<Begun> {
    let (desk, requests) = Desk::open(state_dir, events.clone())?;
    let (progress, drained) = watch::channel(Progress::default());
    let notice = desk.notice();
    let mut tasks = vec![tokio::spawn(desk.run())];
    match control::listen(state_dir) {
        Ok(listener) => tasks.push(tokio::spawn(control::serve(listener, requests.clone(), drained))),
        // Tasks run without it.
        Err(error) => tracing::error!(%error, "the agent's socket cannot be opened: `berth-agent drain` will not work"),
    }
    if let Some(service) = spot::endpoint(config, on_ec2) {
        tasks.push(tokio::spawn(spot::watch(service, config.stop_timeout, requests)));
    }
    Ok(Begun {
        notice,
        progress,
        tasks,
    })
}

/// Keeps the notice that holds.
#[derive(Debug)]
pub(crate) struct Desk {
    path: PathBuf,
    boot: String,
    notice: Option<Notice>,
    number: u64,
    events: mpsc::Sender<Event>,
    requests: mpsc::Receiver<Request>,
}

impl Desk {
    /// The desk with what an agent before this one was told, as far as it was told since the host was started.
    ///
    /// # Errors
    /// The state directory cannot be read or written.
    pub(crate) fn open(state_dir: &Path, events: mpsc::Sender<Event>) -> io::Result<(Self, mpsc::Sender<Request>)> {
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        let path = state_dir.join(FILE);
        let notice = kept(&path, &boot)?;
        let (sender, requests) = mpsc::channel(REQUESTS);
        let desk = Self {
            path,
            boot,
            notice,
            number: 0,
            events,
            requests,
        };
        Ok((desk, sender))
    }

    /// The notice that holds.
    pub(crate) fn notice(&self) -> Option<Notice> {
        self.notice.clone()
    }

    /// Takes requests until nobody can make one, or the driver is gone.
    pub(crate) async fn run(mut self) {
        while let Some(request) = self.requests.recv().await {
            let result = self.take(request.leave).await;
            if let Err(problem) = &result {
                tracing::error!(error = problem, "notice of the host's end not taken");
            }
            if request.done.send(result).is_err() {
                tracing::debug!("nobody waits for the notice to be taken");
            }
        }
    }

    async fn take(&mut self, leave: Option<(Departure, Timestamp)>) -> Result<u64, String> {
        let told = leave.map(|(departure, deadline)| Notice {
            departure,
            deadline,
            boot: self.boot.clone(),
        });
        let notice = match (self.notice.take(), told) {
            (Some(before), Some(newer)) => Some(before.or_newer(newer)),
            (None, told) | (Some(_), told @ None) => told,
        };
        self.notice.clone_from(&notice);
        let path = self.path.clone();
        let content = notice.clone();
        let kept = tokio::task::spawn_blocking(move || keep(&path, content.as_ref())).await;
        kept.map_err(|error| error.to_string())?
            .map_err(|error| format!("{}: {error:#}", self.path.display()))?;
        self.number += 1;
        let number = self.number;
        let sent = self.events.send(Event::Drain { number, notice }).await;
        sent.map(|()| number).map_err(|_| "the agent stops".to_owned())
    }
}

fn kept(path: &Path, boot: &str) -> io::Result<Option<Notice>> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice::<Notice>(&content) {
        Ok(notice) if notice.boot == boot => {
            tracing::warn!(deadline = %notice.deadline.to_rfc3339(), "goes on draining: the host is about to go");
            return Ok(Some(notice));
        }
        Ok(_) => tracing::info!("the host was started again: it no longer drains"),
        Err(error) => tracing::warn!(%error, path = %path.display(), "no notice of the host's end; removed"),
    }
    fs::remove_file(path)?;
    Ok(None)
}

fn keep(path: &Path, notice: Option<&Notice>) -> anyhow::Result<()> {
    match notice {
        Some(notice) => spool::replace(path, &serde_json::to_vec(notice)?)?,
        None => match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        },
    }
    if let Some(directory) = path.parent() {
        spool::sync_directory(directory)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_notice_outlives_the_agent_and_not_the_boot() {
        let directory = tempfile::tempdir().unwrap();
        let (events, mut heard) = mpsc::channel(8);
        let (desk, requests) = Desk::open(directory.path(), events.clone()).unwrap();
        assert_eq!(desk.notice(), None);
        let desk = tokio::spawn(desk.run());
        let ask = async |leave| {
            let (done, answer) = oneshot::channel();
            requests.send(Request { leave, done }).await.unwrap();
            answer.await.unwrap().unwrap()
        };
        let deadline = Timestamp::from_millis(1);
        assert_eq!(ask(Some((Departure::Shutdown, deadline))).await, 1);
        assert!(matches!(
            heard.recv().await,
            Some(Event::Drain {
                number: 1,
                notice: Some(_)
            })
        ));
        let again = |boot: &str| kept(&directory.path().join(FILE), boot).unwrap();
        let boot = fs::read_to_string(BOOT_ID).unwrap();
        assert_eq!(again(boot.trim()).map(|notice| notice.deadline), Some(deadline));
        assert_eq!(again("another"), None);
        assert_eq!(again(boot.trim()), None, "it is gone for good");
        assert_eq!(ask(None).await, 2);
        drop(requests);
        desk.await.unwrap();
    }
}
