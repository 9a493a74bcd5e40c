//! Every operation of ECS, asked for by the unmodified boto3 and AWS CLI as `scenario/` says, answers as `expected/` has
//! it: a file an operation, with ids, times and what is particular to a machine replaced by placeholders.
//!
//! A new behaviour needs a call in `scenario/`; `BERTH_GOLDEN=write` writes the files anew, and the difference is reviewed
//! with the change.

mod expected;
mod forms;
mod recording;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::aws::Aws;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, tests};

use recording::Recording;

/// The cluster that the scenario knows by this name.
const CLUSTER: &str = "golden";

/// The scripts, which run one after the other in one process.
const SCRIPTS: [&str; 10] = [
    "recorder",
    "scenario/clusters",
    "scenario/definitions",
    "scenario/instances",
    "scenario/tasks",
    "scenario/services",
    "scenario/capacity",
    "scenario/tags",
    "scenario/end",
    "scenario/refused",
];

/// The scenario as it went, once for all tests.
struct Played {
    recording: Recording,
    bed: Arc<TestBed>,
}

impl Fixture for Played {
    const AT_ONCE: Option<usize> = None;

    fn start() -> Result<Self> {
        let bed = TestBed::new("golden", &["a"])?;
        let played = play(&bed);
        if played.is_err() {
            bed.note_failure();
        }
        Ok(Self {
            recording: played?,
            bed,
        })
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

/// Where the scripts and the expected answers are.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn play(bed: &Arc<TestBed>) -> Result<Recording> {
    let zone = [("ecs.availability-zone", "us-east-1a")];
    let cluster = Cluster::start_on(bed, CLUSTER, &["a"], &Settings::with_attributes(&zone))?;
    let aws = Aws::new(cluster.ecs())?;
    let mut scenario = String::new();
    for script in SCRIPTS {
        let path = directory().join(script).with_extension("py");
        scenario += &fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    }
    Recording::parse(&aws.boto3(&scenario)?)
}

fn main() -> ExitCode {
    suite::main::<Played>(tests![
        every_answer_is_of_botocores_model,
        every_operation_of_botocores_model_is_called,
        ids_and_arns_are_of_their_forms,
        every_answer_is_as_expected,
    ])
}

fn every_answer_is_of_botocores_model(played: &Played) -> Result<()> {
    let complaints = &played.recording.complaints;
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

fn every_operation_of_botocores_model_is_called(played: &Played) -> Result<()> {
    let missing = played.recording.uncalled();
    ensure!(missing.is_empty(), "scenario/ has no call of {missing:?}");
    Ok(())
}

fn ids_and_arns_are_of_their_forms(played: &Played) -> Result<()> {
    let wrong = forms::wrong(&played.recording);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn every_answer_is_as_expected(played: &Played) -> Result<()> {
    expected::compare(&played.recording)
}
