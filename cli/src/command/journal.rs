//! `berth journal`: what `berth-scheduler journal` does, which knows journals.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, anyhow};
use clap::Args;

use crate::Ending;
use crate::args::GlobalArgs;
use crate::dev::find_program;
use crate::tls;

#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Examples:
  berth journal backup http://127.0.0.1:7700 /var/backups/berth.redb
  berth journal verify /var/backups/berth.redb
  berth journal restore /var/backups/berth.redb /var/lib/berth-scheduler
  berth journal copy /var/lib/berth-scheduler etcd://10.0.0.1,10.0.0.2,10.0.0.3/berth
  berth journal show /var/lib/berth-scheduler --from 1200 --to 1300"
)]
pub(crate) struct JournalArgs {
    /// copy, backup, restore, verify or show, and what each takes: `berth journal help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    arguments: Vec<OsString>,
}

/// Goes on as the scheduler's program.
pub(super) fn run(args: JournalArgs, global: &GlobalArgs) -> anyhow::Result<Ending> {
    let program = find_program("berth-scheduler").context("journals are the scheduler's")?;
    let mut command = Command::new(&program);
    command.arg("journal").args(args.arguments);
    if let Some(path) = &global.master_key_file {
        command.env("BERTH_MASTER_KEY_FILE", path);
    }
    if let Some(path) = tls::ca(global) {
        command.env("BERTH_CA", path);
    }
    let error = command.exec();
    Err(anyhow!(error).context(format!("cannot run {}", program.display())))
}
