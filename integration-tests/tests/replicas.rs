//! Three schedulers on an etcd of three members, and one with a file, are killed, stopped and cut off at random. `make
//! replicas` does the same for longer and prints figures.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::replicas::{Rates, Settings, run};
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::tests;

/// A seed to see a failure again, as far as that follows from it.
const SEED: &str = "BERTH_REPLICAS_SEED";

struct Seed(u64);

impl Fixture for Seed {
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        match std::env::var(SEED) {
            Ok(seed) => Ok(Self(seed.parse().with_context(|| format!("{SEED}={seed}"))?)),
            Err(_) => Ok(Self(now.as_secs())),
        }
    }

    fn note_failure(&self) {}
}

fn main() -> ExitCode {
    suite::main::<Seed>(tests![
        what_three_schedulers_on_etcd_answer_is_true_whatever_happens_to_them,
        what_a_scheduler_with_a_file_answers_is_true_whatever_happens_to_it,
    ])
}

fn what_three_schedulers_on_etcd_answer_is_true_whatever_happens_to_them(seed: &Seed) -> Result<()> {
    hold(&Settings {
        name: "replicas",
        seed: seed.0,
        schedulers: 3,
        members: 3,
        agents: 50,
        room: 8,
        task: Duration::from_secs(5),
        rates: Rates {
            runs: 40,
            stops: 10,
            reads: 30,
        },
        span: Duration::from_secs(18),
    })
}

fn what_a_scheduler_with_a_file_answers_is_true_whatever_happens_to_it(seed: &Seed) -> Result<()> {
    hold(&Settings {
        name: "replica",
        seed: seed.0,
        schedulers: 1,
        members: 0,
        agents: 50,
        room: 8,
        task: Duration::from_secs(5),
        rates: Rates {
            runs: 40,
            stops: 10,
            reads: 30,
        },
        span: Duration::from_secs(10),
    })
}

#[expect(clippy::print_stdout, reason = "a test's output is its report")]
fn hold(settings: &Settings) -> Result<()> {
    println!("{}: {SEED}={}", settings.name, settings.seed);
    let report = run(settings)?;
    println!("{report}");
    ensure!(report.problems.is_empty(), "{}", report.problems.join("\n"));
    ensure!(
        report.requests > 100,
        "only {} requests were carried out",
        report.requests
    );
    Ok(())
}
