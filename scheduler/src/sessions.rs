//! Sessions: commands that are run in containers, and logs that are read, through the agents of their hosts.
//!
//! Whoever may run a command is offered a session, with a token that enters it once and soon. Who enters is connected with the
//! agent, which was asked on its stream to call: nothing dials in to a host. What passes through is looked at by nobody and
//! kept nowhere. Called by `api`, and by `nodes` for agents that call.

pub mod carry;
pub(crate) mod data_channel;
pub(crate) mod logs;
mod merge;
mod relay;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_model::fault::{Fault, FaultClass};
use berth_proto::agent::v1::OpenSession as AskAgent;
use berth_proto::agent::v1::open_session::Wish;
use berth_proto::session::v1::{Command, FromContainer, TerminalSize, ToContainer};
use berth_scheduler_core::command::Principal;
use berth_scheduler_core::decide::session::{EndSession, Place, not_connected};
use berth_scheduler_core::keys::InstanceKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::engine::Engine;
use crate::nodes::Registry;
pub(crate) use relay::{input_end, relay};

/// Sessions of commands at a time, those that are offered included.
const MOST: usize = 100;
/// How long a token is good.
const OFFERED: Duration = Duration::from_secs(60);
/// How long an agent may take to call.
const CALL: Duration = Duration::from_secs(10);
/// Messages that wait for an agent.
const TO_AGENT: usize = 16;

/// All sessions of this scheduler.
#[derive(Debug)]
pub struct Sessions {
    engine: Engine,
    nodes: Arc<Registry>,
    others: carry::Others,
    shutdown: CancellationToken,
    turns: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// For whoever has the token.
    offers: HashMap<Arc<str>, Offer>,
    /// For the agent that was asked, by what only that agent was told.
    calls: HashMap<String, Call>,
}

/// An agent that was asked to call.
#[derive(Debug)]
struct Call {
    instance: InstanceKey,
    pipe: oneshot::Sender<Pipe>,
}

/// Room for one more session.
#[derive(Debug)]
pub(crate) struct Reserved {
    /// By what it will be known.
    pub(crate) id: Arc<str>,
    turn: OwnedSemaphorePermit,
}

/// A session that may be entered.
#[derive(Debug)]
pub(crate) struct Offer {
    id: Arc<str>,
    token: Token,
    pub(crate) place: Place,
    task_arn: String,
    command: Command,
    by: Principal,
    _turn: OwnedSemaphorePermit,
}

/// What enters a session.
struct Token(String);

impl fmt::Debug for Token {
    /// Nothing of it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

/// Both directions between here and a container.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) to: mpsc::Sender<ToContainer>,
    pub(crate) from: Streaming<FromContainer>,
}

impl Sessions {
    /// None yet; all end when `shutdown` is cancelled.
    #[must_use]
    pub fn new(engine: Engine, nodes: Arc<Registry>, others: carry::Others, shutdown: CancellationToken) -> Self {
        Self {
            engine,
            nodes,
            others,
            shutdown,
            turns: Arc::new(Semaphore::new(MOST)),
            waiting: Mutex::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all sessions.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Room for a session of a command.
    ///
    /// # Errors
    /// `ClientException` in ECS's words where there are too many.
    pub(crate) fn reserve(&self) -> Result<Reserved, Fault> {
        let turn = turn(&self.turns)?;
        Ok(Reserved {
            id: format!("ecs-execute-command-{}", random::<9>()?).into(),
            turn,
        })
    }

    /// Offers the session that was reserved; gives the token that enters it.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub(crate) fn offer(
        self: &Arc<Self>,
        reserved: Reserved,
        (place, task_arn): (Place, String),
        command: Command,
        by: &Principal,
    ) -> Result<String, Fault> {
        let token = random::<32>()?;
        let id = Arc::clone(&reserved.id);
        let offer = Offer {
            id: reserved.id,
            token: Token(token.clone()),
            place,
            task_arn,
            command,
            by: Principal::clone(by),
            _turn: reserved.turn,
        };
        self.waiting().offers.insert(Arc::clone(&id), offer);
        let sessions = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(OFFERED).await;
            let unused = sessions.waiting().offers.remove(&id);
            if let Some(offer) = unused {
                sessions.ended(&offer, "nobody entered it within a minute").await;
            }
        });
        Ok(token)
    }

    /// Whether somebody may enter the session.
    pub(crate) fn is_offered(&self, id: &str) -> bool {
        self.waiting().offers.contains_key(id)
    }

    /// Takes up an offer, which is gone then.
    ///
    /// # Errors
    /// `AccessDeniedException` where there is none with the token: it may have been used, or be too old.
    pub(crate) fn take_up(&self, id: &str, token: &str) -> Result<Offer, Fault> {
        let mut waiting = self.waiting();
        let is_meant = waiting
            .offers
            .get(id)
            .is_some_and(|offer| same(offer.token.0.as_bytes(), token.as_bytes()));
        let offer = if is_meant { waiting.offers.remove(id) } else { None };
        offer.ok_or_else(|| {
            let text = "The session's token is wrong, was used before or is older than a minute: open another session.";
            Fault::new(FaultClass::AccessDenied, text.to_owned())
        })
    }

    /// Connects with the agent that runs the offer's command, in a terminal of this size where that is known only now.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn run(&self, offer: &Offer, size: Option<TerminalSize>) -> Result<Pipe, Fault> {
        let mut command = offer.command.clone();
        command.size = size.or(command.size);
        self.call(&offer.place, &offer.task_arn, Wish::Command(command)).await
    }

    /// Asks the agent of the place to call, and waits until it does; through the scheduler that has its stream, where that is
    /// another.
    ///
    /// # Errors
    /// `TargetNotConnectedException` where its stream is nowhere, or it does not call in time.
    pub(crate) async fn call(&self, place: &Place, task_arn: &str, wish: Wish) -> Result<Pipe, Fault> {
        let session = AskAgent {
            session_id: String::new(),
            task_arn: task_arn.to_owned(),
            container: place.container.to_string(),
            wish: Some(wish),
        };
        let via = self
            .engine
            .view()
            .instance(place.instance)
            .and_then(|instance| instance.via);
        match via.filter(|via| self.others.includes(*via)) {
            Some(via) => self.others.call(via, place.instance, session).await,
            None => self.call_here(place.instance, session).await,
        }
    }

    /// As [`Self::call`], of an agent that has its stream here.
    async fn call_here(&self, key: InstanceKey, session: AskAgent) -> Result<Pipe, Fault> {
        let number = random::<16>()?;
        let (called, calls) = oneshot::channel();
        let call = Call {
            instance: key,
            pipe: called,
        };
        self.waiting().calls.insert(number.clone(), call);
        let ask = AskAgent {
            session_id: number.clone(),
            ..session
        };
        let instance = key.instance;
        let piped = match self.nodes.ask(key, ask) {
            false => Err(not_connected(&format!(
                "The agent of container instance {instance} takes no session now: its stream has just ended, or it is busy. Try \
                 again."
            ))),
            true => match tokio::time::timeout(CALL, calls).await {
                Ok(Ok(pipe)) => Ok(pipe),
                Ok(Err(_)) | Err(_) => Err(not_connected(&format!(
                    "The agent of container instance {instance} did not call within {} s.",
                    CALL.as_secs()
                ))),
            },
        };
        self.waiting().calls.remove(&number);
        piped
    }

    /// An agent calls, as it was asked to; gives what is to go to it. `speaks` says whether who calls is of the instance that
    /// was asked.
    ///
    /// # Errors
    /// Those of `speaks`; `InvalidParameterException` where nobody waits for the call.
    pub(crate) fn called(
        &self,
        number: &str,
        from: Streaming<FromContainer>,
        speaks: impl FnOnce(InstanceKey) -> Result<(), Fault>,
    ) -> Result<mpsc::Receiver<ToContainer>, Fault> {
        let nobody = || Fault::invalid("Nobody waits for this session.");
        let asked = self.waiting().calls.get(number).map(|call| call.instance);
        speaks(asked.ok_or_else(nobody)?)?;
        let call = self.waiting().calls.remove(number).ok_or_else(nobody)?;
        let (to, messages) = mpsc::channel(TO_AGENT);
        call.pipe.send(Pipe { to, from }).map_err(|_gone| nobody())?;
        Ok(messages)
    }

    /// Writes down how a session ended.
    pub(crate) async fn ended(&self, offer: &Offer, reason: &str) {
        let end = EndSession {
            task: offer.place.task,
            session: Arc::clone(&offer.id),
            reason: reason.into(),
        };
        tracing::info!(session = %offer.id, task = %offer.place.task.task, reason, "session ended");
        if let Err(fault) = self.engine.submit(end, Principal::clone(&offer.by)).await {
            tracing::warn!(session = %offer.id, error = %fault, "end of a session not recorded");
        }
    }
}

/// Whether both are the same, in a time that does not tell where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Fault> {
    Arc::clone(turns).try_acquire_owned().map_err(|_full| {
        Fault::new(
            FaultClass::Client,
            format!(
                "Unable to start new execute sessions because the maximum session limit of {MOST} has been reached."
            ),
        )
    })
}

/// So many random bytes, as hex digits.
fn random<const BYTES: usize>() -> Result<String, Fault> {
    let bytes = random_bytes::<BYTES>()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn random_bytes<const BYTES: usize>() -> Result<[u8; BYTES], Fault> {
    let mut bytes = [0; BYTES];
    let read = |bytes: &mut [u8]| -> io::Result<()> { std::fs::File::open("/dev/urandom")?.read_exact(bytes) };
    read(&mut bytes).map_err(|error| Fault::server(format!("cannot read /dev/urandom: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared_whole() {
        let token = random::<32>().unwrap();
        assert_eq!(token.len(), 64);
        assert!(same(token.as_bytes(), token.as_bytes()));
        assert!(!same(token.as_bytes(), &token.as_bytes()[1..]));
        assert!(!same(token.as_bytes(), random::<32>().unwrap().as_bytes()));
    }

    #[test]
    fn one_session_more_than_there_may_be_is_refused_until_another_ends() {
        let turns = Arc::new(Semaphore::new(MOST));
        let mut taken: Vec<_> = (0..MOST).map(|_| turn(&turns).unwrap()).collect();
        let fault = turn(&turns).unwrap_err();
        assert_eq!(fault.class, FaultClass::Client);
        assert_eq!(
            fault.message,
            "Unable to start new execute sessions because the maximum session limit of 100 has been reached."
        );
        taken.pop();
        taken.push(turn(&turns).unwrap());
    }
}
