//! `make test`: every test. Cargo runs one test binary after the other; those that make a test bed wait far more than
//! they compute, so that here two of them run at a time, but for those that measure.

pub(crate) mod binaries;
mod plan;
mod report;
mod run;

use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, bail};

use binaries::Built;
use report::Report;
use run::Runner;

/// How many binaries run at a time, of those that may.
const AT_ONCE: usize = 2;

/// Builds all tests and the daemons under test, and runs the tests.
///
/// # Errors
/// They cannot be built or started, or one has failed: then the last lines printed name it and say why.
pub(crate) fn all() -> anyhow::Result<()> {
    let begun = Instant::now();
    let built = Built::build()?;
    println!("built in {} s", begun.elapsed().as_secs());
    let plan = plan::order(built.tests())?;
    let outputs = built.target().join("test-output");
    fs::create_dir_all(&outputs).with_context(|| format!("cannot make {}", outputs.display()))?;
    // Tests would build the daemons once more, with what these alone ask of their dependencies.
    let programs = env::var_os("BERTH_BIN_DIR").map(PathBuf::from);
    let runner = Runner {
        outputs: &outputs,
        programs: programs.as_deref().unwrap_or(built.programs()),
        tell: |output| println!("{output}"),
    };
    let mut reports = runner.run(&plan.together, AT_ONCE)?;
    reports.extend(runner.run(&plan.alone, 1)?);
    let passed: usize = reports.iter().map(Report::passed).sum();
    let failed: Vec<&Report> = reports.iter().filter(|report| report.has_failed()).collect();
    let seconds = begun.elapsed().as_secs();
    if failed.is_empty() {
        println!("{passed} tests in {} binaries passed, in {seconds} s", reports.len());
        return Ok(());
    }
    println!(
        "{passed} tests passed in {seconds} s; the whole outputs are in {}",
        outputs.display()
    );
    for report in &failed {
        println!("\n{report}");
    }
    bail!("{} of {} test binaries failed", failed.len(), reports.len())
}
