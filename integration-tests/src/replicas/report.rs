//! What came of a run, in figures.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::check::Verdict;
use super::history::{Answer, Call, Operation};
use super::run::Settings;

/// A time after the end of a fault that does not count as quiet: connections are made anew, agents move.
const CALMS_WITHIN: Duration = Duration::from_secs(2);

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What was run.
    pub settings: Settings,
    /// What clients did.
    pub history: Vec<Operation>,
    /// What the checker says of it.
    pub verdict: Verdict,
    /// What must not be; nothing where all is well.
    pub problems: Vec<String>,
    /// How often each kind of fault was.
    pub faults: BTreeMap<&'static str, usize>,
    /// When something was wrong.
    pub troubled: Vec<(Duration, Duration)>,
    /// Starts of schedulers that had ended because etcd was out of reach when they began.
    pub started_again: usize,
    /// Calls that were not made because too many waited.
    pub left_out: u64,
    /// How long clients worked.
    pub working: Duration,
    /// Requests to run tasks that were carried out.
    pub requests: usize,
    /// Tasks that were started.
    pub tasks: usize,
    /// Streams of agents.
    pub streams: usize,
    /// Records of the journal.
    pub revisions: u64,
    /// Their size.
    pub journal_bytes: usize,
}

/// How many calls became what.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: usize,
    refused: usize,
    unknown: usize,
}

impl Tally {
    fn add<T>(&mut self, answer: &Answer<T>) {
        match answer {
            Answer::Acknowledged(_) => self.acknowledged += 1,
            Answer::Refused => self.refused += 1,
            Answer::Unknown => self.unknown += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acknowledged,
            refused,
            unknown,
        } = self;
        write!(
            f,
            "{acknowledged} acknowledged, {refused} refused, {unknown} without an answer"
        )
    }
}

impl Report {
    fn is_quiet(&self, operation: &Operation) -> bool {
        let meets = |(from, to): &(Duration, Duration)| operation.began < *to + CALMS_WITHIN && *from < operation.ended;
        !self.troubled.iter().any(meets)
    }

    /// How long acknowledged calls of RunTask took, the shortest first.
    fn run_times(&self, counts: impl Fn(&Operation) -> bool) -> Vec<Duration> {
        let mut times: Vec<Duration> = self
            .history
            .iter()
            .filter(|operation| {
                matches!(
                    &operation.call,
                    Call::Run {
                        answer: Answer::Acknowledged(_),
                        ..
                    }
                )
            })
            .filter(|operation| counts(operation))
            .map(Operation::took)
            .collect();
        times.sort_unstable();
        times
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        let rates = settings.rates;
        let journal = match settings.members {
            0 => "a file".to_owned(),
            members => format!("{members} members of etcd"),
        };
        writeln!(
            f,
            "{} scheduler(s) on {journal}, {} agents; {} RunTask, {} StopTask, {} DescribeTasks a second; seed {}",
            settings.schedulers, settings.agents, rates.runs, rates.stops, rates.reads, settings.seed
        )?;
        let faults: Vec<String> = self
            .faults
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        let troubled: Duration = self.troubled.iter().map(|(from, to)| to.saturating_sub(*from)).sum();
        writeln!(
            f,
            "faults: {}; {:.0} s of {:.0} s",
            faults.join(", "),
            troubled.as_secs_f64(),
            self.working.as_secs_f64()
        )?;
        writeln!(
            f,
            "{:<24} {:>8} {:>9} {:>9} {:>9}",
            "RunTask", "calls", "p50 ms", "p99 ms", "max ms"
        )?;
        let quiet = self.run_times(|operation| self.is_quiet(operation));
        for (name, times) in [("at all times", self.run_times(|_| true)), ("in quiet times", quiet)] {
            let millis = |permille| quantile(&times, permille).as_secs_f64() * 1000.0;
            let (median, most, last) = (millis(500), millis(990), millis(1000));
            writeln!(f, "{name:<24} {:>8} {median:>9.1} {most:>9.1} {last:>9.1}", times.len())?;
        }
        let (mut runs, mut stops, mut reads) = (Tally::default(), Tally::default(), Tally::default());
        let mut requests = BTreeSet::new();
        let (mut attempts, mut full) = (0, 0);
        for operation in &self.history {
            match &operation.call {
                Call::Run { token, answer } => {
                    runs.add(answer);
                    requests.insert(*token);
                    attempts += 1;
                    full += usize::from(answer.acknowledged().is_some_and(Vec::is_empty));
                }
                Call::Stop { answer, .. } => stops.add(answer),
                Call::Describe { answer, .. } => reads.add(answer),
            }
        }
        let seconds = self.working.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let per_second = |count: usize| count as f64 / seconds;
        writeln!(
            f,
            "RunTask: {runs}; {} of them retries; {full} found no room",
            attempts - requests.len()
        )?;
        writeln!(
            f,
            "StopTask: {stops}; DescribeTasks: {reads}; {} calls not made, too many waited",
            self.left_out
        )?;
        writeln!(
            f,
            "{} requests carried out ({:.0}/s), {} tasks started ({:.0}/s), {} streams of agents",
            self.requests,
            per_second(self.requests),
            self.tasks,
            per_second(self.tasks),
            self.streams
        )?;
        writeln!(
            f,
            "journal: {} records, {} MiB; schedulers started again because etcd was out of reach: {}",
            self.revisions,
            self.journal_bytes >> 20,
            self.started_again
        )?;
        writeln!(
            f,
            "reads that lacked what another scheduler had answered: {}, by {} ms at most",
            self.verdict.old_reads,
            self.verdict.oldest.as_millis()
        )?;
        match self.problems.as_slice() {
            [] => write!(f, "every check held"),
            problems => write!(f, "NOT HELD:\n{}", problems.join("\n")),
        }
    }
}

/// The time within which so many of a thousand were done.
fn quantile(sorted: &[Duration], permille: usize) -> Duration {
    let at = (sorted.len() * permille / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}
