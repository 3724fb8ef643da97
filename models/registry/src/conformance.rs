//! What every [`Predictor`] must do, as one suite, and whether two of them agree.

use aion_base::{Error, ErrorKind, Result};

use crate::predictor::{BATCH_MAX, Predictor};

/// How far two implementations of the same model may lie apart, for predictions around 1; see [`check_parity`].
pub const TOLERANCE: f32 = 1e-4;

/// Rows with the outputs that a model is known to give for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// Row by row.
    pub rows: Vec<f32>,
    /// Row by row; empty where no outputs are known and only the behaviour is checked.
    pub expected: Vec<f32>,
}

fn broken(what: String) -> Error {
    Error::internal(format!("predictor: {what}"))
}

/// Checks a predictor: sizes, golden outputs, that rows do not depend on each other, that what is wrong is refused.
///
/// # Errors
/// Internal, with the first promise that is broken.
pub fn check_predictor(predictor: &dyn Predictor, golden: &Golden) -> Result<()> {
    let (inputs, outputs) = (predictor.inputs(), predictor.outputs());
    if inputs == 0 || outputs == 0 || !golden.rows.len().is_multiple_of(inputs) || golden.rows.is_empty() {
        return Err(broken(format!(
            "{inputs} inputs and {outputs} outputs do not fit the golden rows"
        )));
    }
    let together = predictor.predict(&golden.rows)?;
    if together.len() != golden.rows.len() / inputs * outputs {
        return Err(broken(format!("{} outputs for the golden rows", together.len())));
    }
    if !golden.expected.is_empty() {
        check_close(&golden.expected, &together, outputs)?;
    }
    if predictor.predict(&golden.rows)? != together {
        return Err(broken("the same rows have other outputs the second time".to_owned()));
    }
    for (row, together) in golden.rows.chunks_exact(inputs).zip(together.chunks_exact(outputs)) {
        check_close(together, &predictor.predict(row)?, outputs)?;
    }
    if !predictor.predict(&[])?.is_empty() {
        return Err(broken("no rows have outputs".to_owned()));
    }
    let row = &golden.rows[..inputs];
    let with = |value: f32| [&row[1..], &[value]].concat();
    let wrong = [
        ("a row that is too long", [row, &[0.0]].concat()),
        ("too many rows", row.repeat(BATCH_MAX + 1)),
        ("a feature that is no number", with(f32::NAN)),
        ("an infinite feature", with(f32::INFINITY)),
    ];
    for (name, rows) in wrong {
        // With one feature, a row that is too long is two rows.
        if inputs == 1 && rows.len() == 2 {
            continue;
        }
        match predictor.predict(&rows) {
            Err(error) if error.kind() == ErrorKind::Invalid => {}
            other => return Err(broken(format!("{name} is answered with {other:?}"))),
        }
    }
    match predictor.predict(&row.repeat(BATCH_MAX)) {
        Ok(most) if most.len() == BATCH_MAX * outputs => Ok(()),
        other => Err(broken(format!("{BATCH_MAX} rows are answered with {other:?}"))),
    }
}

/// The largest difference between the predictions of two implementations of the same model.
///
/// # Errors
/// Internal where one lies further apart than [`TOLERANCE`], relative to the larger of 1 and the prediction; and what either
/// refuses.
pub fn check_parity(one: &dyn Predictor, other: &dyn Predictor, rows: &[f32]) -> Result<f32> {
    if (one.inputs(), one.outputs()) != (other.inputs(), other.outputs()) {
        return Err(broken(format!(
            "{} inputs and {} outputs are compared with {} and {}",
            one.inputs(),
            one.outputs(),
            other.inputs(),
            other.outputs()
        )));
    }
    check_close(&one.predict(rows)?, &other.predict(rows)?, one.outputs())
}

fn check_close(expected: &[f32], actual: &[f32], outputs: usize) -> Result<f32> {
    if expected.len() != actual.len() {
        return Err(broken(format!(
            "{} outputs where {} are expected",
            actual.len(),
            expected.len()
        )));
    }
    let mut largest = 0.0_f32;
    for (at, (expected, actual)) in expected.iter().zip(actual).enumerate() {
        let difference = (expected - actual).abs();
        // Written so that a NaN is not close.
        let is_close = difference <= TOLERANCE * expected.abs().max(1.0);
        if !is_close {
            let (row, output) = (at / outputs, at % outputs);
            return Err(broken(format!(
                "output {output} of row {row} is {actual}, not {expected}"
            )));
        }
        largest = largest.max(difference);
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use aion_base::rng::SeededRng;

    use super::*;
    use crate::Mlp;
    use crate::predictor::rows_in;
    use crate::tests::{random_mlp, random_rows};

    #[test]
    fn the_plain_evaluator_passes() {
        let mut random = SeededRng::new(2);
        for inputs in [1, 5, 48] {
            let mlp = random_mlp(&mut random, inputs, &[64, 64]);
            let rows = random_rows(&mut random, 33, inputs);
            let expected = mlp.predict(&rows).unwrap();
            check_predictor(&mlp, &Golden { rows, expected }).unwrap();
        }
    }

    /// A predictor with one fault.
    #[derive(Debug)]
    struct Faulty(Mlp, Fault);

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fault {
        TakesAnything,
        TakesTooMany,
        LosesARow,
        LooksAtNeighbours,
        IsOff,
        IsNoNumber,
    }

    impl Predictor for Faulty {
        fn inputs(&self) -> usize {
            self.0.inputs()
        }

        fn outputs(&self) -> usize {
            self.0.outputs()
        }

        fn predict(&self, rows: &[f32]) -> Result<Vec<f32>> {
            let Self(mlp, fault) = self;
            match (fault, rows_in(rows, mlp.inputs())) {
                (Fault::TakesAnything, Err(_)) => return Ok(Vec::new()),
                (Fault::TakesTooMany, Err(_)) if rows.len() > BATCH_MAX * mlp.inputs() => return Ok(Vec::new()),
                (_, count) => count?,
            };
            let mut outputs = mlp.predict(rows)?;
            match fault {
                Fault::LosesARow => outputs.truncate(outputs.len().saturating_sub(mlp.outputs())),
                Fault::LooksAtNeighbours if rows.len() > mlp.inputs() => outputs[0] += 0.01,
                Fault::IsOff => outputs.iter_mut().for_each(|output| *output += 0.001),
                Fault::IsNoNumber => outputs.iter_mut().for_each(|output| *output = f32::NAN),
                _ => {}
            }
            Ok(outputs)
        }
    }

    #[test]
    fn each_fault_is_found() {
        let mut random = SeededRng::new(3);
        let mlp = random_mlp(&mut random, 4, &[8]);
        let rows = random_rows(&mut random, 9, 4);
        let expected = mlp.predict(&rows).unwrap();
        let golden = Golden { rows, expected };
        let faults = [
            Fault::TakesAnything,
            Fault::TakesTooMany,
            Fault::LosesARow,
            Fault::LooksAtNeighbours,
            Fault::IsOff,
            Fault::IsNoNumber,
        ];
        for fault in faults {
            assert!(
                check_predictor(&Faulty(mlp.clone(), fault), &golden).is_err(),
                "{fault:?}"
            );
        }
        assert!(check_parity(&mlp, &mlp, &golden.rows).unwrap() == 0.0);
        assert!(check_parity(&mlp, &Faulty(mlp.clone(), Fault::IsOff), &golden.rows).is_err());
        assert!(check_parity(&mlp, &random_mlp(&mut random, 5, &[8]), &golden.rows).is_err());
    }
}
