//! Rows: as COPY gives them, or turned into INSERT statements. Either way they pass through, and are held nowhere.

use std::borrow::Cow;
use std::io::Write;

use aion_base::{Error, Result};

use super::objects::{Column, Table, literal, quoted, unwritten};
use crate::shell::{Complaint, Connection};

/// Rows of one INSERT, at most.
const ROWS_MAX: usize = 100;
/// Bytes after which an INSERT takes no further row.
const INSERT_BYTES: usize = 1 << 20;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Copy,
    Inserts,
}

/// Writes the rows of a table.
///
/// # Errors
/// What the database says; 58030 where they cannot be written.
pub async fn write(
    connection: &mut Connection,
    table: &Table,
    format: Format,
    out: &mut impl Write,
) -> Result<(), Box<Complaint>> {
    let columns: Vec<&Column> = table.columns.iter().filter(|column| !column.is_generated).collect();
    let name = table.name.sql();
    let names: Vec<_> = columns.iter().map(|column| quoted(&column.name)).collect();
    // A table without columns has rows all the same; the list may then not be there.
    let list = match names.is_empty() {
        true => String::new(),
        false => format!(" ({})", names.join(", ")),
    };
    let copy = format!("COPY {name}{list} TO STDOUT");
    match format {
        Format::Copy => {
            out.write_all(format!("\nCOPY {name}{list} FROM stdin;\n").as_bytes())
                .map_err(unwritten)?;
            let mut each = |bytes: &[u8]| out.write_all(bytes).map_err(unwritten);
            connection.copy_out(&copy, &mut each).await?;
            out.write_all(b"\\.\n").map_err(unwritten)?;
        }
        Format::Inserts => {
            let mut inserts = Inserts::new(&name, &list, &columns);
            let mut each = |bytes: &[u8]| inserts.take(bytes, out);
            connection.copy_out(&copy, &mut each).await?;
            inserts.end(out)?;
        }
    }
    Ok(())
}

/// Makes INSERT statements of the lines of COPY's text format, which come in pieces that end anywhere.
struct Inserts<'a> {
    /// INSERT INTO ... VALUES
    head: String,
    columns: &'a [&'a Column],
    /// The begin of a line whose end is yet to come.
    line: Vec<u8>,
    statement: String,
    rows: usize,
}

impl<'a> Inserts<'a> {
    fn new(name: &str, list: &str, columns: &'a [&'a Column]) -> Self {
        let is_identity = columns.iter().any(|column| column.identity == Some("ALWAYS"));
        let overriding = if is_identity { " OVERRIDING SYSTEM VALUE" } else { "" };
        Self {
            head: format!("\nINSERT INTO {name}{list}{overriding} VALUES"),
            columns,
            line: Vec::new(),
            statement: String::new(),
            rows: 0,
        }
    }

    fn take(&mut self, bytes: &[u8], out: &mut impl Write) -> Result<()> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            // Within a value a line feed is `\n`.
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
                let line = std::mem::take(&mut self.line);
                self.row(&line)?;
                if self.rows == ROWS_MAX || self.statement.len() > INSERT_BYTES {
                    self.flush(out)?;
                }
                self.line = line;
                self.line.clear();
            }
        }
        Ok(())
    }

    fn row(&mut self, line: &[u8]) -> Result<()> {
        let line = std::str::from_utf8(line).map_err(|_| Error::internal("COPY gave what is no UTF-8"))?;
        if self.columns.is_empty() {
            // VALUES with nothing in it is no SQL.
            self.statement
                .push_str(&self.head.replace(" VALUES", " DEFAULT VALUES;\n"));
            return Ok(());
        }
        self.statement.push_str(if self.rows == 0 { &self.head } else { "," });
        self.rows += 1;
        self.statement.push_str("\n    (");
        for (at, (field, column)) in line.split('\t').zip(self.columns).enumerate() {
            if at > 0 {
                self.statement.push_str(", ");
            }
            self.statement.push_str(&value(field, &column.data_type));
        }
        self.statement.push(')');
        Ok(())
    }

    fn flush(&mut self, out: &mut impl Write) -> Result<()> {
        if self.rows > 0 {
            self.statement.push_str(";\n");
        }
        out.write_all(self.statement.as_bytes()).map_err(unwritten)?;
        self.statement.clear();
        self.rows = 0;
        Ok(())
    }

    fn end(&mut self, out: &mut impl Write) -> Result<()> {
        if !self.line.is_empty() {
            return Err(Error::internal("COPY ended within a line"));
        }
        self.flush(out)
    }
}

/// A field of COPY's text format as SQL.
fn value(field: &str, data_type: &str) -> String {
    if field == "\\N" {
        return "NULL".to_owned();
    }
    let text = unescaped(field);
    let is_number = matches!(
        data_type,
        "smallint" | "integer" | "bigint" | "real" | "double precision"
    ) || data_type.starts_with("numeric");
    // NaN and the infinities are written as texts.
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    match &*text {
        number if is_number && number.chars().all(is_plain) => number.to_owned(),
        "t" if data_type == "boolean" => "true".to_owned(),
        "f" if data_type == "boolean" => "false".to_owned(),
        text => literal(text),
    }
}

fn unescaped(field: &str) -> Cow<'_, str> {
    if !field.contains('\\') {
        return Cow::Borrowed(field);
    }
    let mut text = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('v') => text.push('\u{b}'),
            Some(other) => text.push(other),
            None => text.push('\\'),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, data_type: &str, identity: Option<&'static str>) -> Column {
        Column {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            is_nullable: true,
            default: None,
            is_generated: false,
            identity,
        }
    }

    #[test]
    fn values_are_written_as_their_type_asks() {
        for (field, data_type, expected) in [
            ("\\N", "text", "NULL"),
            ("\\\\N", "text", "'\\N'"),
            ("it's\\ta\\nline", "text", "'it''s\ta\nline'"),
            ("-1.5e10", "double precision", "-1.5e10"),
            ("NaN", "numeric(5,2)", "'NaN'"),
            ("t", "boolean", "true"),
            ("t", "text", "'t'"),
            ("\\\\x00ff", "bytea", "'\\x00ff'"),
        ] {
            assert_eq!(value(field, data_type), expected, "{field}");
        }
    }

    #[test]
    fn lines_become_inserts_wherever_the_pieces_end() {
        let columns = [column("id", "integer", Some("ALWAYS")), column("Name", "text", None)];
        let columns: Vec<&Column> = columns.iter().collect();
        let expected =
            "\nINSERT INTO a.t (id, \"Name\") OVERRIDING SYSTEM VALUE VALUES\n    (1, 'x'),\n    (2, NULL);\n";
        let data = b"1\tx\n2\t\\N\n";
        for piece in 1..=data.len() {
            let mut out = Vec::new();
            let mut inserts = Inserts::new("a.t", " (id, \"Name\")", &columns);
            for bytes in data.chunks(piece) {
                inserts.take(bytes, &mut out).expect("a vector takes all");
            }
            inserts.end(&mut out).expect("whole lines");
            assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }

    #[test]
    fn an_insert_has_so_many_rows_and_no_more() {
        let columns = [column("id", "integer", None)];
        let columns: Vec<&Column> = columns.iter().collect();
        let mut inserts = Inserts::new("t", " (id)", &columns);
        let mut out = Vec::new();
        for row in 0..=ROWS_MAX {
            inserts.take(format!("{row}\n").as_bytes(), &mut out).expect("taken");
        }
        inserts.end(&mut out).expect("whole lines");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.matches("INSERT INTO").count(), 2);
        assert_eq!(text.matches('(').count(), 2 + ROWS_MAX + 1);
    }
}
