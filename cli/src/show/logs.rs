//! Lines of logs.

use std::collections::{BTreeMap, BTreeSet};

use anstyle::{AnsiColor, Style as Colour};
use berth_model::time::Timestamp;
use berth_proto::v1::LogLine;

use super::ids;

/// The colours of tasks, in turn.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Red,
];

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    /// A JSON object each.
    Json,
    /// As they were written.
    Text {
        prefix: bool,
        timestamps: bool,
        /// What a terminal would do and a log has no business to is left out.
        is_terminal: bool,
    },
}

/// Lines, one after the other.
#[derive(Debug)]
pub(crate) struct Lines {
    style: Style,
    colours: BTreeMap<String, Colour>,
    width: usize,
    /// Who has begun a line and not ended it.
    begun: BTreeSet<(String, String, String)>,
}

impl Lines {
    pub(crate) const fn new(style: Style) -> Self {
        Self {
            style,
            colours: BTreeMap::new(),
            width: 0,
            begun: BTreeSet::new(),
        }
    }

    /// What is no line but says why some are missing.
    pub(crate) fn notice(&self, line: &LogLine) -> Option<String> {
        (line.stream == "NOTICE").then(|| format!("{}: {}", name(line), String::from_utf8_lossy(&line.text)))
    }

    /// The line, with its end.
    pub(crate) fn text(&mut self, line: &LogLine) -> Vec<u8> {
        let (prefix, timestamps, is_terminal) = match self.style {
            Style::Json => return json(line),
            Style::Text {
                prefix,
                timestamps,
                is_terminal,
            } => (prefix, timestamps, is_terminal),
        };
        let mut text = Vec::with_capacity(line.text.len() + 64);
        if prefix {
            let name = name(line);
            self.width = self.width.max(name.len());
            let next = COLOURS[self.colours.len() % COLOURS.len()].on_default();
            let colour = *self.colours.entry(line.task_arn.clone()).or_insert(next);
            text.extend(format!("{colour}{name:width$} |{colour:#} ", width = self.width).bytes());
        }
        let key = (line.task_arn.clone(), line.container_name.clone(), line.stream.clone());
        let goes_on = match line.goes_on {
            true => !self.begun.insert(key),
            false => self.begun.remove(&key),
        };
        if timestamps && !goes_on {
            text.extend(time(line.time_ns).bytes());
            text.push(b' ');
        }
        match is_terminal {
            true => text.extend(harmless(&String::from_utf8_lossy(&line.text)).bytes()),
            false => text.extend(&line.text),
        }
        // A part of a line stands in a line of its own where others may come between.
        if prefix || !line.goes_on {
            text.push(b'\n');
        }
        text
    }
}

/// Task and container, short.
fn name(line: &LogLine) -> String {
    format!("{}/{}", ids::of_task(&line.task_arn), line.container_name)
}

fn time(time_ns: i64) -> String {
    Timestamp::from_millis(time_ns.div_euclid(1_000_000)).to_rfc3339()
}

fn json(line: &LogLine) -> Vec<u8> {
    let shape = serde_json::json!({
        "taskArn": line.task_arn,
        "containerName": line.container_name,
        "stream": line.stream,
        "time": time(line.time_ns),
        "timeNs": line.time_ns,
        "text": String::from_utf8_lossy(&line.text),
        "goesOn": line.goes_on,
    });
    format!("{shape}\n").into_bytes()
}

/// The text without control characters, but for tabs and those that set colours (ECMA-48, SGR).
fn harmless(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut coloured = false;
    while let Some(next) = rest.chars().next() {
        let sequence = rest.strip_prefix("\x1b[").and_then(|behind| {
            let end = behind.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'))?;
            behind[end..].starts_with('m').then_some(end + 3)
        });
        let length = sequence.unwrap_or(next.len_utf8());
        if sequence.is_some() || next == '\t' || !next.is_control() {
            kept.push_str(&rest[..length]);
        }
        coloured |= sequence.is_some();
        rest = &rest[length..];
    }
    if coloured {
        kept.push_str("\x1b[0m");
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(task: &str, container: &str, text: &str) -> LogLine {
        LogLine {
            task_arn: format!("arn:aws:ecs:us-east-1:000000000000:task/default/{task}"),
            container_name: container.to_owned(),
            stream: "STDOUT".to_owned(),
            time_ns: 1_500_000_000,
            text: text.into(),
            goes_on: false,
        }
    }

    fn lines(timestamps: bool, is_terminal: bool) -> Lines {
        Lines::new(Style::Text {
            prefix: true,
            timestamps,
            is_terminal,
        })
    }

    fn shown(lines: &mut Lines, line: &LogLine) -> String {
        anstream::adapter::strip_str(&String::from_utf8(lines.text(line)).unwrap()).to_string()
    }

    #[test]
    fn lines_begin_with_their_task_in_its_colour_and_their_container() {
        let mut all = lines(true, false);
        let one = line("0123456789abcdef", "app", "hello");
        assert_eq!(
            shown(&mut all, &one),
            "0123456789abcdef/app | 1970-01-01T00:00:01.500Z hello\n"
        );
        let colour = |text: Vec<u8>| text.split(|byte| *byte == b'm').next().unwrap().to_vec();
        let other = line("fedcba9876543210", "app", "hello");
        let (first, second) = (colour(all.text(&one)), colour(all.text(&other)));
        assert_ne!(first, second);
        assert_eq!(colour(all.text(&one)), first);
    }

    #[test]
    fn a_line_that_goes_on_has_its_time_once() {
        let mut all = lines(true, false);
        let begun = LogLine {
            goes_on: true,
            ..line("0123456789abcdef", "a", "one ")
        };
        assert!(shown(&mut all, &begun).contains("1970"));
        assert!(!shown(&mut all, &line("0123456789abcdef", "a", "line")).contains("1970"));
        assert!(shown(&mut all, &line("0123456789abcdef", "a", "next")).contains("1970"));
    }

    #[test]
    fn a_log_does_nothing_to_a_terminal_but_colour_it() {
        for (text, kept) in [
            ("plain\ttext", "plain\ttext"),
            ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
            ("\x1b[2Jclear", "[2Jclear"),
            ("\x1b]0;title\x07", "]0;title"),
            ("a\rb\x08", "ab"),
            ("\x1b[", "["),
            ("ä\u{9b}31m", "ä31m"),
        ] {
            assert_eq!(harmless(text), kept, "{text:?}");
        }
    }

    #[test]
    fn what_is_missing_is_no_line() {
        let mut gone = line("0123456789abcdef", "app", "no such container");
        gone.stream = "NOTICE".to_owned();
        let all = lines(false, false);
        assert_eq!(all.notice(&gone).unwrap(), "0123456789abcdef/app: no such container");
    }
}
