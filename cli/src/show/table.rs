//! A table without borders, one line a row, that `grep` and `awk` can read.

use std::fmt::{Display, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

/// Stands for a value that there is none of.
const NONE: &str = "-";
/// Between two columns.
const GAP: usize = 2;

/// Rows of cells, under headings or without.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Vec<Cell>>);

impl Table {
    /// A table with one column a heading.
    pub(crate) fn with_headings<'h>(headings: impl IntoIterator<Item = &'h str>) -> Self {
        Self(vec![headings.into_iter().map(text).collect()])
    }

    /// A table whose rows are a name and a value each.
    pub(crate) fn pairs() -> Self {
        Self::default()
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.0.push(cells.into_iter().collect());
    }

    pub(crate) fn pair(&mut self, name: &str, value: Cell) {
        self.row([text(name), value]);
    }

    /// The lines, each ended. Always coloured: the stream takes the colours out where they are not wanted.
    pub(crate) fn render(&self) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let of_column = |column: usize| self.0.iter().filter_map(move |row| row.get(column));
        let widths: Vec<usize> = (0..columns)
            .map(|column| of_column(column).map(Cell::width).max().unwrap_or_default())
            .collect();
        // Headings stand where the values under them do.
        let to_the_right: Vec<bool> = (0..columns)
            .map(|column| of_column(column).any(|cell| cell.to_the_right))
            .collect();
        let mut rendered = String::new();
        for row in &self.0 {
            let mut owed = 0;
            for ((cell, width), right) in row.iter().zip(&widths).zip(&to_the_right) {
                let fill = width - cell.width();
                let (before, after) = if *right { (fill, 0) } else { (0, fill) };
                // Blanks are written before what follows them, never at the end of a line.
                rendered.extend(std::iter::repeat_n(' ', owed + before));
                cell.write(&mut rendered);
                owed = after + GAP;
            }
            rendered.push('\n');
        }
        rendered
    }
}

/// One value of a row.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
    to_the_right: bool,
}

impl Cell {
    /// The same in `color`.
    pub(crate) fn colored(mut self, color: AnsiColor) -> Self {
        self.style = color.on_default();
        self
    }

    fn width(&self) -> usize {
        self.text.width()
    }

    fn write(&self, rendered: &mut String) {
        let Self { text, style, .. } = self;
        // Writing to a String cannot fail.
        let _written = write!(rendered, "{style}{text}{style:#}");
    }
}

/// A cell with `value`, or a dash where it is empty. What could steer a terminal becomes a blank.
pub(crate) fn text(value: impl Display) -> Cell {
    let mut text = value.to_string().replace(char::is_control, " ");
    if text.is_empty() {
        text.push_str(NONE);
    }
    Cell {
        text,
        style: Style::new(),
        to_the_right: false,
    }
}

/// A cell with the value, or a dash.
pub(crate) fn maybe(value: Option<impl Display>) -> Cell {
    value.map_or_else(|| text(NONE), text)
}

/// A cell with a number, aligned as numbers are.
pub(crate) fn number(value: impl Display) -> Cell {
    Cell {
        to_the_right: true,
        ..text(value)
    }
}

/// A cell with a status in the colour of what it means.
pub(crate) fn status(value: Option<&str>) -> Cell {
    let cell = maybe(value);
    match value {
        Some("RUNNING" | "ACTIVE") => cell.colored(AnsiColor::Green),
        Some("STOPPED" | "INACTIVE") => cell.colored(AnsiColor::BrightBlack),
        Some("REGISTRATION_FAILED") => cell.colored(AnsiColor::Red),
        Some(_) => cell.colored(AnsiColor::Yellow),
        None => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, maybe, number, status, text};

    fn plain(table: &Table) -> String {
        anstream::adapter::strip_str(&table.render()).to_string()
    }

    #[test]
    fn columns_line_up_without_borders_or_trailing_blanks() {
        let mut table = Table::with_headings(["NAME", "COUNT", "STATUS"]);
        table.row([text("a"), number(5), status(Some("RUNNING"))]);
        table.row([text("long"), number(12345), status(None)]);
        assert_eq!(
            plain(&table),
            "NAME  COUNT  STATUS\n\
             a         5  RUNNING\n\
             long  12345  -\n"
        );
    }

    #[test]
    fn wide_characters_take_the_room_they_need() {
        let mut table = Table::pairs();
        table.pair("\u{6e2f}\u{53e3}", text("a"));
        table.pair("port", text("b"));
        assert_eq!(plain(&table), "\u{6e2f}\u{53e3}  a\nport  b\n");
    }

    #[test]
    fn an_absent_or_empty_value_is_a_dash() {
        let mut table = Table::pairs();
        table.pair("one", text(""));
        table.pair("two", maybe(None::<&str>));
        assert_eq!(plain(&table), "one  -\ntwo  -\n");
    }

    #[test]
    fn a_value_cannot_steer_the_terminal_or_break_the_row() {
        let mut table = Table::pairs();
        table.pair("reason", text("a\x1b[2Jb\nc"));
        assert_eq!(table.render(), "reason  a [2Jb c\n");
    }
}
