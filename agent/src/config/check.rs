//! What `--check-config` prints.

use super::setting::{Default, Setting};
use super::settings::SETTINGS;
use super::source::Gathered;

/// Every setting with its value and where that comes from, then what was ignored.
pub(super) fn report(gathered: &Gathered) -> String {
    let rows: Vec<[String; 3]> = SETTINGS.iter().map(|setting| row(setting, gathered)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (names, values) = (width(0), width(1));
    let mut text = String::new();
    for [name, value, origin] in &rows {
        text += &format!("{name:names$}  {value:values$}  {origin}\n");
    }
    for note in &gathered.notes {
        text += &format!("note: {note}\n");
    }
    text
}

fn row(setting: &Setting, gathered: &Gathered) -> [String; 3] {
    let given = gathered.given(setting.name);
    let value = match (given, setting.default) {
        (Some(_), _) if setting.secret => "(set, not shown)".to_owned(),
        (Some(given), _) => given.values.join(","),
        (None, Default::Values(values)) => values.join(","),
        (None, Default::None(meaning)) => format!("({meaning})"),
        (None, Default::Required(_)) => String::new(),
    };
    let origin = given.map_or_else(|| "default".to_owned(), |given| given.origin.to_string());
    [setting.name.to_owned(), value, origin]
}
