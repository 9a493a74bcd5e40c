//! The table that is printed at the end.

/// Figures in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    /// Adds a figure, with the bar that it is held against where there is one.
    pub(crate) fn add(&mut self, what: &str, figure: f64, unit: &str, bar: &str) {
        let digits = if figure.abs() >= 100.0 { 0 } else { 2 };
        let figure = format!("{figure:.digits$}");
        eprintln!("  {what}: {figure} {unit}");
        self.rows
            .push([what.to_owned(), figure, unit.to_owned(), bar.to_owned()]);
    }

    /// Whether nothing was measured.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints all of it.
    pub(crate) fn print(&self) {
        let heads = ["what", "measured", "unit", "bar"].map(str::to_owned);
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&heads]).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: [usize; 4] = std::array::from_fn(width);
        let line = |row: &[String; 4]| {
            println!(
                "| {:<a$} | {:>b$} | {:<c$} | {:<d$} |",
                row[0],
                row[1],
                row[2],
                row[3],
                a = widths[0],
                b = widths[1],
                c = widths[2],
                d = widths[3]
            );
        };
        line(&heads);
        line(&widths.map(|width| "-".repeat(width)));
        self.rows.iter().for_each(line);
    }
}
