//! Runs the tests of a file that share a fixture: made when the first test wants it, dropped when the last is through.
//! The standard harness keeps statics for ever, and a bed must be taken down.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Failed, Trial};

/// What the tests of a file share.
pub trait Fixture: Send + Sync + Sized + 'static {
    /// How many tests may use it at the same time; `None` leaves it to the command line.
    const AT_ONCE: Option<usize>;

    /// Makes it.
    ///
    /// # Errors
    ///
    /// What every test of the file then fails with.
    fn start() -> Result<Self>;

    /// A test has failed: keep and show what explains it. Called at once, so that the reasons of failures come last in
    /// the output.
    fn note_failure(&self);
}

/// A test: its name is a sentence.
pub type Test<F> = (&'static str, fn(&F) -> Result<()>);

/// A table of test functions under their own names.
#[macro_export]
macro_rules! tests {
    ($($test:path),+ $(,)?) => {
        vec![$((stringify!($test), $test as fn(&_) -> ::anyhow::Result<()>)),+]
    };
}

enum Shared<F> {
    Unmade,
    Made(Arc<F>),
    Broken(String),
}

/// The main function of a test file.
#[must_use]
pub fn main<F: Fixture>(tests: Vec<Test<F>>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = F::AT_ONCE.or(arguments.test_threads);
    let shared = Arc::new(Mutex::new(Shared::<F>::Unmade));
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            let shared = Arc::clone(&shared);
            Trial::test(name, move || run(&shared, test))
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(shared);
    conclusion.exit_code()
}

fn run<F: Fixture>(shared: &Mutex<Shared<F>>, test: fn(&F) -> Result<()>) -> Result<(), Failed> {
    // All causes, and no backtrace: the place is in the message, by name.
    let failed = |error: anyhow::Error| Failed::from(format!("{error:#}"));
    let fixture = fixture(shared).map_err(failed)?;
    let result = catch_unwind(AssertUnwindSafe(|| test(&fixture)));
    if !matches!(result, Ok(Ok(()))) {
        fixture.note_failure();
    }
    result.unwrap_or_else(|panic| resume_unwind(panic)).map_err(failed)
}

fn fixture<F: Fixture>(shared: &Mutex<Shared<F>>) -> Result<Arc<F>> {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*shared, Shared::Unmade) {
        *shared = match F::start() {
            Ok(fixture) => Shared::Made(Arc::new(fixture)),
            Err(error) => Shared::Broken(format!("{error:#}")),
        };
    }
    match &*shared {
        Shared::Made(fixture) => Ok(Arc::clone(fixture)),
        Shared::Broken(error) => Err(anyhow!("the fixture cannot be made: {error}")),
        Shared::Unmade => Err(anyhow!("the fixture is not made")),
    }
}
