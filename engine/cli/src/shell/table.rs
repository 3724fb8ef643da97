//! Rows in aligned columns, by the width that characters have on a screen.
//!
//! Control characters are shown, not sent: what lies in a database must not steer a terminal. A value of several lines takes
//! several lines of its column, `+` at the end of each but the last, as in psql.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

use super::print::Head;

/// Columns between tab stops.
const TAB: usize = 8;

/// Gathers rows until the widths of the columns are known.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    /// The lines of each cell, row by row.
    cells: Vec<Vec<String>>,
    bytes: usize,
    is_begun: bool,
}

#[derive(Debug)]
struct Column {
    name: Vec<String>,
    is_number: bool,
    width: usize,
}

impl Table {
    /// A table with these columns.
    pub fn new(heads: &[Head]) -> Self {
        let columns = heads.iter().map(|head| {
            let name = lines(&head.name);
            Column {
                is_number: head.kind.is_number(),
                width: widest(&name),
                name,
            }
        });
        Self {
            columns: columns.collect(),
            ..Self::default()
        }
    }

    /// Bytes that have gathered.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row.
    pub fn gather(&mut self, cells: &[Option<&str>]) {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            let lines = lines(cell.unwrap_or_default());
            if !self.is_begun {
                column.width = column.width.max(widest(&lines));
            }
            self.bytes += lines.iter().map(|line| line.len() + size_of::<String>()).sum::<usize>();
            self.cells.push(lines);
        }
        // A table of no columns has rows all the same.
        self.bytes += size_of::<Vec<String>>();
    }

    /// Writes what has gathered, with the head before the first row.
    pub fn write(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !self.is_begun {
            self.is_begun = true;
            self.head(out)?;
        }
        let count = self.columns.len().max(1);
        for row in std::mem::take(&mut self.cells).chunks(count) {
            self.row(row, out)?;
        }
        self.bytes = 0;
        Ok(())
    }

    fn head(&self, out: &mut impl Write) -> io::Result<()> {
        let height = self.columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
        for line in 0..height {
            for (at, column) in self.columns.iter().enumerate() {
                let text = column.name.get(line).map_or("", String::as_str);
                let free = column.width - width(text).min(column.width);
                let left = free / 2;
                let more = if line + 1 < column.name.len() { '+' } else { ' ' };
                let separator = if at > 0 { "|" } else { "" };
                write!(
                    out,
                    "{separator} {:left$}{text}{:right$}{more}",
                    "",
                    "",
                    right = free - left
                )?;
            }
            writeln!(out)?;
        }
        for (at, column) in self.columns.iter().enumerate() {
            let separator = if at > 0 { "+" } else { "" };
            write!(out, "{separator}{}", "-".repeat(column.width + 2))?;
        }
        writeln!(out)
    }

    fn row(&self, cells: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..height {
            for (at, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
                let text = cell.get(line).map_or("", String::as_str);
                let free = column.width.saturating_sub(width(text));
                let is_last = at + 1 == self.columns.len();
                let is_more = line + 1 < cell.len();
                let (left, right) = match (column.is_number, is_last && !is_more) {
                    (true, _) if line < cell.len() => (free, 0),
                    // Nothing stands behind the last column.
                    (_, true) => (0, 0),
                    _ => (0, free),
                };
                let separator = if at > 0 { "|" } else { "" };
                write!(out, "{separator} {:left$}{text}{:right$}", "", "")?;
                match (is_more, is_last) {
                    (true, _) => write!(out, "+")?,
                    (false, false) => write!(out, " ")?,
                    (false, true) => {}
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

/// Writes a row as a line for each value.
pub fn record(out: &mut impl Write, number: u64, names: &[&str], cells: &[Option<&str>]) -> io::Result<()> {
    let names: Vec<Vec<String>> = names.iter().map(|name| lines(name)).collect();
    let cells: Vec<Vec<String>> = cells.iter().map(|cell| lines(cell.unwrap_or_default())).collect();
    let name_width = names.iter().map(|name| widest(name)).max().unwrap_or(0);
    let value_width = cells.iter().map(|cell| widest(cell)).max().unwrap_or(0);
    let title = format!("-[ RECORD {number} ]");
    let mut rule = format!("{}+{}", "-".repeat(name_width + 1), "-".repeat(value_width + 1));
    if title.len() < rule.len() {
        rule.replace_range(..title.len(), &title);
    } else {
        rule = title;
    }
    writeln!(out, "{rule}")?;
    for (name, cell) in names.iter().zip(&cells) {
        for line in 0..name.len().max(cell.len()) {
            let name_line = name.get(line).map_or("", String::as_str);
            let value = cell.get(line).map_or("", String::as_str);
            let free = name_width - width(name_line);
            let more = if line + 1 < name.len() { '+' } else { ' ' };
            let value_more = match line + 1 < cell.len() {
                true => format!("{:free$}+", "", free = value_width - width(value)),
                false => String::new(),
            };
            writeln!(out, "{name_line}{:free$}{more}| {value}{value_more}", "")?;
        }
    }
    Ok(())
}

/// The lines of a value, fit for a screen.
fn lines(text: &str) -> Vec<String> {
    text.split('\n').map(shown).collect()
}

fn shown(line: &str) -> String {
    if !line.contains(char::is_control) {
        return line.to_owned();
    }
    let mut shown = String::new();
    for character in line.chars() {
        match character {
            '\t' => {
                let next = (width(&shown) / TAB + 1) * TAB;
                shown.push_str(&" ".repeat(next - width(&shown)));
            }
            '\r' => shown.push_str("\\r"),
            control if control.is_control() => shown.push_str(&format!("\\x{:02X}", u32::from(control))),
            other => shown.push(other),
        }
    }
    shown
}

fn widest(lines: &[String]) -> usize {
    lines.iter().map(|line| width(line)).max().unwrap_or(0)
}

/// Columns of a screen that a text takes.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_shown() {
        assert_eq!(shown("a\x1b[31m\tb\r"), "a\\x1B[31m       b\\r");
        assert_eq!(width("日本"), 4);
        assert_eq!(width("e\u{301}"), 1);
    }
}
