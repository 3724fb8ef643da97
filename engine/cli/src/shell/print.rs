//! Results on their way out, in one of three formats.
//!
//! **table** is psql's: aligned, numbers to the right, NULL empty, a line with the number of rows; or, expanded, a line for each
//! value. Widths need all rows: so many are gathered as [`GATHERED_BYTES_MAX`] allows; beyond that rows go out as they
//! come, in the widths of those before. **csv** is what COPY writes, with a header. **json** is an array of objects for each
//! result. Those two gather nothing.

use std::io::{self, Write};

use aion_base::{Error, Result};
use aion_db::LineWriter;

use super::table::{self, Table};

/// Bytes of rows that a table gathers before it settles its widths.
const GATHERED_BYTES_MAX: usize = 16 << 20;

/// How results look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns, as psql
    #[default]
    Table,
    /// A header and a line for each row, as COPY
    Csv,
    /// An array of objects for each result
    Json,
}

/// What a column's values are, as far as their look depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `smallint`, `integer`, `bigint`.
    Integer,
    /// `real`, `double precision`.
    Float,
    /// `numeric`.
    Decimal,
    /// `boolean`.
    Boolean,
    /// `json` or `jsonb`.
    Json,
    /// Everything else.
    Text,
}

impl Kind {
    /// The kind of a type by PostgreSQL's number for it.
    pub fn of_oid(oid: u32) -> Self {
        match oid {
            16 => Self::Boolean,
            20 | 21 | 23 => Self::Integer,
            114 | 3802 => Self::Json,
            700 | 701 => Self::Float,
            1700 => Self::Decimal,
            _ => Self::Text,
        }
    }

    /// Whether values stand at the right of their column.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Float | Self::Decimal)
    }
}

/// A column of a result.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
}

/// Prints results.
pub struct Printer<W> {
    out: W,
    /// How results look.
    pub format: Format,
    /// A line for each value of a table.
    pub is_expanded: bool,
    lines: LineWriter,
    heads: Vec<Head>,
    table: Table,
    count: u64,
    /// Memory for a line.
    buffer: Vec<u8>,
}

impl<W: Write> Printer<W> {
    /// A printer to `out`.
    pub fn new(out: W, format: Format) -> Self {
        Self {
            out,
            format,
            is_expanded: false,
            lines: LineWriter::csv(),
            heads: Vec::new(),
            table: Table::default(),
            count: 0,
            buffer: Vec::new(),
        }
    }

    /// A result with these columns begins.
    pub fn begin(&mut self, heads: Vec<Head>) -> Result<()> {
        self.count = 0;
        self.table = Table::new(&heads);
        match self.format {
            Format::Table => {}
            Format::Csv => {
                let names: Vec<_> = heads.iter().map(|head| Some(head.name.as_str())).collect();
                self.buffer.clear();
                self.lines.line(&names, &mut self.buffer);
                self.out.write_all(&self.buffer).map_err(failed)?;
            }
            Format::Json => self.out.write_all(b"[").map_err(failed)?,
        }
        self.heads = heads;
        Ok(())
    }

    /// A row of it.
    pub fn row(&mut self, cells: &[Option<&str>]) -> Result<()> {
        self.count += 1;
        match self.format {
            Format::Table if self.is_expanded => {
                let names = self.heads.iter().map(|head| head.name.as_str());
                let names: Vec<_> = names.collect();
                table::record(&mut self.out, self.count, &names, cells).map_err(failed)
            }
            Format::Table => {
                self.table.gather(cells);
                if self.table.bytes() > GATHERED_BYTES_MAX {
                    self.table.write(&mut self.out).map_err(failed)?;
                }
                Ok(())
            }
            Format::Csv => {
                self.buffer.clear();
                self.lines.line(cells, &mut self.buffer);
                self.out.write_all(&self.buffer).map_err(failed)
            }
            Format::Json => self.object(cells).map_err(failed),
        }
    }

    /// The result ends.
    pub fn end(&mut self) -> Result<()> {
        let ended = match self.format {
            Format::Table => self.end_table(),
            Format::Csv => Ok(()),
            Format::Json if self.count == 0 => self.out.write_all(b"]\n"),
            Format::Json => self.out.write_all(b"\n]\n"),
        };
        self.table = Table::default();
        ended.and_then(|()| self.out.flush()).map_err(failed)
    }

    fn end_table(&mut self) -> io::Result<()> {
        if self.is_expanded {
            let nothing = if self.count == 0 { "(0 rows)\n\n" } else { "\n" };
            return self.out.write_all(nothing.as_bytes());
        }
        self.table.write(&mut self.out)?;
        let rows = if self.count == 1 { "row" } else { "rows" };
        write!(self.out, "({} {rows})\n\n", self.count)
    }

    /// A statement without a result is done. Formats that programs read say nothing.
    pub fn done(&mut self, tag: &str) -> Result<()> {
        if self.format != Format::Table || tag.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "{tag}")
            .and_then(|()| self.out.flush())
            .map_err(failed)
    }

    /// What a COPY TO STDOUT gives, as it is.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(failed)
    }

    /// A line of the shell itself.
    pub fn say(&mut self, text: impl std::fmt::Display) -> Result<()> {
        writeln!(self.out, "{text}")
            .and_then(|()| self.out.flush())
            .map_err(failed)
    }

    /// Writes out what has gathered on the way.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(failed)
    }

    fn object(&mut self, cells: &[Option<&str>]) -> io::Result<()> {
        self.out.write_all(if self.count == 1 { b"\n  {" } else { b",\n  {" })?;
        for (at, (head, cell)) in self.heads.iter().zip(cells).enumerate() {
            if at > 0 {
                self.out.write_all(b", ")?;
            }
            serde_json::to_writer(&mut self.out, &head.name)?;
            self.out.write_all(b": ")?;
            match cell {
                None => self.out.write_all(b"null")?,
                Some(text) if is_literal(head.kind, text) => self.out.write_all(text.as_bytes())?,
                Some(text) if head.kind == Kind::Boolean => {
                    self.out.write_all(if *text == "t" { b"true" } else { b"false" })?;
                }
                Some(text) => serde_json::to_writer(&mut self.out, text)?,
            }
        }
        self.out.write_all(b"}")
    }
}

/// Whether a value stands in JSON as it is: json, and numbers that every reader takes for the same number. Readers have
/// double precision, so a larger integer or a longer decimal is given as a string.
fn is_literal(kind: Kind, text: &str) -> bool {
    const EXACT_MAX: u64 = 1 << 53;
    const EXACT_DIGITS: usize = 15;
    match kind {
        Kind::Json => true,
        Kind::Integer => text
            .parse::<i64>()
            .is_ok_and(|number| number.unsigned_abs() <= EXACT_MAX),
        // NaN and Infinity are no numbers to JSON; `1e+300` is one.
        Kind::Float => text.parse::<f64>().is_ok_and(f64::is_finite),
        Kind::Decimal => {
            text.bytes().filter(u8::is_ascii_digit).count() <= EXACT_DIGITS
                && text.parse::<f64>().is_ok_and(f64::is_finite)
        }
        Kind::Boolean | Kind::Text => false,
    }
}

fn failed(error: io::Error) -> Error {
    Error::io("write to standard output", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: Format, is_expanded: bool, rows: &[[Option<&str>; 3]]) -> String {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, format);
        printer.is_expanded = is_expanded;
        let head = |name: &str, kind| Head {
            name: name.to_owned(),
            kind,
        };
        let heads = vec![
            head("id", Kind::Integer),
            head("name", Kind::Text),
            head("exact", Kind::Decimal),
        ];
        printer.begin(heads).expect("written");
        rows.iter().for_each(|row| printer.row(row).expect("written"));
        printer.end().expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn table_is_psqls() {
        assert_eq!(
            printed(
                Format::Table,
                false,
                &[
                    [Some("1"), Some("äß"), Some("1.50")],
                    [Some("20000"), None, None],
                    [None, Some("日本\nx"), Some("-1")]
                ]
            ),
            "  id   | name | exact \n\
             -------+------+-------\n     1 | äß   |  1.50\n 20000 |      |      \n       | 日本+|    -1\n       | x    | \n(3 rows)\n\n"
        );
        assert_eq!(
            printed(Format::Table, false, &[]),
            " id | name | exact \n----+------+-------\n(0 rows)\n\n"
        );
    }

    #[test]
    fn expanded_is_psqls() {
        assert_eq!(
            printed(Format::Table, true, &[[Some("1"), Some("x"), None]]),
            "-[ RECORD 1 ]\nid    | 1\nname  | x\nexact | \n\n"
        );
        assert_eq!(printed(Format::Table, true, &[]), "(0 rows)\n\n");
    }

    #[test]
    fn csv_and_json_are_for_programs() {
        let rows = [
            [Some("1"), Some("a,\"b\""), Some("1.50")],
            [Some("9007199254740993"), Some(""), Some("12345678901234567890.5")],
            [None, None, None],
        ];
        assert_eq!(
            printed(Format::Csv, false, &rows),
            "id,name,exact\n1,\"a,\"\"b\"\"\",1.50\n9007199254740993,\"\",12345678901234567890.5\n,,\n"
        );
        assert_eq!(
            printed(Format::Json, false, &rows),
            "[\n  {\"id\": 1, \"name\": \"a,\\\"b\\\"\", \"exact\": 1.50},\n  \
             {\"id\": \"9007199254740993\", \"name\": \"\", \"exact\": \"12345678901234567890.5\"},\n  \
             {\"id\": null, \"name\": null, \"exact\": null}\n]\n"
        );
        assert_eq!(printed(Format::Json, false, &[]), "[]\n");
    }
}
