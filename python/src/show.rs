//! Rows as a table of text.
//!
//! ```text
//!  id | name
//! ----+-------
//!   1 | Ada
//! (1 row)
//! ```

use aion_catalog::SqlType;
use pyo3::prelude::*;

use crate::result::{arrays, cells};
use crate::stream::Stream;

/// Characters of a cell, at most.
const CELL_MAX: usize = 60;

/// The next rows, at most so many, which stay to be read.
///
/// # Errors
/// The statement's.
pub fn table(py: Python<'_>, stream: &Stream, count_max: usize) -> PyResult<String> {
    let mut batches = Vec::new();
    let mut count = 0;
    // One more than is shown, to know whether there are more.
    let outcome = loop {
        if count > count_max {
            break Ok(());
        }
        match stream.next(py) {
            Ok(Some(batch)) => {
                count += batch.num_rows();
                batches.push(batch);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    for batch in batches.iter().rev() {
        stream.put_back(batch.clone());
    }
    outcome?;
    let columns = stream.columns();
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|column| clip(&column.name)).collect()];
    for batch in &batches {
        let arrays = arrays(py, columns, batch)?;
        let cells = cells(py, columns, &arrays)?;
        for row in 0..batch.num_rows().min((count_max + 1).saturating_sub(lines.len())) {
            let texts = cells.iter().map(|cells| {
                if cells.is_null(row) {
                    return "NULL".to_owned();
                }
                let mut text = String::new();
                cells.write_text(row, &mut text);
                clip(&text)
            });
            lines.push(texts.collect());
        }
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells = line
            .iter()
            .zip(&widths)
            .zip(columns.iter())
            .map(
                |((text, width), column)| match number > 0 && is_number(column.sql_type) {
                    true => format!(" {text:>width$} "),
                    false => format!(" {text:<width$} "),
                },
            );
        out.push_str(cells.collect::<Vec<_>>().join("|").trim_end());
        out.push('\n');
        if number == 0 {
            let rules: Vec<_> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
            out.push_str(&rules.join("+"));
            out.push('\n');
        }
    }
    let shown = lines.len() - 1;
    out.push_str(&match (count > shown, shown) {
        (true, _) => format!("(the first {shown} rows)"),
        (false, 1) => "(1 row)".to_owned(),
        (false, _) => format!("({shown} rows)"),
    });
    Ok(out)
}

fn is_number(sql_type: SqlType) -> bool {
    matches!(
        sql_type,
        SqlType::SmallInt
            | SqlType::Integer
            | SqlType::BigInt
            | SqlType::Real
            | SqlType::Double
            | SqlType::Numeric { .. }
    )
}

/// One line of bounded length.
fn clip(text: &str) -> String {
    let mut clipped: String = text
        .chars()
        .take(CELL_MAX)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if text.chars().nth(CELL_MAX).is_some() {
        clipped.pop();
        clipped.push('…');
    }
    clipped
}
