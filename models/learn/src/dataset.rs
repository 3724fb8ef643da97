//! Rows to train on.
//!
//! **Format.** JSON lines: each line is one [`Example`] with the fields as they are spelled there.
//!
//! ```text
//! {"features":[3.1,0.0,1.0],"log2_ratio":2.5,"censored":false,"at":1796000000000000,"queryid":-7421}
//! ```

use aion_base::{Error, Result, SqlState};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Rows of a data set.
const ROWS_MAX: usize = 1_000_000;
/// Bytes of a line.
const LINE_BYTES_MAX: usize = 64 << 10;
/// A ratio beyond 2^64 says no more than one of 2^64.
const RATIO_MAX: f32 = 64.0;

/// What one operator gave against what was expected of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What the sub-plan looks like, in the terms of its set of features.
    pub features: Vec<f32>,
    /// log2(true rows / classical estimate): above 0 the estimate was too low.
    pub log2_ratio: f32,
    /// The operator did not end, so there were at least as many rows: `log2_ratio` is a lower bound.
    pub censored: bool,
    /// When it ran: microseconds since 1970, UTC.
    pub at: i64,
    /// The statement that it belongs to.
    pub queryid: i64,
}

/// Examples of one width, in any order.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    width: usize,
    examples: Vec<Example>,
}

fn invalid(what: String) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, format!("training data: {what}"))
}

impl Dataset {
    /// No rows yet, of `width` features.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            examples: Vec::new(),
        }
    }

    /// Adds a row. A ratio beyond 2^64 or its inverse is taken for that.
    ///
    /// # Errors
    /// Invalid for another width or a number that is not finite; Exhausted beyond a million rows.
    pub fn push(&mut self, mut example: Example) -> Result<()> {
        if example.features.len() != self.width {
            return Err(invalid(format!(
                "a row has {} features, not {}",
                example.features.len(),
                self.width
            )));
        }
        if !example.log2_ratio.is_finite() || !example.features.iter().all(|value| value.is_finite()) {
            return Err(invalid("a number is not finite".to_owned()));
        }
        if self.examples.len() >= ROWS_MAX {
            let message = format!("training data has more than {ROWS_MAX} rows");
            return Err(Error::exhausted(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        example.log2_ratio = example.log2_ratio.clamp(-RATIO_MAX, RATIO_MAX);
        self.examples.push(example);
        Ok(())
    }

    /// Features of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows, in the order in which they were added.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// Its rows as JSON lines.
    pub fn to_lines(&self) -> String {
        let mut lines = String::new();
        for example in &self.examples {
            lines.push_str(&serde_json::to_string(example).expect("finite numbers have a form in JSON"));
            lines.push('\n');
        }
        lines
    }

    /// Reads JSON lines; empty ones are skipped.
    ///
    /// # Errors
    /// Invalid with the number of the line; otherwise as [`Dataset::push`].
    pub fn from_lines(lines: &str) -> Result<Self> {
        let mut dataset: Option<Self> = None;
        for (at, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let number = at + 1;
            if line.len() > LINE_BYTES_MAX {
                return Err(invalid(format!("line {number} has more than {LINE_BYTES_MAX} bytes")));
            }
            let example: Example =
                serde_json::from_str(line).map_err(|error| invalid(format!("line {number}: {error}")))?;
            let dataset = dataset.get_or_insert_with(|| Self::new(example.features.len()));
            dataset.push(example).map_err(|error| {
                Error::new(
                    error.kind(),
                    error.state(),
                    format!("line {number}: {}", error.message()),
                )
            })?;
        }
        dataset.ok_or_else(|| invalid("there are no rows".to_owned()))
    }

    /// The SHA-256 of its lines, for the lineage of what is trained on it.
    pub fn sha256(&self) -> String {
        let digest = Sha256::digest(self.to_lines());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(features: &[f32], log2_ratio: f32) -> Example {
        Example {
            features: features.to_vec(),
            log2_ratio,
            censored: true,
            at: 5,
            queryid: i64::MIN,
        }
    }

    #[test]
    fn lines_are_read_as_they_are_written() {
        let mut dataset = Dataset::new(2);
        dataset.push(example(&[0.1, -3.0e9], 1.5)).unwrap();
        dataset.push(example(&[0.0, f32::MIN_POSITIVE], -99.0)).unwrap();
        assert_eq!(dataset.examples()[1].log2_ratio, -64.0);
        let lines = dataset.to_lines();
        assert_eq!(Dataset::from_lines(&format!("\n{lines}\n")).unwrap(), dataset);
        assert_eq!(dataset.sha256().len(), 64);
        let other = Dataset::from_lines(lines.lines().next().unwrap()).unwrap();
        assert_ne!(other.sha256(), dataset.sha256());
    }

    #[test]
    fn what_is_no_row_is_refused_with_its_line() {
        let mut dataset = Dataset::new(2);
        assert!(dataset.push(example(&[1.0], 0.0)).is_err());
        assert!(dataset.push(example(&[1.0, f32::NAN], 0.0)).is_err());
        assert!(dataset.push(example(&[1.0, 1.0], f32::INFINITY)).is_err());
        let good = r#"{"features":[1.0],"log2_ratio":0,"censored":false,"at":1,"queryid":2}"#;
        assert!(Dataset::from_lines(good).is_ok());
        let wrong = [
            good.replace("[1.0]", "[1.0,2.0]"),
            good.replace("[1.0]", "[1e99]"),
            good.replace("\"at\":1,", ""),
            good.replace("\"at\"", "\"when\""),
            good.replace("false", "0"),
            good[..40].to_owned(),
            format!("{good}{}", " ".repeat(LINE_BYTES_MAX)),
        ];
        for wrong in wrong {
            let error = Dataset::from_lines(&format!("{good}\n{wrong}\n")).unwrap_err();
            assert!(error.message().contains("line 2"), "{error}");
        }
        assert!(Dataset::from_lines("\n").is_err());
    }
}
