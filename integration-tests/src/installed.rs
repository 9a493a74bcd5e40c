//! Programs that `cargo xtask prepare` installs, run on a host of the bed.

use std::ffi::OsString;

use anyhow::Result;

use crate::TestBed;
use crate::daemon::{Daemon, Spec};

/// Starts the program on a host; its log is beside the others'.
///
/// # Errors
///
/// If it is not there, or ends at once.
pub fn start(bed: &TestBed, host: &str, program: &str, args: Vec<OsString>) -> Result<Daemon> {
    Daemon::start(Spec {
        name: format!("{program} (if it is missing: cargo xtask prepare)"),
        namespace: bed.host(host)?.link().namespace().to_owned(),
        program: program.into(),
        args,
        environment: Vec::new(),
        log: bed.lane().log_dir().join(format!("{program}.log")),
    })
}
