//! `berth-scheduler journal`: what is done to journals while no scheduler uses them, and copies of those that are used.

mod copy;
mod link;
mod place;
mod remote;
mod show;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use berth_scheduler_core::keys::Revision;
use clap::{Args, Subcommand};

pub use link::Link;
pub(crate) use place::FILE;
pub use place::Place;

use crate::journal::embedded::{Embedded, FileImport};
use crate::journal::etcd::{Address, Etcd, EtcdImport};
use crate::journal::transfer::{self, Parts};

/// Copy, back up, restore, verify and show journals.
///
/// A JOURNAL is a file, a data directory, etcd://HOST:PORT,.../PREFIX?OPTION=VALUE&..., or, to copy and back up from, a
/// running scheduler: http://HOST:PORT, or https://HOST:PORT with the authorities that vouch for it in the file BERTH_CA.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = "\
Examples:
  berth journal backup http://127.0.0.1:7700 /var/backups/berth.redb
  berth journal verify /var/backups/berth.redb
  berth journal restore /var/backups/berth.redb /var/lib/berth-scheduler
  berth journal copy /var/lib/berth-scheduler etcd://10.0.0.1,10.0.0.2,10.0.0.3/berth
  berth journal show /var/lib/berth-scheduler --from 1200 --to 1300")]
pub enum JournalCommand {
    /// Copy a journal to a place where there is none
    Copy(CopyArgs),
    /// Copy a journal to a file; the scheduler may run
    Backup {
        /// The journal to back up
        from: Place,
        /// The file to make
        file: PathBuf,
    },
    /// Copy a backup to where a scheduler is to find it
    Restore {
        /// The file
        file: PathBuf,
        /// The data directory, or etcd, where there is no journal yet
        to: Place,
        /// Remove what an earlier copy to etcd has left unfinished
        #[arg(long)]
        afresh: bool,
    },
    /// Read all of a journal: checksums, order, and that everything adds up to what its snapshots say
    Verify {
        /// The journal, which no scheduler uses, or etcd
        journal: Place,
    },
    /// Show what is in a journal: its range and snapshots, or records
    Show(ShowArgs),
}

/// What is copied, and where to.
#[derive(Debug, Clone, Args)]
pub struct CopyArgs {
    /// The journal to copy
    from: Place,
    /// The place, where there is no journal yet
    to: Place,
    /// Copy the newest state alone, as a snapshot
    #[arg(long)]
    without_history: bool,
    /// Remove what an earlier copy to etcd has left unfinished
    #[arg(long)]
    afresh: bool,
}

/// What is shown.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// The journal, which no scheduler uses, or etcd
    journal: Place,
    /// Show records from this revision on
    #[arg(long, value_name = "REVISION")]
    from: Option<u64>,
    /// Show records up to this revision
    #[arg(long, value_name = "REVISION")]
    to: Option<u64>,
    /// A JSON object a line, for programs
    #[arg(long)]
    json: bool,
}

/// Does what the command line says.
///
/// # Errors
/// It was not done; a target that is not whole is no journal.
pub async fn run(command: JournalCommand) -> anyhow::Result<()> {
    match command {
        JournalCommand::Copy(args) => {
            let parts = if args.without_history {
                state_alone(&args.from).await?
            } else {
                parts(&args.from).await?
            };
            import(parts, &args.to, args.afresh).await
        }
        JournalCommand::Backup { from, file } => {
            let parts = parts(&from).await?;
            copy::copy(parts, FileImport::begin(&file)?, &file.display().to_string()).await
        }
        JournalCommand::Restore { file, to, afresh } => import(parts(&Place::File(file)).await?, &to, afresh).await,
        JournalCommand::Verify { journal } => match opened(&journal)? {
            Opened::File(file) => verify::run(&file).await,
            Opened::Etcd(etcd) => verify::run(&*etcd).await,
        },
        JournalCommand::Show(args) => match opened(&args.journal)? {
            Opened::File(file) => show::run(&file, &args).await,
            Opened::Etcd(etcd) => show::run(&*etcd, &args).await,
        },
    }
}

enum Opened {
    File(Embedded),
    Etcd(Box<Etcd>),
}

/// A journal that can be read at any place.
fn opened(place: &Place) -> anyhow::Result<Opened> {
    Ok(match place {
        Place::File(path) => Opened::File(file(path.clone())?),
        Place::Etcd(address) => Opened::Etcd(Box::new(etcd(address)?)),
        Place::Scheduler(url) => bail!("{url}: a scheduler gives copies only: back it up, and look at the backup"),
    })
}

fn file(path: PathBuf) -> anyhow::Result<Embedded> {
    let path = place::of_directory(path);
    if !path.try_exists()? {
        bail!("there is no journal at {}", path.display());
    }
    Embedded::open(&path).with_context(|| {
        format!(
            "cannot read {}; where a scheduler has it open, copy from the scheduler: http://HOST:PORT",
            path.display()
        )
    })
}

fn etcd(address: &Address) -> anyhow::Result<Etcd> {
    Ok(Etcd::open(address, crate::seed()?)?)
}

async fn parts(from: &Place) -> anyhow::Result<Parts> {
    Ok(match from {
        Place::File(path) => transfer::parts(Arc::new(file(path.clone())?)),
        Place::Etcd(address) => transfer::parts(Arc::new(etcd(address)?)),
        Place::Scheduler(url) => remote::parts(url).await?,
    })
}

async fn state_alone(from: &Place) -> anyhow::Result<Parts> {
    match opened(from)? {
        Opened::File(file) => copy::state_alone(&file).await,
        Opened::Etcd(etcd) => copy::state_alone(&*etcd).await,
    }
}

async fn import(parts: Parts, to: &Place, afresh: bool) -> anyhow::Result<()> {
    match to {
        Place::File(path) => {
            let path = place::of_directory(path.clone());
            if path.extension().is_none_or(|extension| extension != "redb") {
                bail!("{} is no directory, and no file that ends with .redb", path.display());
            }
            copy::copy(parts, FileImport::begin(&path)?, &path.display().to_string()).await
        }
        Place::Etcd(address) => {
            let import = EtcdImport::begin(address, crate::seed()?, afresh).await?;
            copy::copy(parts, import, "etcd").await
        }
        Place::Scheduler(url) => bail!("{url}: nothing can be copied into a scheduler"),
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

fn range(first: Revision, head: Revision) -> String {
    if first > head {
        "no records".to_owned()
    } else {
        format!("records {first} to {head}")
    }
}
