//! What happened.

use berth_model::time::Timestamp;
use berth_proto::v1::HistoryResponse;

use super::Table;
use super::table::{number, text};
use crate::output::Presentation;

/// The story, a line each.
pub(crate) fn lines(answer: &HistoryResponse) -> Presentation {
    let mut table = Table::with_headings(["TIME", "REVISION", "WHO", "WHAT", "WHY"]);
    for line in &answer.lines {
        table.row([
            text(time(line.at)),
            number(line.revision),
            text(&line.by),
            text(&line.what),
            text(&line.why),
        ]);
    }
    Presentation::default().table(&table)
}

/// What is said where there is no story.
pub(crate) fn nothing(answer: &HistoryResponse) -> String {
    match answer.oldest_at {
        Some(at) => format!(
            "nothing is told of it: the journal keeps what happened since {} (revision {})",
            time(at),
            answer.oldest_revision
        ),
        None => "nothing has happened yet".to_owned(),
    }
}

fn time(at: f64) -> String {
    Timestamp::from_epoch_seconds(at).to_rfc3339()
}
