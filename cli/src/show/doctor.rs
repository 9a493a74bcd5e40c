//! What was found wrong, as people read it.

use crate::doctor::{Report, Verdict};
use crate::output::{ERROR, HINT, Presentation};

pub(crate) fn report(report: &Report) -> Presentation {
    let mut lines = Presentation::default();
    for finding in &report.findings {
        let mark = match finding.verdict {
            Verdict::Ok => "ok       ".to_owned(),
            Verdict::Warning => format!("{HINT}warning{HINT:#}  "),
            Verdict::Problem => format!("{ERROR}problem{ERROR:#}  "),
        };
        lines = lines.line(format!("{mark}{}", finding.finding));
        if !finding.advice.is_empty() {
            lines = lines.line(format!("         {}", finding.advice));
        }
    }
    let said = match (report.problems, report.warnings) {
        (0, 0) => "Nothing is wrong.".to_owned(),
        (problems, warnings) => format!("Problems: {problems}, warnings: {warnings}."),
    };
    lines.line(said)
}
