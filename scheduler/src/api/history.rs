//! History: what happened to a task, a service or a container instance, read from the journal page by page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::{Fault, FaultClass};
use berth_model::time::Timestamp;
use berth_proto::v1 as wire;
use berth_scheduler_core::history::{Happening, Line, Story, Subject, happenings};
use berth_scheduler_core::keys::{InstanceKey, Revision, ServiceKey, TaskKey};
use memchr::memmem::Finder;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Api;
use super::page::{self, Page};
use super::request::given;
use crate::engine::Past;

/// Changes of one page where nothing is said.
const LISTED: usize = 100;
/// Records that are read at once.
const READ_AT_ONCE: u64 = 256;
/// After how long a page ends where it is.
const BUDGET: Duration = Duration::from_secs(2);
/// How long a caller waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// By how much the clocks of schedulers may differ.
const SKEW: Duration = Duration::from_secs(60);

pub(super) async fn tell(api: &Api, request: wire::HistoryRequest) -> Result<wire::HistoryResponse, Fault> {
    let subject = subject(api, &request)?;
    let page = Page::of_at_most(request.max_results, request.next_token.as_ref(), LISTED)?;
    let from = page.after.as_deref().map(revision).transpose()?;
    let turn = tokio::time::timeout(PATIENCE, Arc::clone(&api.planning).acquire_owned()).await;
    let turn = turn.map_err(|_elapsed| Fault::new(FaultClass::Throttling, "Rate exceeded"))?;
    let turn = turn.map_err(|error| Fault::server(format!("nothing is told: {error}")))?;
    let reader = Reader {
        past: api.past.clone(),
        mark: Finder::new(subject.mark().as_bytes()).into_owned(),
        subject,
        newest: api.view().revision(),
        limit: page.limit(),
        until: Instant::now() + BUDGET,
    };
    let runtime = Handle::current();
    // Records are searched and decoded: not for an asynchronous thread.
    let reading = tokio::task::spawn_blocking(move || {
        let told = runtime.block_on(reader.answer(from, request.oldest_first));
        drop(turn);
        told
    });
    let told = reading.await;
    told.unwrap_or_else(|error| Err(Fault::server(format!("the history was not told: {error}"))))
}

fn subject(api: &Api, request: &wire::HistoryRequest) -> Result<Subject, Fault> {
    let name = api.cluster(given(request.cluster.as_ref()))?;
    let state = api.view();
    // Also of a cluster that was deleted.
    let cluster = state.cluster(&name).ok_or_else(Fault::cluster_not_found)?.key;
    let named = [&request.task, &request.service, &request.container_instance];
    match named.map(|text| given(text.as_ref())) {
        [Some(task), None, None] => Ok(Subject::Task(TaskKey {
            cluster,
            task: api.namespace.parse_task(&name, task)?,
        })),
        [None, Some(service), None] => Ok(Subject::Service(ServiceKey {
            cluster,
            service: api.namespace.parse_service(&name, service)?,
        })),
        [None, None, Some(instance)] => Ok(Subject::Instance(InstanceKey {
            cluster,
            instance: api.namespace.parse_instance(&name, instance)?,
        })),
        _ => Err(Fault::invalid(
            "Exactly one of task, service and containerInstance must be given.",
        )),
    }
}

fn revision(key: &str) -> Result<Revision, Fault> {
    let number = key.parse().map(Revision);
    number.map_err(|_| Fault::invalid("Invalid token. nextToken is none that an earlier answer gave."))
}

/// Reads one page.
struct Reader {
    past: Past,
    subject: Subject,
    mark: Finder<'static>,
    /// Nothing newer is told.
    newest: Revision,
    limit: usize,
    until: Instant,
}

/// What a page has found.
struct Found {
    /// In the order in which they happened.
    happenings: VecDeque<Happening>,
    /// How many of the first belong to the page before it, and are there for what they left.
    context: usize,
    /// Where the next page begins.
    next: Option<Revision>,
}

impl Reader {
    async fn answer(&self, from: Option<Revision>, oldest_first: bool) -> Result<wire::HistoryResponse, Fault> {
        let oldest = self.past.oldest().await?;
        let found = match oldest_first {
            true => {
                let first = match from {
                    Some(from) => from,
                    None => self.first(oldest).await?,
                };
                self.forwards(first.max(oldest)).await?
            }
            false => {
                self.backwards(from.unwrap_or(self.newest).min(self.newest), oldest)
                    .await?
            }
        };
        let mut story = Story::of(&self.subject);
        let mut lines: Vec<wire::HistoryLine> = Vec::new();
        for (at, happening) in found.happenings.iter().enumerate() {
            let told = story.tell(happening);
            if at >= found.context {
                lines.extend(told.into_iter().map(line));
            }
        }
        if !oldest_first {
            lines.reverse();
        }
        let is_any = self.newest >= oldest;
        Ok(wire::HistoryResponse {
            lines,
            next_token: found.next.map(|next| page::encode(&next.to_string())),
            oldest_revision: oldest.0,
            oldest_at: match is_any {
                true => Some(self.past.time_of(oldest).await?.as_epoch_seconds()),
                false => None,
            },
        })
    }

    /// The record with which the story can begin at the earliest.
    async fn first(&self, oldest: Revision) -> Result<Revision, Fault> {
        let Some(born) = self.subject.born() else {
            return Ok(oldest);
        };
        let skew = i64::try_from(SKEW.as_millis()).unwrap_or(0);
        let before = Timestamp::from_millis(born.as_millis().saturating_sub(skew));
        // Where that cannot be told it is looked for from the beginning.
        Ok(self.past.revision_at(before).await.map_or(oldest, Revision::next))
    }

    async fn forwards(&self, first: Revision) -> Result<Found, Fault> {
        let mut found = Found {
            happenings: VecDeque::new(),
            context: 0,
            next: None,
        };
        let mut from = first;
        while from <= self.newest {
            let records = self.records(from, self.newest).await?;
            let Some((last, _)) = records.last() else { break };
            let last = *last;
            for (revision, bytes) in records {
                found.happenings.extend(self.look(revision, &bytes)?);
                let ends = |happening: &Happening| happening.is_last_of(&self.subject);
                if found.happenings.back().is_some_and(ends) {
                    return Ok(found);
                }
                if found.happenings.len() >= self.limit {
                    found.next = Some(revision.next()).filter(|next| *next <= self.newest);
                    return Ok(found);
                }
            }
            from = last.next();
            if from <= self.newest && Instant::now() >= self.until {
                found.next = Some(from);
                return Ok(found);
            }
        }
        Ok(found)
    }

    async fn backwards(&self, last: Revision, oldest: Revision) -> Result<Found, Fault> {
        let mut found = Found {
            happenings: VecDeque::new(),
            context: 0,
            next: None,
        };
        let mut last = last;
        while last >= oldest && last > Revision(0) {
            let first = Revision((last.0 + 1).saturating_sub(READ_AT_ONCE).max(oldest.0).max(1));
            for (revision, bytes) in self.records(first, last).await?.into_iter().rev() {
                let seen = self.look(revision, &bytes)?;
                let begins = seen.iter().any(|happening| happening.is_first_of(&self.subject));
                let is_full = found.happenings.len() >= self.limit;
                if is_full && !seen.is_empty() {
                    // The next page tells it; here it says how things were.
                    found.context = seen.len();
                    found.next = Some(revision);
                }
                seen.into_iter()
                    .rev()
                    .for_each(|happening| found.happenings.push_front(happening));
                if begins || found.next.is_some() {
                    return Ok(found);
                }
            }
            last = Revision(first.0 - 1);
            if last >= oldest && last > Revision(0) && Instant::now() >= self.until {
                found.next = Some(last);
                return Ok(found);
            }
        }
        Ok(found)
    }

    /// Records from one on, none behind another.
    async fn records(&self, first: Revision, last: Revision) -> Result<Vec<(Revision, Vec<u8>)>, Fault> {
        let count = (last.0 + 1).saturating_sub(first.0).min(READ_AT_ONCE);
        self.past
            .records(first, usize::try_from(count).unwrap_or(usize::MAX))
            .await
    }

    /// What a record has of the subject; most have nothing, and are not decoded.
    fn look(&self, revision: Revision, bytes: &[u8]) -> Result<Vec<Happening>, Fault> {
        match self.mark.find(bytes) {
            None => Ok(Vec::new()),
            Some(_) => Ok(happenings(&Past::decoded(revision, bytes)?, &self.subject)),
        }
    }
}

fn line(line: Line) -> wire::HistoryLine {
    wire::HistoryLine {
        revision: line.revision.0,
        at: line.at.as_epoch_seconds(),
        by: line.by.to_string(),
        what: line.what,
        why: line.why,
    }
}
