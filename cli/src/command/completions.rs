//! `berth completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Ending;
use crate::args::Cli;
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  berth completions bash > /etc/bash_completion.d/berth
  berth completions zsh > ~/.zfunc/_berth
  berth completions fish > ~/.config/fish/completions/berth.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell that is to complete `berth`
    #[arg(value_parser = clap::builder::EnumValueParser::<Shell>::new())]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, output: &mut Output) -> anyhow::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "berth", &mut script);
    output.raw(&script)?;
    Ok(Ending::Done)
}
