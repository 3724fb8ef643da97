//! What a person sees: lines and tables on stdout, progress on stderr.
//!
//! Control characters appear only on a terminal; a pipe gets plain text and no progress.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use aion_base::{Error, Result};
pub use aion_bench::report::count;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Standard output and standard error.
#[derive(Debug)]
pub struct Screen {
    is_styled: bool,
}

impl Screen {
    /// The screen of this process.
    pub fn new() -> Self {
        let is_styled = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { is_styled }
    }

    /// Prints a line.
    pub fn line(&self, text: impl Display) -> Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")
            .and_then(|()| out.flush())
            .map_err(|error| Error::io("write to standard output", error))
    }

    /// Prints a heading after an empty line.
    pub fn heading(&self, text: impl Display) -> Result<()> {
        self.line("")?;
        if self.is_styled {
            self.line(format_args!("\x1b[1m{text}\x1b[0m"))
        } else {
            self.line(text)
        }
    }

    /// Prints rows in columns, the first aligned left, the others right. The first row is the head.
    pub fn table(&self, rows: &[Vec<String>]) -> Result<()> {
        table_lines(rows).iter().try_for_each(|line| self.line(line))
    }

    /// A progress bar on stderr, drawn only where stderr is a terminal. Clear it before the next line is printed.
    pub fn bar(&self, what: &str, total: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let template = "  {msg:<28} {bar:30} {human_pos:>9}/{human_len} {per_sec}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.to_owned());
        bar
    }

    /// A line on stderr that says what is being done, drawn only where stderr is a terminal.
    pub fn spinner(&self) -> ProgressBar {
        let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template = "  {spinner} {elapsed} {msg}";
        spinner.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()));
        spinner.enable_steady_tick(Duration::from_millis(200));
        spinner
    }
}

fn table_lines(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut text = String::from("  ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                text.push_str(&format!("{cell:<width$}"));
            } else {
                text.push_str(&format!("  {cell:>width$}"));
            }
        }
        text.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Megabytes (10^6 bytes) with one decimal.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// How many of something happened per second, with a comma between thousands.
pub fn rate(number: u64, elapsed: Duration) -> String {
    count((number as f64 / elapsed.as_secs_f64().max(1e-9)) as u64)
}

/// Whether the error is that nobody reads our output any more.
pub fn is_closed_pipe(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|source| source.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        let shown = [0, 999, 1_000, 336_776, 12_345_678].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "336,776", "12,345,678"]);
        assert_eq!(rate(10, Duration::from_millis(500)), "20");
        assert_eq!(megabytes(1_250_000), "1.2");
    }

    #[test]
    fn tables_are_aligned() {
        let rows = [["table", "rows"], ["flights", "336,776"], ["a", "1"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table_lines(&rows),
            ["  table       rows", "  flights  336,776", "  a              1"]
        );
    }

    #[test]
    fn a_closed_pipe_is_told_from_other_errors() {
        let closed = Error::io("write to standard output", ErrorKind::BrokenPipe.into());
        assert!(is_closed_pipe(&closed));
        assert!(!is_closed_pipe(&Error::io("write", ErrorKind::StorageFull.into())));
        assert!(!is_closed_pipe(&Error::internal("other")));
    }
}
