//! `berth-scheduler ca`: the authority's files, on the host that has them. A scheduler that runs takes over what they say by
//! itself.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use berth_tls::Certificate;
use clap::{Args, Subcommand};

use super::files::{Files, Named};
use crate::clock;

/// Show, rotate and retire the cluster's authority.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = "\
Examples:
  berth-scheduler ca show
  berth-scheduler ca rotate        both are trusted; hosts renew by themselves
  berth ca                         how many members still have a certificate of the old one
  berth-scheduler ca retire        only the new one is trusted")]
pub enum CaCommand {
    /// Show the authorities that are trusted, the one that signs first
    Show(Place),
    /// Make a new authority, which the old one vouches for; both are trusted
    Rotate(Place),
    /// Trust the one that signs and no other any more
    Retire(Place),
}

/// Where the files are.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The files' names.
    #[command(flatten)]
    named: Named,

    /// Directory of the files where they are not named
    #[arg(
        long,
        env = "BERTH_DATA_DIR",
        default_value = "/var/lib/berth-scheduler",
        value_name = "DIR"
    )]
    data_dir: PathBuf,
}

/// Does what was asked, and shows what is trusted then.
///
/// # Errors
/// The files cannot be read or written.
pub fn run(command: &CaCommand) -> anyhow::Result<()> {
    let (CaCommand::Show(place) | CaCommand::Rotate(place) | CaCommand::Retire(place)) = command;
    let files = Files::of(&place.named, &place.data_dir);
    let before = files.authority()?;
    let authority = match command {
        CaCommand::Show(_) => before,
        CaCommand::Rotate(_) => {
            let after = before.successor(clock::now())?;
            files.write(&after, Some(&before))?;
            after
        }
        CaCommand::Retire(_) => {
            let after = before.alone()?;
            files.write(&after, None)?;
            after
        }
    };
    let mut out = std::io::stdout().lock();
    for (nth, root) in authority.roots().iter().enumerate() {
        let read = Certificate::read(root)?;
        let what = if nth == 0 { "signs" } else { "trusted" };
        let end = read.life.end.to_rfc3339();
        writeln!(out, "{what:<8} {} until {end}", read.key).context("write to standard output")?;
    }
    Ok(())
}
