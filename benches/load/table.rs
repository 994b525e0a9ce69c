//! Text in columns, the first to the left and the others to the right. Pure; the suites print it.

use std::fmt::Write;

/// Rows of cells under a heading.
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    /// A table of one row: the names of its columns; the first column has none.
    pub fn new(title: String, columns: &[&str]) -> Table {
        let names = std::iter::once("").chain(columns.iter().copied());
        Table { title, rows: vec![names.map(str::to_owned).collect()], notes: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, name: &str, cells: Vec<String>) {
        let row = std::iter::once(name.to_owned()).chain(cells).collect();
        self.rows.push(row);
    }

    /// Adds a line below the rows.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// The whole as text; nothing without rows.
    pub fn text(&self) -> String {
        if self.rows.len() < 2 {
            return String::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = format!("\n{}\n", self.title);
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _ = match column {
                    0 => write!(line, "{cell:<width$}"),
                    _ => write!(line, "  {cell:>width$}"),
                };
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
        for note in &self.notes {
            let _ = writeln!(out, "{note}");
        }
        out
    }
}

/// A figure with so many places behind the point, or a dash.
pub fn cell(value: Option<f64>, places: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.places$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::new("Title".to_owned(), &["one", "two"]);
        assert_eq!(table.text(), "");
        table.row("a row", vec![cell(Some(1.234), 1), cell(None, 0)]);
        table.note("note".to_owned());
        assert_eq!(table.text(), "\nTitle\n       one  two\na row  1.2    -\nnote\n");
    }
}
