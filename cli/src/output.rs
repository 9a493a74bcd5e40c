//! Where answers and progress go: standard output and standard error, coloured only where that is wanted.
//!
//! Answers go to standard output and nothing else does, so that they can be piped. Write errors are returned: a reader
//! that went away ends the command, it does not make it panic.

use std::io::{self, IsTerminal as _, Stderr, Stdout, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::Context;
use serde::Serialize;

use crate::args::{Color, Format};
use crate::show::Table;

/// Of the word `error:`.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Of the word `hint:`.
pub(crate) const HINT: Style = AnsiColor::Cyan.on_default();
/// Of headings.
pub(crate) const HEADING: Style = Style::new().bold();

/// The two streams of a command and the form of its answers.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    out: AutoStream<Stdout>,
    err: AutoStream<Stderr>,
}

impl Output {
    pub(crate) fn new(format: Format, color: Color) -> Self {
        Self {
            format,
            out: AutoStream::new(io::stdout(), choice(color)),
            err: stderr(color),
        }
    }

    /// Prints one answer: `shape` as the ECS JSON, or what `present` makes of it.
    pub(crate) fn answer<T: Serialize>(
        &mut self,
        shape: &T,
        present: impl FnOnce(&T) -> Presentation,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(shape).context("cannot write the answer as JSON")?;
                writeln!(self.out, "{text}")?;
            }
            Format::Table => self.out.write_all(present(shape).0.as_bytes())?,
        }
        Ok(())
    }

    /// Whether answers are for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether answers are read on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Prints bytes that are neither a table nor JSON.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Prints a line of a command's own report.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Says how things go, on standard error.
    pub(crate) fn progress(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.err, "{line}")
    }

    /// Says what did not work, on standard error, and lets the command go on.
    pub(crate) fn problem(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.err, "{ERROR}error:{ERROR:#} {line}")
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// An answer as people read it: lines, each ended.
#[derive(Debug, Default)]
pub(crate) struct Presentation(String);

impl Presentation {
    pub(crate) fn line(mut self, line: impl AsRef<str>) -> Self {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
        self
    }

    /// A heading and a table under it, with a blank line above unless it comes first.
    pub(crate) fn section(mut self, heading: &str, table: &Table) -> Self {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.line(format!("{HEADING}{heading}{HEADING:#}")).table(table)
    }

    pub(crate) fn table(mut self, table: &Table) -> Self {
        self.0.push_str(&table.render());
        self
    }
}

/// Standard error, coloured as `color` says.
pub(crate) fn stderr(color: Color) -> AutoStream<Stderr> {
    AutoStream::new(io::stderr(), choice(color))
}

fn choice(color: Color) -> ColorChoice {
    match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    }
}
