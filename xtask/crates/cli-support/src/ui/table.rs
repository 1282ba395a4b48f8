//! Aligned tables for terminals and for Markdown.

use std::fmt;

/// A heading and rows.
#[derive(Debug, Default)]
pub struct Table {
    heads: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns. A name that begins with `>` aligns the column to the right.
    pub fn new(heads: &[&str]) -> Self {
        Self {
            heads: heads.iter().map(|head| head.trim_start_matches('>').to_owned()).collect(),
            right: heads.iter().map(|head| head.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with one cell for each column.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(
            cells.into_iter().map(|cell| crate::error::plain(&cell.into()).replace('\n', " ")).collect(),
        );
    }

    /// The table in GitHub's Markdown.
    pub fn markdown(&self) -> String {
        let escape = |cell: &String| cell.replace('|', "\\|").replace('\n', " ");
        let mut out = format!("| {} |\n|", self.heads.join(" | "));
        for right in &self.right {
            out.push_str(if *right { " ---: |" } else { " --- |" });
        }
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(escape).collect();
            out.push_str(&format!("\n| {} |", cells.join(" | ")));
        }
        out.push('\n');
        out
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .chain(self.heads.get(column))
                .map(|cell| console::measure_text_width(cell))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.heads.len()).map(width).collect();
        for row in std::iter::once(&self.heads).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let gap = " ".repeat(width.saturating_sub(console::measure_text_width(cell)));
                let (before, after) = if *right { (gap.as_str(), "") } else { ("", gap.as_str()) };
                line.push_str(&format!("{before}{cell}{after}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_markdown_is_escaped() {
        let mut table = Table::new(&["platform", ">bytes"]);
        table.row(["linux/amd64", "1"]);
        table.row(["é|", "1000"]);
        assert_eq!(table.to_string(), "platform     bytes\nlinux/amd64      1\né|            1000\n");
        assert_eq!(
            table.markdown(),
            "| platform | bytes |\n| --- | ---: |\n| linux/amd64 | 1 |\n| é\\| | 1000 |\n"
        );
    }
}
