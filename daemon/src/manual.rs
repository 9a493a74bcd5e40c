//! What a package has beside a program: its manual pages and the completions of shells, from the same words as `--help`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// What asks for it. It is for those who make packages, and not in the help.
const FLAG: &str = "--generate-manual";

/// Whom it is for, and so where manual pages go: `man1` or `man8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Everybody's commands.
    Commands,
    /// The administrator's.
    Administration,
}

/// Writes everything below the directory that `--generate-manual DIRECTORY` names, as `/usr/share` has it; says whether
/// that was asked for. Called with the arguments before anything else looks at them.
///
/// # Errors
/// The directory cannot be written.
pub fn asked(
    arguments: impl IntoIterator<Item = OsString>,
    section: Section,
    command: impl FnOnce() -> Command,
) -> io::Result<bool> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next().is_none_or(|first| first != FLAG) {
        return Ok(false);
    }
    let directory = arguments.next().map(PathBuf::from);
    let directory =
        directory.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{FLAG} needs a directory")))?;
    write(&directory, section, command())?;
    Ok(true)
}

fn write(share: &Path, section: Section, mut command: Command) -> io::Result<()> {
    command = command.disable_help_subcommand(true);
    command.build();
    let name = command.get_name().to_owned();
    let completions = [
        (Shell::Bash, "bash-completion/completions", name.clone()),
        (Shell::Zsh, "zsh/vendor-completions", format!("_{name}")),
        (Shell::Fish, "fish/vendor_completions.d", format!("{name}.fish")),
    ];
    for (shell, place, file) in completions {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, name.clone(), &mut script);
        put(&share.join(place), &file, &script)?;
    }
    let number = match section {
        Section::Commands => "1",
        Section::Administration => "8",
    };
    pages(&share.join(format!("man/man{number}")), number, &name, &command)
}

/// A page for the command and each of its commands: `berth-tasks-list.1`.
fn pages(directory: &Path, number: &str, name: &str, command: &Command) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        pages(directory, number, &format!("{name}-{}", inner.get_name()), inner)?;
    }
    // The library wants names that live as long as the program, which ends after this.
    let own: &'static str = Box::leak(name.to_owned().into_boxed_str());
    let mut page = Vec::new();
    Man::new(command.clone().name(own))
        .title(name)
        .section(number)
        .manual("Berth")
        .render(&mut page)?;
    put(directory, &format!("{name}.{number}"), &page)
}

fn put(directory: &Path, file: &str, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join(file), content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command::new("berth-try")
            .about("Tries things")
            .subcommand(Command::new("network").about("Prepares the host"))
    }

    fn run(arguments: &[&str]) -> io::Result<bool> {
        asked(arguments.iter().map(OsString::from), Section::Administration, command)
    }

    #[test]
    fn a_page_for_each_command_and_completions_for_each_shell_are_written() {
        let share = std::env::temp_dir().join(format!("berth-manual-{}", std::process::id()));
        let asked = run(&["berth-try", FLAG, &share.to_string_lossy()]);
        let read = |file: &str| fs::read_to_string(share.join(file)).unwrap_or_default();
        let page = read("man/man8/berth-try-network.8");
        let (bash, zsh) = (
            read("bash-completion/completions/berth-try"),
            read("zsh/vendor-completions/_berth-try"),
        );
        fs::remove_dir_all(&share).ok();
        assert!(asked.unwrap());
        assert!(page.contains("Prepares the host"), "{page}");
        assert!(bash.contains("network") && zsh.contains("network"), "{bash}{zsh}");
    }

    #[test]
    fn other_arguments_are_left_to_the_program() {
        assert!(!run(&["berth-try"]).unwrap());
        assert!(!run(&["berth-try", "--listen", FLAG]).unwrap());
        run(&["berth-try", FLAG]).unwrap_err();
    }
}
