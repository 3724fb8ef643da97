//! The trait that predicts.

use std::fmt::Debug;

use aion_base::{Error, Result, SqlState};

/// Rows of one call.
pub const BATCH_MAX: usize = 4_096;

/// Predicts, for rows of features, rows of outputs.
///
/// Every implementation passes [`check_predictor`](crate::conformance::check_predictor): the same row has the same outputs whatever
/// stands beside it, and what is wrong is an error, never a panic and never a number that is not finite.
pub trait Predictor: Debug + Send + Sync {
    /// Features of a row.
    fn inputs(&self) -> usize;

    /// Outputs for a row.
    fn outputs(&self) -> usize;

    /// The outputs of `rows`, both row by row without gaps.
    ///
    /// # Errors
    /// Invalid for rows that are no multiple of [`inputs`](Self::inputs), more than [`BATCH_MAX`] or not finite, and for outputs that
    /// are not finite; Unavailable where what computes has failed.
    fn predict(&self, rows: &[f32]) -> Result<Vec<f32>>;
}

/// The number of rows in `rows`, after the checks that every implementation makes.
///
/// # Errors
/// See [`Predictor::predict`].
pub fn rows_in(rows: &[f32], inputs: usize) -> Result<usize> {
    let invalid = |what: String| Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, what));
    if inputs == 0 || !rows.len().is_multiple_of(inputs) {
        return invalid(format!("{} values are no rows of {inputs} features", rows.len()));
    }
    let count = rows.len() / inputs;
    if count > BATCH_MAX {
        return invalid(format!("{count} rows are more than the {BATCH_MAX} of one prediction"));
    }
    match rows.iter().position(|value| !value.is_finite()) {
        Some(at) => invalid(format!(
            "feature {} of row {} is not a finite number",
            at % inputs,
            at / inputs
        )),
        None => Ok(count),
    }
}

/// Refuses outputs that are not finite.
///
/// # Errors
/// Invalid (22003), with the row.
pub fn check_finite(outputs: &[f32], width: usize) -> Result<()> {
    match outputs.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Error::invalid(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!(
                "the model's prediction for row {} is not a finite number",
                at / width.max(1)
            ),
        )),
        None => Ok(()),
    }
}
