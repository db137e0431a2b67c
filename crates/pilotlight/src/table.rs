//! Tables: aligned for people, separated by tabs for programs.

use std::io::{self, Write};

use comfy_table::ContentArrangement;
use comfy_table::presets::NOTHING;
use serde_json::Value;

/// Rows of text under a header.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<'a>(header: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            header: header.into_iter().map(str::to_uppercase).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of as many cells as the header has.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// Writes the table: in columns, or a line of cells with tabs between for each row. Rows are never wrapped: an address
    /// in two pieces cannot be copied.
    ///
    /// # Errors
    /// What `out` reports.
    pub(crate) fn write(&self, out: &mut dyn Write, in_columns: bool) -> io::Result<()> {
        if !in_columns {
            for row in std::iter::once(&self.header).chain(&self.rows) {
                writeln!(out, "{}", row.join("\t"))?;
            }
            return Ok(());
        }
        let mut table = comfy_table::Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(&self.header)
            .add_rows(&self.rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A JSON value as a cell shows it.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(values) => {
            let words: Vec<String> = values
                .iter()
                .map(|(name, value)| format!("{name}={}", cell(value)))
                .collect();
            words.join(",")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A number of things: `1 node`, `2 nodes`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// `text` with control characters spelled out, since a terminal would obey them.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(table: &Table, in_columns: bool) -> String {
        let mut out = Vec::new();
        table.write(&mut out, in_columns).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn nodes() -> Table {
        let mut table = Table::new(["name", "description"]);
        table.row(["n1".to_owned(), "the first of all nodes".to_owned()]);
        table.row(["login".to_owned(), String::new()]);
        table
    }

    #[test]
    fn programs_get_tabs() {
        assert_eq!(
            written(&nodes(), false),
            "NAME\tDESCRIPTION\nn1\tthe first of all nodes\nlogin\t\n"
        );
    }

    #[test]
    fn people_get_columns() {
        assert_eq!(
            written(&nodes(), true),
            "NAME   DESCRIPTION\nn1     the first of all nodes\nlogin\n"
        );
    }

    #[test]
    fn no_cell_commands_the_terminal_or_breaks_a_row() {
        let mut table = Table::new(["a"]);
        table.row(["red \u{1b}[31m\tand\nnew \u{9b}31m é".to_owned()]);
        assert_eq!(
            written(&table, false),
            "A\nred \\u{1b}[31m\\tand\\nnew \\u{9b}31m é\n"
        );
    }

    #[test]
    fn values_become_cells() {
        assert_eq!(cell(&json!("text")), "text");
        assert_eq!(cell(&json!(null)), "");
        assert_eq!(cell(&json!(["a", "b", 3])), "a,b,3");
        assert_eq!(cell(&json!({"a": 1, "b": "x"})), "a=1,b=x");
    }
}
