//! Rows as PostgreSQL's COPY TO writes them: as lines of text or CSV here, as tuples in `tuples`.

use aion_base::Result;
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;

use super::options::{CopyOptions, Format};
use super::tuples::TupleWriter;
use crate::cells::{Cells, canonical};
use crate::response::Column;

/// Writes rows in any format but Parquet. A *line* is what it makes of one of them, or of what stands before and after them.
#[derive(Debug)]
pub enum Writer {
    /// Text and CSV.
    Lines(LineWriter),
    /// Binary.
    Tuples(TupleWriter),
}

impl Writer {
    /// A writer in the format of `options`.
    pub fn new(options: CopyOptions) -> Self {
        match options.format {
            Format::Binary => Self::Tuples(TupleWriter::default()),
            _ => Self::Lines(LineWriter::new(options)),
        }
    }

    /// Appends rows from `first` on, until `out` has `bytes_full` bytes; calls `ended` with the length of `out` after each. Answers
    /// the row to go on with.
    ///
    /// # Errors
    /// 54000 for a tuple that is too long; the rows before it have been appended.
    pub fn rows(
        &mut self,
        batch: &LineBatch,
        first: usize,
        bytes_full: usize,
        out: &mut Vec<u8>,
        ended: impl FnMut(usize),
    ) -> Result<usize> {
        match self {
            Self::Lines(lines) => Ok(lines.rows(batch, first, bytes_full, out, ended)),
            Self::Tuples(tuples) => tuples.rows(batch, first, bytes_full, out, ended),
        }
    }

    /// Appends the line that stands before all rows, where the options ask for one.
    pub fn begin(&self, columns: &[Column], out: &mut Vec<u8>) {
        if let Self::Lines(lines) = self
            && lines.options.has_header
        {
            lines.header(columns, out);
        }
    }

    /// Appends what stands behind all rows, once.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if let Self::Tuples(tuples) = self {
            tuples.end(out);
        }
    }
}

/// Writes rows as lines.
#[derive(Debug)]
pub struct LineWriter {
    options: CopyOptions,
    /// Memory for the text of one value.
    scratch: String,
}

/// A batch whose rows become lines.
#[derive(Debug)]
pub struct LineBatch {
    columns: Vec<(ArrayRef, Column)>,
    rows: usize,
}

impl LineBatch {
    /// A batch of a result with these columns.
    ///
    /// # Errors
    /// XX000 where it does not fit them.
    pub fn new(batch: &RecordBatch, columns: &[Column]) -> Result<Self> {
        let arrays = batch.columns().iter().zip(columns);
        let arrays = arrays.map(|(array, column)| Ok((canonical(array, column.sql_type)?, column.clone())));
        Ok(Self {
            columns: arrays.collect::<Result<_>>()?,
            rows: batch.num_rows(),
        })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, and the cells of each.
    pub(super) fn cells(&self) -> Vec<(&Column, Cells<'_>)> {
        let cells = self
            .columns
            .iter()
            .filter_map(|(array, column)| Some((column, Cells::of(array, column.sql_type)?)));
        let cells: Vec<_> = cells.collect();
        assert_eq!(cells.len(), self.columns.len(), "the arrays are canonical");
        cells
    }
}

impl LineWriter {
    /// A writer in the format of `options`.
    pub(crate) fn new(options: CopyOptions) -> Self {
        Self {
            options,
            scratch: String::new(),
        }
    }

    /// A writer of CSV with the defaults of COPY.
    pub fn csv() -> Self {
        Self::new(CopyOptions::of(Format::Csv))
    }

    /// Appends the line that names the columns.
    pub fn header(&self, columns: &[Column], out: &mut Vec<u8>) {
        let names: Vec<_> = columns.iter().map(|column| Some(column.name.as_str())).collect();
        self.line(&names, out);
    }

    /// Appends a line of values that are texts already.
    pub fn line(&self, cells: &[Option<&str>], out: &mut Vec<u8>) {
        for (at, cell) in cells.iter().enumerate() {
            self.separate(at, out);
            match cell {
                Some(text) => self.field(text, cells.len() == 1, out),
                None => out.extend_from_slice(self.options.null.as_bytes()),
            }
        }
        out.push(b'\n');
    }

    /// Appends rows from `first` on as lines, until `out` has `bytes_full` bytes; calls `ended` with the length of `out` after each.
    /// Answers the row to go on with.
    pub(crate) fn rows(
        &mut self,
        batch: &LineBatch,
        first: usize,
        bytes_full: usize,
        out: &mut Vec<u8>,
        mut ended: impl FnMut(usize),
    ) -> usize {
        let cells = batch.cells();
        let mut row = first;
        while row < batch.rows && out.len() < bytes_full {
            for (at, (_, cell)) in cells.iter().enumerate() {
                self.separate(at, out);
                if cell.is_null(row) {
                    out.extend_from_slice(self.options.null.as_bytes());
                } else if let Some(text) = cell.as_str(row) {
                    self.field(text, cells.len() == 1, out);
                } else {
                    let mut text = std::mem::take(&mut self.scratch);
                    text.clear();
                    cell.write_text(row, &mut text);
                    self.field(&text, cells.len() == 1, out);
                    self.scratch = text;
                }
            }
            out.push(b'\n');
            ended(out.len());
            row += 1;
        }
        row
    }

    fn separate(&self, at: usize, out: &mut Vec<u8>) {
        if at > 0 {
            out.push(self.options.delimiter);
        }
    }

    fn field(&self, text: &str, is_alone: bool, out: &mut Vec<u8>) {
        match self.options.format {
            Format::Text => self.escaped(text, out),
            _ => self.quoted(text, is_alone, out),
        }
    }

    /// A CSV field, in quotes where it could be read as something else.
    fn quoted(&self, text: &str, is_alone: bool, out: &mut Vec<u8>) {
        let CopyOptions {
            delimiter,
            quote,
            escape,
            ref null,
            ..
        } = self.options;
        let is_special = |byte: u8| byte == delimiter || byte == quote || byte == b'\n' || byte == b'\r';
        if text != null && !(is_alone && text == "\\.") && !text.bytes().any(is_special) {
            out.extend_from_slice(text.as_bytes());
            return;
        }
        out.push(quote);
        for byte in text.bytes() {
            if byte == quote || byte == escape {
                out.push(escape);
            }
            out.push(byte);
        }
        out.push(quote);
    }

    /// A text field: what would end it or begin an escape gets a backslash.
    fn escaped(&self, text: &str, out: &mut Vec<u8>) {
        for byte in text.bytes() {
            let letter = match byte {
                8 => b'b',
                12 => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                11 => b'v',
                byte if byte == b'\\' || byte == self.options.delimiter => byte,
                byte => {
                    out.push(byte);
                    continue;
                }
            };
            out.extend_from_slice(&[b'\\', letter]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aion_catalog::SqlType;
    use arrow::array::{Int32Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use proptest::prelude::*;

    use super::super::record::{Record, RecordReader};
    use super::*;

    fn lines(format: Format, numbers: Vec<Option<i32>>, texts: Vec<Option<String>>) -> Vec<u8> {
        let columns = [
            Column::new("n", SqlType::Integer),
            Column::new("a,\"b\"", SqlType::Text),
        ];
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int32, true),
            Field::new("t", DataType::Utf8, true),
        ]);
        let arrays: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(numbers)), Arc::new(StringArray::from(texts))];
        let batch = RecordBatch::try_new(Arc::new(schema), arrays).expect("a batch");
        let batch = LineBatch::new(&batch, &columns).expect("canonical");
        let mut writer = LineWriter::new(CopyOptions::of(format));
        let mut out = Vec::new();
        writer.header(&columns, &mut out);
        let next = writer.rows(&batch, 0, usize::MAX, &mut out, |_| {});
        assert_eq!(next, batch.rows());
        out
    }

    #[test]
    fn golden() {
        let texts = vec![
            Some("x,\"y\"\n".to_owned()),
            None,
            Some(String::new()),
            Some("\\N\t".into()),
        ];
        let numbers = vec![Some(-1), None, Some(2), Some(3)];
        assert_eq!(
            String::from_utf8(lines(Format::Csv, numbers.clone(), texts.clone())).expect("UTF-8"),
            "n,\"a,\"\"b\"\"\"\n-1,\"x,\"\"y\"\"\n\"\n,\n2,\"\"\n3,\\N\t\n"
        );
        assert_eq!(
            String::from_utf8(lines(Format::Text, numbers, texts)).expect("UTF-8"),
            "n\ta,\"b\"\n-1\tx,\"y\"\\n\n\\N\t\\N\n2\t\n3\t\\\\N\\t\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(texts in prop::collection::vec(prop::option::of("[a,\"\\\\\n\r\tN.ä]{0,6}"), 1..6)) {
            for format in [Format::Csv, Format::Text] {
                let numbers = vec![Some(7); texts.len()];
                let bytes = lines(format, numbers, texts.clone());
                let mut reader = RecordReader::new(bytes.as_slice(), &CopyOptions::of(format));
                let mut record = Record::default();
                prop_assert!(reader.read(&mut record)?);
                for text in &texts {
                    prop_assert!(reader.read(&mut record)?);
                    prop_assert_eq!(record.len(), 2);
                    prop_assert_eq!(record.field(1)?, text.as_deref());
                }
                prop_assert!(!reader.read(&mut record)?);
            }
        }
    }
}
