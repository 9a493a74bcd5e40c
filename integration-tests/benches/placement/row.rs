//! One row: one cluster, one kind of request, one number of copies.

use std::time::Duration;

use anyhow::{Result, ensure};
use berth_scheduler_core::place::{Index, Request};
use berth_scheduler_core::state::State;

use crate::clock::{Clock, thread_time};
use crate::cluster::{self, CLUSTER, HOST, LARGEST};
use crate::kind::Kind;

/// How long each row is measured at a time, in time of the thread.
const SPAN: Duration = Duration::from_millis(100);
/// How often: the median of each figure counts, so that a burst of something else on the machine does not.
const SPANS: usize = 3;
/// Copies, at most, that are placed before the index is told what the state says, which is that none of them runs.
const AHEAD: usize = 1024;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) copies: u32,
    pub(crate) instances: usize,
    pub(crate) load: u32,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: &'static str,
    pub(crate) cell: Cell,
    /// Whether some request asked for fewer copies, as no more of it fit.
    pub(crate) fewer: bool,
    /// A second, of the time that placing took.
    pub(crate) rate: f64,
    /// Instances a second that copies of a call went to: neighbours in its answer on the same one count as one.
    pub(crate) touched: f64,
    /// Of a copy, in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Of a copy, in microseconds: taking what became of it into the index.
    pub(crate) upkeep: f64,
}

/// Times of calls, with the copies that each placed.
#[derive(Debug, Default)]
struct Times {
    calls: Vec<(Duration, usize)>,
    upkeep: Duration,
    placed: usize,
    touched: usize,
}

impl Row {
    /// Places copies and forgets them again, so that the cluster stays as full as it is.
    pub(crate) fn measure(kind: &Kind, cell: Cell, state: &State) -> Result<Self> {
        let mut index = Index::of(state, CLUSTER);
        let requests = cluster::requests(&(kind.strategies)(), &(kind.constraints)());
        let asked = askable(&mut index, state, requests, cell.copies);
        ensure!(
            !asked.is_empty(),
            "{} finds no place on {} instances at {} %",
            kind.name,
            cell.instances,
            cell.load
        );
        let fewer = asked.iter().any(|(_, copies)| *copies < cell.copies);
        // Once without counting, for memory and caches as they are in the long run.
        run(&mut index, state, &asked, cell, SPAN / 4);
        let spans = (0..SPANS).map(|_| run(&mut index, state, &asked, cell, SPAN));
        let rows: Vec<Self> = spans.map(|times| times.row(kind.name, cell, fewer)).collect();
        Ok(Self {
            kind: kind.name,
            cell,
            fewer,
            rate: median(&rows, |row| row.rate),
            touched: median(&rows, |row| row.touched),
            p50: median(&rows, |row| row.p50),
            p99: median(&rows, |row| row.p99),
            upkeep: median(&rows, |row| row.upkeep),
        })
    }
}

fn median(rows: &[Row], of: impl Fn(&Row) -> f64) -> f64 {
    let mut each: Vec<f64> = rows.iter().map(of).collect();
    each.sort_unstable_by(f64::total_cmp);
    each.get(each.len() / 2).copied().unwrap_or_default()
}

impl Cell {
    /// Copies that are placed before the index catches up: so few that they take no more than a quarter of what is free.
    fn ahead(self) -> usize {
        let free = self.instances * (100 - self.load as usize) * HOST.0 as usize / 100;
        (free / 4 / LARGEST as usize).clamp(1, AHEAD)
    }
}

/// The requests with the copies of each that find a place.
fn askable(index: &mut Index, state: &State, requests: Vec<Request>, copies: u32) -> Vec<(Request, u32)> {
    let mut askable = Vec::new();
    for request in requests {
        let placed = index.place(state, &request, copies, 0).placed.len();
        index.catch_up(state);
        let fit = u32::try_from(placed).unwrap_or(0);
        // Where not all fit, chance decides how many do: so few that all are placed whatever it decides.
        let asked = if fit == copies { fit } else { fit * 9 / 10 };
        if asked > 0 {
            askable.push((request, asked));
        }
    }
    askable
}

fn run(index: &mut Index, state: &State, asked: &[(Request, u32)], cell: Cell, span: Duration) -> Times {
    let clock = Clock::of(cell.copies);
    let own_time = clock.own_time();
    let mut times = Times::default();
    let mut ahead = 0;
    let until = thread_time() + span;
    for (turn, (request, copies)) in (0..).zip(asked.iter().cycle()) {
        if ahead > 0 && ahead + *copies as usize > cell.ahead() {
            let (_, took) = Clock::Thread.time(|| index.catch_up(state));
            times.upkeep += took;
            ahead = 0;
            if thread_time() >= until {
                return times;
            }
        }
        let (solution, took) = clock.time(|| index.place(state, request, *copies, turn));
        ahead += solution.placed.len();
        times.placed += solution.placed.len();
        times.touched += solution.placed.chunk_by(PartialEq::eq).count();
        times.calls.push((took.saturating_sub(own_time), solution.placed.len()));
    }
    times
}

impl Times {
    #[expect(clippy::cast_precision_loss, reason = "a few million")]
    fn row(&self, kind: &'static str, cell: Cell, fewer: bool) -> Row {
        let total: Duration = self.calls.iter().map(|(took, _)| *took).sum();
        let mut each: Vec<f64> = self
            .calls
            .iter()
            .map(|(took, placed)| took.as_secs_f64() * 1e6 / (*placed).max(1) as f64)
            .collect();
        each.sort_unstable_by(f64::total_cmp);
        let at = |share: usize| each.get(each.len() * share / 100).copied().unwrap_or_default();
        Row {
            kind,
            cell,
            fewer,
            rate: self.placed as f64 / total.as_secs_f64(),
            touched: self.touched as f64 / total.as_secs_f64(),
            p50: at(50),
            p99: at(99),
            upkeep: self.upkeep.as_secs_f64() * 1e6 / self.placed as f64,
        }
    }
}
