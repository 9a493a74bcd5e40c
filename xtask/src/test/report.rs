//! Pure: what the output of a test binary says, for the end of a long log.

use std::fmt;

/// Failures of one binary whose reasons are told; of the others the names are.
const REASONS: usize = 5;
/// Lines of a reason, the last ones; and of an output that gives none.
const LINES: usize = 15;
/// Of a line, in characters.
const WIDTH: usize = 2000;

/// What became of a binary's tests.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    name: String,
    passed: usize,
    failures: Vec<Failure>,
}

/// A test that failed.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    test: String,
    reason: String,
}

impl Report {
    /// Reads an output; `ended` says how the binary ended, if not well.
    pub(super) fn read(name: &str, output: &str, ended: Option<&str>) -> Self {
        let mut failures = match ended {
            Some(_) => failures(output),
            None => Vec::new(),
        };
        if let Some(ended) = ended
            && failures.is_empty()
        {
            failures.push(Failure {
                test: ended.to_owned(),
                reason: last_lines(output),
            });
        }
        Self {
            name: name.to_owned(),
            passed: output.lines().filter_map(passed).sum(),
            failures,
        }
    }

    /// How many tests passed.
    pub(super) fn passed(&self) -> usize {
        self.passed
    }

    /// Whether anything failed.
    pub(super) fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAILED: {}", self.name)?;
        for (failure, at) in self.failures.iter().zip(0..) {
            write!(f, "\n    {}", failure.test)?;
            let reason = if at < REASONS { failure.reason.as_str() } else { "" };
            for line in reason.lines() {
                write!(f, "\n        {line}")?;
            }
        }
        Ok(())
    }
}

/// `130` of `test result: ok. 130 passed; 0 failed; ...`.
fn passed(line: &str) -> Option<usize> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    counts.split_once(" passed;")?.0.parse().ok()
}

/// The sections `---- NAME ----` (of libtest `---- NAME stdout ----`) between the two lines `failures:`.
fn failures(output: &str) -> Vec<Failure> {
    let mut sections: Vec<(String, Vec<&str>)> = Vec::new();
    let lines = output.lines().skip_while(|line| *line != "failures:").skip(1);
    for line in lines.take_while(|line| *line != "failures:") {
        let title = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----"));
        match (title, sections.last_mut()) {
            (Some(title), _) => {
                let test = title.strip_suffix(" stdout").unwrap_or(title);
                sections.push((test.to_owned(), Vec::new()));
            }
            (None, Some((_, reason))) => reason.push(line),
            (None, None) => {}
        }
    }
    let failure = |(test, reason): (String, Vec<&str>)| Failure {
        test,
        reason: last_lines(&without_backtraces(&reason).join("\n")),
    };
    sections.into_iter().map(failure).collect()
}

/// What stands before a backtrace is the reason, and a backtrace is longer than what is told of it.
fn without_backtraces<'t>(lines: &[&'t str]) -> Vec<&'t str> {
    let mut within = false;
    let mut kept = Vec::new();
    for line in lines {
        let begins = line.trim().eq_ignore_ascii_case("stack backtrace:");
        within = begins || (within && (line.starts_with(' ') || line.starts_with("note: ")));
        if !within {
            kept.push(*line);
        }
    }
    kept
}

fn last_lines(text: &str) -> String {
    let lines: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| line.chars().take(WIDTH).collect())
        .collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_A_SUITE: &str = "\
running 3 tests
test a_service_holds ... ok
test a_host_is_lost  ... FAILED
test a_host_is_found ... FAILED

failures:

---- a_host_is_lost ----
waited 120s until three tasks run; last saw: two
of three

---- a_host_is_found ----
no such host


failures:
    a_host_is_lost
    a_host_is_found

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 179.88s

the bed is removed by force: it does not end
";

    #[test]
    fn the_failed_tests_are_told_with_their_reasons() {
        let report = Report::read("--test services", OF_A_SUITE, Some("ended with exit status: 101"));
        assert_eq!(report.passed(), 1);
        assert_eq!(
            report.to_string(),
            "\
FAILED: --test services
    a_host_is_lost
        waited 120s until three tasks run; last saw: two
        of three
    a_host_is_found
        no such host"
        );
    }

    #[test]
    fn of_what_a_test_printed_the_end_is_told_where_its_reason_is() {
        let printed: Vec<String> = (0..100).map(|line| format!("line {line} of a log")).collect();
        let output = format!(
            "failures:\n\n---- cut stdout ----\n{}\nError: no page\n\n\nfailures:\n    cut\n\ntest result: FAILED. 0 passed; 1 failed\n",
            printed.join("\n")
        );
        let told = Report::read("--test bed", &output, Some("ended with exit status: 101")).to_string();
        assert_eq!(told.lines().count(), 2 + LINES, "{told}");
        assert!(
            told.ends_with("        line 99 of a log\n        Error: no page"),
            "{told}"
        );
    }

    #[test]
    fn a_reason_stands_without_its_backtrace() {
        let frames = "   0: rust_begin_unwind\n             at /rustc/library/std/src/panicking.rs:1\n".repeat(LINES);
        let output = format!(
            "failures:\n\n---- adds stdout ----\nthread 'adds' panicked at a.rs:1:2:\n1 is not 2\n\
             stack backtrace:\n{frames}note: Some details are omitted\nafterwards\n\nfailures:\n    adds\n"
        );
        let told = Report::read("--lib", &output, Some("ended with exit status: 101")).to_string();
        assert_eq!(
            told,
            "FAILED: --lib\n    adds\n        thread 'adds' panicked at a.rs:1:2:\n        1 is not 2\n        afterwards"
        );
    }

    #[test]
    fn a_binary_that_ends_otherwise_is_told_with_the_end_of_its_output() {
        let report = Report::read(
            "--lib",
            "running 2 tests\nstack overflow\n",
            Some("ended with signal: 6"),
        );
        assert_eq!(
            report.to_string(),
            "FAILED: --lib\n    ended with signal: 6\n        running 2 tests\n        stack overflow"
        );
    }

    #[test]
    fn what_passes_is_counted_over_all_results_of_an_output() {
        let output = "failures:\ntest result: ok. 12 passed; 0 failed;\n\ntest result: ok. 3 passed; 0 failed;\n";
        let report = Report::read("the documentation", output, None);
        assert_eq!((report.passed(), report.has_failed()), (15, false));
    }
}
