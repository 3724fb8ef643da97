//! A multi-layer perceptron, evaluated in plain Rust.
//!
//! Each layer is `x W + b`; between layers, and not after the last, what is below zero becomes zero (ReLU). A model file holds
//! exactly this ([`crate::onnx`]), so where ONNX Runtime is missing the same file predicts the same numbers, to rounding.
//!
//! **Quantiles do not cross.** A model of quantiles ends in a layer that is always the same ([`Mlp::quantiles`]). Of the three outputs
//! that were trained, `l`, `m` and `h`, the layer before it gives `m`, `-m`, `m - l` and `h - m`; ReLU takes from each what is below
//! zero; and the last layer puts together
//!
//! ```text
//!   low = m - relu(m - l)      median = m = relu(m) - relu(-m)      high = m + relu(h - m)
//! ```
//!
//! so `low <= median <= high` for every input, also after rounding: each output is a sum of two numbers that are not zero, and rounding
//! keeps order. It is part of the graph, so it holds wherever the file is run. Training does not see it: its outputs have gradients
//! everywhere.

use aion_base::{Error, Result, SqlState};

use crate::predictor::{Predictor, check_finite, rows_in};

/// Outputs of a model of quantiles: 10, 50 and 90 %.
pub const QUANTILES: usize = 3;
/// What the layer before the last one gives.
const PARTS: usize = 4;
/// The last layer of a model of quantiles: from the [`PARTS`] to low, median and high.
const JOIN: [f32; PARTS * QUANTILES] = [
    1.0, 1.0, 1.0, //
    -1.0, -1.0, -1.0, //
    -1.0, 0.0, 0.0, //
    0.0, 0.0, 1.0,
];

/// Layers of a model.
pub const LAYERS_MAX: usize = 8;
/// Inputs or outputs of a layer.
pub const WIDTH_MAX: usize = 1_024;
/// Weights and biases of a model.
pub const PARAMETERS_MAX: usize = 1 << 20;

/// One layer: `x W + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    inputs: usize,
    outputs: usize,
    weights: Vec<f32>,
    biases: Vec<f32>,
}

/// See the module's header.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    layers: Vec<Layer>,
}

fn invalid(what: String) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, what)
}

impl Layer {
    /// A layer with `weights[input * outputs + output]`.
    ///
    /// # Errors
    /// Invalid where sizes do not fit each other or [`WIDTH_MAX`], or a number is not finite.
    pub fn new(inputs: usize, outputs: usize, weights: Vec<f32>, biases: Vec<f32>) -> Result<Self> {
        if !(1..=WIDTH_MAX).contains(&inputs) || !(1..=WIDTH_MAX).contains(&outputs) {
            return Err(invalid(format!(
                "a layer of {inputs} inputs and {outputs} outputs is not within 1 to {WIDTH_MAX}"
            )));
        }
        if weights.len() != inputs * outputs || biases.len() != outputs {
            return Err(invalid(format!(
                "{} weights and {} biases are not those of a layer of {inputs} inputs and {outputs} outputs",
                weights.len(),
                biases.len()
            )));
        }
        if !weights.iter().chain(&biases).all(|number| number.is_finite()) {
            return Err(invalid("a weight is not a finite number".to_owned()));
        }
        Ok(Self {
            inputs,
            outputs,
            weights,
            biases,
        })
    }

    /// Numbers that go in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Numbers that come out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// By input, then by output.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// By output.
    pub fn biases(&self) -> &[f32] {
        &self.biases
    }

    /// Adds the layer's outputs for one row to `out`. By input, so that the inner loop runs along memory and the compiler vectorises it;
    /// about half of all inputs are zero after ReLU and are skipped.
    fn append(&self, row: &[f32], out: &mut Vec<f32>) {
        let start = out.len();
        out.extend_from_slice(&self.biases);
        let sums = &mut out[start..];
        for (input, weights) in row.iter().zip(self.weights.chunks_exact(self.outputs)) {
            if *input != 0.0 {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += input * weight;
                }
            }
        }
    }
}

impl Mlp {
    /// The layers, the first one first.
    ///
    /// # Errors
    /// Invalid where there are none or too many, or one does not fit the one before it.
    pub fn new(layers: Vec<Layer>) -> Result<Self> {
        if layers.is_empty() || layers.len() > LAYERS_MAX {
            return Err(invalid(format!(
                "{} layers are not within 1 to {LAYERS_MAX}",
                layers.len()
            )));
        }
        for pair in layers.windows(2) {
            if pair[0].outputs != pair[1].inputs {
                return Err(invalid(format!(
                    "a layer of {} outputs goes before one of {} inputs",
                    pair[0].outputs, pair[1].inputs
                )));
            }
        }
        let mlp = Self { layers };
        if mlp.parameters() > PARAMETERS_MAX {
            return Err(invalid(format!(
                "{} weights are more than {PARAMETERS_MAX}",
                mlp.parameters()
            )));
        }
        Ok(mlp)
    }

    /// A model of quantiles that do not cross: `hidden` layers, then the trained `head` with the outputs low, median and high.
    ///
    /// # Errors
    /// As [`Mlp::new`], and for a head without [`QUANTILES`] outputs.
    pub fn quantiles(mut hidden: Vec<Layer>, head: &Layer) -> Result<Self> {
        if head.outputs != QUANTILES {
            return Err(invalid(format!(
                "a head of {} outputs does not give {QUANTILES} quantiles",
                head.outputs
            )));
        }
        let split = |of: &[f32]| {
            let parts = of.chunks_exact(QUANTILES).flat_map(|trained| {
                let (low, median, high) = (trained[0], trained[1], trained[2]);
                [median, -median, median - low, high - median]
            });
            parts.collect::<Vec<f32>>()
        };
        hidden.push(Layer::new(
            head.inputs,
            PARTS,
            split(&head.weights),
            split(&head.biases),
        )?);
        hidden.push(Layer::new(PARTS, QUANTILES, JOIN.to_vec(), vec![0.0; QUANTILES])?);
        Self::new(hidden)
    }

    /// The layers, the first one first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        let each = self.layers.iter().map(|layer| layer.weights.len() + layer.biases.len());
        each.sum()
    }

    /// Whether it is one of quantiles that do not cross. What the layer before the last gives need not be split as [`Mlp::quantiles`]
    /// does for that: whatever the four numbers are, low and high lie on their sides of the median.
    pub fn is_monotone(&self) -> bool {
        // By bits: a minus before a zero would make another file of the same model.
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<u32>>();
        let joins = |last: &Layer| bits(&last.weights) == bits(&JOIN) && bits(&last.biases) == [0; QUANTILES];
        self.layers.len() > 1 && self.layers.last().is_some_and(joins)
    }
}

impl Predictor for Mlp {
    fn inputs(&self) -> usize {
        self.layers.first().map_or(0, Layer::inputs)
    }

    fn outputs(&self) -> usize {
        self.layers.last().map_or(0, Layer::outputs)
    }

    fn predict(&self, rows: &[f32]) -> Result<Vec<f32>> {
        let count = rows_in(rows, self.inputs())?;
        let mut all = Vec::with_capacity(count * self.outputs());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for row in rows.chunks_exact(self.inputs()) {
            before.clear();
            before.extend_from_slice(row);
            for (at, layer) in self.layers.iter().enumerate() {
                after.clear();
                layer.append(&before, &mut after);
                if at + 1 < self.layers.len() {
                    // `max` would turn a NaN, which infinities can make, into 0 and hide it.
                    after.iter_mut().for_each(|value| {
                        if *value < 0.0 {
                            *value = 0.0;
                        }
                    });
                }
                std::mem::swap(&mut before, &mut after);
            }
            all.extend_from_slice(&before);
        }
        check_finite(&all, self.outputs())?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use aion_base::rng::SeededRng;

    use super::*;
    use crate::tests::{random_layer, random_mlp, random_rows};

    #[test]
    fn a_network_small_enough_to_follow_by_hand() {
        let first = Layer::new(2, 2, vec![1.0, -1.0, 2.0, 1.0], vec![0.5, 0.0]).unwrap();
        let last = Layer::new(2, 1, vec![3.0, 10.0], vec![-1.0]).unwrap();
        let mlp = Mlp::new(vec![first, last]).unwrap();
        // (1, 1): 3.5 and 0; (-1, 1): 1.5 and 2; (1, -1): -0.5 and -2, both cut.
        let outputs = mlp.predict(&[1.0, 1.0, -1.0, 1.0, 1.0, -1.0]).unwrap();
        assert_eq!(outputs, [9.5, 23.5, -1.0]);
        assert_eq!(mlp.parameters(), 9);
        assert!(!mlp.is_monotone());
    }

    #[test]
    fn quantiles_are_the_trained_ones_where_these_do_not_cross_and_never_cross() {
        let mut random = SeededRng::new(11);
        let hidden = vec![random_layer(&mut random, 6, 16)];
        let head = random_layer(&mut random, 16, QUANTILES);
        let trained = Mlp::new(vec![hidden[0].clone(), head.clone()]).unwrap();
        let monotone = Mlp::quantiles(hidden, &head).unwrap();
        assert!(monotone.is_monotone() && !trained.is_monotone());
        let rows = random_rows(&mut random, 500, 6);
        let (raw, kept) = (trained.predict(&rows).unwrap(), monotone.predict(&rows).unwrap());
        let mut crossed = 0;
        for (raw, kept) in raw.chunks_exact(3).zip(kept.chunks_exact(3)) {
            assert!(kept[0] <= kept[1] && kept[1] <= kept[2], "{kept:?}");
            let expected = [raw[0].min(raw[1]), raw[1], raw[2].max(raw[1])];
            crossed += usize::from(expected != raw);
            for (expected, kept) in expected.iter().zip(kept) {
                assert!((expected - kept).abs() < 1e-4, "{raw:?} became {kept:?}");
            }
        }
        assert!(crossed > 50, "{crossed} of 500 rows crossed: the test shows nothing");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let layer = |inputs, outputs| Layer::new(inputs, outputs, vec![0.0; inputs * outputs], vec![0.0; outputs]);
        assert!(layer(0, 1).is_err() && layer(1, WIDTH_MAX + 1).is_err());
        assert!(Layer::new(2, 2, vec![0.0; 3], vec![0.0; 2]).is_err());
        assert!(Layer::new(2, 2, vec![0.0; 4], vec![0.0; 3]).is_err());
        assert!(Layer::new(1, 1, vec![f32::NAN], vec![0.0]).is_err());
        assert!(Layer::new(1, 1, vec![0.0], vec![f32::INFINITY]).is_err());
        assert!(Mlp::new(Vec::new()).is_err());
        assert!(Mlp::new(vec![layer(2, 3).unwrap(), layer(2, 1).unwrap()]).is_err());
        assert!(Mlp::new(vec![layer(2, 2).unwrap(); LAYERS_MAX + 1]).is_err());
        assert!(Mlp::new(vec![layer(1_024, 1_024).unwrap(); 2]).is_err());
        assert!(Mlp::quantiles(Vec::new(), &layer(2, 4).unwrap()).is_err());
    }

    #[test]
    fn outputs_that_overflow_are_an_error() {
        let huge = Layer::new(1, 1, vec![f32::MAX], vec![0.0]).unwrap();
        let mlp = Mlp::new(vec![huge]).unwrap();
        assert!(mlp.predict(&[1.0]).is_ok());
        let error = mlp.predict(&[0.0, 10.0]).expect_err("it is infinite");
        assert_eq!(error.state(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
        assert!(error.message().contains("row 1"), "{error}");
        // Infinity minus infinity, which ReLU must not hide.
        let first = Layer::new(1, 2, vec![f32::MAX, f32::MAX], vec![0.0; 2]).unwrap();
        let middle = Layer::new(2, 1, vec![1.0, -1.0], vec![0.0]).unwrap();
        let last = Layer::new(1, 1, vec![1.0], vec![0.0]).unwrap();
        assert!(Mlp::new(vec![first, middle, last]).unwrap().predict(&[10.0]).is_err());
    }

    #[test]
    fn a_random_network_is_the_sum_written_out() {
        let mut random = SeededRng::new(5);
        let mlp = random_mlp(&mut random, 7, &[5, 4]);
        let rows = random_rows(&mut random, 20, 7);
        let outputs = mlp.predict(&rows).unwrap();
        for (row, outputs) in rows.chunks_exact(7).zip(outputs.chunks_exact(3)) {
            let mut values: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
            for (at, layer) in mlp.layers().iter().enumerate() {
                let sum = |output: usize| {
                    let weights = (0..layer.inputs())
                        .map(|input| values[input] * f64::from(layer.weights()[input * layer.outputs() + output]));
                    weights.sum::<f64>() + f64::from(layer.biases()[output])
                };
                let cut = |sum: f64| if at + 1 < mlp.layers().len() { sum.max(0.0) } else { sum };
                values = (0..layer.outputs()).map(|output| cut(sum(output))).collect();
            }
            for (expected, output) in values.iter().zip(outputs) {
                assert!((expected - f64::from(*output)).abs() < 1e-5, "{expected} and {output}");
            }
        }
    }
}
