//! Pure: in which order tests run, and which of them alone.

use anyhow::ensure;

use super::binaries::Binary;

/// The package whose tests make test beds.
const BEDS: &str = "berth-integration-tests";

/// Those of [`BEDS`] that take longest: what begins with them does not end with them alone.
const FIRST: [&str; 2] = ["--test services", "--test aws_cli"];

/// Those of [`BEDS`] that measure what the machine does for them: no request may fail or wait, nothing may grow,
/// deadlines of seconds are kept, tasks use what CPU they want.
const ALONE: [&str; 6] = [
    "--test autoscaling",
    "--test draining",
    "--test load",
    "--test load_balancing",
    "--test recovery",
    "--test replicas",
];

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// A test binary.
    Tests(Binary),
    /// The examples in the documentation, which cargo builds and runs itself.
    Documentation,
}

/// All jobs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Those that may share the machine, in this order.
    pub(super) together: Vec<Job>,
    /// Those that may not.
    pub(super) alone: Vec<Job>,
}

/// Puts what is quick and needs no bed first: where that fails the rest need not be waited for.
///
/// # Errors
/// A binary that the order names is not there.
pub(super) fn order(binaries: &[Binary]) -> anyhow::Result<Plan> {
    let (beds, units): (Vec<_>, Vec<_>) = binaries.iter().cloned().partition(|binary| binary.package == BEDS);
    for target in ALONE.iter().chain(&FIRST) {
        ensure!(
            beds.iter().any(|bed| bed.target == *target),
            "there is no {target} in {BEDS}: mend the order of tests"
        );
    }
    let (alone, mut together): (Vec<_>, Vec<_>) =
        beds.into_iter().partition(|bed| ALONE.contains(&bed.target.as_str()));
    together.sort_by_key(|bed| {
        FIRST
            .iter()
            .position(|first| bed.target == *first)
            .unwrap_or(FIRST.len())
    });
    let mut jobs: Vec<Job> = units.into_iter().map(Job::Tests).collect();
    jobs.push(Job::Documentation);
    jobs.extend(together.into_iter().map(Job::Tests));
    Ok(Plan {
        together: jobs,
        alone: alone.into_iter().map(Job::Tests).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn binary(package: &str, target: &str) -> Binary {
        Binary {
            package: package.to_owned(),
            target: target.to_owned(),
            program: PathBuf::new(),
            directory: PathBuf::new(),
        }
    }

    fn beds() -> Vec<Binary> {
        let named = ALONE.iter().chain(FIRST.iter().rev());
        let mut beds: Vec<Binary> = named.map(|target| binary(BEDS, target)).collect();
        beds.insert(0, binary(BEDS, "--test waiting"));
        beds
    }

    fn targets(jobs: &[Job]) -> Vec<String> {
        let target = |job: &Job| match job {
            Job::Tests(binary) => format!("{} {}", binary.package, binary.target),
            Job::Documentation => "documentation".to_owned(),
        };
        jobs.iter().map(target).collect()
    }

    #[test]
    fn what_needs_no_bed_comes_first_then_what_takes_long_and_what_measures_alone() {
        let mut all = beds();
        all.push(binary("berth-model", "--lib"));
        // The same name in another package is another binary.
        all.push(binary("berth-gateway", "--test load"));
        let plan = order(&all).unwrap();
        assert_eq!(
            targets(&plan.together),
            [
                "berth-model --lib",
                "berth-gateway --test load",
                "documentation",
                "berth-integration-tests --test services",
                "berth-integration-tests --test aws_cli",
                "berth-integration-tests --test waiting",
            ]
        );
        assert_eq!(plan.alone.len(), ALONE.len());
    }

    #[test]
    fn an_order_that_names_what_is_not_there_is_told() {
        let mut all = beds();
        all.retain(|bed| bed.target != "--test load");
        let error = order(&all).unwrap_err().to_string();
        assert!(error.starts_with("there is no --test load in"), "{error}");
    }
}
