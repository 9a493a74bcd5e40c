//! Does what a plan of faults says, and undoes it: afterwards everything runs and everybody reaches everybody.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::bed::Bed;
use super::fault::{Episode, Fault};
use crate::daemon::Daemon;
use crate::network::Link;
use crate::wait::{Seen, wait_until};

/// How often processes are looked after.
const LOOK: Duration = Duration::from_millis(200);
/// How long a scheduler may take to start and to serve when nothing is wrong.
const SERVES_WITHIN: Duration = Duration::from_secs(60);
/// The exit code of a scheduler that could not start: its journal was out of reach.
const COULD_NOT_START: i32 = 1;

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    /// How often each kind of fault was.
    pub(super) faults: BTreeMap<&'static str, usize>,
    /// When something was wrong, since the start of the run.
    pub(super) troubled: Vec<(Duration, Duration)>,
    /// Starts of schedulers that had ended because etcd was out of reach when they began.
    pub(super) started_again: usize,
}

/// Does all of it, one episode after the other.
pub(super) fn torment(bed: &mut Bed, plan: &[Episode], begun: Instant) -> Result<Deeds> {
    let mut deeds = Deeds::default();
    for episode in plan {
        attend(bed, &mut deeds, episode.after)?;
        let from = begun.elapsed();
        for fault in &episode.faults {
            *deeds.faults.entry(fault.kind()).or_default() += 1;
            befall(bed, *fault)?;
        }
        sleep(episode.lasts);
        for fault in episode.faults.iter().rev() {
            undo(bed, *fault)?;
        }
        deeds.troubled.push((from, begun.elapsed()));
    }
    Ok(deeds)
}

/// Waits, and starts again what ends because it could not start.
fn attend(bed: &mut Bed, deeds: &mut Deeds, span: Duration) -> Result<()> {
    let until = Instant::now() + span;
    while Instant::now() < until {
        look_after(bed, deeds)?;
        sleep(LOOK);
    }
    Ok(())
}

fn look_after(bed: &mut Bed, deeds: &mut Deeds) -> Result<()> {
    for (nth, seat) in bed.schedulers.iter_mut().enumerate() {
        let daemon = seat.process.daemon();
        match daemon.ended()? {
            None => {}
            Some(status) if status.code() == Some(COULD_NOT_START) => {
                deeds.started_again += 1;
                daemon.start_again()?;
            }
            Some(status) => bail!("scheduler {nth} ended by itself: {status}"),
        }
    }
    for member in &mut bed.members {
        member.daemon.check_running()?;
    }
    Ok(())
}

/// Waits until every scheduler serves; nothing is wrong any more.
pub(super) fn recover(bed: &mut Bed, deeds: &mut Deeds) -> Result<()> {
    wait_until("every scheduler serves", SERVES_WITHIN, || {
        look_after(bed, deeds)?;
        for seat in &bed.schedulers {
            seat.process.ecs().call("ListClusters", &serde_json::json!({}))?;
        }
        Ok(Seen::Done(()))
    })
}

fn befall(bed: &mut Bed, fault: Fault) -> Result<()> {
    match fault {
        Fault::KillScheduler(nth) => scheduler(bed, nth).kill(),
        Fault::FreezeScheduler(nth) => freeze(scheduler(bed, nth)),
        Fault::KillMember(nth) => bed.members[nth].daemon.kill(),
        Fault::FreezeMember(nth) => freeze(&mut bed.members[nth].daemon),
        Fault::SlowDisk(nth) => bed.members[nth].disk()?.slow_down(),
        Fault::FullDiskOfMember(nth) => bed.members[nth].disk()?.fill(),
        Fault::FullDiskOfScheduler(nth) => bed.schedulers[nth].disk()?.fill(),
        Fault::CutJournal(_)
        | Fault::DeafenScheduler(_)
        | Fault::CutClients(_)
        | Fault::CutAgents(_)
        | Fault::CutMember(_) => blocked(bed, fault)
            .into_iter()
            .try_for_each(|(at, from)| at.block(from.address())),
    }
}

fn undo(bed: &mut Bed, fault: Fault) -> Result<()> {
    match fault {
        Fault::KillScheduler(nth) => start_again(scheduler(bed, nth)),
        Fault::FreezeScheduler(nth) => resume(scheduler(bed, nth)),
        Fault::KillMember(nth) => bed.members[nth].start_again(),
        Fault::FreezeMember(nth) => resume(&mut bed.members[nth].daemon),
        Fault::SlowDisk(nth) => bed.members[nth].disk()?.speed_up(),
        Fault::FullDiskOfMember(nth) => {
            let member = &mut bed.members[nth];
            member.daemon.kill()?;
            member.disk()?.make_room()?;
            member.start_again()
        }
        Fault::FullDiskOfScheduler(nth) => {
            scheduler(bed, nth).kill()?;
            bed.schedulers[nth].disk()?.make_room()?;
            start_again(scheduler(bed, nth))
        }
        Fault::CutJournal(_)
        | Fault::DeafenScheduler(_)
        | Fault::CutClients(_)
        | Fault::CutAgents(_)
        | Fault::CutMember(_) => blocked(bed, fault)
            .into_iter()
            .try_for_each(|(at, from)| at.unblock(from.address())),
    }
}

fn scheduler(bed: &mut Bed, nth: usize) -> &mut Daemon {
    bed.schedulers[nth].process.daemon()
}

/// One that has just ended because it could not start is looked after later.
fn freeze(daemon: &mut Daemon) -> Result<()> {
    if daemon.is_running()? { daemon.freeze() } else { Ok(()) }
}

fn resume(daemon: &mut Daemon) -> Result<()> {
    if daemon.is_running()? { daemon.resume() } else { Ok(()) }
}

fn start_again(daemon: &mut Daemon) -> Result<()> {
    if daemon.is_running()? {
        Ok(())
    } else {
        daemon.start_again()
    }
}

/// Who does not hear whom.
fn blocked(bed: &Bed, fault: Fault) -> Vec<(&Link, &Link)> {
    let members = || bed.members.iter().map(|member| &member.link);
    let own = |nth: usize| &bed.schedulers[nth].link;
    match fault {
        Fault::CutJournal(nth) => members().flat_map(|member| both(own(nth), member)).collect(),
        Fault::DeafenScheduler(nth) => members().map(|member| (own(nth), member)).collect(),
        Fault::CutClients(nth) => both(own(nth), &bed.clients[nth % bed.clients.len()]).to_vec(),
        Fault::CutAgents(nth) => both(own(nth), &bed.agents[nth % bed.agents.len()]).to_vec(),
        Fault::CutMember(nth) => {
            let others = bed.members.iter().enumerate().filter(|(other, _)| *other != nth);
            others
                .flat_map(|(_, other)| both(&bed.members[nth].link, &other.link))
                .collect()
        }
        Fault::KillScheduler(_)
        | Fault::FreezeScheduler(_)
        | Fault::KillMember(_)
        | Fault::FreezeMember(_)
        | Fault::SlowDisk(_)
        | Fault::FullDiskOfMember(_)
        | Fault::FullDiskOfScheduler(_) => Vec::new(),
    }
}

const fn both<'a>(one: &'a Link, other: &'a Link) -> [(&'a Link, &'a Link); 2] {
    [(one, other), (other, one)]
}
